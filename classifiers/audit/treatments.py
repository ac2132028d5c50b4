"""What could have been assumed instead: each treatment changes one assumption and nothing else.

A treatment is data: a name, a sentence that says what changes, and a function from a `Case` to the
changed case. Hosts, geometry and keys stay, and a parameter that both cases have keeps its draw
(the prior draws by key and name), so two cases differ by the assumption alone.

Four kinds are kept apart, because they answer different questions:

- "assumption": how a given population of arcs is put into images. The systematic interval of the
  completeness is their range.
- "population": other arcs. Its completeness is another number, not an error of this one.
- "perturbation": a parameter moved by a conventional step, both ways.
- "finder": the finder itself is changed.

A treatment that cannot be applied is listed all the same, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lensjax as lj
from classifiers.audit import alternatives, kernels
from classifiers.audit.campaign import Campaign
from classifiers.audit.case import Case, Treatment
from classifiers.audit.injection import audit_prior, key_of
from classifiers.audit.perturbations import perturbations
from classifiers.audit.settings import AuditSettings
from data.preprocess import Preprocess
from lensjax.errors import InputError
from lensjax.prior import Prior, lens_like_host

BETAS = (2.5, 3.5, 4.5)
"""Moffat PSFs: of a telescope with strong wings, of a usual one, nearly Gaussian."""
CLIPS = (10.0, 20.0)
SLOPES = (1.8, 2.2)
INNER = 0.5
"""Share of the Einstein radius within which the inner image is suppressed."""


def treatments(campaign: Campaign, s: AuditSettings) -> list[Treatment]:
    """All treatments of an audit, in order. Raises InputError for a library of source images that
    cannot be read."""
    return [
        *_of_the_psf(campaign),
        *_of_the_light(campaign, s),
        *_of_the_mass(campaign),
        *_of_the_sources(campaign, s),
        *_of_the_population(campaign, s),
        *_of_the_finder(campaign),
        *perturbations(campaign),
    ]


def chosen(listed: Sequence[Treatment], names: Sequence[str]) -> list[Treatment]:
    """The treatments with everything but these names left out, with the reason that nobody asked
    for it. Raises InputError for a name that there is not."""
    known = {t.name for t in listed}
    if unknown := [n for n in names if n not in known]:
        raise InputError(
            f"audit.treatments: no treatment {unknown[0]!r}; there are {', '.join(sorted(known))}"
        )
    why = "not among audit.treatments"
    return [
        t if t.name in names or t.why_not else replace(t, change=None, why_not=why) for t in listed
    ]


def _of_the_psf(campaign: Campaign) -> Iterator[Treatment]:
    measured = campaign.hosts.kernels is not None
    own = "kernels" if measured else "Moffat" if campaign.beta else "Gaussian"
    made = lambda name, words, change, why="": Treatment(
        name, "assumption", "PSF", f"PSF of the arcs: {words} instead of {own}", change, why
    )
    if own != "Gaussian":
        yield made(
            "psf_gaussian",
            "a Gaussian of the same FWHM",
            lambda c: _with_psf(c, lj.Gaussian(c.batch.target_fwhm)),
        )
    for beta in BETAS:
        if own == "Moffat" and beta == campaign.beta:
            continue
        yield made(
            f"psf_moffat_{beta:g}",
            f"a Moffat of beta {beta:g} and the same FWHM",
            lambda c, b=beta: _with_psf(
                c,
                lj.Moffat(c.batch.target_fwhm, jnp.full(len(c.batch), b, jnp.float32)),
            ),
        )
    if not measured:
        why = f"the manifest has no column {kernels.KERNEL} with PSF kernels of every host"
        yield made("psf_kernels", "the hosts' measured kernels", None, why)


def _with_psf(case: Case, psf: Any) -> Case:
    return replace(case, batch=replace(case.batch, psf=psf))


def _of_the_light(campaign: Campaign, s: AuditSettings) -> Iterator[Treatment]:
    known = np.isfinite(campaign.hosts.ebv)
    if campaign.extinction:
        yield Treatment(
            "extinction_off",
            "assumption",
            "extinction",
            "Galactic extinction of the arcs is left out",
            (lambda c: _dimmed(c, campaign, False)) if known.any() else None,
            "" if known.any() else "E(B-V) is unknown for every host, so arcs are not dimmed",
        )
    else:
        yield Treatment(
            "extinction_on",
            "assumption",
            "extinction",
            "arcs are dimmed by the dust of the Milky Way",
            (lambda c: _dimmed(c, campaign, True)) if known.any() else None,
            "" if known.any() else "E(B-V) is unknown for every host",
        )
    on = not campaign.gain
    yield Treatment(
        "photon_noise_on" if on else "photon_noise_off",
        "assumption",
        "photon noise",
        f"photon noise of the arcs, {s.treatment_gain:g} electrons per nanomaggy"
        if on
        else "the photon noise of the arcs is left out",
        lambda c: replace(c, gain=s.treatment_gain if on else 0.0),
    )
    yield Treatment(
        "no_inner_image",
        "assumption",
        "inner image",
        f"the arc has no light within {INNER:g} Einstein radii of the middle",
        (lambda c: replace(c, core=INNER)) if "theta_e" in campaign.prior.parameters else None,
        "" if "theta_e" in campaign.prior.parameters else "the prior has no theta_e",
    )
    degraded = any(chunk.degrade for chunk in campaign.plan)
    yield Treatment(
        "white_noise",
        "assumption",
        "noise model",
        "white noise is added to degraded hosts without regard to what blurring took of their own",
        _with_white_noise if degraded else None,
        "" if degraded else "hosts are used as they are (mode matched), so no noise is added",
    )


def _dimmed(case: Case, campaign: Campaign, dusty: bool) -> Case:
    ebv = np.nan_to_num(case.hosts.ebv[case.place]) if dusty else np.zeros(len(case.place))
    dimming = 10 ** (-0.4 * np.array(campaign.survey.extinction) * ebv[:, None])
    return replace(case, batch=replace(case.batch, dimming=jnp.asarray(dimming, jnp.float32)))


def _with_white_noise(case: Case) -> Case:
    """Degraded hosts whose noise is that of the target in a pixel only if the blurred host had kept
    its own: white noise of variance sigma_target^2 - sigma_host^2."""
    batch, pixels = case.batch, case.experiment.pixels
    # A target far deeper than the host makes `degrade` blur and add nothing.
    silent = replace(batch, target_psfdepth=batch.psfdepth * 1e6)
    blurred = replace(case.experiment, degrade=True).hosts(silent)
    sigma = jax.vmap(lambda depth, width: lj.pixel_sigma(depth, lj.Gaussian(width), pixels))
    own = sigma(batch.psfdepth, batch.fwhm)
    wanted = sigma(batch.target_psfdepth, batch.target_fwhm)
    scatter = jnp.sqrt(jnp.maximum(wanted**2 - own**2, 0.0))
    noise = jax.vmap(lambda key, s: lj.sky_noise(key_of(key, 1), s, pixels))(batch.key, scatter)
    return replace(
        case,
        experiment=replace(case.experiment, degrade=False),
        batch=replace(batch, host=blurred + noise),
    )


def _of_the_mass(campaign: Campaign) -> Iterator[Treatment]:
    prior = alternatives.power_law_with_multipole(campaign.prior)
    why = "" if prior is not None else "the prior's first lens is not one SIE"

    def made(name: str, sentence: str, change: Callable[[Case], Case]) -> Treatment:
        def apply(case: Case) -> Case:
            # Slope 2 without a multipole is the SIE, so that all four share a compiled function.
            assert prior is not None
            drawn = case.with_prior(prior).resolved()
            n = len(drawn.batch)
            return change(drawn.holding(slope=np.full(n, 2.0), a_m=np.zeros(n)))

        return Treatment(name, "assumption", "mass", sentence, apply if prior else None, why)

    def scattered(case: Case) -> Case:
        drawn = replace(case, batch=_without(case.batch, "slope")).resolved()
        return case.holding(slope=jnp.clip(drawn.batch.drawn["slope"], 1.2, 2.8))

    def boxy(case: Case) -> Case:
        free = replace(case, batch=_without(case.batch, "a_m")).resolved().batch.drawn
        return case.holding(a_m=free["a_m"] * free["theta_e"], phi_m=free["lens_phi"])

    for slope in SLOPES:
        yield made(
            f"slope_{slope:g}",
            f"elliptical power-law lenses of density slope {slope:g} instead of isothermal ones",
            partial(_with_slope, slope=slope),
        )
    mean, scatter = alternatives.SLOPE.numbers
    yield made(
        "slope_scatter",
        f"elliptical power-law lenses with slopes of {mean:g} ± {scatter:g}",
        scattered,
    )
    strength = 100 * float(alternatives.BOXINESS.numbers[1])
    yield made(
        "multipole_4",
        f"lenses are disky or boxy: an m = 4 multipole of {strength:g} % (standard deviation)",
        boxy,
    )
    yield _shaped(campaign)


def _with_slope(case: Case, slope: float) -> Case:
    return case.holding(slope=np.full(len(case.batch), slope))


def _without(batch: Any, name: str) -> Any:
    return replace(batch, drawn={k: v for k, v in batch.drawn.items() if k != name})


def _shaped(campaign: Campaign) -> Treatment:
    """The lens follows its host's light, q_host + N(0, 0.05) and the host's angle."""
    prior = alternatives.power_law_with_multipole(campaign.prior)
    columns = campaign.hosts.columns
    missing = [c for c in ("shape_e1", "shape_e2") if c not in columns]
    why = f"the manifest has no column {missing[0]}" if missing else ""
    if prior is None:
        why = "the prior's first lens is not one SIE"

    def change(case: Case) -> Case:
        assert prior is not None
        case = case.with_prior(prior).resolved()
        q, phi = host_shape(columns, case.place)
        keys = jax.vmap(lambda data: key_of(data, 3))(case.batch.key)
        block = prior.blocks[0]
        own = jax.vmap(lens_like_host)(keys, jnp.asarray(q), jnp.asarray(phi))
        n = len(case.batch)
        held = {str(block.flat(name)): own[f"lens_{name}"] for name in ("q", "phi")}
        return case.holding(slope=np.full(n, 2.0), a_m=np.zeros(n), **held)

    return Treatment(
        "shape_of_host",
        "assumption",
        "mass",
        "axis ratio and angle of the lens follow its host's light",
        None if why else change,
        why,
    )


def host_shape(columns: Any, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Axis ratio and angle (radians, counter-clockwise from +x) of hosts' light, float32, from the
    ellipticity components of the catalogue: e1 + i e2 = (1 - q)/(1 + q) exp(2 i PA), the position
    angle PA from north (+y) to east (-x). Unknown shapes are round."""
    e1, e2 = (
        np.nan_to_num(np.asarray(columns[c], np.float64)[place]) for c in ("shape_e1", "shape_e2")
    )
    e = np.minimum(np.hypot(e1, e2), 0.95)
    phi = (0.5 * np.arctan2(e2, e1) + np.pi / 2) % np.pi
    return ((1 - e) / (1 + e)).astype(np.float32), phi.astype(np.float32)


