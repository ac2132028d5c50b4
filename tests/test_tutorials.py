"""docs/tutorials/render-and-gradients.md: its commands are right, and its cells lead to the figure.

The short form takes a fixed rule of integration and fewer pixels, and compiles quickly. As it
stands, from an empty folder and with an installation of its own, the page is a stress test.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import quick_compilation

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "tutorials" / "render-and-gradients.md").read_text()
CELLS = "\n".join(re.findall(r"```\{code-cell\} python\n(.*?)```", TEXT, re.S))
(SHELL,) = re.findall(r"```sh\n(.*?)```", TEXT, re.S)
COMMANDS = SHELL.replace("\\\n", " ").replace("&&", "\n").splitlines()
SHORT = {
    "lj.Gaussian(fwhm))\n": 'lj.Gaussian(fwhm), "4x4")\n',
    "lj.PixelGrid(41, 0.262)": "lj.PixelGrid(25, 0.4)",
}
"""What makes the cells quick."""
REPORT = """
assert disagreement < 0.02, disagreement
assert (snr > 20).all() and (abs(np.diff(magnification, axis=0)) > 1).all()
assert (free > alone).all() and (np.diff(free[:, 0]) > 0).all() and free[0, 0] < 0.1
"""
"""What the page says of its numbers: errors grow with the seeing, and with what is not known."""


def run(python: Path | str, code: str, folder: Path, **environment: str) -> None:
    done = subprocess.run(
        [str(python), "-c", code + REPORT],
        cwd=folder,
        env=os.environ | {"MPLBACKEND": "agg"} | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for name in re.findall(r'savefig\("(.*?)"', code):
        assert (folder / name).stat().st_size > 1000, name


def test_the_cells_lead_to_the_figure_in_their_short_form(tmp_path):
    code = CELLS
    for old, new in SHORT.items():
        assert code.count(old) == 1, old
        code = code.replace(old, new)
    flags = {"XLA_FLAGS": quick_compilation.FLAGS, "PYTHONPATH": str(ROOT)}
    run(sys.executable, code, tmp_path, **flags)


def test_the_installation_is_of_this_checkout_with_its_pins():
    words = [shlex.split(line) for line in COMMANDS]
    assert [w[0] for w in words] == ["mkdir", "cd", "python3", "env/bin/python"]
    *pip, pins, checkout, drawing, kernel = words[3][1:]
    assert pip == ["-m", "pip", "install", "--constraint"] and checkout == "../lensjax"
    assert (ROOT / pins.removeprefix("../lensjax/")).is_file()
    pinned = (ROOT / "constraints.txt").read_text()
    assert all(f"\n{name}==" in pinned for name in (drawing, kernel))
    imported = set(re.findall(r"^import (\w+)", CELLS, re.M))
    assert imported == {"jax", "matplotlib", "numpy", "lensjax"}


@pytest.mark.stress  # two minutes; needs the package index
def test_the_page_holds_from_an_empty_folder(tmp_path):
    (tmp_path / "lensjax").symlink_to(ROOT)
    here = tmp_path / "arcs"
    here.mkdir()
    for line in COMMANDS[2:]:
        words = [w.replace("python3", sys.executable) for w in shlex.split(line)]
        subprocess.run(words, cwd=here, check=True)
    run(here / "env" / "bin" / "python", CELLS, here, PYTHONPATH="")
