"""Differentiable strong lensing in JAX: what the sky would look like through a lens, a telescope
and a survey.

    flux = lj.nanomaggies(jnp.array([24.1, 23.9, 23.8]))
    source = lj.Sersic(flux, r_eff=0.15, n=1.0, q=0.6, phi=0.8, x=0.2, y=0.1)
    lens = (lj.SIE(theta_e=1.5, q=0.7, phi=0.3), lj.Shear(0.03, -0.02))
    psf = lj.Gaussian(fwhm=jnp.array([1.3, 1.2, 1.1]))
    arc = lj.render(lj.Scene(lens, source), lj.PixelGrid(75, 0.3), psf)

A name is imported when it is first used, so that `import lensjax` (and the command line) stays
fast.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING

try:
    __version__ = version("lensjax")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"

if TYPE_CHECKING:
    from lensjax.checks import valid as valid
    from lensjax.coolest import CoolestModel as CoolestModel
    from lensjax.coolest import from_coolest as from_coolest
    from lensjax.coolest import to_coolest as to_coolest
    from lensjax.cosmology import Cosmology as Cosmology
    from lensjax.cosmology import theta_e_from_sigma_v as theta_e_from_sigma_v
    from lensjax.critical import caustics as caustics
    from lensjax.critical import critical_curves as critical_curves
    from lensjax.critical import cuts as cuts
    from lensjax.errors import InputError as InputError
    from lensjax.grid import PixelGrid as PixelGrid
    from lensjax.images import PointImages as PointImages
    from lensjax.images import point_images as point_images
    from lensjax.injection import arc_snr as arc_snr
    from lensjax.injection import degrade as degrade
    from lensjax.injection import inject as inject
    from lensjax.injection import suppress_core as suppress_core
    from lensjax.inturn import in_turn as in_turn
    from lensjax.light import Clumps as Clumps
    from lensjax.light import ClumpySersic as ClumpySersic
    from lensjax.light import GalaxyImage as GalaxyImage
    from lensjax.light import GaussianLight as GaussianLight
    from lensjax.light import Sersic as Sersic
    from lensjax.likelihood import gaussian_log_likelihood as gaussian_log_likelihood
    from lensjax.likelihood import log_likelihood as log_likelihood
    from lensjax.mass import DPIE as DPIE
    from lensjax.mass import EPL as EPL
    from lensjax.mass import NFW as NFW
    from lensjax.mass import SIE as SIE
    from lensjax.mass import ConvergenceSheet as ConvergenceSheet
    from lensjax.mass import EllipticalNFW as EllipticalNFW
    from lensjax.mass import Multipole as Multipole
    from lensjax.mass import Planes as Planes
    from lensjax.mass import Shear as Shear
    from lensjax.noise import arc_noise as arc_noise
    from lensjax.noise import fine_sky_sigma as fine_sky_sigma
    from lensjax.noise import pixel_sigma as pixel_sigma
    from lensjax.noise import sky_correlation as sky_correlation
    from lensjax.noise import sky_noise as sky_noise
    from lensjax.noise import sky_sigma as sky_sigma
    from lensjax.photometry import depth_m5 as depth_m5
    from lensjax.photometry import flux_loss as flux_loss
    from lensjax.photometry import magnitudes as magnitudes
    from lensjax.photometry import nanomaggies as nanomaggies
    from lensjax.photometry import psfdepth_from_m5 as psfdepth_from_m5
    from lensjax.pixelflux import pixel_flux as pixel_flux
    from lensjax.plans import Bounds as Bounds
    from lensjax.points import lensed_point as lensed_point
    from lensjax.points import point_sources as point_sources
    from lensjax.prior import prior_from as prior_from
    from lensjax.prior import priors as priors
    from lensjax.psf import PSF as PSF
    from lensjax.psf import Gaussian as Gaussian
    from lensjax.psf import Moffat as Moffat
    from lensjax.psf import PixelKernel as PixelKernel
    from lensjax.psfex import PsfEx as PsfEx
    from lensjax.rendering import render as render
    from lensjax.scene import Scene as Scene
    from lensjax.unconstrained import unconstrain as unconstrain

_HOMES = (
    *(
        "component",
        "errors",
        "grid",
        "mass",
        "light",
        "scene",
        "psf",
        "psfex",
        "plans",
        "rendering",
    ),
    *("prior", "injection", "noise", "photometry", "checks", "cosmology", "coolest"),
    *("images", "points", "critical", "likelihood", "unconstrained", "pixelflux", "inturn"),
)
"""Modules whose public names are names of lensjax, in the order in which they are looked
through."""


def __getattr__(name: str):
    # A module in the making may ask for another one: that is no reason to load all of them.
    if not name.startswith("_") and find_spec(f"lensjax.{name}") is None:
        for home in _HOMES:
            found = getattr(import_module(f"lensjax.{home}"), name, None)
            if _ours(found):
                globals()[name] = found
                return found
    raise AttributeError(f"module 'lensjax' has no attribute {name!r}")


def __dir__() -> list[str]:
    modules = [import_module(f"lensjax.{home}") for home in _HOMES]
    found = {n for m in modules for n in vars(m) if not n.startswith("_") and _ours(vars(m)[n])}
    return sorted({*globals(), *found})


def _ours(thing: object) -> bool:
    return getattr(thing, "__module__", "").startswith("lensjax.")
