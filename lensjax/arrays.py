"""What counts as a number here: an array, or a plain Python number that stands for one."""

from typing import TypeAlias

from jaxtyping import Array, Float

Real: TypeAlias = Float[Array, "..."] | float
"""A real scalar or array of any shape. Integers and NumPy arrays are accepted too and cast to the
floating type of the rest."""
