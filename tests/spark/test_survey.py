"""The verb survey: every step in order, skipped when current, none half done, refusals listed."""

import csv
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest
import yaml
from small_survey import SIZE, tree, write_lenses, write_survey

from data import lenses, loader, manifest
from data.config import validated
from data.files import sha256
from data.skymap import SkyMaps
from lensjax.errors import InputError
from spark import crossmatch as crossmatching
from spark import survey
from spark.jobs import outputs
from spark.pool import NEAR
from spark.survey import STEPS, SurveySettings


def config(folder: Path, survey_folder: Path, **changes) -> str:
    """A configuration file for the small survey."""
    section = {
        "root": str(survey_folder),
        "given": ["given/*.npz"],
        "cutouts": {"size": SIZE},
        "sample": {"negatives_per_positive": 4},
    }
    section |= {"shards": {"records_per_shard": 20}}
    path = folder / "c.yaml"
    path.write_text(yaml.safe_dump({"survey": section | changes}))
    return str(path)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_survey(tmp_path_factory.mktemp("survey"))


@pytest.fixture(scope="module")
def whole(root, spark, tmp_path_factory):
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp("run")
    assert survey.command([config(folder, root), "--out", str(folder / "out")]) == 0
    return folder / "out"


def test_everything_a_run_directory_promises_is_there(whole, root):
    table = manifest.read(whole / "manifest.parquet").to_pandas()
    assert len(table) == 12 + 48 and table["label"].sum() == 12 and table["quality_ok"].all()
    for name in ("pool", "crossmatch", "unmatched", "sample"):
        assert (whole / "counts" / f"{name}.csv").stat().st_size > 0
    assert (whole / "quarantine.csv").read_text() == "stage,path,row,reason\n"
    galaxies = SkyMaps.load(whole)["galaxies"]
    pool = pd.concat([pd.read_parquet(path) for path in outputs(whole / "pool")])
    assert galaxies.at(pool["ra"], pool["dec"]).min() >= 1
    known, _ = lenses.read(whole / lenses.OF_A_RUN)
    listed, _ = lenses.read(root / "lenses.csv")
    for field in ("name", "ra", "dec", "grading"):
        assert getattr(known, field).tolist() == getattr(listed, field).tolist()
    loaded = {
        name: loader.load_split(whole / "shards", name)
        for name in manifest.SPLITS
        if (table["split"] == name).any()
    }
    assert (
        sorted(g for part in loaded.values() for g in part["galaxy_id"].astype(str))
        == table["galaxy_id"].tolist()
    )
    by_name = table.set_index("galaxy_id")
    for name, part in loaded.items():
        assert (by_name.loc[part["galaxy_id"].astype(str), "split"] == name).all()
        assert (
            by_name.loc[part["galaxy_id"].astype(str), "label"].to_numpy() == part["label"]
        ).all()


def test_a_second_run_does_nothing_and_force_gives_the_same_bytes(whole, root, capsys, tmp_path):
    before = tree(whole)
    call = [config(tmp_path, root), "--out", str(whole)]
    assert survey.command(call) == 0 and capsys.readouterr().out == "survey: up to date\n"
    assert survey.command([*call, "--force", "--steps", "manifest"]) == 0
    assert "manifest: rows 60" in capsys.readouterr().out
    assert tree(whole) == before


def test_interrupted_in_each_step_it_ends_byte_identical(whole, root, tmp_path, monkeypatch):
    call = [config(tmp_path, root), "--out", str(tmp_path / "out")]
    for function in (
        "negative_pool",
        "crossmatch",
        "sample",
        "make_cutouts",
        "validate",
        "write_manifest",
        "write_shards",
    ):
        with monkeypatch.context() as patch:
            original = getattr(survey, function)

            def interrupted(*args, original=original, **options):
                original(*args, **options)
                raise KeyboardInterrupt

            patch.setattr(survey, function, interrupted)
            with pytest.raises(KeyboardInterrupt):
                survey.command(call)
    (tmp_path / "out" / "shards").rename(tmp_path / "lost")
    assert survey.command(call) == 0
    assert tree(tmp_path / "out") == tree(whole)


