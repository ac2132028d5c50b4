"""Other renderers on the work W1 of render.py: SIE, shear and a Sersic source, one band, 101 x 101
px, 4 x 4 rays a pixel, Gaussian PSF at native pixels. Each in the quickest way we found of calling
it. `pip install lenstronomy jaxtronomy herculens caustics torch` for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import jax
import jax.numpy as jnp
import numpy as np

SIZE, SCALE, FWHM, RAYS = 101, 0.262, 1.2, 4
NAMES = ("lenstronomy", "jaxtronomy", "herculens", "caustics")

Run = Callable[[], object]


def _on_card() -> bool:
    return jax.default_backend() != "cpu"


def at_once() -> int:
    """Images in one call of a peer: enough to fill the device."""
    return 512 if _on_card() else 16


def versions(*names: str) -> dict[str, str | None]:
    """Installed versions; None for what is not installed."""
    out: dict[str, str | None] = {}
    for name in names:
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            out[name] = None
    return out


def ready(scene) -> dict[str, tuple[Run, int]]:
    """Name -> (run, images a run makes) of every peer that is installed and works here. scene: a
    batch of lensjax scenes."""
    lens, shear, source = (jax.tree.map(np.asarray, part) for part in (*scene.lens, *scene.source))
    e, s = ((1 - p.q) / (1 + p.q) * np.exp(2j * p.phi) for p in (lens, source))
    p = {
        "theta_E": lens.theta_e,
        "e1": e.real,
        "e2": e.imag,
        "x_l": lens.x,
        "y_l": lens.y,
        "gamma1": shear.gamma1,
        "gamma2": shear.gamma2,
    }
    p |= {
        "R": source.r_eff,
        "n": source.n,
        "s1": s.real,
        "s2": s.imag,
        "x_s": source.x,
        "y_s": source.y,
        "q": lens.q,
        "phi": lens.phi,
    }
    p |= {"q_s": source.q, "phi_s": source.phi}
    out = {}
    for name, build in {
        "lenstronomy": _lenstronomy,
        "jaxtronomy": _jaxtronomy,
        "herculens": _herculens,
        "caustics": _caustics,
    }.items():
        if versions(name)[name] is None:
            continue
        try:
            run, items = build({k: np.asarray(v, np.float32) for k, v in p.items()})
            run()
        except Exception as error:  # a peer that does not run here is reported, not hidden
            print(f"{name} does not run here: {type(error).__name__}: {error}", flush=True)
            continue
        out[name] = run, items
    return out


def _kernel() -> np.ndarray:
    t = np.arange(-12, 13) * SCALE / (FWHM / 2.3548200450309493)
    k = np.outer(np.exp(-0.5 * t**2), np.exp(-0.5 * t**2))
    return k / k.sum()


def _arguments(p: dict) -> tuple[list[dict], list[dict]]:
    lens = [
        {
            "theta_E": p["theta_E"],
            "e1": p["e1"],
            "e2": p["e2"],
            "center_x": p["x_l"],
            "center_y": p["y_l"],
        },
        {"gamma1": p["gamma1"], "gamma2": p["gamma2"], "ra_0": 0.0, "dec_0": 0.0},
    ]
    return lens, [
        {
            "amp": 1.0,
            "R_sersic": p["R"],
            "n_sersic": p["n"],
            "e1": p["s1"],
            "e2": p["s2"],
            "center_x": p["x_s"],
            "center_y": p["y_s"],
        }
    ]


def _lenstronomy(p: dict) -> tuple[Run, int]:
    from lenstronomy.Data.imaging_data import ImageData
    from lenstronomy.Data.psf import PSF
    from lenstronomy.ImSim.image_model import ImageModel
    from lenstronomy.LensModel.lens_model import LensModel
    from lenstronomy.LightModel.light_model import LightModel

    corner = -SCALE * (SIZE - 1) / 2
    data = ImageData(
        np.zeros((SIZE, SIZE)),
        ra_at_xy_0=corner,
        dec_at_xy_0=corner,
        transform_pix2angle=np.eye(2) * SCALE,
    )
    psf = PSF(psf_type="PIXEL", kernel_point_source=_kernel())
    model = ImageModel(
        data,
        psf,
        LensModel(["SIE", "SHEAR"]),
        LightModel(["SERSIC_ELLIPSE"]),
        kwargs_numerics={"supersampling_factor": RAYS},
    )
    each = [_arguments({k: float(v[i]) for k, v in p.items()}) for i in range(8)]
    return lambda: [model.image(*a) for a in each], 8


def _jaxtronomy(p: dict) -> tuple[Run, int]:
    from jaxtronomy.Data.imaging_data import ImageData
    from jaxtronomy.ImSim.image_model import ImageModel
    from jaxtronomy.LensModel.lens_model import LensModel
    from jaxtronomy.LightModel.light_model import LightModel
    from lenstronomy.Data.psf import PSF

    corner = -SCALE * (SIZE - 1) / 2
    frame = {"ra_at_xy_0": corner, "dec_at_xy_0": corner, "transform_pix2angle": np.eye(2) * SCALE}
    data = ImageData(
        image_data=np.zeros((SIZE, SIZE)), exposure_time=1.0, background_rms=1.0, **frame
    )
    psf = PSF(psf_type="PIXEL", kernel_point_source=_kernel())
    numerics = {"supersampling_factor": RAYS, "supersampling_convolution": False}
    model = ImageModel(
        data,
        psf,
        LensModel(["SIE", "SHEAR"]),
        LightModel(["SERSIC_ELLIPSE"]),
        kwargs_numerics=numerics,
    )
    image = jax.jit(lambda p: model.image(*_arguments(p)))
    if _on_card():
        many, batch = jax.jit(jax.vmap(image)), {k: jnp.asarray(v) for k, v in p.items()}
        return lambda: jax.block_until_ready(many(batch)), len(p["R"])
    each = [{k: jnp.asarray(v[i]) for k, v in p.items()} for i in range(8)]
    return lambda: jax.block_until_ready([image(a) for a in each]), 8


def _herculens(p: dict) -> tuple[Run, int]:
    clip = jnp.clip
    jnp.clip = lambda x, a_min=None, a_max=None, **k: clip(
        x, k.pop("min", a_min), k.pop("max", a_max), **k
    )  # herculens 0.3 calls JAX's old one
    from herculens.Coordinates.pixel_grid import PixelGrid
    from herculens.Instrument.psf import PSF
    from herculens.LensImage.lens_image import LensImage
    from herculens.LightModel.light_model import LightModel
    from herculens.LightModel.Profiles.sersic import Sersic
    from herculens.MassModel.mass_model import MassModel
    from herculens.MassModel.Profiles.shear import Shear
    from herculens.MassModel.Profiles.sie import SIE

    corner = -SCALE * (SIZE - 1) / 2
    grid = PixelGrid(
        nx=SIZE,
        ny=SIZE,
        ra_at_xy_0=corner,
        dec_at_xy_0=corner,
        transform_pix2angle=SCALE * np.eye(2),
    )
    psf = PSF(
        psf_type="PIXEL",
        kernel_point_source=_kernel(),
        pixel_size=SCALE,
        variance_boost_map=np.ones((25, 25)),
    )
    numerics = {"supersampling_factor": RAYS, "supersampling_convolution": False}
    light = LightModel([Sersic()])
    model = LensImage(
        grid,
        psf,
        lens_mass_model_class=MassModel([SIE("NIE"), Shear()]),
        source_model_class=light,
        kwargs_numerics=numerics,
    )

    def image(p):
        lens, source = _arguments(p)
        return model.model(
            kwargs_lens=lens, kwargs_source=source, lens_light_add=False, point_source_add=False
        )

    batch = {k: jnp.asarray(v) for k, v in p.items()}
    many = jax.jit(jax.vmap(image))
    return lambda: jax.block_until_ready(many(batch)), len(p["R"])


def _caustics(p: dict) -> tuple[Run, int]:
    import caustics
    import torch

    device = "cuda" if _on_card() else "cpu"
    cosmology = caustics.FlatLambdaCDM(name="cosmology")
    sie = caustics.SIE(cosmology=cosmology, name="sie", z_l=0.5, z_s=1.5)
    shear = caustics.ExternalShear(
        cosmology=cosmology, name="shear", z_l=0.5, z_s=1.5, x0=0.0, y0=0.0
    )
    lens = caustics.SinglePlane(
        cosmology=cosmology, lenses=[sie, shear], name="lens", z_l=0.5, z_s=1.5
    )
    source = caustics.Sersic(name="source", use_lenstronomy_k=True)
    psf = torch.as_tensor(_kernel(), dtype=torch.float32, device=device)
    model = caustics.LensSource(
        lens, source, pixelscale=SCALE, pixels_x=SIZE, quad_level=RAYS, psf=psf, name="model"
    )
    free = {
        sie: ("x0", "y0", "q", "phi", "Rein"),
        shear: ("gamma_1", "gamma_2"),
        source: ("x0", "y0", "q", "phi", "n", "Re", "Ie"),
    }
    for part, names in free.items():
        for name in names:
            getattr(part, name).to_dynamic()
    model.to(device=device, dtype=torch.float32)
    order = (
        "x_l",
        "y_l",
        "q",
        "phi",
        "theta_E",
        "gamma1",
        "gamma2",
        "x_s",
        "y_s",
        "q_s",
        "phi_s",
        "n",
        "R",
    )
    table = np.stack([*(p[k] for k in order), np.ones(len(p["R"]), np.float32)], -1)
    batch = torch.as_tensor(table, device=device)
    many = torch.compile(torch.vmap(lambda x: model(x)))

    def run():
        with torch.no_grad():
            images = many(batch)
        if _on_card():
            torch.cuda.synchronize()
        return images

    return run, len(table)
