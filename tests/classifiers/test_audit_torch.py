"""A network of torchvision through every door of the audit: PyTorch itself behind a Python
function, its ONNX export, our Flax model with the same weights, and a score file.

Needs torch, torchvision and onnxscript (`pip install 'lensjax[torch]'`), and is skipped without.
"""

import shutil

import numpy as np
import pandas as pd
import pytest
from auditable import PIXELS, completeness, run_directory

from classifiers import finders, frozen, pretrained
from classifiers.audit import command
from data.preprocess import Preprocess, raw_robust
from lensjax.cli import main

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

FLAGS = (
    "--injections 8 --theta-e 1.0 1.5 --batch 16 --sufficient 4 --sensitivity-sample 0 "
    "--treatment-sample 0 --counterfactuals 0 --psf-edges 1.0 1.3 1.6 --trained-on train"
).split()
SEEN = f"preprocess=raw_robust crop={PIXELS.size}"

DOOR = """
import torch
from benchmarks.torch_peer import models

network = models().resnet18(num_classes=1)
saved = torch.load({weights!r})["model"]
network.load_state_dict({{name.removeprefix("module."): w for name, w in saved.items()}})
network.eval()

@torch.no_grad()
def logit(stamps):
    return network(torch.from_numpy(stamps))[:, 0]
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_directory(tmp_path_factory.mktemp("torch") / "run", 60)


@pytest.fixture(scope="module")
def network(run):
    """A resnet18 with the statistics of the run's stamps, half of whose logits are above 0."""
    from benchmarks.torch_peer import models

    torch.manual_seed(0)
    net = models().resnet18(num_classes=1).train()
    stamps = np.stack([np.load(p)["cutout"] for p in sorted((run / "cutouts").rglob("*.npz"))])
    seen = np.array(raw_robust(stamps, Preprocess(crop=PIXELS.size))).transpose(0, 3, 1, 2).copy()
    with torch.no_grad():
        for _ in range(30):
            net(torch.from_numpy(seen))
        net.eval()
        net.fc.weight *= 30
        net.fc.bias -= torch.median(net(torch.from_numpy(seen)))
    return net


def words(run, folder, finder):
    """Arguments of an audit of a finder in a copy of the run."""
    shutil.copytree(run, folder)
    return ["--out", str(folder), *FLAGS, "--finder", finder]


def test_pytorch_onnx_flax_and_a_score_file_give_the_same_tables(
    run, network, tmp_path, monkeypatch, capsys
):
    weights = tmp_path / "weights.pth"
    state = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save({"model": state}, weights)
    (tmp_path / "torch_door.py").write_text(DOOR.format(weights=str(weights)))
    monkeypatch.syspath_prepend(tmp_path)
    torch.onnx.export(
        network,
        (torch.zeros(2, 3, PIXELS.size, PIXELS.size),),
        tmp_path / "network.onnx",
        dynamo=True,
        dynamic_shapes={"x": {0: torch.export.Dim("batch")}},
        external_data=False,
    )
    settings = Preprocess(crop=PIXELS.size)
    frozen.save(tmp_path / "network", pretrained.imported(weights, "resnet18", {}, settings))

    doors = {
        "flax": str(tmp_path / "network"),
        "onnx": f"{tmp_path / 'network.onnx'} output=logit {SEEN}",
        "pytorch": f"torch_door:logit output=logit layout=nchw {SEEN}",
    }
    for door, finder in doors.items():
        assert command(words(run, tmp_path / door, finder)) == 0
    exchange = tmp_path / "exchange"
    ask = ["audit", *words(run, tmp_path / "file", f"scores:{exchange}")]
    assert main(ask) == 2
    capsys.readouterr()
    sent = pd.read_csv(exchange / "stamps.csv")
    theirs = finders.load(doors["pytorch"], run)
    for name in sorted(set(sent["file"])):
        with np.load(exchange / name) as part:
            sent.loc[sent["file"] == name, "logit"] = finders.scored(theirs, part["stamps"]).logit
    sent.rename(columns={"injection_id": "id"})[["id", "logit"]].to_csv(
        exchange / "scores.csv", index=False
    )
    assert main(ask) == 0

    tables, logits = {}, {}
    for door in (*doors, "file"):
        folder = tmp_path / door / "audit"
        tables[door] = completeness(folder)
        logits[door] = pd.read_parquet(folder / "injections.parquet")["logit"].to_numpy()
    found = (logits["flax"] > 0).mean()
    assert 0.1 < found < 0.9, "the network has to find some and miss some"
    for door in tables:
        np.testing.assert_allclose(logits[door], logits["flax"], atol=1e-3)
        assert tables[door] == tables["flax"], door
