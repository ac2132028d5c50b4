"""What makes a page hard to read or to use, asked of a browser: lists of faults, empty when there
are none. The rules are those of WCAG, level AA. Most of them are left to axe-core. The rules here
are about what it does not judge: text in drawings, names that it does not ask for, what does not
fit on the screen or on paper, and the focus."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from browser import Browser

CONTRAST = r"""
const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
const rgba = colour => {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const light = c => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => {
  const v = c[i] / 255;
  return sum + weight * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
}, 0);
const ratio = (a, b) => {
  const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05);
};
const shape = (svg, text) => {  // the last filled shape of a figure below the middle of a text
  const box = text.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
  const below = [...svg.querySelectorAll('path')].filter(p => {
    if (!(p.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING)) return false;
    const own = p.getBoundingClientRect(), fill = getComputedStyle(p).fill;
    return fill.startsWith('rgb') && x > own.left && x < own.right && y > own.top && y < own.bottom;
  }).map(p => rgba(getComputedStyle(p).fill)).filter(c => c[3] === 255);
  return below.at(-1);
};
const ground = element => {
  const svg = element.closest('svg'), drawn = svg && shape(svg, element);
  if (drawn) return drawn;
  for (let e = element; e; e = e.parentElement) {
    const colour = rgba(getComputedStyle(e).backgroundColor);
    if (colour[3] === 255) return colour;
  }
  return [255, 255, 255, 255];
};
const faults = {}, walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const element = node.parentElement, style = getComputedStyle(element);
  if (!node.data.trim() || !element.checkVisibility({visibilityProperty: true})) continue;
  const colour = rgba(element.closest('svg') ? style.fill : style.color);
  const found = ratio(colour, ground(element));
  const kind = `${element.tagName} ${element.className.baseVal ?? element.className}`;
  if (found < 4.5) faults[kind] ??= `${kind}: ${node.data.trim()} ${found.toFixed(2)}`;
}
return Object.values(faults);
"""
"""Texts with a contrast below 4.5 to what is behind them, the first of each kind."""
NAMES = r"""
const faults = [...document.querySelectorAll('summary')]
  .filter(e => !e.textContent.trim()).map(e => `no name: ${e.outerHTML}`);
for (const e of document.querySelectorAll('table, [role=region], nav'))
  if (!(e.getAttribute('aria-label') || e.querySelector(':scope > caption')))
    faults.push(`no text instead: ${e.outerHTML.slice(0, 80)}`);
for (const e of document.querySelectorAll('svg'))
  if (!e.closest('[role=img]')) faults.push(`no image: ${e.outerHTML.slice(0, 80)}`);
for (const name of ['h1', 'main'])
  if (document.querySelectorAll(name).length !== 1) faults.push(`not one ${name}`);
for (const a of document.querySelectorAll('a[href^="#"]'))
  if (!document.getElementById(a.hash.slice(1))) faults.push(`a link to nowhere: ${a.hash}`);
return faults;
"""
"""Tables, regions and summaries without a name, drawings that are no image, links to nowhere."""
WIDE = r"""
const faults = [];
if (document.documentElement.scrollWidth > innerWidth) faults.push('the page scrolls sideways');
for (const e of document.querySelectorAll('main *'))
  if (!e.closest('.scroll, svg') && e.getBoundingClientRect().right > innerWidth + 1)
    faults.push(`over the edge: ${e.outerHTML.slice(0, 80)}`);
for (const e of document.querySelectorAll('.scroll'))
  if (e.tabIndex < 0) faults.push('no key scrolls ' + e.getAttribute('aria-label'));
return faults;
"""
"""What does not fit the width of the screen, but for tables that scroll by themselves."""
CUT = r"""
const edge = document.documentElement.clientWidth;
const hides = e => e !== null && e.scrollWidth > e.clientWidth + 1;
return [...document.querySelectorAll('table, figure, .gallery, pre')]
  .filter(e => e.checkVisibility())
  .filter(e => e.getBoundingClientRect().right > edge + 1 || hides(e.closest('.scroll')))
  .map(e => `cut: ${e.getAttribute('aria-label') ?? e.outerHTML.slice(0, 80)}`);
"""
"""What a sheet of paper cuts off."""
FOCUS = r"""
const e = document.activeElement, style = getComputedStyle(e);
const seen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
return [e === document.body ? '' : e.outerHTML.slice(0, 120), seen];
"""
PAPER = 718
"""CSS pixels between the margins of a sheet A4"""


def media(browser: Browser, scheme: str = "light", medium: str = "screen") -> None:
    """As a system with a light or dark scheme shows the page, or as a printer does."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.command("Emulation.setEmulatedMedia", media=medium, features=features)


def faults(browser: Browser, rule: str) -> list[str]:
    """What breaks one of the rules `CONTRAST`, `NAMES`, `WIDE` and `CUT`."""
    found: list[str] = browser.run(rule)
    return found


def violations(browser: Browser) -> list[str]:
    """What axe-core finds, of every impact, its advice on good practice included."""
    browser.run((files("axe_core_python") / "axe.min.js").read_text())
    found: list[dict[str, Any]] = browser.wait("axe.run().then(result => done(result.violations))")
    return [f"{rule['id']}: {node['html'][:80]}" for rule in found for node in rule["nodes"]]


def unfocused(browser: Browser, most: int = 40) -> list[str]:
    """Stops of the Tab key, from the top of the page, where the focus is not seen."""
    unseen, last = [], ""
    for _ in range(most):
        browser.press("Tab")
        where: Any = browser.run(FOCUS)
        if where[0] == last or not where[0]:
            break
        last = where[0]
        if not where[1]:
            unseen.append(f"focus is not seen: {last}")
    assert last, "the Tab key stops nowhere"
    return unseen
