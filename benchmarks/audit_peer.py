"""The peer of benchmarks/audit.py, the way of the source documents: lenstronomy makes one injection
after the other on several processes, a file each; PyTorch's ResNet-18 scores them in batches.

`stamps` is called by the benchmark. The network is run by an interpreter that has torch and
torchvision: `python audit_peer.py MODEL NPZ_FOLDER BATCH WORKERS`; it prints one JSON line.

To be quick, lenstronomy traces 4 x 4 rays a pixel once for all bands and blurs the image of unit
flux with the PSF of each band at native pixels; every process keeps its model.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from classifiers.audit.campaign import Campaign

RAYS, HALF = 4, 12
"""Rays a pixel and axis; half the side of a PSF kernel, pixels."""


@cache
def model(size: int, scale: float, lenses: tuple[str, ...], lights: tuple[str, ...]) -> Any:
    """lenstronomy's model of unblurred images."""
    from lenstronomy.Data.imaging_data import ImageData
    from lenstronomy.Data.psf import PSF
    from lenstronomy.ImSim.image_model import ImageModel
    from lenstronomy.LensModel.lens_model import LensModel
    from lenstronomy.LightModel.light_model import LightModel

    corner = -scale * (size - 1) / 2
    frame = {"ra_at_xy_0": corner, "dec_at_xy_0": corner}
    data = ImageData(np.zeros((size, size)), transform_pix2angle=np.eye(2) * scale, **frame)
    light, numerics = LightModel(list(lights)), {"supersampling_factor": RAYS}
    return ImageModel(data, PSF("NONE"), LensModel(list(lenses)), light, kwargs_numerics=numerics)


def arc(scene: dict[str, Any]) -> np.ndarray:
    """Image (H, W, B) in nanomaggies of the lensed source. scene: size (pixels), scale (arcsec),
    names and arguments of lenstronomy's lenses and of its lights of unit flux together, flux
    (nanomaggies) and fwhm (arcsec) in every band."""
    from scipy.signal import fftconvolve

    from lensjax.psf import FWHM_TO_SIGMA

    size, scale = scene["size"], scene["scale"]
    made = model(size, scale, tuple(scene["lenses"]), tuple(scene["lights"]))
    sharp = made.image(scene["of_lenses"], scene["of_lights"], unconvolved=True)
    t = np.arange(-HALF, HALF + 1) * scale
    bands = []
    for flux, fwhm in zip(scene["flux"], scene["fwhm"]):
        row = np.exp(-0.5 * (t / (fwhm * FWHM_TO_SIGMA)) ** 2)
        kernel = np.outer(row, row) / row.sum() ** 2
        bands.append(flux * fftconvolve(sharp, kernel, mode="same"))
    return np.stack(bands, axis=-1)


def stamp(scene: dict[str, Any]) -> None:
    """Writes the host with the arc as an NPZ file."""
    made = (scene["host"] + arc(scene)).astype(np.float32)
    np.savez(scene["path"], cutout=made)


def stamps(scenes: Sequence[dict[str, Any]], processes: int) -> float:
    """Stamps a second. The processes are started, and have made a stamp each, beforehand."""
    from multiprocessing import get_context

    with get_context("spawn").Pool(processes) as pool:
        pool.map(stamp, list(scenes[:processes]) * 4, chunksize=1)
        start = time.perf_counter()
        pool.map(stamp, scenes, chunksize=4)
        return len(scenes) / (time.perf_counter() - start)


