"""Light: surface-brightness profiles, one file for each.

A profile has a `flux` (B,) in nanomaggies and the methods `brightness(x, y)` and
`bound(x, y, reach)`; `base.py` says what they mean.
"""

from lensjax.light.base import Light as Light
from lensjax.light.base import brighter as brighter
from lensjax.light.base import larger as larger
from lensjax.light.base import surface_brightness as surface_brightness
from lensjax.light.clumps import Clumps as Clumps
from lensjax.light.clumps import ClumpySersic as ClumpySersic
from lensjax.light.galaxy import GalaxyImage as GalaxyImage
from lensjax.light.gaussian import GaussianLight as GaussianLight
from lensjax.light.sersic import SERSIC_N as SERSIC_N
from lensjax.light.sersic import Sersic as Sersic
from lensjax.light.sersic import sersic_b as sersic_b