def _of_the_sources(campaign: Campaign, s: AuditSettings) -> Iterator[Treatment]:
    made = lambda name, words, change, why="": Treatment(
        name, "assumption", "sources", words, change, why
    )
    knots, plain = alternatives.clumpy(campaign.prior), alternatives.smooth(campaign.prior)
    if plain is not None:
        yield made(
            "smooth_sources",
            "sources without star-forming knots",
            lambda c: c.with_prior(plain),
        )
    else:
        why = "" if knots is not None else "the prior's source is no Sersic profile"
        words = "sources with the star-forming knots of the prior raw_notes"
        yield made(
            "clumpy_sources",
            words,
            (lambda c: c.with_prior(knots)) if knots is not None else None,
            why,
        )
    words = "images of real galaxies as sources, of the same half-light radius"
    if not s.source_library:
        why = "audit.source_library names no library of galaxy images"
        yield made("galaxy_images", words, None, why)
        return
    images = library_of(s.source_library)
    prior = alternatives.pictured(campaign.prior, images)
    if prior is None:
        yield made("galaxy_images", words, None, "the prior's source is no Sersic profile")
        return
    radii = alternatives.half_light(images)

    def change(case: Case) -> Case:
        drawn = case.resolved().batch.drawn
        scale = np.asarray(drawn["r_eff"] * jnp.sqrt(drawn["source_q"]))
        return case.with_prior(prior).holding(image_scale=scale / _radius_of(case, prior, radii))

    yield made("galaxy_images", words, change)


