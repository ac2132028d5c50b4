r"""Scenes in files of the COOLEST standard (Galan et al. 2023, JOSS 8, 5567), and from them.

What the standard's documentation says, and what becomes of it:

| COOLEST | here |
|---|---|
| x to the right and y up, arcsec, about one origin | the same, about the centre of the stamp |
| angles in degrees counter-clockwise from +y, in (-90, 90] | radians counter-clockwise from +x |
| radii along the intermediate axis, sqrt(a b) | the same; `Sersic.r_eff` along the major axis |
| Sersic with b_n = 1.9992 n - 0.3271 | b_n that makes r_eff the half-light radius |
| I_eff per arcsec^2, unit of the zero point `mag_zero_point` | total flux, nanomaggies |
| SIE, PEMD, ExternalShear, ConvergenceSheet (kappa_s) | SIE, EPL, Shear, ConvergenceSheet |
| Chameleon: b, s_c, s_t (the difference of two NIEs) | DPIE, theta_e = b (s_t - s_c)/s_t |

Conversions are exact: profiles that are read have the same value at every place. The standard's NFW
has a density rho_0 without units, so it is neither written nor read; nor are planes of masses at
several redshifts, pixelated profiles, and kernels, which lie in FITS files beside.
"""

from __future__ import annotations

from lensjax.coolest.reading import CoolestModel as CoolestModel
from lensjax.coolest.reading import from_coolest as from_coolest
from lensjax.coolest.writing import to_coolest as to_coolest
