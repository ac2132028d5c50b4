"""Integrated gradients: closed form, completeness on a network, and which errors are explained."""

import jax.numpy as jnp
import numpy as np
import pytest

from classifiers import frozen
from classifiers.shortcuts import attribution
from data.survey import default
from lensjax.errors import InputError


def test_a_quadratic_has_its_closed_form():
    rng = np.random.default_rng(0)
    w, v, x = (jnp.asarray(rng.normal(size=(5, 5, 3)), jnp.float32) for _ in range(3))
    logits = lambda images: (w * images + v * images**2).sum((1, 2, 3)) + 2.0
    found = attribution.integrated(logits, x, 4)
    assert np.allclose(found, w * x + v * x**2, atol=1e-5)


def test_attributions_of_a_network_sum_to_the_difference_of_logits():
    stamps = np.random.default_rng(1).normal(size=(2, 40, 40, 3)).astype(np.float32)
    stamps[0, :3] = np.nan
    network = frozen.untrained(crop=32)
    table, maps = attribution.explained(network, stamps, np.arange(2), default())
    apart = (table["logit"] - table["baseline"]).abs()
    assert np.isfinite(maps).all() and (apart > 1e-3).all()
    assert (table["residual"].abs() < 0.02 * apart).all(), table
    assert table["logit"].to_numpy() == pytest.approx(np.asarray(network.logits(stamps)), abs=1e-4)
    with pytest.raises(InputError, match="no gradients"):
        attribution.explained(type("F", (), {"name": "f"}), stamps, np.arange(2), default())


def test_the_worst_errors_come_first():
    """A score on the threshold does not pass."""
    label = np.array([0, 0, 0, 1, 1, 1, 0, 1])
    score = np.array([0.1, 0.7, 0.9, 0.4, 0.2, 0.8, 0.5, 0.5])
    found = attribution.wrong(label, score, 0.5, 5)
    assert found["false_positive"].tolist() == [2, 1]
    assert found["false_negative"].tolist() == [4, 3, 7]
