"""The example in docs/rendering.md runs as it stands, and its gradient is one."""

import re
from pathlib import Path

import numpy as np


def test_the_documented_example_runs():
    text = (Path(__file__).resolve().parents[2] / "docs" / "rendering.md").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL).group(1)
    assert len([line for line in code.splitlines() if line.strip()]) < 30
    scope: dict = {}
    exec(compile(code, "rendering.md", "exec"), scope)
    images, snr, by_scene = np.asarray(scope["images"]), np.asarray(scope["snr"]), scope["by_scene"]
    assert images.shape == (32, 101, 101, 3) and np.isfinite(images).all()
    assert all(
        np.isfinite(leaf).all()
        for leaf in (
            *by_scene.source[0].flux,
            by_scene.source[0].r_eff,
            by_scene.lens[0].theta_e,
            scope["by_psf"].fwhm,
        )
    )
    # the ratio is linear in the flux of its band, and knows nothing of the others'
    flux = np.asarray(scope["scenes"].source[0].flux)
    np.testing.assert_allclose(
        np.asarray(by_scene.source[0].flux)[:, 1] * flux[:, 1], snr, rtol=1e-3
    )
    assert (np.asarray(by_scene.source[0].flux)[:, [0, 2]] == 0).all()
    # the arcs are in the images: in the annulus the sums over the noise are the ratios, give or
    # take the noise itself
    y, x = np.mgrid[:101, :101] - 50
    mask = (np.hypot(x, y) >= 4) & (np.hypot(x, y) <= 16)
    found = (images - np.asarray(scope["host"]))[:, mask, 1].sum(1) / (
        float(scope["sigma"][1]) * np.sqrt(mask.sum())
    )
    np.testing.assert_allclose(found, snr, atol=1.5, rtol=0.1)
