"""The recipes of CONTRIBUTING.md work as they stand there: each is applied to a copy of the
packages, and what it adds is used."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
HEAD = re.compile(r"# (?P<path>\S+) \((?P<how>new|end)\)\n")


def recipes() -> dict[str, list[tuple[str, str, str]]]:
    """Heading of each recipe -> (path, "new" or "end", text) of its blocks."""
    found = {}
    for part in TEXT.split("\n## Add ")[1:]:
        heading, _, rest = part.partition("\n## ")[0].partition("\n")
        blocks = re.findall(r"```\w+\n(.*?)```", rest, re.S)
        heads = [HEAD.match(block) for block in blocks]
        found[heading] = [
            (head["path"], head["how"], block[head.end() :]) for head, block in zip(heads, blocks)
        ]
    return found


RECIPES = recipes()


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A copy of the packages with every recipe applied."""
    folder = tmp_path_factory.mktemp("contributed")
    for room in ("lensjax", "data", "classifiers", "spark"):
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    for blocks in RECIPES.values():
        for path, how, text in blocks:
            target = folder / path
            assert target.exists() == (how == "end"), path
            target.write_text((target.read_text() if how == "end" else "") + text)
    return folder


def run(tree: Path, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_five_of_at_most_fifteen_lines_in_one_new_file_and_one_line():
    wanted = ("mass profile", "PSF", "survey", "finder", "axis")
    assert [heading.split(maxsplit=1)[1] for heading in RECIPES] == list(wanted)
    for blocks in RECIPES.values():
        length = {"new": [], "end": []}
        for _, how, text in blocks:
            length[how].append(len([line for line in text.splitlines() if line.strip()]))
        assert len(length["new"]) == 1 and length["new"][0] <= 15
        assert sum(length["end"]) <= 1


PHYSICS = """
import jax, jax.numpy as jnp, numpy as np
import lensjax as lj
from lensjax import mass
from lensjax.doublegaussian import DoubleGaussian

# The point mass: its deflection is the gradient of its potential, and it deflects theta_e to 0.
point = mass.PointMass(1.5)
ax, ay = point.deflection(1.5, 0.0)
np.testing.assert_allclose((ax, ay), (1.5, 0.0), rtol=1e-6, atol=1e-7)
slope = jax.grad(lambda x: point.potential(x, 0.4))(0.9)
np.testing.assert_allclose(slope, point.deflection(0.9, 0.4)[0], rtol=1e-5)

# A prior in YAML draws it, and a scene with it renders.
source = {"r_mag": {"uniform": [22, 23]}, "g_r": {"fixed": 0.0}, "r_z": {"fixed": 0.0},
          "beta": {"area": [0.1, 0.4]}, "beta_phi": {"uniform": [0, 6]}, "r_eff": {"fixed": 0.3},
          "n": {"fixed": 1.0}, "q": {"fixed": 0.8}, "phi": {"fixed": 0.0}}
lens = {"PointMass": {"theta_e": {"uniform": [1.0, 2.0]}}}
prior = lj.prior_from("mine", {"lens": lens, "source": {"Sersic": source}})
scenes = prior.sample(jax.random.key(0), 3)
grid, core, wings = lj.PixelGrid(41, 0.262), jnp.array([1.0, 1.1, 0.9]), jnp.array([3.0, 3.0, 2.5])
scene = jax.tree.map(lambda leaf: leaf[0], scenes)
image = lj.render(scene, grid, lj.Gaussian(fwhm=core))
assert image.shape == (41, 41, 3) and np.isfinite(image).all() and image.max() > 0

# The PSF: an image is linear in it.
both = lj.render(scene, grid, DoubleGaussian(core, wings))
parts = 0.9 * image + 0.1 * lj.render(scene, grid, lj.Gaussian(fwhm=wings))
np.testing.assert_allclose(both, parts, atol=1e-3 * float(image.max()))
"""


def test_the_mass_profile_and_the_psf_render_and_a_prior_draws_them(tree):
    run(tree, PHYSICS)


def test_the_survey_is_one_of_those_shipped_and_its_columns_follow(tree):
    code = (
        "from data.survey import load, names; from data.columns import columns\n"
        "s = load('my_survey'); assert 'my_survey' in names()\n"
        "found = [c.name for c in columns(s, 'manifest')]\n"
        "assert {'psfsize_g', 'psfsize_i'} <= set(found) and 'psfsize_r' not in found, found"
    )
    run(tree, code)


def test_the_finder_scores(tree):
    code = (
        "import numpy as np; from pathlib import Path; from classifiers import finders\n"
        "finder = finders.load('my_finder:score preprocess=none', Path('.'))\n"
        "stamps = np.zeros((2, 9, 9, 3), np.float32); stamps[1, 4, 4] = 5\n"
        "low, high = finders.scored(finder, stamps).score; assert 0 < low == 0.5 < high < 1"
    )
    run(tree, code)


def test_the_axes_span_the_grid_and_split_its_cells():
    pytest.importorskip("classifiers.audit.axes")
    from classifiers.audit.settings import AuditSettings
    from data.config import validated

    ((_, _, text),) = RECIPES["an axis"]
    settings = validated(AuditSettings, yaml.safe_load(text)["audit"], "my_audit.yaml")
    rng = np.random.default_rng(0)
    hosts = SimpleNamespace(columns={"ebv": rng.uniform(0, 0.2, 60)})
    psf, depth = rng.uniform(1, 2, 60), rng.uniform(23, 24, 60)
    plain = AuditSettings().axes(psf, depth, hosts)
    grid = settings.axes(psf, depth, hosts)
    assert grid.cells() == 3 * plain.cells()
    assert [axis.name for axis in grid.host] == [*(a.name for a in plain.host), "ebv"]
    assert {axis.name for axis in grid.measured} - {a.name for a in plain.measured} == {"arc_mag"}
