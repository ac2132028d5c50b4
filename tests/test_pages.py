"""All pages, without Sphinx: links lead to files and headings that are there, code blocks have a
language that is known and are written in it, and commands name verbs that there are."""

import ast
import re
import shlex
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from lensjax.cli import names

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    p
    for p in (*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "changelog.d").glob("*.md"))
    if not {"_build", "reference"} & set(p.relative_to(ROOT).parts)
)
LANGUAGES = {"python", "sh", "yaml", "text", "json", "latex", "", "{code-cell} python"}
"""Of code blocks; "" is a block that nobody colours."""
DIRECTIVES = {"{toctree}", "{include}"}


@dataclass
class Page:
    """What a page has. links: as written. anchors: of its headings, as the site makes them.
    blocks: language and text of every fenced block."""

    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    blocks: list[tuple[str, str]] = field(default_factory=list)


@cache
def page(path: Path) -> Page:
    text = re.sub(r"\A---\n.*?\n---\n", "", path.read_text(), flags=re.S)
    found, seen = Page(), {}
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for token, after in zip(tokens, [*tokens[1:], None]):
        if token.type == "fence":
            found.blocks.append((token.info.strip(), token.content))
        if token.type == "heading_open" and int(token.tag[1:]) <= 3:
            slug = anchor("".join(t.content for t in after.children))
            again = seen[slug] = seen.get(slug, -1) + 1
            found.anchors.add(f"{slug}-{again}" if again else slug)
        for child in token.children or ():
            target = child.attrGet("href") or child.attrGet("src")
            if target is not None:
                found.links.append(str(target))
    return found


def anchor(heading: str) -> str:
    """The anchor of a heading, as MyST and GitHub make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower().strip()).replace(" ", "-")


def broken(path: Path, links: list[str]) -> list[str]:
    """Those of a page's links that lead nowhere."""
    wrong = []
    for link in links:
        target, _, place = link.partition("#")
        if re.match(r"(https?|mailto):", link):
            continue
        there = path.parent / target if target else path
        if not there.exists() or (place and place not in page(there).anchors):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_and_anchors_of_a_page_lead_somewhere(path):
    assert broken(path, page(path).links) == []


def test_a_broken_link_would_be_found(tmp_path):
    (tmp_path / "a.md").write_text("# One thing, `two`\n\n## Again\n\n## Again\n\n[x](b.md)")
    assert page(tmp_path / "a.md").anchors == {"one-thing-two", "again", "again-1"}
    assert page(tmp_path / "a.md").links == ["b.md"]
    links = ["b.md", "a.md#again-1", "a.md#none", "#again", "#never", "https://example.org/x"]
    assert broken(tmp_path / "a.md", links) == ["b.md", "a.md#none", "#never"]


def test_every_block_has_a_language_that_is_known_and_is_closed():
    wrong = []
    for path in PAGES:
        for language, text in page(path).blocks:
            known = language in LANGUAGES or language.split()[0] in DIRECTIVES
            if not known or re.search(r"^```", text, re.M):
                wrong.append(f"{path.relative_to(ROOT)}: {language!r} {text[:40]!r}")
        fences = re.findall(r"^ *```", path.read_text(), re.M)
        if len(fences) % 2:
            wrong.append(f"{path.relative_to(ROOT)}: a block is not closed")
    assert wrong == []


def test_every_block_is_written_in_its_language():
    for path in PAGES:
        for language, text in page(path).blocks:
            where = f"{path.relative_to(ROOT)}\n{text}"
            try:
                if language.endswith("python"):
                    ast.parse(text)
                elif language == "yaml":
                    yaml.safe_load(text)
                elif language == "sh":
                    shlex.split(text, comments=True)
            except (SyntaxError, ValueError, yaml.YAMLError) as error:
                pytest.fail(f"{error}: {where}")


def test_every_command_of_lensjax_in_a_block_names_a_verb():
    verbs, seen = {*names(), "--help"}, set()
    for path in PAGES:
        for language, text in page(path).blocks:
            if language != "sh":
                continue
            for line in text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ["lensjax"]:
                    assert words[1] in verbs, f"{path}: {line}"
                    seen.add(words[1])
    assert len(seen) >= 8


def test_every_page_of_the_site_can_be_reached_from_its_index():
    text = (DOCS / "index.md").read_text()
    listed = set(re.findall(r"^([\w/*-]+)$", text, re.M))
    for path in DOCS.rglob("*.md"):
        name = str(path.relative_to(DOCS).with_suffix(""))
        if path in PAGES and name != "index":
            assert {name, f"{Path(name).parent}/*"} & listed, name
