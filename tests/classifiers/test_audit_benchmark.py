"""The benchmark of the audit: its floor is the published one, its peer sees the same scenes, and it
measures what it says."""

import json

import numpy as np
import pytest

from benchmarks import audit, audit_floor, audit_peer
from classifiers import frozen


@pytest.fixture(scope="module")
def network():
    return frozen.untrained("resnet18", crop=33)


def test_operations_and_parameters_of_resnet18_are_the_published_ones(network):
    """torchvision counts 1,814,073,344 products at 224 pixels, 512,000 of them in a last layer of
    1,000 classes; the last layer of one class is left out here."""
    needs = audit_floor.network_needs(network, 224, 48)
    assert needs["operations"] == 2 * (1_814_073_344 - 512_000)
    assert needs["parameters"] == 11_177_025


@pytest.mark.slow
def test_it_measures_everything_but_derivatives_on_small_stamps(network, tmp_path, monkeypatch):
    """The peer is called in this process, and makes the same stamps as the audit."""
    written = []

    def stamps(scenes, processes):
        for scene in scenes:
            audit_peer.stamp(scene)
            with np.load(scene["path"]) as archive:
                written.append(archive["cutout"] - scene["host"])
        return 100.0

    monkeypatch.setattr(audit_peer, "stamps", stamps)
    monkeypatch.setattr(audit.frozen, "untrained", lambda *words, **more: network)
    q = audit.Question(
        injections=(11, 22),
        batch=4,
        hosts=5,
        rounds=1,
        slope_batches=0,
        degraded=False,
        peer=6,
        crop=33,
        out=tmp_path / "audit.json",
    )
    audit.main(q)
    found = json.loads(q.out.read_text())

    # lenstronomy bins to pixels before it blurs, which is 1 to 2 % of an arc's peak.
    assert 0 < found["peer"]["median_worst_pixel_of_peak"] < 0.03
    assert len(written) == 6 and all(arc.max() > 0 for arc in written)
    assert [word.split()[0] for word in found["peer"]["left_out"]] == ["torch"]

    assert [e["injections"] for e in found["end_to_end"]] == [11, 22]
    stages = found["stage_s_per_injection"]
    assert stages.keys() == audit_floor.STAGES.keys() - {"degrade"} and min(stages.values()) > 0
    said, rate = found["answers"], found["end_to_end"][-1]["per_s"]
    assert said["rate_over_floor"] == pytest.approx(rate / said["floor_per_s"])
    compiling = sum(found["compile_s"].values()) / 60
    assert said["whole_audit_minutes"]["matched"] == pytest.approx(
        385 * 200 / rate / 60 + compiling
    )
    assert 0 < said["share_before_network"] < 1


def test_a_missed_target_names_the_stage_to_blame():
    found = {
        "floor": dict.fromkeys(
            ("network_operations", "ray_operations", "network_bytes", "stamp_bytes"), 1e9
        )
        | {"network_parameters": 1},
        "machine": {"operations_per_s": 1e12, "bytes_per_s": 1e12},
        "stage_s_per_injection": dict.fromkeys(audit_floor.STAGES, 1e-3)
        | {"render": 0.02, "degrade": 0.03},
        "end_to_end": [
            {
                "mode": mode,
                "injections": 9,
                "hosts_scored": 1,
                "per_s": n,
                "cores": 1.0,
                "load": 1.0,
            }
            for mode, n in (("matched", 200.0), ("degraded", 40.0))
        ],
        "compile_s": {"render": 60.0},
        "derivatives": {"ratio": 3.0},
        "peer": {"left_out": []},
    }
    found["answers"] = audit_floor.answers(found)
    lines = {line.split("|")[1].strip(): line for line in audit_floor.table(found) if "|" in line}
    assert lines["385 x 200 injections, matched, minutes"].endswith("| yes |")
    assert "no; slowest: degrade" in lines["385 x 200 injections, degraded, minutes"]
    assert "no; slowest: render" in lines["render, PSF and preprocessing of all stages"]
    assert lines["all derivatives over the forward pass"].endswith("| yes |")
    assert found["answers"]["whole_audit_minutes"]["degraded"] == pytest.approx(
        77_000 / 40 / 60 + 1
    )
