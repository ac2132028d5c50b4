"""What a grader sees of an object: the same stamp in several pictures, as PNG.

- colour at three stretches: for faint light (smoothed), as in the report, and for the bright core
- every band alone
- colour of what is left when the central galaxy is taken away, by the median of elliptical rings
  (`classifiers.audit.realism.azimuthal`)
- where a finder looks, if there is one: `saliency`

North is up as in the stamp: its first row is at the bottom.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, UInt8

from classifiers.audit.realism import azimuthal
from classifiers.report.images import MISSING, rgb
from data.survey import Survey
from lensjax.errors import InputError

FAINT, BRIGHT = 0.4, 5.0
"""stretches, in units of the survey's"""
SMOOTHING = 0.35
"""sigma of the Gaussian by which pictures of faint light are smoothed, in units of the survey's PSF
FWHM: the noise of single pixels, raised with it, would hide it"""
DARKEST, LIGHTEST = -2.0, 99.7
"""what is black in the picture of a single band, in sigma of the sky, and the percentile that is
white"""
SOFTENING = 3.0
"""sky sigmas up to which a single band is shown nearly linearly"""
KEPT = 64
"""how many objects have their pictures kept in memory, those made last"""
SMALL = 1024
"""how many small pictures are"""
SALIENCY = "saliency"

Stamp = Float[np.ndarray, "h w b"]
Picture = UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True)
class Panel:
    """name: in addresses. title: short, for sighted people. description: what the picture shows,
    for those who do not see it."""

    name: str
    title: str
    description: str


def panels(survey: Survey, saliency: bool = False) -> tuple[Panel, ...]:
    """The pictures of an object, in order."""
    colours = ", ".join(survey.rgb.bands)
    what = f"Colour picture of bands {colours}"
    raised = "faint light raised and smoothed"
    found = [
        Panel("colour", "Colour", what),
        Panel("faint", "Faint light", f"{what}, {raised}"),
        Panel("residual", "Galaxy subtracted", f"{what}, {raised}, without the central galaxy"),
        Panel("bright", "Bright core", f"{what}, for the bright core"),
    ]
    found += [Panel(f"band-{b}", f"Band {b}", f"Picture of band {b} alone") for b in survey.bands]
    if saliency:
        where = "Grey picture, red where the finder's score depends on the pixels"
        found.append(Panel(SALIENCY, "Where the finder looks", where))
    return tuple(found)


def stretched(survey: Survey, factor: float) -> Survey:
    """The survey with another stretch of its colour pictures; more is darker."""
    return replace(survey, rgb=replace(survey.rgb, stretch=survey.rgb.stretch * factor))


def residual(stamp: Stamp, survey: Survey) -> Stamp:
    """The stamp without its central galaxy, nanomaggies."""
    outer = survey.pixel_scale * stamp.shape[0] / 2
    found = azimuthal.subtracted(
        stamp[None], survey.pixel_scale, outer, survey.typical_fwhm, survey.place
    )
    return found.residual[0]


def smoothed(stamp: Stamp, survey: Survey) -> Stamp:
    """The stamp smoothed for pictures of faint light; a missing pixel stays missing, and takes no
    part in its neighbours."""
    from scipy.ndimage import gaussian_filter

    width = survey.pixels(SMOOTHING * survey.typical_fwhm)
    known = np.isfinite(stamp)
    values = gaussian_filter(np.where(known, stamp, 0.0), (width, width, 0))
    share = gaussian_filter(known.astype(np.float64), (width, width, 0))
    return np.where(known, values / np.where(known, share, 1.0), np.nan)


def one_band(image: Float[np.ndarray, "h w"]) -> Picture:
    """A band in grey with an asinh stretch between the sky and its brightest pixels."""
    sky, sigma = (float(v[0, 0]) for v in azimuthal.background(image[None, :, :, None]))
    missing = ~np.isfinite(image)
    if not sigma > 0 or missing.all():
        sky, sigma = 0.0, 1.0
    value = np.arcsinh((np.nan_to_num(image, nan=sky) - sky) / sigma / SOFTENING)
    low = np.arcsinh(DARKEST / SOFTENING)
    high = max(float(np.percentile(value, LIGHTEST)), low + 1.0)
    grey = (255 * np.clip((value - low) / (high - low), 0, 1)).astype(np.uint8)
    picture = np.repeat(grey[..., None], 3, axis=-1)
    picture[missing] = MISSING
    return picture[::-1]