def test_steps_run_one_by_one_and_name_what_they_miss(whole, root, tmp_path, capsys):
    call = [config(tmp_path, root), "--out", str(tmp_path / "out"), "--steps"]
    with pytest.raises(
        InputError,
        match=r"step 'pool' of the survey has not finished; run `lensjax survey --steps pool sam",
    ):
        survey.command([*call, "sample"])
    assert survey.command([*call, "pool", "crossmatch"]) == 0
    assert (
        not (tmp_path / "out" / "sample").exists()
        and not (tmp_path / "out" / "records" / "survey.json").exists()
    )
    assert survey.command([*call, "pool", "sample"]) == 0
    printed = capsys.readouterr().out
    assert "  pool: up to date" in printed and "sampled 48" in printed
    assert sha256(tmp_path / "out" / "sample" / "sample.parquet") == sha256(
        whole / "sample" / "sample.parquet"
    )


def test_a_changed_setting_redoes_only_what_depends_on_it(whole, root, tmp_path, capsys):
    shutil.copytree(whole, tmp_path / "out")
    assert (
        survey.command(
            [
                config(tmp_path, root, shards={"records_per_shard": 7}),
                "--out",
                str(tmp_path / "out"),
            ]
        )
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in lines if "up to date" in line] == [
        f"{name}: up to date" for name in STEPS[:-1]
    ]


@pytest.mark.usefixtures("java")
def test_test_limit_reads_that_many_files(root, tmp_path, capsys):
    limited = config(tmp_path, root, given=[], steps=["pool"])
    assert survey.command([limited, "--out", str(tmp_path / "out"), "--test-limit", "1"]) == 0
    assert "1 catalogue files" in capsys.readouterr().out
    assert [p.name for p in (tmp_path / "out" / "pool").glob("*.parquet")] == ["sweep-a.parquet"]


@pytest.mark.usefixtures("java")
def test_bad_files_stop_or_are_quarantined(root, tmp_path):
    bad = tmp_path / "survey"
    shutil.copytree(root, bad)
    (bad / "sweep" / "sweep-c.fits").write_text("<html>not found</html>")
    (bad / "given" / "broken.npz").write_bytes(b"PK")
    with open(bad / "lenses.csv", "a") as handle:
        handle.write("DESI-nowhere,,,-,galaxy,probable,x\n")
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"lenses.csv, line \d+: RA ''"):
        survey.command([config(tmp_path, bad), "--out", str(out)])
    assert (
        survey.command(
            [
                config(tmp_path, bad, on_bad_file="quarantine", steps=["pool", "crossmatch"]),
                "--out",
                str(out),
            ]
        )
        == 0
    )
    rows = list(csv.DictReader(open(out / "quarantine.csv")))
    assert [(r["stage"], r["path"]) for r in rows] == [
        ("pool", "sweep/sweep-c.fits"),
        ("crossmatch", "lenses.csv"),
        ("crossmatch", "sweep/sweep-c.fits"),
        ("crossmatch", "given/broken.npz"),
    ]
    assert rows[1]["row"] == "19" and not any(str(tmp_path) in r["reason"] for r in rows)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"root": "/no/such/survey"}, "/no/such/survey: no such folder; set survey.root"),
        (
            {"sweeps": ["tractor/*.fits"]},
            r"tractor/\*.fits: no file matches; correct survey.sweeps",
        ),
        ({"lenses": "l.csv"}, "l.csv: no such lens list; set survey.lenses"),
        ({"root": "LENSJAX_DATA"}, "environment variable is not set: export LENSJAX_DATA="),
        ({"root": "${LENSJAX_DATA}"}, "environment variable is not set"),
        ({"root": ""}, "run `lensjax simulate --out"),
    ],
)
def test_what_is_not_there_is_named(root, tmp_path, monkeypatch, changes, message):
    monkeypatch.delenv("LENSJAX_DATA", raising=False)
    with pytest.raises(InputError, match=message):
        survey.command([config(tmp_path, root, **changes), "--out", str(tmp_path / "out")])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "unknown key 'colour'"),
        ({"pool": {"nobs_min": -1}}, "pool.nobs_min: .*greater than or equal to 0"),
        ({"pool": {"radius": 3}}, "pool.radius"),
        ({"pool": {"dec_min": 40.0, "dec_max": 32.0}}, "dec_min must be below dec_max"),
        ({"sample": {"n2_fraction": 1.5}}, "sample.n2_fraction"),
        ({"sample": {"scheme": "80/20"}}, "sample.scheme"),
        ({"steps": ["pool", "stars"]}, "steps.1"),
        ({"on_bad_file": "ignore"}, "on_bad_file"),
    ],
)
def test_settings_are_validated(changes, message):
    with pytest.raises(InputError, match=message):
        validated(SurveySettings, changes, "config.yaml, section survey")


