"""The benchmark of training measures what it says and keeps what it did not measure anew, where
that still holds."""

import json

import pytest

from benchmarks import training


def rows(question):
    training.main(question)
    return {r["model"]: r for r in json.loads(question.out.read_text())["training"]}


@pytest.mark.stress
def test_models_not_asked_for_keep_their_rows_on_the_same_commit_only(tmp_path, monkeypatch):
    out = tmp_path / "training.json"
    small = {
        "inputs": ("resident",),
        "precisions": ("float32",),
        "batches": (4,),
        "stamps": 24,
        "crop": 33,
        "steps": 1,
        "repeats": 1,
        "out": out,
    }
    first = rows(training.Question(models=("shielded_resnet",), **small))["shielded_resnet"]
    assert (
        first["images_per_second"] > 0
        and first["gflop_per_image"] > 0.01
        and 0 < first["utilisation"] < 1
    )
    monkeypatch.setattr(
        training,
        "case",
        lambda folder, model, *rest: {
            "model": model,
            "images_per_second": 1.0,
            "flops_per_second": 1.0,
        },
    )
    kept = rows(training.Question(models=("resnet18",), **small))
    assert kept["shielded_resnet"] == first and kept["resnet18"]["images_per_second"] == 1
    assert (
        rows(training.Question(models=("shielded_resnet",), **small))["shielded_resnet"][
            "images_per_second"
        ]
        == 1
    )
    monkeypatch.setattr(training.record, "commit", lambda: "another")
    assert set(rows(training.Question(models=("resnet18",), **small))) == {"resnet18"}
