"""Compilation without optimisation, for tests whose time goes into compiling."""

import pytest

OPTIONS = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
}
"""`compiler_options` of `jax.jit`."""

FLAGS = " ".join(f"--{name}={str(value).lower()}" for name, value in OPTIONS.items())
"""The same as `XLA_FLAGS`, for a process."""

EMITTERS = FLAGS.split()[-1]
"""XLA's older way of writing fused loops, as `XLA_FLAGS`: programs run as quickly, and are compiled
in two thirds of the time."""


def asked_for(config: pytest.Config) -> bool:
    """Whether this is the default run of the tests, which has to be quick. With the stress tests
    everything is compiled as users do."""
    return config.getoption("markexpr") == "not stress"
