"""Finders of every kind: the same network gives the same scores, and wrong answers are refused."""

import sys

import numpy as np
import pytest
import yaml

from classifiers import finders, frozen, onnxfile
from classifiers.finders import description, scorefile
from classifiers.finders.outside import Outside
from data import survey
from lensjax.errors import InputError

SIZE = 32
SURVEY = survey.load("ls_dr10")
FUNCTIONS = """
import numpy as np

def brightness(stamps):
    assert stamps.dtype == np.float32 and stamps.flags.c_contiguous
    return 1 / (1 + np.exp(-np.nanmean(stamps, axis=(1, 2, 3))))

def column(stamps):
    return brightness(stamps)[:, None]

def first_axis(stamps):
    assert stamps.shape[1] == 3
    return np.nanmean(stamps[:, 0], axis=(1, 2))

def short(stamps):
    return brightness(stamps)[:-1]

def nan(stamps):
    return np.where(np.arange(len(stamps)) == 1, np.nan, 0.5)

def logits(stamps):
    return 5 + np.zeros(len(stamps))

def sorts(stamps):
    return np.sort(brightness(stamps))

def batch(stamps):
    return brightness(stamps - stamps[:1])

def fails(stamps):
    raise RuntimeError("out of\\n luck")

def text(stamps):
    return ["a"] * len(stamps)

def halves(stamps):
    return np.nan_to_num(stamps) / 2

value = 3
"""


@pytest.fixture(scope="module")
def network():
    return frozen.untrained(crop=SIZE)


@pytest.fixture(scope="module")
def stamps():
    made = np.random.default_rng(0).normal(size=(10, 40, 40, 3)).astype(np.float32)
    made[3, :4] = np.nan
    return made


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    """A folder with every kind of finder."""
    made = tmp_path_factory.mktemp("my finders, é")
    frozen.save(made / "flax", network)
    onnxfile.save(made / "network.onnx", network)
    (made / "my_functions.py").write_text(FUNCTIONS)
    (made / "my_network.py").write_text(
        "import numpy as np\nfrom pathlib import Path\nfrom classifiers import frozen\n"
        "network = frozen.load(Path(__file__).parent / 'flax')\n"
        "def score(x):\n    return 1 / (1 + np.exp(-np.float64(network.model(x))))\n"
    )
    described = {"preprocess": "raw_robust", "crop": SIZE, "finder": "my_network.py:score"}
    (made / "function.yaml").write_text(yaml.safe_dump(described))
    return made


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield folder
    for name in ("my_functions", "my_network"):
        sys.modules.pop(name, None)


def test_every_door_gives_the_same_scores(here, network, stamps, tmp_path):
    ids = [f"id_{i}" for i in range(len(stamps))]
    found = {
        spec: finders.scored(finders.load(spec, tmp_path), stamps, ids, batch=4)
        for spec in (str(here / "flax"), "flax", "network.onnx", str(here / "function.yaml"))
    }
    exchange = scorefile.Exchange(tmp_path / "post", SURVEY, "test")
    exchange.write("all", ids, stamps, {})
    with np.load(tmp_path / "post" / "stamps-all.npz") as sent:
        away = finders.scored(network, sent["stamps"])
        lines = [f"{i},{float(s)!r}" for i, s in zip(sent["id"], away.score)]
    (tmp_path / "post" / "scores.csv").write_text("\n".join(["id,score", *lines[::-1]]))
    found["scores"] = scorefile.read(exchange.answer(), ids)
    own = np.asarray(network.logits(stamps), np.float64)
    for scores in found.values():
        assert np.allclose(scores.logit, own, atol=2e-6)
        assert np.allclose(scores.score, 1 / (1 + np.exp(-own)), atol=1e-6)


def test_an_empty_line_is_the_runs_own_classifier(network, tmp_path):
    frozen.save(tmp_path / "training", network)
    found = finders.load("", tmp_path)
    assert isinstance(found, finders.Finder) and found.differentiable
    assert found.name == "shielded_resnet" and finders.files("", tmp_path) == []


