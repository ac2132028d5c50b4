"""Differentiable strong lensing in JAX."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("lensjax")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"
