"""A batch is one pass where memory allows, as few passes as fit otherwise, and a run keeps the
number it began with."""

import json
import shutil

import jax
import numpy as np
import pytest
from flax import nnx
from training_runs import SETTINGS, Killed, fresh, same, settings

from classifiers import frozen, models, weights
from classifiers.training import command, inputs, loop, memory, optimiser, probe, verb
from classifiers.training.step import Network, begin, make_step
from lensjax.errors import InputError


@pytest.fixture(scope="module")
def sizes(parts):
    """Bytes of an update of one batch, by passes."""
    return {n: memory.needed(parts[2], fresh(parts), parts[3], (n, 16 // n)) for n in (1, 2, 4)}


def allow(monkeypatch, available):
    monkeypatch.setattr(probe, "free", lambda: probe.Free(None, available))


@pytest.fixture
def train(survey, tmp_path, monkeypatch):
    """train(name, die_at=0, **settings): the whole command in a run of its own; its folder
    `training`."""

    def run(name, die_at=0, **changes):
        out, config, fit = tmp_path / name, tmp_path / "config.yaml", loop.fit
        config.write_text(json.dumps({"train": {**SETTINGS, **changes}}))
        if not out.is_dir():
            shutil.copytree(survey, out)

        def mortal(what, state, tick):
            def dying(done, total, text):
                tick(done, total, text)
                if done == die_at and not text:
                    raise Killed

            return fit(what, state, dying)

        with monkeypatch.context() as patched:
            patched.setattr(loop, "fit", mortal)
            assert command([str(config), "--out", str(out)]) == 0
        return out / "training"

    return run


def numbers(folder):
    return weights.flatten(frozen.load(folder).model)


def flat(arrays):
    return np.concatenate([np.ravel(arrays[name]) for name in sorted(arrays)])


def division(folder):
    return json.loads((folder / "run_info.json").read_text())["division"]


def test_the_fewest_passes_that_fit_are_taken(parts, sizes):
    step, data = parts[2], parts[3]
    assert sizes[1] > sizes[2] > sizes[4] > 0
    choose = lambda available, **changes: memory.divided(
        step, fresh(parts), data, settings(**changes), available
    )
    assert choose(None) == memory.UNCUT
    for passes, size in sizes.items():
        assert choose(size) == {
            "passes": passes,
            "whole": sizes[1],
            "part": size,
            "available": size,
        }
    assert choose(sizes[2] - 1)["passes"] == 4
    assert choose(sizes[4], batch=8, accumulation=2)["passes"] == 2  # passes of 4, as above
    with pytest.raises(
        InputError,
        match="batch 16: not enough memory on the device; even a pass of 1 takes "
        r"[\d,]+ bytes and 1,000 are free",
    ):
        choose(1000)


@pytest.mark.parametrize("way", ["resident", "streaming"])
def test_the_step_that_was_asked_is_not_compiled_again(survey, way):
    s, compiled = settings(input=way), []
    data, _ = inputs.training(survey, s)
    net = Network(models.create(s.model, s.architecture, nnx.Rngs(0)))
    rows, turns = inputs.epoch_rows(data.label, s, 0, 2)
    update = optimiser.optimiser(s, len(rows), net.params)
    step, state = make_step(net, update, 0), begin(net, update)

    def listen(event, seconds, **more):
        compiled.extend([more.get("fun_name")] if "backend_compile" in event else [])

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        assert memory.needed(step, state, data, (2, 8)) > 0
        assert compiled.count("jit(step)") == 1
        for some in data.updates(rows[:2], turns[:2]):
            state, loss, _ = step(state, *some)
        assert np.isfinite(loss) and compiled.count("jit(step)") == 1
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_a_stream_counts_the_stamps_that_are_not_there_yet(survey, sizes, parts):
    s = settings(input="streaming")
    data, _ = inputs.training(survey, s)
    rows, turns = inputs.epoch_rows(data.label, s, 0)
    given, promised = next(iter(data.updates(rows[:1], turns[:1]))), data.like((1, 16))
    for one, two in zip(jax.tree.leaves(given[:2]), jax.tree.leaves(promised), strict=True):
        assert (one.shape, one.dtype) == (two.shape, two.dtype)
    size = sum(x.nbytes for x in jax.tree.leaves(given[0]))
    step = make_step(parts[0], parts[1], 0, prepare=data.prepare)
    assert memory.needed(step, fresh(parts), data, (1, 16)) >= 2 * size


def test_rows_of_a_divided_batch_are_those_of_the_batch(parts):
    label = parts[3].label
    for whole, cut in zip(
        inputs.epoch_rows(label, settings(), 3), inputs.epoch_rows(label, settings(), 3, 4)
    ):
        assert cut.shape[1:] == (4, 4) and np.array_equal(
            whole.reshape(len(whole), -1), cut.reshape(len(cut), -1)
        )


@pytest.mark.parametrize("available", [None, 10**15])
def test_with_room_enough_it_is_one_pass_and_the_same_bits_as_without_asking(
    train, uninterrupted, parts, monkeypatch, capsys, available
):
    allow(monkeypatch, available)
    folder = train("run")
    assert division(folder)["passes"] == 1 and "split into" not in capsys.readouterr().err
    _, state, _ = uninterrupted
    assert same(numbers(folder), weights.flatten(parts[0].model(state.params, state.statistics)))


def test_without_batch_statistics_a_divided_run_is_the_undivided_one(
    train, sizes, monkeypatch, capsys
):
    """A network in evaluation mode takes no batch statistics, so that cutting a batch changes
    nothing but the order of sums."""

    def without(s, bands):
        net = network(s, bands)
        net._training = net._evaluation
        return net

    network = verb.network
    monkeypatch.setattr(verb, "network", without)
    found = []
    for available in (None, sizes[1] // 2):
        allow(monkeypatch, available)
        folder = train(str(available), epochs=1)
        found.append(flat(numbers(folder)))
    passes = division(folder)["passes"]
    assert passes > 1 and division(folder)["available"] == sizes[1] // 2 < division(folder)["whole"]
    assert f"split into {passes} passes of {16 // passes}" in " ".join(
        capsys.readouterr().err.split()
    )
    begun = network(settings())
    moved = np.linalg.norm(
        found[0] - flat(weights.flatten(begun.model(begun.params, begun.statistics)))
    )
    assert not np.array_equal(*found) and np.linalg.norm(found[1] - found[0]) < 1e-5 * moved


@pytest.mark.stress
def test_a_killed_run_goes_on_with_its_passes_whatever_the_memory(
    train, sizes, monkeypatch, capsys
):
    allow(monkeypatch, sizes[2])
    whole = train("whole")
    for later in (None, 10**15, sizes[4]):
        name = f"killed {later}"
        allow(monkeypatch, sizes[2])
        with pytest.raises(Killed):
            train(name, die_at=11, checkpoint_seconds=1e-9)
        allow(monkeypatch, later)
        capsys.readouterr()
        folder = train(name, checkpoint_seconds=1e-9)
        assert division(folder) == division(whole) and division(folder)["passes"] == 2
        assert (
            "batch of 16 needs" in (said := " ".join(capsys.readouterr().err.split()))
            and "when this run began" in said
        )
        assert same(numbers(folder), numbers(whole))


def test_a_run_of_before_goes_on_in_one_pass(train, sizes, tmp_path, monkeypatch):
    """Its run_info.json does not know of divisions."""
    allow(monkeypatch, None)
    with pytest.raises(Killed):
        train("old", die_at=11, checkpoint_seconds=1e-9)
    path = tmp_path / "old" / "training" / "run_info.json"
    path.write_text(
        json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "division"})
    )
    allow(monkeypatch, sizes[2])
    assert division(train("old", checkpoint_seconds=1e-9)) == memory.UNCUT


def test_memory_that_runs_out_names_the_same_effective_batch():
    with (
        pytest.raises(
            InputError,
            match="batch 16: not enough memory on the device; --batch 8 --accumulation 2 has",
        ),
        memory.explained(settings()),
    ):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
    with pytest.raises(
        InputError,
        match="batch 4: not enough memory on the device; --batch 2 --accumulation 24 has",
    ):
        with memory.explained(settings(accumulation=3), 4):
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"), memory.explained(settings()):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")


def test_the_limit_is_what_the_machine_says(tmp_path, monkeypatch):
    monkeypatch.setattr(probe, "MEMINFO", tmp_path / "meminfo")
    assert probe.free().device is None
    (tmp_path / "meminfo").write_text("MemTotal:  100 kB\nMemAvailable:   2000 kB\n")
    assert probe.free().device == 2000 * 1024 // jax.local_device_count()

    class Accelerator:
        def memory_stats(self):
            return {"bytes_limit": 1000, "bytes_in_use": 400}

    monkeypatch.setattr(jax, "local_devices", lambda: [Accelerator()])
    assert probe.free().device == 600
