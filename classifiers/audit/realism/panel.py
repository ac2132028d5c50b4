"""A blinded panel: can a person tell the injections from the lenses?

One local HTML page shows images of both in random order and takes answers by keyboard; the browser
saves them as a file. Which image is which stands in another file, so that the page cannot give it
away; `read` puts the two together.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from data.files import replacing, write_json
from data.survey import Survey
from lensjax.errors import InputError

PAGE, KEY = "panel.html", "panel_key.json"
ANSWERS = ("panel_answers.json", "panel_answers.csv")
WORDS = ("lens", "injection")
TEMPLATE = "panel.html"


def write(
    folder: Path,
    lenses: Float[np.ndarray, "n h w b"],
    injections: Float[np.ndarray, "m h w b"],
    names: tuple[Sequence[str], Sequence[str]],
    survey: Survey,
    number: int = 50,
    seed: int = 0,
    title: str = "Lens or injection?",
) -> bool:
    """Writes the page and its key with `number` images, half of them lenses, or as many pairs as
    there are; returns whether there were any. lenses, injections: stamps, nanomaggies. names: of
    both, for the key. seed: of choice and order."""
    import jinja2

    from classifiers.report.images import png

    rng = np.random.default_rng(seed)
    half = min(number // 2, len(lenses), len(injections))
    if not half:
        return False
    shown = []
    for word, stamps, ids in zip(WORDS, (lenses, injections), names):
        for i in rng.permutation(len(stamps))[:half]:
            shown.append((word, str(ids[i]), png(stamps[i], survey)))
    shown = [shown[i] for i in rng.permutation(len(shown))]
    images = [image for _, _, image in shown]
    panel = sha256("".join(images).encode()).hexdigest()[:16]
    text = (resources.files("classifiers.audit.realism") / TEMPLATE).read_text(encoding="utf-8")
    page = jinja2.Environment(autoescape=True).from_string(text)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / PAGE) as temporary:
        temporary.write_text(
            page.render(title=title, panel=panel, images=images, answers=ANSWERS[0]),
            encoding="utf-8",
        )
    truth = [{"image": i, "truth": w, "id": name} for i, (w, name, _) in enumerate(shown)]
    write_json(folder / KEY, {"panel": panel, "images": truth})
    return True


def given(answers: Path) -> list[Path]:
    """The files with answers that there are in a folder."""
    return [answers / name for name in ANSWERS if (answers / name).is_file()]


def read(folder: Path, answers: Path) -> dict[str, Any] | None:
    """What the panel said: k right of n answered with its Jeffreys 95 % interval, how many lenses
    and injections were answered, and the share of each called a lens. None without answers.

    folder: of the page and its key. answers: folder of panel_answers.json or .csv, as the browser
    saved them; another one, because the audit empties its own. Raises InputError when they cannot
    be read, are answers to another page, or name an image twice or one that the page does not
    have.
    """
    from classifiers.audit.realism import fraction

    paths = given(answers)
    if not paths or not (folder / KEY).is_file():
        return None
    path = paths[0]
    key = json.loads((folder / KEY).read_text(encoding="utf-8"))
    truth = {row["image"]: row["truth"] for row in key["images"]}
    panel, rows = _answers(path)
    if panel != key["panel"]:
        raise InputError(
            f"{path}: answers to another panel ({panel}, this one is {key['panel']}); remove the "
            "file, or look at this page again"
        )
    said: dict[int, str] = {}
    for row, (image, answer) in enumerate(rows):
        if image not in truth or answer not in WORDS or image in said:
            raise InputError(
                f"{path}: answer {row + 1} (image {image}, {answer!r}): give one of "
                f"{' or '.join(WORDS)} once for each image from 0 to {len(truth) - 1}"
            )
        said[image] = answer
    right = sum(truth[image] == answer for image, answer in said.items())
    called = {
        word: fraction(
            sum(a == WORDS[0] for i, a in said.items() if truth[i] == word),
            sum(truth[i] == word for i in said),
        )
        for word in WORDS
    }
    return {
        **fraction(right, len(said)),
        "lenses": called["lens"]["n"],
        "injections": called["injection"]["n"],
        "images": len(truth),
        "lenses_called_lens": called["lens"],
        "injections_called_lens": called["injection"],
    }


def _answers(path: Path) -> tuple[str, list[tuple[int, str]]]:
    """The panel that was answered, and (image, answer) in order."""
    try:
        if path.suffix == ".json":
            found = json.loads(path.read_text(encoding="utf-8"))
            rows = [(int(r["image"]), str(r["answer"])) for r in found["answers"]]
            return str(found["panel"]), rows
        with path.open(encoding="utf-8", newline="") as file:
            table = list(csv.DictReader(file))
        rows = [(int(r["image"]), r["answer"]) for r in table]
        return (table[0]["panel"] if table else ""), rows
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: not the answers of a panel ({type(error).__name__}); save them again with "
            "the buttons of panel.html"
        ) from None
