"""What is refused, and that the message names parameter, value and range; what a compiled call does
instead."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scenes import FLUX, GRID, PSF, sie_scene

import lensjax as lj
from lensjax.checks import harmless

LENS = {"theta_e": 1.5, "q": 0.7, "phi": 0.3}
SOURCE = {"flux": FLUX, "r_eff": 0.15, "n": 1.0, "q": 0.6, "phi": 0.8}
NAN = float("nan")
ARC = jnp.zeros((101, 101, 3))
HOLED = ARC.at[3, 4, 1].set(jnp.nan)
KNOT = [jnp.array([v]) for v in (0.2, 0.1, 0.1, 0.2)]


def scene(**change):
    return lj.render(lj.Scene(lj.SIE(**LENS), source=lj.Sersic(**SOURCE | change)), GRID, PSF)


def lens(**change):
    return lj.render(lj.Scene(lj.SIE(**LENS | change), source=lj.Sersic(**SOURCE)), GRID, PSF)


def psf(given):
    return lj.render(lj.Scene(source=lj.Sersic(**SOURCE)), GRID, given)


def clumps(*given):
    return lj.render(
        lj.Scene(source=lj.ClumpySersic(**SOURCE, clumps=lj.Clumps(*given))), GRID, PSF
    )


REFUSED = {
    "axis ratio above 1": (lambda: lens(q=1.2), r"lens.q = 1.2: .*between 0.1 and 1"),
    "axis ratio of a flat lens": (lambda: lens(q=0.09), "lens.q = 0.09: .*between 0.1 and 1"),
    "axis ratio 0 of a source": (
        lambda: lj.render(lj.Scene(source=lj.Sersic(**SOURCE | {"q": 0.0})), GRID, PSF),
        "source.q = 0: .*larger than 0 and at most 1",
    ),
    "NaN Einstein radius": (lambda: lens(theta_e=NAN), "lens.theta_e = nan: .*0 or larger"),
    "negative Einstein radius": (lambda: lens(theta_e=-1.0), "lens.theta_e = -1: .*0 or larger"),
    "NaN angle": (lambda: lens(phi=NAN), "lens.phi = nan: .*finite"),
    "slope of 3": (
        lambda: lj.render(
            lj.Scene(lj.EPL(1.5, 3.0, 0.7, 0.3), source=lj.Sersic(**SOURCE)), GRID, PSF
        ),
        "lens.slope = 3: .*between 1 and 3",
    ),
    "NaN shear": (
        lambda: lj.render(lj.Scene(lj.Shear(NAN, 0.0), lj.Sersic(**SOURCE)), GRID, PSF),
        "lens.gamma1 = nan",
    ),
    "negative size": (lambda: scene(r_eff=-0.1), "source.r_eff = -0.1: .*larger than 0"),
    "Sersic index above": (lambda: scene(n=12.0), "source.n = 12: .*between 0.4 and 8"),
    "Sersic index below": (lambda: scene(n=0.3), "source.n = 0.3: .*between 0.4 and 8"),
    "negative flux": (
        lambda: scene(flux=jnp.array([1.0, -1.0, 1.0])),
        "source.flux = -1: .*0 or larger",
    ),
    "infinite place": (lambda: scene(x=jnp.inf), "source.x = inf: .*finite"),
    "not a number at all": (lambda: scene(x="here"), "source.x = 'here': .*number"),
    "two fluxes, three bands": (lambda: scene(flux=jnp.ones(2)), "Sersic flux has 2"),
    "a batch without vmap": (lambda: scene(flux=jnp.ones((4, 3))), "jax.vmap"),
    "half precision": (
        lambda: scene(r_eff=jnp.float16(0.1)),
        "source.r_eff is float16: give float32 or float64",
    ),
    "half precision of numpy": (lambda: scene(n=np.float16(1.0)), "source.n is float16"),
    "no PSF": (lambda: psf(None), "psf = None: .*Gaussian, Moffat or PixelKernel"),
    "PSF without width": (lambda: psf(lj.Gaussian(None)), "psf = .*None.*not known"),
    "PSF of width 0": (
        lambda: psf(lj.Gaussian(jnp.array([1.0, 0.0, 1.0]))),
        "fwhm = 0: .*larger than 0",
    ),
    "Moffat exponent": (lambda: psf(lj.Moffat(1.2, 0.9)), "beta = 0.9: .*larger than 1"),
    "kernel larger than the stamp": (
        lambda: psf(lj.PixelKernel(jnp.ones((3, 103, 103)))),
        "103 pixels wide, the stamp 101",
    ),
    "even kernel": (lambda: psf(lj.PixelKernel(jnp.ones((3, 4, 4)))), r"\(3, 4, 4\).*K odd"),
    "oblong kernel": (lambda: psf(lj.PixelKernel(jnp.ones((3, 5, 7)))), r"\(3, 5, 7\).*K odd"),
    "NaN kernel": (
        lambda: psf(lj.PixelKernel(jnp.full((3, 5, 5), jnp.nan))),
        "kernel = nan: .*finite",
    ),
    "empty kernel": (
        lambda: psf(lj.PixelKernel(jnp.zeros((3, 5, 5)))),
        "sum .*is 0: .*larger than 0",
    ),
    "kernels of two bands": (lambda: psf(lj.PixelKernel(jnp.ones((2, 5, 5)))), "kernel has 2"),
    "widths of four bands": (lambda: psf(lj.Gaussian(jnp.ones(4))), "fwhm has 4"),
    "galaxy image without light": (
        lambda: lj.render(
            lj.Scene(source=lj.GalaxyImage(FLUX, jnp.zeros((9, 9)), 0.03)), GRID, PSF
        ),
        "sum .*is 0: .*larger than 0",
    ),
    "knots with more than the flux": (
        lambda: clumps(jnp.array([0.7, 0.6]), *[jnp.full(2, 0.2)] * 3),
        "fraction sums to 1.3: .*at most 1",
    ),
    "knots without sizes": (lambda: clumps(*KNOT[:3], jnp.ones(2)), "Clumps shapes differ: .*size"),
    "the second of two galaxies": (
        lambda: lj.render(
            lj.Scene(source=(lj.Sersic(**SOURCE), lj.Sersic(**SOURCE | {"n": 9.0}))), GRID, PSF
        ),
        r"source\[1\].n = 9: .*between 0.4 and 8",
    ),
    "shear in the place of the source": (
        lambda: lj.render(
            lj.Scene(lj.SIE(**LENS), lj.Shear(0.1, 0.0), lj.Sersic(**SOURCE)), GRID, PSF
        ),
        "source holds a Shear, which is no Light",
    ),
    "light of the lens": (
        lambda: lj.render(lj.Scene(lens_light=lj.Sersic(**SOURCE | {"q": 2.0})), GRID, PSF),
        "lens_light.q = 2: .*at most 1",
    ),
    "no source": (lambda: lj.render(lj.Scene(lj.SIE(**LENS)), GRID, PSF), "no source"),
    "grid as a number": (lambda: lj.render(sie_scene(), 101, PSF), "grid = 101: give PixelGrid"),
    "stamp of no pixel": (lambda: lj.PixelGrid(0), "size = 0: .*1 to 4096"),
    "stamp of half a pixel": (lambda: lj.PixelGrid(10.5), "size = 10.5: .*whole number"),
    "pixels of no size": (lambda: lj.PixelGrid(11, 0.0), "scale = 0.0: .*larger than 0"),
    "tolerance": (lambda: lj.render(sie_scene(), GRID, PSF, tol=1e-6), "tol = 1e-06: .*smallest"),
    "fixed rule": (lambda: lj.render(sie_scene(), GRID, PSF, tol="5x5"), "5x5"),
    "host with NaN": (
        lambda: lj.inject(HOLED, ARC),
        r"host has 1 .*not finite, first row 3, column 4, band 1",
    ),
    "arc with NaN": (lambda: lj.inject(ARC, HOLED), r"arc has 1 .*not finite"),
    "even host, odd arc": (
        lambda: lj.inject(ARC[:100, :100], ARC),
        r"host has shape \(100, 100, 3\), it should be \(101, 101, 3\)",
    ),
    "host of two bands": (
        lambda: lj.inject(ARC[..., :2], ARC),
        r"host has shape \(101, 101, 2\), it should be \(101, 101, 3\)",
    ),
    "host of one plane": (lambda: lj.inject(ARC[..., 0], ARC), r"host has shape \(101, 101\)"),
    "no host": (lambda: lj.inject(None, ARC), "host has shape None"),
    "half-precision host": (lambda: lj.inject(ARC.astype(jnp.float16), ARC), "host is float16"),
    "gain 0": (
        lambda: lj.inject(ARC, ARC, gain=0.0, key=jax.random.key(0)),
        "gain = 0: .*larger than 0",
    ),
    "gain without key": (lambda: lj.inject(ARC, ARC, gain=150.0), "key"),
    "negative core": (lambda: lj.inject(ARC, ARC, core_radius=-2.0), "core_radius = -2"),
    "degraded host with NaN": (
        lambda: lj.degrade(HOLED, PSF.fwhm, PSF.fwhm, 24.0, 23.0, jax.random.key(0)),
        "degrade: host has 1",
    ),
    "host of no depth": (
        lambda: lj.degrade(ARC, PSF.fwhm, PSF.fwhm, NAN, 23.0, jax.random.key(0)),
        "host_depth = nan",
    ),
    "host without PSF": (
        lambda: lj.degrade(ARC, jnp.zeros(3), PSF.fwhm, 24.0, 23.0, jax.random.key(0)),
        "host_fwhm = 0: .*larger than 0",
    ),
    "band without exposures": (
        lambda: lj.pixel_sigma(jnp.array([100.0, 0.0, 100.0]), PSF, GRID),
        "psfdepth = 0: .*larger than 0",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name_value_and_range(case):
    call, message = REFUSED[case]
    with pytest.raises(lj.InputError, match=message):
        call()


BAD = {
    "q": {"q": 1.3},
    "q 0": {"q": 0.0},
    "NaN": {"theta_e": NAN},
    "size": {"r_eff": -0.1},
    "index": {"n": 9.0},
    "infinite": {"x": jnp.inf},
    "none of them": {},
}


def test_values_in_a_compiled_call_are_flagged():
    flag = jax.jit(lambda s, f: lj.valid(s, lj.Gaussian(f)))
    for name, change in BAD.items():
        assert bool(flag(sie_scene(**change), PSF.fwhm)) == (not change), name
    assert not flag(sie_scene(), jnp.array([1.0, 0.0, 1.0]))
    assert (
        not lj.valid(lj.PixelKernel(jnp.zeros((3, 5, 5)))) and not lj.valid(HOLED) and lj.valid(ARC)
    )


def test_harmless_values_render_finite_and_leave_good_ones_alone():
    run = jax.jit(lambda s, f: lj.render(*harmless((s, GRID, lj.Gaussian(f)))))
    for change in BAD.values():
        assert np.isfinite(run(sie_scene(**change), PSF.fwhm)).all(), change
    assert np.isfinite(run(sie_scene(), jnp.array([jnp.nan, -1.0, 0.0]))).all()
    for good in (sie_scene(), lj.PixelKernel(jnp.ones((3, 5, 5)))):
        jax.tree.map(np.testing.assert_array_equal, harmless(good), good)
    assert (harmless(lj.PixelKernel(jnp.zeros((1, 3, 3)))).kernel == 1).all()
    assert jax.grad(lambda q: harmless(lj.SIE(1.5, q, 0.3)).q)(0.7) == 1.0


def test_missing_pixels_inside_a_compiled_call():
    np.testing.assert_array_equal(jax.jit(lj.inject)(HOLED, ARC + 1.0), HOLED + 1.0)
    np.testing.assert_array_equal(jax.jit(lj.inject)(ARC + 1.0, HOLED), ARC + 1.0)
    assert not jax.jit(lj.valid)(HOLED, ARC)
    np.testing.assert_array_equal(
        jax.jit(jax.vmap(lj.valid))(jnp.stack([HOLED, ARC])), [False, True]
    )


@pytest.mark.parametrize(
    "theta_e, q, fwhm", [(jnp.nan, 0.7, 1.2), (1.0, jnp.nan, 1.2), (1.0, 0.7, -1.0)]
)
def test_inside_jit_a_bad_value_leaves_image_and_gradient_finite(theta_e, q, fwhm):
    grid = lj.PixelGrid(41)

    @jax.jit
    @jax.value_and_grad
    def total(p):
        source = lj.Sersic(jnp.ones(1), 0.3, 1.0, 0.7, 0.2, 0.1, 0.1)
        return lj.render(
            lj.Scene((lj.SIE(p[0], p[1], 0.3), lj.Shear(0.01, 0.0)), source),
            grid,
            lj.Gaussian(p[2]),
            1e-2,
        ).sum()

    value, gradient = total(jnp.array([theta_e, q, fwhm]))
    assert jnp.isfinite(value) and jnp.isfinite(gradient).all()
