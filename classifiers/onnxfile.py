"""A classifier as an ONNX file: its traced program, one primitive after the other, in float32.

    images (B, bands, crop, crop), preprocessed, as torch lays them out
    -> logits (B,), features (B, F)

Whatever an architecture is made of, the file holds what JAX would run, so that a new architecture
needs nothing here but the primitives it uses. What depends on the weights alone is computed while
writing. The file says itself, in its metadata, what it is and how stamps are preprocessed. A
mask is part of the program, so that no reader can miss it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.extend.core
import jax.numpy as jnp
import numpy as np
from flax import nnx

from classifiers.frozen import Frozen
from data.files import replacing
from data.preprocess import kept_pixels
from lensjax.errors import InputError

OPSET, IR = 17, 8
"""old enough for every runtime of the last years"""
ELEMENTWISE = {
    "add": "Add",
    "div": "Div",
    "exp": "Exp",
    "gt": "Greater",
    "logistic": "Sigmoid",
    "lt": "Less",
    "max": "Max",
    "min": "Min",
    "mul": "Mul",
    "sub": "Sub",
    "tanh": "Tanh",
}
CURE = "export to safetensors instead"
Value = str | np.ndarray
"""of a variable while writing: the name of a tensor, or an array that is known already"""


def _onnx() -> Any:
    try:
        import onnx
    except ImportError:
        raise InputError(
            "writing ONNX needs the package onnx; pip install 'lensjax[onnx]'"
        ) from None
    return onnx


class Writer:
    """Translates the equations of a jaxpr into nodes. Raises InputError naming a primitive that it
    does not know."""

    def __init__(self) -> None:
        self.helper, self.numpy_helper = _onnx().helper, _onnx().numpy_helper
        self.nodes: list[Any] = []
        self.stored: list[Any] = []

    def tensor(self, value: Value) -> str:
        """The name of a value; an array becomes an initializer."""
        if isinstance(value, str):
            return value
        self.stored.append(
            self.numpy_helper.from_array(np.ascontiguousarray(value), f"constant{len(self.stored)}")
        )
        return self.stored[-1].name

    def node(self, kind: str, *inputs: Value, **attributes: Any) -> str:
        """Appends a node; returns the name of its output."""
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(
            self.helper.make_node(kind, [self.tensor(i) for i in inputs], [name], **attributes)
        )
        return name

    def run(self, jaxpr: Any, consts: Sequence[Value], inputs: Sequence[Value]) -> list[Value]:
        """Writes a jaxpr applied to values; returns its outputs."""
        known: dict[Any, Value] = dict(
            zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *inputs], strict=True)
        )
        read: Callable[[Any], Value] = lambda v: (
            np.asarray(v.val) if isinstance(v, jax.extend.core.Literal) else known[v]
        )
        for equation in jaxpr.eqns:
            values = [read(v) for v in equation.invars]
            known.update(zip(equation.outvars, self.equation(equation, values)))
        return [read(v) for v in jaxpr.outvars]

    def equation(self, equation: Any, values: list[Value]) -> list[Value]:
        """One equation: functions that it calls are written in place, values that are known are
        computed, and the rest is translated."""
        name, params = equation.primitive.name, equation.params
        inner = params.get("jaxpr", params.get("call_jaxpr"))
        if inner is not None:
            return self.run(inner.jaxpr, [np.asarray(c) for c in inner.consts], values)
        if platforms := params.get("branches_platforms"):
            # A choice by platform: what runs on a processor is made of the simplest primitives.
            chosen = next(i for i, names in enumerate(platforms) if names is None or "cpu" in names)
            branch = params["branches"][chosen]
            return self.run(branch.jaxpr, [np.asarray(c) for c in branch.consts], values[1:])
        shapes = [tuple(v.aval.shape) for v in equation.invars]
        whole = all(isinstance(v, np.ndarray) and v.shape == s for v, s in zip(values, shapes))
        if whole and all(isinstance(n, int) for v in equation.outvars for n in v.aval.shape):
            found = equation.primitive.bind(*map(jnp.asarray, values), **params)
            return [
                np.asarray(f) for f in (found if equation.primitive.multiple_results else [found])
            ]
        if name in ELEMENTWISE:
            return [self.node(ELEMENTWISE[name], *values)]
        rule = getattr(self, f"_{name}", None)
        if rule is None:
            raise InputError(f"the model uses {name}, which has no translation to ONNX yet; {CURE}")
        return [rule(values, shapes, tuple(equation.outvars[0].aval.shape), params)]

    def _shaped(self, x: Value, shape: Sequence[Any]) -> Value:
        """x in another shape, of which one size, that of the batch, may be open."""
        sizes = np.array([n if isinstance(n, int) else -1 for n in shape], np.int64)
        return x.reshape(sizes) if isinstance(x, np.ndarray) else self.node("Reshape", x, sizes)

    def _reshape(self, values: list[Value], shapes: Any, out: Any, params: Any) -> Value:
        return self._shaped(values[0], out)

    _squeeze = _reshape

    def _broadcast_in_dim(self, values: list[Value], shapes: Any, out: Any, params: Any) -> Value:
        # ONNX broadcasts in elementwise operations as numpy does, so axes of size 1 are enough.
        placed = dict(zip(params["broadcast_dimensions"], shapes[0]))
        aligned = self._shaped(values[0], [placed.get(axis, 1) for axis in range(len(out))])
        if isinstance(aligned, str) and any(placed.get(axis, 1) != n for axis, n in enumerate(out)):
            raise InputError(
                f"the model repeats a tensor, which has no translation to ONNX yet; {CURE}"
            )
        return aligned

    def _expm1(self, values: list[Value], shapes: Any, out: Any, params: Any) -> Value:
        return self.node("Sub", self.node("Exp", values[0]), np.ones((), np.float32))

    def _select_n(self, values: list[Value], shapes: Any, out: Any, params: Any) -> Value:
        which, if_false, if_true = values
        return self.node("Where", which, if_true, if_false)

    def _convert_element_type(
        self, values: list[Value], shapes: Any, out: Any, params: Any
    ) -> Value:
        return self.node(
            "Cast",
            values[0],
            to=self.helper.np_dtype_to_tensor_dtype(np.dtype(params["new_dtype"])),
        )

    def _transpose(self, values: list[Value], shapes: Any, out: Any, params: Any) -> Value:
        return self.node("Transpose", values[0], perm=list(params["permutation"]))

    def _slice(self, values: list[Value], shapes: Any, out: Any, params: Any) -> Value:
        cut = [axis for axis, n in enumerate(out) if n != shapes[0][axis]]
        steps = params["strides"] or (1,) * len(out)
        begin, end, step = (
            np.array([p[axis] for axis in cut], np.int64)
            for p in (params["start_indices"], params["limit_indices"], steps)
        )
        return self.node("Slice", values[0], begin, end, np.array(cut, np.int64), step)

    def _concatenate(self, values: list[Value], shapes: Any, out: Any, params: Any) -> Value:
        return self.node("Concat", *values, axis=params["dimension"])

    def _pad(self, values: list[Value], shapes: Any, out: Any, params: Any) -> Value:
        before, after, between = zip(*params["padding_config"])
        if any(between) or min(*before, *after) < 0:
            raise InputError(
                "the model pads between pixels or crops by padding, which has no translation to "
                f"ONNX yet; {CURE}"
            )
        return self.node("Pad", values[0], np.array([*before, *after], np.int64), values[1])

    def _reduce_sum(self, values: list[Value], shapes: Any, out: Any, params: Any) -> Value:
        return self.node("ReduceSum", values[0], np.array(params["axes"], np.int64), keepdims=0)

    def _dot_general(self, values: list[Value], shapes: Any, out: Any, params: Any) -> Value:
        if (
            params["dimension_numbers"] != (((1,), (0,)), ((), ()))
            or len(shapes[0]) != 2
            or len(shapes[1]) != 2
        ):
            raise InputError(
                "the model multiplies tensors, not matrices, which has no translation to ONNX yet; "
                f"{CURE}"
            )
        return self.node("MatMul", *values)

    def _conv_general_dilated(
        self, values: list[Value], shapes: Any, out: Any, params: Any
    ) -> Value:
        numbers, (images, kernel) = params["dimension_numbers"], values
        if any(n != 1 for n in params["lhs_dilation"]) or params["batch_group_count"] != 1:
            raise InputError(
                "the model has a transposed convolution, which has no translation to ONNX yet; "
                f"{CURE}"
            )
        before, after = zip(*params["padding"])
        turned = (
            kernel.transpose(numbers.rhs_spec)
            if isinstance(kernel, np.ndarray)
            else self.node("Transpose", kernel, perm=list(numbers.rhs_spec))
        )
        result = self.node(
            "Conv",
            self.node("Transpose", images, perm=list(numbers.lhs_spec)),
            turned,
            strides=list(params["window_strides"]),
            dilations=list(params["rhs_dilation"]),
            group=params["feature_group_count"],
            pads=[*before, *after],
        )
        return self.node("Transpose", result, perm=np.argsort(numbers.out_spec).tolist())


def program(source: Frozen) -> Any:
    """The classifier as an onnx.ModelProto. Raises InputError when onnx is not installed, when the
    side of its images is not fixed, or when it uses a primitive without translation."""
    onnx, crop, bands = _onnx(), source.preprocess.crop, source.bands
    if not crop:
        raise InputError(
            "the classifier takes whole stamps of any size, and an ONNX file needs one; set crop"
        )
    (batch,) = jax.export.symbolic_shape("batch")

    def both(state: Any, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        model = nnx.merge(source.graph, state, copy=True)
        for _, layer in nnx.iter_modules(model):
            if isinstance(layer, nnx.Conv):
                layer.conv_general_dilated = (
                    jax.lax.conv_general_dilated
                )  # without the detours of a processor under XLA
        stamps = jnp.transpose(images, (0, 2, 3, 1))
        if source.preprocess.keep:  # a program that only normalises has to get the mask too
            stamps = stamps * kept_pixels(source.preprocess)
        features = model.features(stamps)
        return model.head(features).reshape(images.shape[0]), features

    traced, shapes = jax.make_jaxpr(both, return_shape=True)(
        source.state, jax.ShapeDtypeStruct((batch, bands, crop, crop), jnp.float32)
    )
    writer = Writer()
    state = [np.asarray(leaf) for leaf in jax.tree.leaves(source.state)]
    outputs = writer.run(traced.jaxpr, [np.asarray(c) for c in traced.consts], [*state, "images"])
    named = {"logits": outputs[0], "features": outputs[1]}
    for name, value in named.items():
        writer.nodes.append(onnx.helper.make_node("Identity", [writer.tensor(value)], [name]))
    describe = lambda name, shape: onnx.helper.make_tensor_value_info(
        name, onnx.TensorProto.FLOAT, shape
    )
    results = [
        describe(name, [n if isinstance(n, int) else "batch" for n in s.shape])
        for name, s in zip(named, shapes)
    ]
    graph = onnx.helper.make_graph(
        writer.nodes,
        source.info["model"],
        [describe("images", ["batch", bands, crop, crop])],
        results,
        writer.stored,
    )
    model = onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="lensjax",
    )
    described = source.info | {"preprocess": source.preprocess.said}
    onnx.helper.set_model_props(model, {"lensjax": json.dumps(described, sort_keys=True)})
    onnx.checker.check_model(model)
    return model


def save(path: Path, source: Frozen) -> Path:
    """Writes `program` to a file, whole or not at all; returns its path."""
    content = program(source).SerializeToString(deterministic=True)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)
