"""How quick are the convolutions that a step of ResNet-18 is made of, and what else could compute
them? `python -m benchmarks.convolutions --help`

The 3x3 layers of its four stages on cutouts of 101 pixels, forward and both gradients, in billions
of floating-point operations a second: XLA's convolution as it comes, the same as
classifiers/processor/ compiles it, nine shifted products, one product over gathered patches,
Winograd's F(4x4, 3x3) in 36 products, where a direct convolution's operations are counted. The roof
is a product of two matrices of 2048. Times are the least of several repeats.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import Array, Float

from benchmarks.training import fastest, peak, processor
from classifiers import processor as quick
from classifiers.processor import winograd
from data import record
from data.files import write_json
from lensjax.cli import prepared

Images, Kernel = Float[Array, "b h h c"], Float[Array, "3 3 c o"]


@dataclass(frozen=True)
class Question:
    """What is measured."""

    layers: tuple[tuple[int, int], ...] = ((64, 26), (128, 13), (256, 7), (512, 4))
    """channels and side of each"""
    batch: int = 64
    repeats: int = 5
    keep_memory: bool = True
    """keep what is freed, as training does; otherwise its way through the kernel is part of the
    times"""
    out: Annotated[
        Path, tyro.conf.arg(help="JSON file; default benchmarks/results/convolutions-<device>.json")
    ] = Path("")


def direct(x: Images, w: Kernel) -> Images:
    """XLA's."""
    return jax.lax.conv_general_dilated(
        x, w, (1, 1), [(1, 1), (1, 1)], dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def windows(x: Images) -> list[Images]:
    """The image as each of the nine places of the kernel sees it."""
    side, wide = x.shape[1], jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return [wide[:, i : i + side, j : j + side] for i in range(3) for j in range(3)]


def shifts(x: Images, w: Kernel) -> Images:
    """Nine products, summed."""
    return sum(part @ w[i // 3, i % 3] for i, part in enumerate(windows(x)))  # type: ignore[return-value]


def patches(x: Images, w: Kernel) -> Images:
    """One product over gathered patches."""
    return jnp.concatenate(windows(x), axis=-1) @ w.reshape(-1, w.shape[-1])


WAYS: dict[str, tuple[Callable[[Images, Kernel], Images], Callable[..., Any]]] = {
    "XLA": (direct, jax.jit),
    "XLA, compiled by quick.jit": (direct, quick.jit),
    "shifts": (shifts, quick.jit),
    "patches": (patches, quick.jit),
    "Winograd": (lambda x, w: winograd.convolution(x, w, ((1, 1), (1, 1))), quick.jit),
}


def case(way: str, channels: int, side: int, q: Question) -> dict[str, Any]:
    """One layer computed one way: operations a second, those of the plain convolution counted
    whatever the way needs, and the error."""
    function, compiler = WAYS[way]
    rng = np.random.default_rng(0)
    x, slope = (
        jnp.asarray(rng.normal(size=(q.batch, side, side, channels)), jnp.float32) for _ in range(2)
    )
    w = jnp.asarray(
        rng.normal(size=(3, 3, channels, channels)) / (9 * channels) ** 0.5, jnp.float32
    )
    operations = 2 * 9 * channels**2 * side**2 * q.batch
    wanted = np.asarray(jax.jit(direct)(x, w))
    found: dict[str, Any] = {"way": way, "channels": channels, "side": side}
    found["error"] = float(
        np.abs(np.asarray(compiler(function)(x, w)) - wanted).max() / np.abs(wanted).max()
    )
    three = {
        "forward": lambda x, w, slope: function(x, w),
        "image_gradient": lambda x, w, slope: jax.vjp(lambda x: function(x, w), x)[1](slope)[0],
        "kernel_gradient": lambda x, w, slope: jax.vjp(lambda w: function(x, w), w)[1](slope)[0],
    }
    for name, what in three.items():
        ready = compiler(what)
        ready(x, w, slope).block_until_ready()
        found[name] = operations / fastest(
            lambda ready=ready: ready(x, w, slope).block_until_ready(), q.repeats
        )
    return found


def main(q: Question) -> dict[str, Any]:
    """Measures everything, prints a table and writes it down."""
    if q.keep_memory:
        quick.keep_memory()
    kind = jax.devices()[0].device_kind.replace(" ", "-").lower()
    roof = peak("float32", q.repeats)
    print(
        f"product of matrices: {roof / 1e9:.0f} GFLOP/s\n\n| channels, side | way | forward | "
        "gradient of the image | of the kernel |\n|---|---|---|---|---|"
    )
    results = []
    for channels, side in q.layers:
        for way in WAYS:
            results.append(found := case(way, channels, side, q))
            rates = " | ".join(
                f"{found[name] / 1e9:.0f}"
                for name in ("forward", "image_gradient", "kernel_gradient")
            )
            print(f"| {channels}, {side} | {way} | {rates} |", flush=True)
    answer = {
        "question": __doc__.splitlines()[0] if __doc__ else "",
        "device": {
            "kind": kind,
            "processor": processor(kind),
            "count": jax.local_device_count(),
            "cores": os.cpu_count(),
        },
        "versions": record.versions(),
        "commit": record.commit(),
        "batch": q.batch,
        "memory_kept": q.keep_memory,
        "matrix_product_flops": roof,
        "convolutions": results,
    }
    out = (
        q.out
        if q.out != Path("")
        else Path(__file__).parent / "results" / f"convolutions-{kind}.json"
    )
    write_json(out, answer)
    print(out)
    return answer


if __name__ == "__main__":
    prepared()  # as the command lensjax
    main(tyro.cli(Question, description=__doc__))
