"""What networks are compiled with on a processor: the same numbers, on every core; memory that is kept."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest

from classifiers import host

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
    for found, wanted in zip(host.jit(both)(x, w), jax.jit(both)(x, w)):
        assert np.abs(found - wanted).max() < 2e-6 * np.abs(wanted).max()
    if jax.default_backend() == "cpu":
        ours, plain = (
            f.lower(x, w).compile().as_text() for f in (host.jit(convolution), jax.jit(convolution))
        )
        assert "ynn" in plain and "ynn" not in ours


def test_an_option_that_xla_no_longer_knows_is_left_out(monkeypatch):
    monkeypatch.setattr(host, "EIGEN", {"xla_cpu_no_such_option": "1"})
    host.options.cache_clear()
    try:
        assert host.options() == {} and host.jit(lambda: 1)() == 1
    finally:
        host.options.cache_clear()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's")
def test_memory_that_was_freed_is_there_again_without_page_faults():
    code = """
import resource
import numpy as np
from classifiers import host
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(8_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
before = [faults() for _ in range(3)][-1]
assert host.keep_memory()
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
