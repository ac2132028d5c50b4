"""A sixth survey, for tests: two bands at 0.3 arcsec with another zero point, and files and columns
of other names."""

from dataclasses import replace

from data.survey import Images, Rgb, Survey, load

DR10: Survey = load("ls_dr10")

OWN = replace(
    DR10,
    name="own-2",
    title="Two bands of somebody's telescope",
    bands=("B", "R1"),
    reference="R1",
    selection_band="R1",
    colour=None,
    pixel_scale=0.3,
    stamp=64,
    zero_point=25.0,
    fwhm_ratio=(1.1, 1.0),
    extinction=(3.6, 2.2),
    wavelength=(440.0, 700.0),
    rgb=Rgb(bands=("R1", "R1", "B"), scale=(3.0, 4.0, 6.0), stretch=0.25, softening=20.0),
    conditions=replace(
        DR10.conditions, m5_offset=(0.4, 0.0), m5_one_exposure=(23.8, 23.4), sky=(22.0, 21.0)
    ),
    catalogue=replace(
        DR10.catalogue,
        columns={"flux_{band}": "f_{band}", "type": "MORPH"},
        zero_point=23.9,
        mask_bits={"ALLMASK": 3},
        dec=(-10.0, 25.0),
    ),
    images=Images(
        folder="images/{brick}",
        image="{band}-{brick}.fits.fz",
        invvar="{band}-{brick}-ivar.fits.fz",
        layer="own",
    ),
)
"""This object is all that is needed."""
