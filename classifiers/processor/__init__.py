"""What makes networks quick on a processor (CPU), all in one place.

xla           compiler options: convolutions that use every core
memory        memory that the process keeps, instead of giving it back after every update
convolution   detours around what XLA does slowly
winograd      3x3 convolutions of many channels with a quarter of the multiplications
pooling       a maximum whose gradient is cheap
norm          batch normalisation as one product and one sum

On other devices none of it applies. Setting the environment variable LENSJAX_PLAIN to 1 switches
all of it off, on every device: what remains is plain JAX and Flax, and the same numbers within
rounding. The command `lensjax` also asks for large pages of memory (`lensjax/cli.py`), and
`lensjax/apart.py`, which has the switch, does for rendering what is done here for networks.
"""

from classifiers.processor.memory import keep_memory
from classifiers.processor.xla import jit

__all__ = ["jit", "keep_memory"]
