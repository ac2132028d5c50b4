"""A fence against the compiler's zeal."""

from collections.abc import Callable

import jax
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata


def apart(f: Callable, *args):
    """f(*args), on a CPU compiled apart from what uses it: the compiler would otherwise work f out again for every use, the lenses for every
    exponential of the light."""

    def fenced(*args):
        with set_xla_metadata(inlineable="false"):
            return jax.jit(f)(*args)

    return lax.platform_dependent(*args, cpu=fenced, default=f)