@pytest.mark.usefixtures("java")
def test_a_lens_list_without_positions_is_refused(root, tmp_path):
    shutil.copytree(root / "sweep", tmp_path / "survey" / "sweep")
    (tmp_path / "survey" / "lenses.csv").write_text("name,grading\nDESI-1,probable\n")
    with pytest.raises(InputError, match="lenses.csv: no column RA or DEC"):
        survey.command(
            [config(tmp_path, tmp_path / "survey", given=[]), "--out", str(tmp_path / "out")]
        )
    write_lenses(tmp_path / "survey" / "lenses.csv", [("DESI-1", 1.0, 80.0, "probable")])
    with pytest.raises(InputError, match="no lens of the list matched"):
        survey.command(
            [config(tmp_path, tmp_path / "survey", given=[]), "--out", str(tmp_path / "out2")]
        )


@pytest.mark.usefixtures("java")
def test_the_preset_real_ends_with_shards(survey_data, tmp_path, monkeypatch):
    """Five lens candidates and the hosts come through; three catalogues are refused with the
    missing columns named."""
    monkeypatch.setenv("LENSJAX_DATA", str(survey_data))
    assert survey.command(["real", "--out", str(tmp_path)]) == 0
    table = manifest.read(tmp_path / "manifest.parquet").to_pandas()
    lenses = table[table["label"] == 1]
    assert sorted(lenses["galaxy_id"]) == [
        "0001m040_4091",
        "0001m060_2396",
        "0001m372_9677",
        "0006p270_2574",
        "3598m030_3212",
    ]
    assert (
        lenses["quality_ok"].all()
        and (lenses["tier"] == "B").all()
        and (table["cutout_type"] == "host").sum() == 38 + 4
    )
    rows = list(csv.DictReader(open(tmp_path / "quarantine.csv")))
    refused = {r["path"]: r["reason"] for r in rows if r["stage"] == "pool"}
    assert len(refused) == 3 and all("MASKBITS" in reason for reason in refused.values())
    assert len(loader.load_split(tmp_path / "shards", "test")["label"]) == 5


def test_the_command_prints_one_line_for_a_user_error(tmp_path):
    call = [
        sys.executable,
        "-m",
        "lensjax.cli",
        "survey",
        config(tmp_path, tmp_path),
        "--out",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(call, capture_output=True, text=True, timeout=60)
    assert (
        done.returncode == 2 and done.stderr.count("\n") == 1 and "no file matches" in done.stderr
    )


def test_the_matches_take_what_a_pool_noted_while_it_is_up_to_date(root, tmp_path, monkeypatch):
    read: list[object] = []
    real = crossmatching.near_lenses
    monkeypatch.setattr(
        crossmatching, "near_lenses", lambda path, *more: read.append(path) or real(path, *more)
    )
    monkeypatch.setattr(survey, "session", lambda *a, **k: nullcontext())
    asked = [config(tmp_path, root), "--out", str(tmp_path / "out"), "--steps"]
    assert survey.command([*asked, "pool", "crossmatch"]) == 0
    assert survey.command([*asked, "crossmatch", "--crossmatch.radius", "2"]) == 0
    assert read == []
    assert survey.command([*asked, "crossmatch", "--crossmatch.horizon", "90"]) == 0
    assert len(read) == 2
    assert survey.command([*asked, "pool", "crossmatch", "--crossmatch.horizon", "90"]) == 0
    shutil.rmtree(tmp_path / "out" / "pool" / NEAR)
    assert survey.command([*asked, "pool", "crossmatch", "--crossmatch.radius", "2"]) == 0
    assert len(read) == 2