def test_our_onnx_file_says_itself_what_it_is(here, tmp_path):
    found = finders.load("network.onnx", tmp_path)
    assert isinstance(found, finders.Finder) and not found.differentiable
    assert found.info["output"] == "logit" and found.info["layout"] == "nchw"
    with pytest.raises(InputError, match=r"leave out output=score; .* says itself what it is"):
        finders.load("network.onnx output=score", tmp_path)


def stranger(network, path):
    """The network's ONNX file without what we note in it: somebody else's."""
    import onnx

    model = onnx.load(path)
    del model.metadata_props[:]
    return model


def test_a_strangers_onnx_file_has_to_be_described(here, network, stamps, tmp_path):
    import onnx

    model = stranger(network, here / "network.onnx")
    onnx.save(model, tmp_path / "their.onnx")
    spec = f"{tmp_path}/their.onnx tensor=logits output=logit preprocess=raw_robust crop={SIZE}"
    found = finders.load(spec, tmp_path)
    assert np.allclose(found.logits(stamps), network.logits(stamps), atol=2e-6)
    for said, wrong in {
        r"has the outputs logits, features; say which one": spec.replace("tensor=logits", ""),
        r"has no output 'score'; it has logits, features": spec.replace(
            "tensor=logits", "tensor=score"
        ),
        r"does not say its output": spec.replace("output=logit", ""),
        r"does not say its preprocess": spec.replace("preprocess=raw_robust", ""),
        r"layout=nhwc contradicts its input of shape \(any, 3, 32, 32\)": spec + " layout=nhwc",
        r"takes 32 x 32 pixels, and stamps come with 101 x 101": spec.replace(f"crop={SIZE}", ""),
        r"crop: Input should be": spec.replace(f"crop={SIZE}", "crop=-3"),
        r"unknown key 'corp'": spec.replace("crop", "corp"),
    }.items():
        with pytest.raises(InputError, match=said):
            finders.load(wrong, tmp_path)


def test_an_onnx_file_of_one_image_at_a_time_or_of_any_shape(here, network, stamps, tmp_path):
    import onnx

    for batch in (1, 4):
        model = stranger(network, here / "network.onnx")
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
        onnx.save(model, tmp_path / "fixed.onnx")
        spec = f"{tmp_path}/fixed.onnx tensor=logits output=logit preprocess=raw_robust crop={SIZE}"
        found = finders.scored(finders.load(spec, tmp_path), stamps, batch=10)
        assert np.allclose(found.logit, network.logits(stamps), atol=2e-6)
    for dim in model.graph.input[0].type.tensor_type.shape.dim:
        dim.dim_param = "any"
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "channels"
    onnx.save(model, tmp_path / "any.onnx")
    spec = f"{tmp_path}/any.onnx tensor=logits output=logit preprocess=none crop={SIZE}"
    with pytest.raises(InputError, match="does not tell the order of axes; say layout=nchw"):
        finders.load(spec, tmp_path)
    assert finders.load(spec + " layout=nchw", tmp_path).info["layout"] == "nchw"


def test_a_file_that_is_no_onnx_is_refused(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"not onnx")
    for name, said in {"a.onnx": "not a readable ONNX file", "b.onnx": "no such file"}.items():
        with pytest.raises(InputError, match=said) as refused:
            finders.load(f"{tmp_path}/{name} output=logit preprocess=none", tmp_path)
        assert "\n" not in str(refused.value)


def test_without_onnxruntime_it_says_what_to_install(here, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"pip install 'lensjax\[onnx\]'"):
        finders.load("network.onnx", tmp_path)


@pytest.mark.parametrize("name", ["brightness", "column"])
def test_a_function_gets_stamps_as_they_are_and_answers_scores(here, stamps, tmp_path, name):
    found = finders.scored(finders.load(f"my_functions:{name}", tmp_path), stamps, batch=3)
    mean = np.nanmean(stamps, axis=(1, 2, 3))
    assert np.allclose(found.score, 1 / (1 + np.exp(-mean)), atol=1e-6)
    assert np.allclose(found.logit, mean, atol=1e-5)


