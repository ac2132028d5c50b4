"""What makes networks quick on a processor: the same numbers, with one switch that turns it off."""

import json
import subprocess
import sys

import jax
import jax.export
import numpy as np
import pytest
from flax import nnx

from classifiers import models, processor
from classifiers.processor import xla
from classifiers.processor.pooling import max_pool

pytestmark = pytest.mark.usefixtures("as_on_every_platform")

SMALL = {"widths": [8, 8, 8, 8], "blocks": [1, 1, 1, 1]}
LAYER = (64, 26, 26, 64), (3, 3, 64, 64)


def convolution(x, w):
    return jax.lax.conv_general_dilated(
        x, w, (1, 1), [(1, 1), (1, 1)], dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def test_convolutions_are_eigens_and_the_numbers_and_gradients_the_same():
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=shape).astype(np.float32) for shape in ((4, *LAYER[0][1:]), LAYER[1]))
    both = lambda x, w: (
        convolution(x, w),
        *jax.grad(lambda x, w: (convolution(x, w) ** 2).sum(), (0, 1))(x, w),
    )
    for found, wanted in zip(processor.jit(both)(x, w), jax.jit(both)(x, w)):
        assert np.abs(found - wanted).max() < 2e-6 * np.abs(wanted).max()
    if jax.default_backend() == "cpu":
        ours, plain = (
            f.lower(x, w).compile().as_text()
            for f in (processor.jit(convolution), jax.jit(convolution))
        )
        assert "ynn" in plain and "ynn" not in ours


def test_an_option_that_xla_no_longer_knows_is_left_out(monkeypatch):
    monkeypatch.setattr(xla, "EIGEN", {"xla_cpu_no_such_option": "1"})
    xla.options.cache_clear()
    try:
        assert xla.options() == {} and processor.jit(lambda: 1)() == 1
    finally:
        xla.options.cache_clear()


def test_the_switch_gives_plain_jax_and_the_same_numbers(monkeypatch):
    x = np.random.default_rng(0).normal(size=(2, 24, 24, 3)).astype(np.float32)
    model = models.create("resnet18", SMALL, nnx.Rngs(0))
    model.eval()
    graph, state = nnx.split(model)
    programs, found = [], []
    for value in ("0", "1"):
        monkeypatch.setenv("LENSJAX_PLAIN", value)
        apply = lambda state, x: nnx.merge(graph, state, copy=True)(x)
        programs.append(str(jax.make_jaxpr(apply)(state, x)))
        found.append(processor.jit(apply)(state, x))
    assert "platform_index" in programs[0] and "platform_index" not in programs[1]
    assert np.allclose(*found, rtol=1e-5, atol=1e-6)


def test_the_maximum_of_slices_is_the_pools_with_its_gradient(monkeypatch):
    x = np.random.default_rng(0).normal(size=(2, 9, 12, 3)).astype(np.float32)
    found = []
    for value in ("0", "1"):
        monkeypatch.setenv("LENSJAX_PLAIN", value)
        weighted = lambda x: (max_pool(x) * np.arange(1, 6)[:, None, None]).sum()
        found.append((max_pool(x), jax.grad(weighted)(x)))
    for quick, slow in zip(*found):
        assert np.array_equal(quick, slow)


def test_a_network_exported_for_another_platform_is_the_plain_one_there():
    model = models.create("resnet18", SMALL, nnx.Rngs(0))
    model.eval()
    graph, state = nnx.split(model)
    apply = jax.jit(lambda state, x: nnx.merge(graph, state)(x))
    x = jax.ShapeDtypeStruct((2, 24, 24, 3), np.float32)
    away = jax.export.export(apply, platforms=["cuda"])(state, x).mlir_module()
    both = jax.export.export(apply, platforms=["cpu", "cuda"])(state, x)
    assert "reduce_window" in away
    images = np.random.default_rng(0).normal(size=x.shape).astype(np.float32)
    assert np.allclose(both.call(state, images), apply(state, images), atol=1e-5)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's")
def test_memory_that_was_freed_is_there_again_without_page_faults():
    code = """
import resource
import numpy as np
from classifiers import processor
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(8_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
before = [faults() for _ in range(3)][-1]
assert processor.keep_memory()
print(before, [faults() for _ in range(3)][-1])
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={"JAX_PLATFORMS": "cpu", "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    assert before > 10 and after < before / 5


def test_the_benchmark_of_convolutions_compares_ways_that_agree(tmp_path):
    from benchmarks import convolutions

    out = tmp_path / "convolutions.json"
    convolutions.main(
        convolutions.Question(
            layers=((4, 5), (3, 6)), batch=2, repeats=1, keep_memory=False, out=out
        )
    )
    found = json.loads(out.read_text())["convolutions"]
    assert [(f["channels"], f["way"]) for f in found] == [
        (c, way) for c in (4, 3) for way in convolutions.WAYS
    ]
    assert all(
        f["error"] < 5e-6 and min(f["forward"], f["image_gradient"], f["kernel_gradient"]) > 0
        for f in found
    )