def marked(picture: Picture, weight: Float[np.ndarray, "h w"]) -> Picture:
    """A picture in grey, with red where the weight (0 to 1, as `saliency` gives it) is high."""
    grey = np.repeat(picture.mean(-1, keepdims=True), 3, axis=-1)
    share = 0.75 * weight[::-1, :, None]
    red = np.array([255.0, 70.0, 30.0])
    return np.asarray(np.clip((1 - share) * grey + share * red, 0, 255), np.uint8)


def png(picture: Picture) -> bytes:
    """The picture as the bytes of a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


class Pictures:
    """The pictures of objects, made when they are asked for and kept for a while. May be asked from
    several threads, of which one makes pictures at a time."""

    def __init__(
        self,
        stamp: Callable[[str], Stamp],
        survey: Survey,
        saliency: Callable[[Stamp], Float[np.ndarray, "h w"]] | None = None,
    ) -> None:
        self.panels = panels(survey, saliency is not None)
        self.pixel_scale = survey.pixel_scale
        self._stamp, self._survey, self._saliency = stamp, survey, saliency
        self._faint, self._bright = stretched(survey, FAINT), stretched(survey, BRIGHT)
        self._kept: OrderedDict[str, dict[str, bytes]] = OrderedDict()
        self._small: OrderedDict[str, bytes] = OrderedDict()
        self._making = threading.Lock()

    def of(self, id: str, panel: str) -> bytes:
        """One picture, PNG. Raises InputError when the object has no stamp, or a stamp of another
        number of bands, and when there is no such picture."""
        if panel not in [p.name for p in self.panels]:
            raise InputError(f"no picture {panel!r}")
        if (found := self.ready(id, panel)) is not None:
            return found
        with self._making:
            made = self._kept.get(id) or self._all(id)
            if panel not in made and self._saliency is not None:
                stamp = self._checked(id)
                made[panel] = png(marked(rgb(stamp, self._survey), self._saliency(stamp)))
            self._kept[id] = made
            self._kept.move_to_end(id)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return made[panel]

    def ready(self, id: str, panel: str) -> bytes | None:
        """A picture that is made already, PNG; None where it is not."""
        return self._kept.get(id, {}).get(panel)

    def small(self, id: str) -> bytes | None:
        """The colour picture alone, PNG, of a stamp that may be no object of the inspection; None
        where it has none."""
        with self._making:
            if id not in self._small:
                try:
                    self._small[id] = png(rgb(self._checked(id), self._survey))
                except InputError:
                    return None
            self._small.move_to_end(id)
            while len(self._small) > SMALL:
                self._small.popitem(last=False)
            return self._small[id]

    def problem(self, id: str) -> str:
        """Why an object has no pictures; empty where it has."""
        try:
            self.of(id, self.panels[0].name)
        except InputError as error:
            return str(error)
        return ""

    def _checked(self, id: str) -> Stamp:
        stamp, bands = self._stamp(id), len(self._survey.bands)
        if stamp.ndim != 3 or stamp.shape[0] != stamp.shape[1] or stamp.shape[2] != bands:
            raise InputError(f"stamp of shape {stamp.shape}, expected a square of {bands} bands")
        return stamp

    def _all(self, id: str) -> dict[str, bytes]:
        """Everything but the saliency, which takes longer."""
        stamp, survey = self._checked(id), self._survey
        made = {
            "colour": rgb(stamp, survey),
            "faint": rgb(smoothed(stamp, survey), self._faint),
            "bright": rgb(stamp, self._bright),
            "residual": rgb(smoothed(residual(stamp, survey), survey), self._faint),
        }
        for i, band in enumerate(survey.bands):
            made[f"band-{band}"] = one_band(stamp[..., i])
        return {name: png(picture) for name, picture in made.items()}
