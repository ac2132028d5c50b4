"""What a calibration is asked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from data.config import settings

Positive = Annotated[float, Field(gt=0, le=100)]


@settings
class CalibrateSettings:
    """Settings of the calibration of a prior. Angles and FWHM are in arcsec."""

    prior: str | dict[str, Any] = "arclike"
    """prior that is calibrated: the name of a shipped one, a YAML file, or its contents"""
    move: tuple[str, ...] = ()
    """parameters whose numbers may move (`g_r`), or single numbers (`g_r.mean`, `r_eff.middle`);
    empty: magnitude, colours and size of the sources, and the Einstein radius. All others stay."""
    lenses: str = ""
    """table of real lenses (CSV or Parquet) with a column for every observable; empty: the labelled
    lenses of the run, measured on their stamps"""
    observables: tuple[str, ...] = ()
    """what is compared: `arc_mag_r`, `arc_g_r`, `arc_r_z` (magnitude and colours, by band),
    `arc_snr`, `arc_radius`, `arc_width`, `arc_area`, `theta_e` (where it is known); empty: all of
    them but theta_e"""
    injections: Annotated[int, Field(ge=40)] = 400
    """injections that the prior is fitted with, and as many others that it is judged by"""
    per_host: Annotated[int, Field(ge=1)] = 2
    """at most so many injections per host"""
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.4
    """share of the lenses that is kept out of the fit, and by which the result is judged"""
    rounds: Annotated[int, Field(ge=1, le=100)] = 16
    """at most so many rounds of rendering and moving"""
    refine: bool = False
    """fit a prior also where the realism gates pass and the energy test cannot tell injections from
    lenses as it is; without this, such a prior stays as it is"""
    splits: tuple[Literal["train", "val", "test"], ...] = ("val", "test")
    """splits whose negatives are hosts"""
    psf_fwhm: tuple[Positive, ...] = ()
    """FWHM, one for each band, assumed for hosts whose table has none; empty: these are refused"""
    moffat_beta: Annotated[float, Field(ge=0)] = 0.0
    """beta of the Moffat PSF that arcs are blurred with; 0: a Gaussian of the same FWHM"""
    gain: Annotated[float, Field(ge=0)] = 0.0
    """electrons per nanomaggy for the Poisson noise of the arc; 0: none"""
    extinction: bool = True
    """dust of the Milky Way dims the arc, where the host's E(B-V) is known"""
    gate_rate: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    """share of random galaxies that the detectability gate lets pass"""
    batch: Annotated[int, Field(ge=1)] = 48
    """injections rendered together"""
    seed: int = 42

    @model_validator(mode="after")
    def _whole(self) -> CalibrateSettings:
        if not self.splits:
            raise ValueError("splits need a value")
        if 0 < self.moffat_beta <= 1:
            raise ValueError(
                f"moffat_beta: a Moffat PSF needs beta above 1, got {self.moffat_beta}"
            )
        return self

    @property
    def prior_name(self) -> str:
        """What the prior is called."""
        return self.prior if isinstance(self.prior, str) else "of the settings"
