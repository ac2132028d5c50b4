"""`lensjax audit --cutouts`: what it asks for, what it notices, and what it plans."""

import re
import shlex

import numpy as np
import pytest
import yaml
from astropy.io import fits
from astropy.table import Table
from own_cutouts import FINDER, KEYS, KNOWN, SIDE, folder

from classifiers import chain
from classifiers.audit.own.arguments import again
from classifiers.audit.own.missing import Missing, in_words
from data.survey import load
from lensjax.cli import main


@pytest.fixture
def ask(tmp_path, monkeypatch, capsys):
    """Calls the command in a folder of its own; returns exit code and what it printed, without
    line breaks."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_finder.py").write_text(FINDER)

    def asked(*words, finder=f"own_finder.py:score {KEYS}", table="table.csv"):
        said = ["--finder", finder] if finder else []
        said += ["--table", table] if table else []
        code = main(["audit", *said, "--cutouts", "cutouts", *words])
        return code, " ".join(capsys.readouterr().out.split())

    return asked


def names(text: str) -> list[str]:
    """What is missing, by the list that was printed."""
    return re.findall(r" \d+\. ([a-zA-Z ]+): ", text)


def test_everything_that_is_missing_is_listed_at_once_with_the_way_to_say_it(ask, tmp_path):
    folder(tmp_path).drop(columns=["label", "psfsize_r"]).to_csv("table.csv", index=False)
    code, text = ask(finder="own_finder.py:score")
    assert code == 2 and not (tmp_path / "runs").exists()
    assert names(text) == [
        *("bands", "pixel scale", "zero point", "PSF size", "labels", "scores or logits", "axes"),
        *("channels of the finder", "direction of the score", "training"),
    ]
    options = set(re.findall(r"(?<!\w)--[a-z-]+", text))
    assert options >= {"--bands", "--pixel-scale", "--zero-point", "--psf-fwhm", "--no-labels"}
    # The command that it proposes goes on when its gaps are filled in.
    line = text.split("is for you to fill in: ")[1].replace("\\ ", "")
    for gap, answer in {
        "<score|logit>": "score",
        "<nhwc|nchw>": "nhwc",
        "<g,r,z>": "g,r,z",
        "<high|low>": "high",
        "<BAND1,BAND2,BAND3>": "g,r,z",
        "<ARCSEC>": "0.3",
        "<MAGNITUDE>": "22.5",
        "<FWHM_BAND>": "1.2 1.1 1.0",
        "<none|train|TABLE>": "none",
    }.items():
        assert line.count(gap) == 1, gap
        line = line.replace(gap, answer)
    assert main([*shlex.split(line)[1:], "--dry-run"]) == 0


def test_nothing_at_all_is_said(ask, tmp_path, capsys):
    code, text = ask(finder="", table="")
    assert code == 2 and "cutouts is no folder" in text
    folder(tmp_path).to_csv(tmp_path / "cutouts" / "mine.csv")
    code, text = ask(finder="", table="")
    assert code == 2 and names(text)[0] == "table" and "mine.csv" in text
    assert main(["audit", "--table", "mine.csv"]) == 2
    assert "nothing says where the cutouts are" in capsys.readouterr().out
    assert "no module nowhere" in ask(*KNOWN, finder="nowhere:score", table="mine.csv")[1]


def test_a_plan_says_what_was_understood_and_leaves_nothing(ask, tmp_path):
    folder(tmp_path, ra=10.0, dec=np.arange(40), ebv=0.1).to_csv("table.csv", index=False)
    code, text = ask(*KNOWN, "--dry-run")
    assert code == 0 and not (tmp_path / "runs").exists()
    for words in (
        "40 in cutouts, by the table; 40 were looked at, and are of 48 x 48 pixels",
        "g, r, z (--bands); r is the reference band",
        "8 lenses, 32 others, 0 without a label",
        '40 of 40 in the table, median FWHM 1.20"',
        "40 measured on the cutouts' own sky",
        "E(B-V) known for 40 of 40",
        "ROC AUC of 1.00",
        "survey -> evaluate -> audit -> report, in runs/own",
    ):
        assert words in text, words


@pytest.mark.parametrize("ending", ["parquet", "ecsv", "fits"])
def test_tables_of_other_kinds_and_names_are_read_where_they_lie(ask, tmp_path, ending):
    table = folder(tmp_path).rename(columns={"id": "objid", "label": "is_lens"})
    path = tmp_path / f"table.{ending}"
    if ending == "parquet":
        table.to_parquet(path)
    else:
        Table.from_pandas(table).write(path, format={"ecsv": "ascii.ecsv"}.get(ending, ending))
    code, text = ask(*KNOWN, "--dry-run", table=path.name)
    assert code == 2 and "Perhaps it is objid" in text and "Perhaps it is is_lens" in text
    renamed = ("--columns", "id=objid", "label=is_lens")
    assert ask(*KNOWN, *renamed, "--dry-run", table=path.name)[0] == 0


def test_what_the_files_say_need_not_be_said_and_must_not_be_contradicted(ask, tmp_path):
    table = folder(tmp_path)
    header = fits.Header(
        {"CDELT1": -0.25 / 3600, "CDELT2": 0.25 / 3600, "BUNIT": "nJy", "BANDS": "zrg"}
    )
    for name in table["id"]:
        with np.load(tmp_path / "cutouts" / f"{name}.npz") as found:
            image = np.moveaxis(found["image"], -1, 0)
        path = tmp_path / "cutouts" / f"{name}.fits"
        fits.PrimaryHDU(image[::-1] * 3631, header).writeto(path)
        (tmp_path / "cutouts" / f"{name}.npz").unlink()
    table.to_csv("table.csv", index=False)
    keys = "own_finder.py:score output=score layout=nhwc"
    said = ("--trained-on", "none", "--dry-run")
    code, text = ask(*said, finder=f"{keys} bands=z,r,g preprocess=none")
    assert code == 0, text
    assert "z, r, g (said by g0.fits)" in text and '0.25" (said by g0.fits)' in text
    assert "31.4 (said by g0.fits)" in text and "galaxies then have magnitude 18." in text
    code, text = ask(*said, "--bands", "g,r,z", finder=f"{keys} bands=g,r,z preprocess=none")
    assert code == 0 and "g, r, z (--bands)" in text and "ROC AUC of 1.00" in text
    wrong = ("--pixel-scale", "0.4")
    code, text = ask(*said, *wrong, finder=f"{keys} bands=z,r,g preprocess=none")
    assert code == 2 and names(text) == ["pixels"] and "pixel scale 0.25, expected 0.4" in text
    code, text = ask(*said, "--zero-point", "27", finder=f"{keys} bands=z,r,g preprocess=none")
    assert code == 2 and "zero point 31.4, expected 27" in text


def test_files_of_one_band_each_say_the_bands_by_their_names(ask, tmp_path):
    table = folder(tmp_path)
    for name in table["id"]:
        path = tmp_path / "cutouts" / f"{name}.npz"
        image = np.load(path)["image"]
        path.unlink()
        for i, band in enumerate("grz"):
            fits.PrimaryHDU(image[..., i]).writeto(path.with_name(f"{name}_{band}.fits"))
    table.to_csv("table.csv", index=False)
    code, text = ask(*KNOWN[2:], "--dry-run")
    assert code == 0 and "g, r, z (said by g0_g.fits)" in text and "ROC AUC of 1.00" in text
    code, text = ask(*KNOWN[2:], "--bands", "z,r", "--dry-run", finder="own_finder.py:score")
    assert "the cutouts come as z,r" in text


def test_a_known_survey_says_bands_pixels_and_unit(ask, tmp_path):
    folder(tmp_path).to_csv("table.csv", index=False)
    said = ("--survey", "ls_dr10", "--trained-on", "none", "--dry-run")
    code, text = ask(*said)
    assert code == 0 and "g, r, z (of ls_dr10)" in text and '0.262" (of ls_dr10)' in text
    code, text = ask("--survey", "lsst", *said[2:])
    assert code == 2 and "has 3 channels, and u, g, r, i, z, y are 6 bands" in text
    code, text = ask("--survey", "lsst", "--bands", "g,r,z", *said[2:])
    assert names(text) == ["units of the finder"] and "zero point 31.4" in text
    assert "did you mean 'lsst'" in ask("--survey", "lsts", *said[2:])[1]


def test_a_finder_that_scores_lenses_low_is_noticed_and_can_be_turned_round(ask, tmp_path):
    folder(tmp_path).to_csv("table.csv", index=False)
    finder = f"own_finder.py:no_lens {KEYS}"
    code, text = ask(*KNOWN, "--dry-run", finder=finder)
    assert code == 2 and names(text) == ["direction of the score"] and "lens=low" in text
    code, text = ask(*KNOWN, "--dry-run", finder=f"{finder} lens=low")
    assert code == 0 and "ROC AUC of 1.00" in text
    code, text = ask(*KNOWN, "--dry-run", finder=f"{finder} lens=high")
    assert code == 0 and "ROC AUC of 0.00" in text


def test_a_finder_that_wants_the_other_order_of_axes_is_told_so(ask, tmp_path):
    folder(tmp_path).to_csv("table.csv", index=False)
    finder = "own_finder.py:score output=score layout=nchw bands=g,r,z"
    code, text = ask(*KNOWN, "--dry-run", finder=finder)
    assert code == 2 and "channels come last" in text and "layout=nhwc: with this order" in text


def test_another_order_of_axes_is_no_cure_for_nan_and_a_crash_is_shown_where_it_is(ask, tmp_path):
    folder(tmp_path).to_csv("table.csv", index=False)
    code, text = ask(*KNOWN, "--dry-run", finder=f"own_finder.py:first_channel {KEYS}")
    assert code == 2 and "NaN for" in text and "with this order" not in text
    line = FINDER.splitlines().index('    return {}["weights"]') + 1
    code, text = ask(*KNOWN, "--dry-run", finder=f"own_finder.py:forgetful {KEYS}")
    assert code == 2 and f"raised KeyError: 'weights' (own_finder.py, line {line})" in text


def test_columns_that_sound_right_are_in_the_proposed_command(ask, tmp_path):
    table = folder(tmp_path).rename(columns={"label": "is_lens", "psfsize_r": "seeing"})
    table.to_csv("table.csv", index=False)
    code, text = ask(*KNOWN)
    assert code == 2 and {"PSF size", "labels"} <= set(names(text))
    assert "--columns psfsize_r=<seeing> label=<is_lens>" in text


def test_labels_in_words_and_rows_without_a_psf_are_named(ask, tmp_path):
    table = folder(tmp_path)
    table.assign(label=np.where(table["label"] == 1, "yes", "no")).to_csv("table.csv", index=False)
    code, text = ask(*KNOWN, "--dry-run")
    assert code == 2 and "labels: column label holds 'no' (32), 'yes' (8)" in text
    table.loc[[6, 9], "psfsize_r"] = np.nan
    table.to_csv("table.csv", index=False)
    code, text = ask(*KNOWN, "--dry-run")
    assert code == 2 and names(text) == ["PSF size"] and "The first is row 7 of the table" in text
    assert ask(*KNOWN, "--dry-run", "--psf-fwhm", "1.2", "1.1", "1.0")[0] == 0
    table.assign(psfsize_r=1200.0).to_csv("table.csv", index=False)
    code, text = ask(*KNOWN, "--dry-run")
    assert code == 2 and names(text) == ["PSF size"] and "may be in another unit" in text


def test_units_that_make_no_galaxy_are_noticed(ask, tmp_path):
    folder(tmp_path, unit=1e-6).to_csv("table.csv", index=False)
    code, text = ask(*KNOWN, "--dry-run")
    assert code == 2 and names(text) == ["zero point"] and "which is none of a galaxy" in text
    assert text.count("--zero-point <MAGNITUDE>") == 1 and text.count("--zero-point") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--no-labels",), "labels"),
        (("--psf-fwhm", "1.2"), "PSF size"),
        (("--psf-files", "psf_{band}.fits"), "PSF size"),
        (("--trained-on", "train"), "training"),
        (("--trained-on", "absent.csv"), "training"),
        (("--columns", "ra=right"), "column"),
        (("--columns", "ra"), "table"),
        (("--bands", "g,r"), "bands"),
        (("--bands", "g,r,q"), "bands"),
        (("--reference", "i"), "bands"),
        (("--files", "{id}.fits"), "files"),
        (("--array", "picture"), "files"),
    ],
)
def test_what_cannot_be_is_named(ask, tmp_path, words, said):
    folder(tmp_path).to_csv("table.csv", index=False)
    code, text = ask(*KNOWN, "--dry-run", *words)
    assert code == 2 and said in names(text), text


def test_rows_and_cutouts_that_cannot_be_used_are_said(ask, tmp_path):
    table = folder(tmp_path)
    np.savez(tmp_path / "cutouts" / "g0.npz", image=np.ones((SIDE, SIDE + 1, 3), "f4"))
    table["label"] = table["label"].astype(object)
    table.loc[3, "label"] = "yes"
    table.to_csv("table.csv", index=False)
    (tmp_path / "cutouts" / "g7.npz").unlink()
    code, text = ask(*KNOWN, "--dry-run")
    assert code == 0 and "2 rows of the table (row 4: label 'yes'" in text
    assert "1 of 38 cutouts looked at cannot be used" in text
    for path in (tmp_path / "cutouts").iterdir():
        np.savez(path, image=np.ones((SIDE, SIDE + 1, 3), "f4"))
    code, text = ask(*KNOWN, "--dry-run")
    assert code == 2 and names(text) == ["shape"] and "not square" in text
    for words, kept in (("a table without rows", table[:0]), ("no files", table)):
        kept.to_csv("table.csv", index=False)
        for path in (tmp_path / "cutouts").iterdir():
            path.unlink()
        code, text = ask(*KNOWN, "--dry-run")
        assert code == 2 and {"objects", "files"} & set(names(text)), words


def test_the_run_is_the_composition_of_the_steps(ask, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(chain, "work", lambda words: calls.append(words) or 0)
    folder(tmp_path).to_csv("table.csv", index=False)
    assert ask(*KNOWN, "--out", "mine", "--force", "--set", "audit.seed=7")[0] == 0
    (words,) = calls
    assert words == ["mine/own.yaml", "--out", "mine", "--force", "--set", "audit.seed=7"]
    _, sections = chain.resolve(words[0], ["audit.seed=7"])
    assert list(sections) == ["survey", "evaluate", "audit", "report"]
    survey, audit = sections["survey"], sections["audit"]
    assert survey.root == str(tmp_path / "cutouts") and audit.trained_on == "none"
    assert survey.folder.table == str(tmp_path / "table.csv") and audit.seed == 7
    made = load(survey.definition)
    assert made.bands == ("g", "r", "z") and made.stamp == SIDE and made.pixel_scale == 0.3
    assert audit.finder == sections["evaluate"].finder and len(audit.theta_e) == 4
    written = (tmp_path / "mine" / "own.yaml").stat().st_mtime_ns
    assert ask(*KNOWN, "--out", "mine")[0] == 0
    assert (tmp_path / "mine" / "own.yaml").stat().st_mtime_ns == written
    assert ask(*KNOWN, "--out", "mine", "--full", "--lenses", "known.csv")[0] == 0
    _, sections = chain.resolve("mine/own.yaml", [])
    assert len(sections["audit"].theta_e) == 6 and sections["audit"].lens_lists == ("known.csv",)


def test_without_labels_nothing_is_evaluated(ask, tmp_path, monkeypatch):
    monkeypatch.setattr(chain, "work", lambda words: 0)
    folder(tmp_path).drop(columns="label").to_csv("table.csv", index=False)
    finder = f"own_finder.py:score {KEYS} lens=high"
    assert ask(*KNOWN, "--no-labels", finder=finder)[0] == 0
    assert yaml.safe_load(open("runs/own/own.yaml"))["run"]["steps"] == [
        "survey",
        "audit",
        "report",
    ]


def test_a_command_is_proposed_on_short_lines_with_every_flag_once():
    words = ["--cutouts", "a b", "--columns", "id=x", "--finder=f:g"]
    line = again(words, "f:g output=<score|logit>", ["--columns", "label=<y>", "--no-labels"])
    assert "--columns id=x label=<y>" in line and line.count("--columns") == 1
    assert '--finder "f:g output=<score|logit>"' in line and "'a b'" in line
    text = in_words([Missing("a", "b " * 200, "c")], line)
    assert max(map(len, text.splitlines())) <= 100 and "1 thing is missing" in text
