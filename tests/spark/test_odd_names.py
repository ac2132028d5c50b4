"""Names that people choose for folders and files give the same rows, with Spark and without."""

import csv
import shutil

import pyarrow.parquet as pq
import pytest
from small_survey import write_survey

from data import lenses
from data.names import as_text, is_safe
from data.selection import Selection
from data.survey import default
from lensjax.errors import InputError
from spark.crossmatch import CrossmatchSettings, crossmatch
from spark.inputs import SurveySettings, locate
from spark.jobs import outputs
from spark.pool import negative_pool, unique_names
from spark.sampling import SampleSettings, sample

NAMES = ("_hidden.fits", ".dot.fits", "a [1], é.fits", "b{x}*?.fits")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_survey(tmp_path_factory.mktemp("survey"), cutouts=False)


def rows(folder, files, out, spark) -> list[str]:
    listed, _ = lenses.read(folder / "lenses.csv")
    assert negative_pool(spark, out, folder, files, listed, Selection()) == []
    assert crossmatch(spark, out, folder, files, [], listed, CrossmatchSettings()) == []
    sample(spark, out, outputs(out / "pool"), SampleSettings(negatives_per_positive=4))
    return pq.read_table(out / "sample" / "sample.parquet").to_pylist()


def test_files_and_run_folders_of_any_name_give_the_same_rows(root, tmp_path, spark):
    folder = tmp_path / "_my [survey], ü"
    (folder / "sweep").mkdir(parents=True)
    shutil.copy(root / "lenses.csv", folder)
    for name, source in zip(NAMES[::2], ("a", "b"), strict=True):
        shutil.copy(root / "sweep" / f"sweep-{source}.fits", folder / "sweep" / name)
    files = [f"sweep/{name}" for name in NAMES[::2]]
    wanted = rows(root, ["sweep/sweep-a.fits", "sweep/sweep-b.fits"], tmp_path / "plain", None)
    assert rows(folder, files, tmp_path / "_run {1} [x] é", None) == wanted
    assert rows(folder, files, tmp_path / ".run [y], *", spark) == wanted


def test_a_name_of_a_file_is_that_file_and_a_pattern_finds_hidden_ones(tmp_path):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "lenses.csv").write_text("name,ra,dec\n")
    for name in NAMES:
        (tmp_path / "sweep" / name).touch()
    one = SurveySettings(root=str(tmp_path), sweeps=(f"sweep/{NAMES[2]}",))
    assert locate(tmp_path / "out", one).catalogues == [f"sweep/{NAMES[2]}"]
    every = SurveySettings(root=str(tmp_path), sweeps=("sweep/*.fits",))
    assert sorted(locate(tmp_path / "out", every).catalogues) == sorted(f"sweep/{n}" for n in NAMES)
    assert locate(tmp_path / "out", every).survey == default()
    with pytest.raises(InputError, match="survey.sweeps"):
        locate(tmp_path / "out", SurveySettings(root=str(tmp_path), sweeps=("/etc/*",)))


def test_names_of_outputs_are_safe_and_unique():
    found = unique_names([f"x/{name}" for name in NAMES] + ["y/a-[1]--é.fits", "y/é.fits"])
    assert all(map(is_safe, found)) and len(set(found)) == len(found)


def test_a_cell_is_text_and_one_line(tmp_path):
    cells = ['=cmd|"x"!A1', "+1", "-x", "@y", 'a,"b"\nc', "plain", -1.5]
    path = tmp_path / "q.csv"
    with open(path, "w", newline="") as handle:
        csv.writer(handle).writerow([as_text(cell) for cell in cells])
    back = next(csv.reader(open(path, newline="")))
    assert back == ['\'=cmd|"x"!A1', "'+1", "'-x", "'@y", 'a,"b" c', "plain", "-1.5"]
