"""A small survey, a network compiled for it, and a whole training run: made once for all tests of
training."""

import galaxies
import pytest
from flax import nnx
from training_runs import fresh, make_run, settings

from classifiers import models
from classifiers.training import inputs, loop, optimiser
from classifiers.training.step import Network, make_step


@pytest.fixture(scope="session")
def survey(tmp_path_factory):
    return galaxies.small_survey(tmp_path_factory.mktemp("survey"), 160)


@pytest.fixture(scope="session")
def parts(survey):
    """Network, update, compiled step and splits, compiled once for all tests."""
    s = settings()
    net = Network(models.create(s.model, s.architecture, nnx.Rngs(s.seed)))
    train, val = inputs.resident(survey, "train", s), inputs.resident(survey, "val", s)
    update = optimiser.optimiser(s, len(inputs.epoch_rows(train.label, s, 0)[0]), net.params)
    return net, update, make_step(net, update, s.seed), train, val


@pytest.fixture(scope="session")
def uninterrupted(parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    state, summary = loop.fit(make_run(folder, parts), fresh(parts))
    return folder, state, summary
