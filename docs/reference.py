"""The pages of the reference: one for each module with public names, made of its docstrings.

Docstrings are written in Markdown, with formulas between dollars. Sphinx reads reStructuredText, so
that they are translated on the way; what either would take for markup by accident is escaped.
"""

import re
from pathlib import Path

PACKAGES = {
    "lensjax": "images and their derivatives",
    "data": "what a survey is on disk",
    "classifiers": "lens finders and their audit",
    "spark": "the steps over a whole survey",
}
SPAN = re.compile(r"`([^`]+)`|\$([^$]+)\$")


def write(folder: Path) -> None:
    """Writes a page for each package with a list of its modules, and one for each module. Pages
    that are right already stay untouched, so that Sphinx does not read them again."""
    root, pages = folder.parents[1], {}
    for package, about in PACKAGES.items():
        modules = sorted(
            ".".join(p.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
            for p in (root / package).rglob("*.py")
            if not any(part.startswith("_") and part != "__init__.py" for part in p.parts)
        )
        for module in modules:
            asked = f".. automodule:: {module}\n   :members:"
            pages[f"{module}.md"] = f"# `{module}`\n\n```{{eval-rst}}\n{asked}\n```\n"
        listed = "\n".join(modules)
        listed = f"```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```"
        pages[f"_{package}.md"] = f"# `{package}`: {about}\n\n{listed}\n"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.md"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        page = folder / name
        if not page.exists() or page.read_text() != text:
            page.write_text(text)


def readable(app, what: str, name: str, obj: object, options, lines: list[str]) -> None:
    """Translates a docstring in place, as Sphinx's event autodoc-process-docstring asks."""
    lines[:] = translated("\n".join(lines)).split("\n")


def translated(text: str) -> str:
    """A docstring of Markdown in reStructuredText: paragraphs, lists, code, formulas."""
    made = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        first = block.lstrip("\n")
        if first.startswith("    ") or re.match(r"\s*\|", first):
            code = [" " * 4 + line for line in block.split("\n")]
            made.append("::\n\n" + "\n".join(code))
        elif re.search(r"^\s*- ", block, re.M):
            made.append(_list(block))
        else:
            made.append(_paragraph(block))
    return "\n\n".join(made) + "\n"


def _list(block: str) -> str:
    items = re.split(r"^\s*- ", block, flags=re.M)
    head = [_paragraph(items[0])] if items[0].strip() else []
    return "\n\n".join([*head, *("* " + _inline(" ".join(i.split())) for i in items[1:])])


def _paragraph(block: str) -> str:
    made = []
    for i, part in enumerate(block.split("$$")):
        one = " ".join(part.split())
        if i % 2:
            made.append(f".. math::\n\n    {one}")
        elif one:
            made.append(_inline(one))
    return "\n\n".join(made)


def _inline(text: str) -> str:
    made, end = [], 0
    for found in SPAN.finditer(text):
        made.append(_plain(text[end : found.start()]))
        code, formula = found.groups()
        made.append(f"``{code.strip()}``" if code else f":math:`{formula.strip()}`")
        end = found.end()
        if text[end : end + 1].isalnum() or text[end : end + 1] in "_":
            made.append("\\ ")
    made.append(_plain(text[end:]))
    line = "".join(made)
    return "\\" + line if re.match(r"([-+*•]|\d+[.)]|[a-zA-Z][.)]|\.\.) ", line) else line


def _plain(text: str) -> str:
    return re.sub(r"([\\*|`]|_(?=\W|$)|:(?=\w+:))", r"\\\1", text)
