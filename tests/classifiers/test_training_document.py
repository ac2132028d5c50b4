"""docs/training.md: its commands are understood, those on weights are run, its presets and numbers
are the code's."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from test_models import PRESETS
from test_pretrained import drawn, saved, state_dict

from classifiers import exchange, frozen
from classifiers.chain import resolve
from classifiers.training import TrainSettings, optimiser
from classifiers.training.verb import network
from data import config
from data.preprocess import Preprocess

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text()


def blocks(language: str) -> str:
    return "\n".join(re.findall(rf"```{language}\n(.*?)```", TEXT, re.S))


COMMANDS = [line.split() for line in blocks("sh").splitlines() if line]


@pytest.mark.parametrize(
    "words", [words for words in COMMANDS if words[1] != "weights"], ids=" ".join
)
def test_every_command_is_understood(words):
    assert words[0] == "lensjax"
    if words[1] == "run":
        assert resolve(words[2], [])
    elif "--help" in words:
        with pytest.raises(SystemExit) as left:
            config.invocation("train", TrainSettings, words[2:], "")
        assert left.value.code == 0
    else:
        call = config.invocation("train", TrainSettings, words[2:], "")
        assert str(call.out) in words


@pytest.mark.slow
def test_weights_come_in_and_go_out_as_written_and_fine_tuning_starts_from_them(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    tensors = {n: a for n, a in state_dict(drawn("resnet18")).items() if not n.endswith("tracked")}
    saved(
        Path("resnet18.pth"),
        tensors | {"fc.weight": np.zeros((1000, 512), "f4"), "fc.bias": np.zeros(1000, "f4")},
    )
    frozen.save(
        Path("runs/mine/training"), frozen.untrained("resnet18", {"widths": [8, 8, 8, 8]}, 64)
    )
    written = [words for words in COMMANDS if words[1] == "weights"]
    assert len(written) == 3
    for words in written:
        assert exchange.command(words[2:]) == 0
    assert {p.name for p in Path("hub").iterdir()} == {
        "README.md",
        "config.json",
        "model.onnx",
        "model.safetensors",
    }
    assert (
        Path("weights/mine/classifier.safetensors").read_bytes()
        == Path("runs/mine/training/classifier.safetensors").read_bytes()
    )
    s = config.validated(TrainSettings, yaml.safe_load(blocks("yaml"))["train"], "document")
    net = network(s)
    assert np.array_equal(
        net.params["conv1.kernel"], tensors["conv1.weight"].transpose(2, 3, 1, 0)
    ) and s.preprocess == Preprocess(crop=101)
    held = optimiser.frozen_names([*net.params, *net.statistics], s.freeze)
    assert {"conv1.kernel", "bn1.mean", "layer2.1.conv2.kernel"} <= held and not any(
        name.startswith(("layer3", "fc")) for name in held
    )


def test_the_table_of_presets_is_that_of_the_code():
    rows = {
        m[0]: int(m[1].replace(",", ""))
        for m in re.findall(r"^\| `(\w+)` \|.*?\| ([\d,]+) \|", TEXT, re.M)
    }
    assert set(rows) == set(config.presets()) - {"real"} and rows == PRESETS
