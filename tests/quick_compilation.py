"""Compilation without optimisation, for tests whose time goes into compiling."""

OPTIONS = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
"""`compiler_options` of `jax.jit`."""

FLAGS = " ".join(f"--{name}={str(value).lower()}" for name, value in OPTIONS.items())
"""The same as `XLA_FLAGS`, for a process."""
