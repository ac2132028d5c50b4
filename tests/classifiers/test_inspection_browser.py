"""The page in a browser, from end to end: what a grader does, and what is left when the server is
killed."""

import csv
import os
import signal
import time

import pandas as pd
import pytest
import readable
from browser import chromium
from inspections import folder, served

from classifiers.inspection.store import FILE, Store

HOSTILE = "<img src=x onerror=\"document.title='broken'\">"
TITLE = "document.getElementById('object').textContent"
PICTURES = (
    "[...document.querySelectorAll('#panels img')].filter(i => i.complete && i.naturalWidth > 0)"
    ".length"
)
STATUS = "document.getElementById('status').textContent"


def labelled(browser):
    """Controls and pictures without a name, also in dialogs that are not open: axe looks at what is
    shown."""
    return browser.run(
        "return [...document.querySelectorAll('button, input, img, progress, dialog, table')]"
        ".filter(e => !(e.textContent.trim() || e.alt || e.ariaLabel || e.labels?.length"
        " || e.getAttribute('aria-labelledby'))).filter(e => !e.closest('#large'))"
        ".map(e => e.outerHTML)"
    )


def complaints(browser):
    """What the page has complained about since the last time."""
    return [message for message in browser.log() if "favicon" not in message]


@pytest.mark.slow
def test_two_graders_grade_undo_reload_survive_a_kill_and_take_their_grades_away(tmp_path):
    ids = [f"g{i}" for i in range(9)]
    table = pd.DataFrame({"id": ids, "name": HOSTILE, "score": 0.5})
    table.to_csv(tmp_path / "t.csv", index=False)
    words = [tmp_path / "t.csv", "--images", folder(tmp_path / "i", ids), "--out", tmp_path / "out"]
    near = pd.DataFrame({"id": ids, "neighbour": ids[1:] + ids[:1], "neighbour_label": 1})
    near.to_csv(tmp_path / "near.csv", index=False)
    words += ["--size", "32", "--show", "name", "--neighbours", tmp_path / "near.csv", "--port"]
    with chromium(tmp_path) as browser:
        with served(*words, "0") as (process, address):
            browser.open(address)
            browser.until("document.activeElement.id", "name")
            browser.type("#name", "Änne <b>")
            browser.press("Enter")
            browser.until(TITLE, "Object 1")
            browser.until(PICTURES, 7)
            browser.until(PICTURES.replace("#panels", "#neighbours"), 1)
            assert labelled(browser) == []
            assert readable.violations(browser) == []
            assert browser.run("return document.querySelector('#about dd').textContent") == HOSTILE
            for number, key in enumerate("aB3", 1):  # letters in either case, and numbers
                browser.press(key)
                browser.until(TITLE, f"Object {number + 1}")
            browser.press("n")
            browser.type("#note", "=arc, d and u typed here are a note")
            browser.press("Enter")
            browser.press("d")
            browser.until(TITLE, "Object 5")
            browser.press("u")
            browser.until(TITLE, "Object 4")
            assert browser.run("return document.getElementById('note').value") == ""
            browser.press("ArrowLeft")
            browser.until(TITLE, "Object 3")
            pressed = "[...document.querySelectorAll('[aria-pressed=true]')].map(b => b.innerText)"
            assert browser.run(f"return {pressed}")[0].startswith("C")
            browser.reload()
            browser.until(TITLE, "Object 3")
            browser.press("ArrowRight")
            browser.until(TITLE, "Object 4")
            assert complaints(browser) == []
            # The server dies. The grade is not called saved, and waits.
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            browser.press("b")
            browser.until(f"{STATUS}.startsWith('Not saved')", True)
        port = address.split(":")[2].split("/")[0]
        with served(*words, port) as (_, again):
            assert again == address
            browser.until(TITLE, "Object 5")
            browser.until(STATUS, "Saved B for object 4.")
            # How requests failed in between depends on when exactly the server died.
            assert all("net::ERR" in complaint for complaint in complaints(browser))
            # On a phone, by fingers, somebody else.
            browser.size(390, 844)
            browser.click("#to-name")
            browser.run("document.getElementById('name').value = ''; location.hash = ''")
            browser.type("#name", "Ben")
            browser.click("#who button")
            browser.until(TITLE, "Object 1")
            wide = "document.documentElement.scrollWidth <= innerWidth"
            assert browser.run(f"return {wide}")
            assert readable.violations(browser) == []
            sizes = browser.run(
                "return [...document.querySelectorAll('footer button, nav button')]"
                ".map(b => b.getBoundingClientRect()).map(r => Math.min(r.width, r.height))"
            )
            assert min(sizes) >= 40  # WCAG 2.5.8 asks for 24
            for number in range(1, 10):
                browser.click("[data-grade=D]")
                last = number == 9
                seen = "!document.getElementById('finished').hidden" if last else TITLE
                browser.until(seen, True if last else f"Object {number + 1}")
            browser.click("#to-summary")
            rows = "[...document.querySelectorAll('#summary tbody')[0].rows].map(r => r.innerText)"
            browser.until(f"{rows}.length", 2)
            assert browser.run(f"return {rows}") == [
                "Ben\t9\t0\t0\t0\t9",
                "Änne <b>\t4\t1\t2\t1\t0",
            ]
            browser.click("#summary a")
            end = time.monotonic() + 15
            while not (tmp_path / "grades.csv").is_file() and time.monotonic() < end:
                time.sleep(0.05)
            assert browser.run("return document.title") == "Inspection"
            assert complaints(browser) == []
    rows = list(csv.DictReader((tmp_path / "grades.csv").read_text().splitlines()))
    assert [(r["number"], r["grade"]) for r in rows if r["grader"] == "Änne <b>"] == [
        *(("1", "A"), ("2", "B"), ("3", "C"), ("4", "B"))
    ]
    made = Store(tmp_path / "out" / FILE)
    assert {k: sum(v.values()) for k, v in made.progress().items()} == {"Ben": 9, "Änne <b>": 4}
    made.close()
