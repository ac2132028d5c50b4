"""The unit of flux, for code that must not load jax (this module imports nothing)."""

ZERO_POINT = 22.5
"""AB magnitude of one nanomaggy, the unit of every flux in this project"""
