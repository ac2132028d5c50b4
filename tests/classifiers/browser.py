"""A headless Chromium, driven by chromedriver over W3C WebDriver, which is JSON over HTTP."""

from __future__ import annotations

import base64
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import programs

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""what WebDriver calls the key of an element's reference"""
KEYS = {
    "ArrowLeft": "\ue012",
    "ArrowRight": "\ue014",
    "Enter": "\ue007",
    "Escape": "\ue00c",
    "Tab": "\ue004",
}


class Browser:
    """One session of a browser."""

    def __init__(self, client: httpx.Client, session: str) -> None:
        self._client, self._path = client, f"/session/{session}"

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._client.request(method, self._path + path, json=body)
        value = answer.json()["value"]
        if answer.is_error:
            raise AssertionError(f"{path}: {value['error']}: {value['message'].splitlines()[0]}")
        return value

    def open(self, address: str) -> None:
        self._ask("POST", "/url", {"url": address})

    def reload(self) -> None:
        self._ask("POST", "/refresh", {})

    def run(self, script: str, *values: Any) -> Any:
        """What a script's function body returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(values)})

    def wait(self, script: str) -> Any:
        """What a script gives to its function `done`."""
        told = f"const done = arguments[0]; {script}"
        return self._ask("POST", "/execute/async", {"script": told, "args": []})

    def type(self, selector: str, text: str) -> None:
        found = self._ask("POST", "/element", {"using": "css selector", "value": selector})
        self._ask("POST", f"/element/{found[ELEMENT]}/value", {"text": text})

    def click(self, selector: str) -> None:
        found = self._ask("POST", "/element", {"using": "css selector", "value": selector})
        self._ask("POST", f"/element/{found[ELEMENT]}/click", {})

    def press(self, key: str) -> None:
        """A key, wherever the focus is."""
        value = KEYS.get(key, key)
        moves = [{"type": kind, "value": value} for kind in ("keyDown", "keyUp")]
        self._ask("POST", "/actions", {"actions": [{"type": "key", "id": "k", "actions": moves}]})

    def until(self, script: str, wanted: Any, seconds: float = 30.0) -> None:
        """Waits until an expression has a value."""
        end, found = time.monotonic() + seconds, None
        while time.monotonic() < end:
            found = self.run(f"return {script}")
            if found == wanted:
                return
            time.sleep(0.03)
        raise AssertionError(f"{script} is {found!r} and not {wanted!r}")

    def size(self, width: int, height: int) -> None:
        """Of the page, as a phone of that size would have it."""
        more = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.command("Emulation.setDeviceMetricsOverride", **more)

    def command(self, name: str, **values: Any) -> Any:
        """One of Chromium's own commands (Chrome DevTools Protocol)."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": name, "params": values})

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._ask("GET", "/screenshot")))

    def log(self) -> list[str]:
        """What the page has complained about, since the last time."""
        return [entry["message"] for entry in self._ask("POST", "/se/log", {"type": "browser"})]


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """A browser that downloads to `folder`; skips, naming it, when a program is missing."""
    browser, driver = programs.needed("chromium|google-chrome", "chromedriver")
    options = {
        "binary": browser,
        "args": [
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--disable-background-networking", "--no-first-run", "--disable-extensions"),
            "--window-size=1280,860",
        ],
        "prefs": {"download.default_directory": str(folder)},
    }
    wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
    with subprocess.Popen(
        [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            said = (re.search(r"started successfully on port (\d+)", s) for s in process.stdout)
            port = next(match for match in said if match)[1]
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                made = client.post(
                    "/session", json={"capabilities": {"alwaysMatch": wanted}}
                ).json()["value"]
                assert "sessionId" in made, made
                try:
                    yield Browser(client, made["sessionId"])
                finally:
                    client.delete(f"/session/{made['sessionId']}")
        finally:
            process.terminate()
