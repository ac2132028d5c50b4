"""torchvision's logits on weights and images that any machine can make again:
`python -m tests.classifiers.torchvision_reference > tests/classifiers/torchvision_logits.json`.

Needs torch and torchvision, which the tests do not: they compare with the file.
"""

import json
import zlib

import numpy as np

SIDES = (64, 101)
MODELS = ("resnet18", "efficientnet_v2_s")


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor of a torch state dict, drawn from a generator seeded with its name."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return rng.uniform(1.0, 2.0, shape).astype(np.float32)
    if (
        name.endswith("weight") and len(shape) == 1
    ):  # about 1, so that forty blocks neither explode nor forget the image
        return rng.uniform(0.6, 1.2, shape).astype(np.float32)
    if len(shape) > 1:
        return (rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)
    return rng.normal(0, 0.1, shape).astype(np.float32)


def images(side: int) -> np.ndarray:
    """(4, side, side, 3), like preprocessed stamps."""
    return np.clip(np.random.default_rng(side).normal(0, 3, (4, side, side, 3)), -10, 10).astype(
        np.float32
    )


def torchvision_models():
    """torchvision's two models with one logit."""
    from benchmarks.torch_peer import models

    return {name: getattr(models(), name)(num_classes=1).eval() for name in MODELS}


def logits() -> dict[str, dict[str, list[float]]]:
    import torch

    found: dict[str, dict[str, list[float]]] = {}
    for name, model in torchvision_models().items():
        state = {
            k: torch.from_numpy(weight(k, tuple(v.shape))) if v.ndim else v
            for k, v in model.state_dict().items()
        }
        model.load_state_dict(state)
        with torch.no_grad():
            found[name] = {
                str(side): model(torch.from_numpy(images(side).transpose(0, 3, 1, 2)))[
                    :, 0
                ].tolist()
                for side in SIDES
            }
    return found


if __name__ == "__main__":
    print(json.dumps(logits(), indent=1))