def scenes_of(c: Campaign, number: int, folder: Path) -> tuple[list[dict[str, Any]], np.ndarray]:
    """The first injections of the campaign as lenstronomy takes them, and our arcs (n, H, W, B)."""
    import jax

    from benchmarks.conformance import light_arguments, mass_arguments
    from classifiers.audit.injection import observe, unchanged

    chunk = c.plan[0]
    stamps, e = c.stamps(chunk.host), c.experiment(chunk)
    scenes, arcs = [], []
    for start in range(0, min(number, len(chunk)), c.batch):
        rows = np.arange(start, start + c.batch) % len(chunk)
        batch = c.batch_of(chunk, rows, stamps)
        arcs.append(np.asarray(observe(e, batch, unchanged())["arc"]))
        drawn = jax.tree.map(np.asarray, e.draw(batch, unchanged())[1])
        for i, row in enumerate(rows):
            one = jax.tree.map(lambda leaf, i=i: leaf[i], drawn)
            lights, of_lights = light_arguments(one.source[0])
            scenes.append(
                {
                    "size": chunk.size,
                    "scale": chunk.pixel_scale,
                    "lenses": [type(m).__name__.upper() for m in one.lens],
                    "of_lenses": [mass_arguments(m) for m in one.lens],
                    "lights": lights,
                    "of_lights": of_lights,
                    "flux": np.asarray(one.source[0].flux * batch.dimming[i]),
                    "fwhm": np.asarray(batch.psf.fwhm[i]),
                    "host": stamps[int(chunk.host[row])],
                    "path": str(folder / f"{start + i:06d}.npz"),
                }
            )
    return scenes[:number], np.concatenate(arcs)[:number]


def measured(c: Campaign, folder: Path, number: int, torch: str, network: str) -> dict[str, Any]:
    """The sources' way on the first scenes of a campaign, or which part of it is left out. torch:
    an interpreter that has it, empty for none. network: torchvision's name of it."""
    from benchmarks.peers import versions as installed

    found: dict[str, Any] = {"packages": installed("lenstronomy"), "left_out": []}
    why = "not asked for" if not number else ""
    if number and installed("lenstronomy")["lenstronomy"] is None:
        why = "not installed"
    elif number and c.hosts.kernels is not None:
        why = "the hosts have PSF kernels, and it is given Gaussians"
    if why:
        return found | {"left_out": [f"lenstronomy ({why})", "torch (has no stamps then)"]}
    folder.mkdir(parents=True)
    scenes, ours = scenes_of(c, number, folder)
    theirs = np.stack([arc(scene) for scene in scenes[:16]])
    worst = np.abs(theirs - ours[:16]).max((1, 2, 3)) / ours[:16].max((1, 2, 3))
    found |= {
        "injections": len(scenes),
        "median_worst_pixel_of_peak": float(np.median(worst)),
        "stamps_per_s": stamps(scenes, 2),
        "load": os.getloadavg()[0],
    }
    if not torch:
        return found | {"left_out": ["torch (name an interpreter with --torch)"]}
    line = [torch, __file__, network, str(folder), str(c.batch), "2"]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or "no message").splitlines()[-1]
        return found | {"left_out": [f"torch ({said})"]}
    found["pytorch"] = json.loads(done.stdout.splitlines()[-1])
    both = 1 / found["stamps_per_s"] + 1 / found["pytorch"]["fed_per_s"]
    return found | {"per_s": 1 / both}


def main() -> None:
    name, folder, batch, workers = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:5])
    sys.path.append(str(Path(__file__).parent))  # PYTHONSAFEPATH takes it away
    import torch
    from torch_peer import Cutouts, models

    device = "cuda" if torch.cuda.is_available() else "cpu"
    made = getattr(models(), name)(num_classes=1)
    network = made.to(device, memory_format=torch.channels_last).eval()
    loader = torch.utils.data.DataLoader(
        Cutouts(folder), batch, num_workers=workers, persistent_workers=workers > 0
    )

    def passed(images: Any) -> Any:
        return network(images.to(device, memory_format=torch.channels_last))[:, 0].cpu()

    with torch.inference_mode():
        images = next(iter([part for part, _ in loader]))  # all, so that the workers are at rest
        alone, fed = [], []
        for _ in range(5):
            began = time.perf_counter()
            passed(images)
            alone.append(len(images) / (time.perf_counter() - began))
        for _ in range(3):
            began, count = time.perf_counter(), 0
            for images, _ in loader:
                count += len(passed(images))
            fed.append(count / (time.perf_counter() - began))
    found = {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "parameters": sum(p.numel() for p in made.parameters()),
        "network_alone_per_s": float(np.median(alone)),
        "fed_per_s": float(np.median(fed)),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
