"""Any scene and any PSF can be audited: what is injected is what lensjax renders by itself."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml

import lensjax as lj
from classifiers.audit import sensitivity
from classifiers.audit.campaign import described
from classifiers.audit.injection import Batch, Experiment, audit_prior, observe, unchanged
from classifiers.audit.settings import AuditSettings
from data.config import validated
from data.survey import load
from lensjax.errors import InputError

SURVEY = load("ls_dr10")
PIXELS = lj.PixelGrid(33, SURVEY.pixel_scale)
U = {"uniform": [0.0, 3.1]}
SIE = {"SIE": {"theta_e": {"uniform": [0.8, 1.2]}, "q": {"uniform": [0.6, 0.9]}, "phi": U}}
PLACE = {"x": {"normal": [0.0, 0.05]}, "y": {"normal": [0.0, 0.05]}}
SIE["SIE"] |= PLACE
COLOURS = {
    "r_mag": {"uniform": [21.0, 22.0]},
    "g_r": {"fixed": 0.5},
    "r_z": {"fixed": 0.4},
}
OFFSET = {"beta": {"area": [0.1, 0.3]}, "beta_phi": U}
SERSIC = {
    **COLOURS,
    **OFFSET,
    "r_eff": {"uniform": [0.2, 0.4]},
    "n": {"fixed": 1.0},
    "q": {"uniform": [0.5, 1.0]},
    "phi": U,
}
EINSTEIN = {"theta_e": {"uniform": [0.8, 1.2]}}
SHAPE = {"q": {"uniform": [0.7, 0.9]}, "phi": U}
LIGHT = {k: v for k, v in SERSIC.items() if k not in OFFSET}
SCENES = {
    "EPL": ({"EPL": {**EINSTEIN, "slope": {"normal": [2.0, 0.1]}, **SHAPE, **PLACE}}, {}),
    "NFW": ({"NFW": {**EINSTEIN, "r_scale": {"uniform": [5.0, 9.0]}, **PLACE}}, {}),
    "elliptical NFW": (
        {"EllipticalNFW": {**EINSTEIN, "r_scale": {"uniform": [5.0, 9.0]}, **SHAPE, **PLACE}},
        {},
    ),
    "multipole": ({**SIE, "Multipole": None}, {}),
    "clumps": (SIE, {"source": {"ClumpySersic": None}}),
    "galaxy images": (SIE, {"source": {"GalaxyImage": None}}),
    "light of the lens": (SIE, {"lens_light": {"Sersic": LIGHT}}),
}