def test_layout_crop_and_preprocessing_are_as_said(here, stamps, tmp_path):
    spec = "my_functions:first_axis output=logit layout=nchw crop=8 preprocess=my_functions:halves"
    found = finders.load(spec, tmp_path).logits(stamps)
    assert np.allclose(found, np.nan_to_num(stamps)[:, 16:24, 16:24, 0].mean((1, 2)) / 2)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("short", r"answers with shape \(9,\) for 10 stamps; return one number for each"),
        ("nan", r"NaN for id_1; pixels without data are NaN"),
        (
            "logits",
            r"5 is not a score from 0 to 1, for id_0, id_1, id_2 and 7 more; .*output=logit",
        ),
        ("sorts", r"other scores for the same stamps when their order is reversed"),
        ("batch", r"other scores for the same stamps when their order is reversed"),
        (
            "fails",
            r"raised RuntimeError: out of luck .my_functions.py, line 31.; on id_0, .* 7 more;",
        ),
        ("text", r"answers with list, which is no array of numbers"),
    ],
)
def test_answers_that_cannot_be_right_are_refused_in_one_line(here, stamps, tmp_path, name, said):
    found = finders.load(f"my_functions:{name}", tmp_path)
    with pytest.raises(InputError, match=said) as refused:
        finders.scored(found, stamps, [f"id_{i}" for i in range(10)])
    assert "\n" not in str(refused.value) and f"my_functions:{name}" in str(refused.value)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("my_functions:absent", "module my_functions has no absent"),
        ("no_such_module:score", "no module no_such_module; install it"),
        ("nowhere.py:score", "nowhere.py: no such file"),
        ("my_functions:value", "value is a int, not a function"),
        ("broken:score", "importing broken raised SyntaxError"),
        ("my_functions:brightness preprocess=robust", "preprocess=robust: neither one of raw_"),
        ("my_functions:brightness preprocess=a:b", "no module a"),
        ("my_functions:brightness output=probability", "output: Input should be"),
        ("nonsense", "finder 'nonsense': expected a folder"),
        ("some/where", "classifier.json: no such file"),
        ("no.yaml", "no.yaml: no such file"),
        ("flax output=logit", "a folder says itself what it is"),
        ("flax bands=g,z,r", "made for the bands g, z, r, and survey ls_dr10 has g, r, z"),
        ("my_functions:brightness bands=g,r", "made for the bands g, r, and"),
        ("my_functions:brightness pixel_scale=0.168", 'made for pixels of 0.168", and survey'),
    ],
)
def test_finders_that_are_not_there_or_do_not_fit_are_refused(here, tmp_path, spec, said):
    (here / "broken.py").write_text("def score(:\n")
    with pytest.raises(InputError, match=said) as refused:
        finders.load(spec, tmp_path)
    assert "\n" not in str(refused.value)


def test_a_classifier_of_another_number_of_bands_is_refused(here, tmp_path):
    survey.write(tmp_path / "survey.yaml", survey.load("hsc"))
    with pytest.raises(InputError, match="finder flax: takes 3 bands, and survey hsc has 5"):
        finders.load("flax", tmp_path)
    with pytest.raises(InputError, match=r"\(any, 3, 32, 32\), and the survey has 5 bands"):
        finders.load("network.onnx", tmp_path)


