"""The report in a browser: readable in light and dark, on a phone and on paper, by eye, by key and
by a screen reader."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
import readable
from browser import chromium

from classifiers.report import figures, maps, page
from classifiers.selection import plots

NUMBERS = [f"completeness_of_{name}" for name in "abcdefghijkl"]
WORDS = "insufficient: 4.8 false positives expected among 480 non-lenses, at least 10 needed"
rng = np.random.default_rng(0)


def picture() -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 99, (8, 8, 3), np.uint8)).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def drawings() -> list[tuple[str, str, str]]:
    cells = [
        {"a": a, "b": b, "completeness": (4 * i + j) / 40, "n": 9, "status": "sufficient"}
        for i, a in enumerate((1.0, 2.0, 3.0, 4.0))
        for j, b in enumerate((1.0, 2.0, 3.0, 4.0))
    ]
    cells[-1]["status"] = "insufficient"
    across, up = ({"name": n, "label": n, "unit": "arcsec"} for n in "ab")
    layout = plots.Panels(across, up, [], 0.5)
    bins = pd.DataFrame({"mean_score": [0.1, 0.8], "fraction_lenses": [0.0, 0.9]})
    return [
        ("Map", maps.heat_map(pd.DataFrame(cells), "map", "all hosts", layout), "Completeness."),
        ("Reliability", figures.reliability(bins), "Reliability in bins."),
    ]


def report(folder):
    """A page with a block of every kind, tables as wide and words as long as those of an audit."""
    wide = pd.DataFrame({"threshold": [0.5, 0.1], **{n: rng.random(2) for n in NUMBERS}})
    wide["status"] = [WORDS, "ok"]
    stamps = [page.Stamp([(picture(), "Host, score 0.1")] * 3, "source 24, score 0.1")] * 5
    blocks = [
        page.Words([WORDS] * 2, listed=True),
        page.Words([WORDS], note=True),
        page.Tiles([page.Tile("11.7 %", "found", "95 %: 10.5 to 13.1 %")] * 5),
        page.Figures(drawings()),
        page.Gallery("Lenses", stamps),
        page.Table("wide", "A wide table", wide),
        page.Table("folded", "A table behind a summary", wide, folded=True),
        page.Table("wider", "A table too wide for paper", wide.join(wide, rsuffix="_again")),
        page.Table("beside", "A table beside the page", wide, on_page=False),
        page.Details("Settings", '{"word": "' + 40 * "long " + '"}'),
    ]
    sections = [page.Section("verdict", "Verdict", blocks)]
    page.write(folder, ("What it misses (SIMULATED)", "344 lenses", True), sections, 30)
    return (folder / "index.html").as_uri()


@pytest.mark.slow
def test_the_page_is_readable_in_both_schemes_on_a_phone_and_on_paper_and_by_key(tmp_path):
    address = report(tmp_path / "report")
    with chromium(tmp_path) as browser:
        browser.open(address)
        browser.run("for (const e of document.querySelectorAll('details')) e.open = true")
        ink = "return [document.body, document.documentElement].map(e => getComputedStyle(e).color)"
        for scheme in ("light", "dark"):
            readable.media(browser, scheme)
            assert readable.faults(browser, readable.CONTRAST) == [], scheme
            assert readable.violations(browser) == [], scheme
        dark = browser.run(ink)
        assert readable.faults(browser, readable.NAMES) == []
        assert readable.unfocused(browser) == []
        browser.size(390, 844)
        assert readable.faults(browser, readable.WIDE) == []
        assert readable.violations(browser) == []
        browser.size(readable.PAPER, 1000)
        readable.media(browser, "dark", "print")
        assert readable.faults(browser, readable.CUT) == []
        assert readable.faults(browser, readable.CONTRAST) == []
        assert browser.run(ink) != dark  # a dark screen prints dark on white
        seen = "return [...document.querySelectorAll('table')].map(t => t.checkVisibility())"
        assert browser.run(seen) == [True, True, False]
        assert browser.log() == []