def library_of(path: str) -> np.ndarray:
    """Images (n, H, W) of a library file. Raises InputError naming the setting."""
    from lensjax.light.galaxy import library

    try:
        return library(path)
    except ValueError as error:
        raise InputError(f"audit.source_library: {error}") from None


def _radius_of(case: Case, prior: Prior, radii: np.ndarray) -> np.ndarray:
    """Half-light radius (pixels) of the image that each injection's key draws: the same draw as the
    image's own, from a library of radii."""
    number = next(i for i, b in enumerate(prior.blocks) if b.component == "GalaxyImage")
    draw = prior.blocks[number].cls.draw_extra

    def one(data: Any) -> Any:
        key = jax.random.fold_in(jax.random.fold_in(key_of(data, 0), 1), number)
        return draw(key, 1, jnp.asarray(radii, jnp.float32))["image"][0]

    return np.asarray(jax.vmap(one)(case.batch.key))


def _of_the_population(campaign: Campaign, s: AuditSettings) -> Iterator[Treatment]:
    own = {"arclike": "raw_notes", "raw_notes": "arclike"}.get(s.prior_name)
    for name in (own,) if own else ("arclike", "raw_notes"):
        prior = audit_prior(name, s.source_magnitude, campaign.survey)
        lacking = [n for n in campaign.plan[0].drawn if n not in prior.parameters]
        yield Treatment(
            f"prior_{name}",
            "population",
            "population",
            f"arcs of the prior {name}",
            None if lacking else partial(Case.with_prior, prior=prior),
            f"the prior {name} has no {lacking[0]}, which the plan holds" if lacking else "",
        )


def _of_the_finder(campaign: Campaign) -> Iterator[Treatment]:
    finder: Any = campaign.finder
    prepare = getattr(finder, "preprocess", None)
    changeable = isinstance(prepare, Preprocess)
    own = prepare.clip if isinstance(prepare, Preprocess) else None
    for clip in CLIPS:
        if clip != own:
            yield Treatment(
                f"clip_{clip:g}",
                "finder",
                "clip range",
                f"the finder's input is clipped at {clip:g} MAD"
                + (f" instead of {own:g}" if own else ""),
                partial(_clipped, clip=clip) if changeable else None,
                "" if changeable else f"finder {finder.name} prepares its input itself",
            )


def _clipped(case: Case, clip: float) -> Case:
    finder: Any = case.finder
    prepare = replace(finder.preprocess, clip=clip)
    return replace(case, finder=replace(finder, preprocess=prepare))
