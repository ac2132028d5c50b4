"""The benchmark of the audit: its floor is the published one, its peer sees the same scenes, and it
measures what it says."""

import json
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import audit, audit_card, audit_floor, audit_peer, card
from classifiers import frozen

LOOP = """\
  %a.1 = (s32[]) while(%t), condition=%c, body=%b, backend_config={"known_trip_count":{"n":"5"}}
"""


@pytest.fixture(scope="module")
def network():
    return frozen.untrained("resnet18", crop=33)


@pytest.fixture
def compiler(tmp_path):
    """A folder with a compiler for a card that checks shapes: 3 kernels, branches of 2 and 7."""
    folder = tmp_path / "gpu"
    folder.mkdir()
    (folder / "roofline.py").write_text(
        "def report(text, top):\n"
        "    print('a report')\n"
        "    branches = [[('a', 2, 0.1), ('b', 7, 0.1)]]\n"
        "    return {'kernels': 3, 'us': 1e3, 'bytes': 2e9, 'conds': branches}\n"
    )
    (folder / "aot.py").write_text(
        "import jax, roofline\n"
        "def compiled(name, function, *shapes):\n"
        "    made = jax.eval_shape(function, *shapes)\n"
        "    stamp = made['stamp'] if name == 'observe' else made\n"
        "    assert stamp.shape == (1024, 33, 33, 3), stamp\n"
        "    return roofline.report(LOOP, 9)\n"
        f"LOOP = {LOOP!r}\n"
    )
    return folder


def test_operations_and_parameters_of_resnet18_are_the_published_ones(network):
    """torchvision counts 1,814,073,344 products at 224 pixels, 512,000 of them in a last layer of
    1,000 classes; the last layer of one class is left out here."""
    needs = audit_floor.network_needs(network, 224, 48)
    assert needs["operations"] == 2 * (1_814_073_344 - 512_000)
    assert needs["parameters"] == 11_177_025


@pytest.mark.stress
def test_it_measures_everything_but_derivatives_on_small_stamps(
    network, compiler, tmp_path, monkeypatch
):
    """The peer is called in this process, and makes the same stamps as the audit. The compiler for
    a card is one that only follows the functions and counts the same for each of them."""
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
        gpu=str(compiler),
        out=tmp_path / "audit.json",
    )
    audit.main(q)
    found = json.loads(q.out.read_text())

    # lenstronomy bins to pixels before it blurs, which is 1 to 2 % of an arc's peak.
    assert 0 < found["peer"]["median_worst_pixel_of_peak"] < 0.03
    assert len(written) == 6 and all(arc.max() > 0 for arc in written)
    assert [word.split()[0] for word in found["peer"]["left_out"]] == ["torch"]
    assert found["card"]["programs"].keys() == {"observe", "render", "preprocess"}
    assert (found["card"]["kernels"], found["card"]["longest_loop"]) == (2 * (3 + 7), 5)

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
        "card": {
            "batch": 9,
            "programs": {
                name: {"kernels": n, "longest_loop": 8, "roofline_ms": 1.0}
                for name, n in (("observe", 50), ("render", 60), ("preprocess", 40))
            },
            "kernels": 90,
            "longest_loop": 8,
        },
    }
    found["answers"] = audit_floor.answers(found)
    lines = {line.split("|")[1].strip(): line for line in audit_floor.table(found) if "|" in line}
    assert lines["385 x 200 injections, matched, minutes"].endswith("| yes |")
    assert "no; slowest: degrade" in lines["385 x 200 injections, degraded, minutes"]
    assert "no; slowest: render" in lines["render, PSF and preprocessing of all stages"]
    assert lines["all derivatives over the forward pass"].endswith("| yes |")
    assert "no; slowest: observe" in lines["card: kernels around the network"]
    assert lines["card: steps of the longest loop"].endswith("| yes |")
    assert found["answers"]["whole_audit_minutes"]["degraded"] == pytest.approx(
        77_000 / 40 / 60 + 1
    )


def test_loops_of_a_program_for_a_card_are_counted_or_said_to_be_unknown():
    assert card.loops("%a = f32[] fusion(%b)") == []
    assert card.loops(LOOP + LOOP.replace('"5"', '"31"')) == [5, 31]
    with pytest.raises(ValueError, match="2 loops, of which 1"):
        card.loops(LOOP + LOOP.split(", backend_config")[0])


def test_a_program_for_a_card_is_counted_with_its_longest_branch(compiler, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    try:
        found = card.compiler(compiler)("render", jnp.sin, jnp.zeros((1024, 33, 33, 3)))
    finally:
        for name in ("aot", "roofline"):
            sys.modules.pop(name, None)
    assert found == {"kernels": 10, "longest_loop": 5, "roofline_ms": 1.0, "gigabytes": 2.0}


@pytest.mark.parametrize(("folder", "said"), [("", "--gpu"), ("nowhere", "nowhere")])
def test_a_card_that_cannot_be_counted_is_left_out_by_name(folder, said):
    found = audit_card.counted(folder, None, None, None)
    assert found.keys() == {"left_out"} and found["left_out"].startswith("card")
    assert said in found["left_out"]