def test_a_folder_of_the_user_never_hides_an_installed_package(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("def dumps(x): return 'mine'")
    (tmp_path / "yaml").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    found = finders.load("json:dumps", tmp_path)
    assert found.info["source_sha256"]
    import json

    assert found._run is json.dumps


@pytest.mark.parametrize("name", ["mynet", "mynet.py"])
def test_finders_of_one_name_in_two_folders_are_two_finders(tmp_path, stamps, name):
    before = set(sys.modules), list(sys.path)
    for number in (1, 2):
        own = tmp_path / f"v{number}"
        own.mkdir()
        (own / "mynet.py").write_text(
            f"import my_helper\nimport numpy as np\nVERSION = {number}\ndef score(x):\n"
            "    import my_late_helper\n    found = VERSION, my_helper.SAYS, my_late_helper.SAYS\n"
            "    return np.full(len(x), sum(n * 10.0**-i for i, n in enumerate(found, 1)))\n"
        )
        for helper in ("my_helper", "my_late_helper"):
            (own / f"{helper}.py").write_text(f"SAYS = {number}\n")
        (own / "finder.yaml").write_text(f"finder: {name}:score\n")
    found = [finders.load(str(tmp_path / v / "finder.yaml"), tmp_path) for v in ("v1", "v2")]
    said = [finders.scored(f, stamps).score[0] for f in (*found, *found)]
    np.testing.assert_allclose(said, [0.111, 0.222] * 2, atol=1e-12)
    assert found[0].info["source_sha256"] != found[1].info["source_sha256"]
    assert (set(sys.modules), list(sys.path)) == before


def test_a_module_or_function_that_ends_the_program_is_refused(tmp_path, stamps):
    (tmp_path / "program.py").write_text("import sys\nsys.exit(3)\n")
    (tmp_path / "late.py").write_text("def score(x):\n    raise SystemExit(3)\n")
    with pytest.raises(InputError, match=r"importing .*program\.py calls sys\.exit; put what only"):
        finders.load(f"{tmp_path}/program.py:score", tmp_path)
    with pytest.raises(InputError, match="raised SystemExit"):
        finders.scored(finders.load(f"{tmp_path}/late.py:score", tmp_path), stamps)


def test_a_finder_that_works_in_place_changes_no_stamp(tmp_path, stamps):
    (tmp_path / "hasty.py").write_text("def score(x):\n    x[:] = 0.5\n    return x[:, 0, 0, 0]\n")
    mine = stamps.copy()
    finders.scored(finders.load(f"{tmp_path}/hasty.py:score", tmp_path), mine)
    np.testing.assert_array_equal(mine, stamps)


def test_a_step_depends_on_the_files_of_its_finder(here, tmp_path):
    assert finders.files("network.onnx", tmp_path) == [description.Path("network.onnx")]
    assert [p.name for p in finders.files("my_functions:nan", tmp_path)] == ["my_functions.py"]
    names = [p.name for p in finders.files(str(here / "function.yaml"), tmp_path)]
    assert names == ["function.yaml", "my_network.py"]
    assert finders.files("scores:post", tmp_path) == []


def test_a_score_on_a_threshold_stays_on_it():
    stamps = np.linspace(0.01, 0.99, 99).reshape(-1, 1, 1, 1)
    rounds = Outside("x", lambda x: np.round(x[:, 0, 0, 0].astype(float), 2), "score")
    found = finders.scored(rounds, stamps)
    assert found.score[29] == 0.3 and found.score.tolist() == [i / 100 for i in range(1, 100)]


@pytest.mark.parametrize("output", ["score", "logit"])
def test_a_finder_whose_lenses_score_low_is_turned_round(here, stamps, tmp_path, output):
    name = {"score": "brightness", "logit": "brightness output=logit"}[output]
    high, low = (
        finders.load(f"my_functions:{name}{end}", tmp_path) for end in (" lens=high", " lens=low")
    )
    one, other = finders.scored(high, stamps), finders.scored(low, stamps)
    np.testing.assert_allclose(other.score, 1 - one.score, atol=1e-12)
    assert low.info["lens"] == "low" and high.info == finders.load(f"my_functions:{name}", "").info


def test_blanks_in_names_of_files_and_options_after_them(tmp_path):
    what, _ = description.described("a b/my model, é.onnx output=logit bands=g,r")
    assert what.finder == "a b/my model, é.onnx" and what.bands == ("g", "r")
    odd = tmp_path / "model output=logit"
    odd.mkdir()
    assert description.described(str(odd))[0].finder == str(odd)
