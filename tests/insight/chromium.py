"""A Chromium without a window, driven over a pipe: opens pages, runs scripts in them, types, takes pictures.

It speaks the browser's own protocol (CDP), a JSON object ended by NUL each way, so no driver is needed.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE = 30.0


class Page:
    """One page of the browser.

    Attributes:
        requested: the addresses that it has asked for.
        said: what it wrote to its console, errors and refusals of its policy among it.
    """

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session
        self.requested: list[str] = []
        self.said: list[str] = []
        browser.pages[session] = self
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **given)

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """Return what an expression gives in the page; what it promises is awaited."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(json.dumps(found["exceptionDetails"], indent=1))
        return found["result"].get("value")

    def until(self, condition: str, within: float = PATIENCE) -> Any:
        """Wait until an expression is true in the page, and return it."""
        ends = time.monotonic() + within
        while True:
            found = self.run(condition)
            if found:
                return found
            if time.monotonic() > ends:
                raise TimeoutError(f"{condition} did not come true; the page said {self.said}")
            time.sleep(0.02)

    def look(
        self, *, width: int = 1200, height: int = 900, dark: bool = False, ratio: float = 1, phone: bool = False
    ) -> None:
        """Be a screen of such a size, with such a wish."""
        size = {"width": width, "height": height, "deviceScaleFactor": ratio, "mobile": phone}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def key(self, key: str, text: str = "") -> None:
        given = {"key": key, "text": text or (key if len(key) == 1 else "\r" if key == "Enter" else "")}
        code = {"Enter": 13, "Tab": 9, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39}.get(key, 0)
        self.call("Input.dispatchKeyEvent", type="keyDown", windowsVirtualKeyCode=code, **given)
        self.call("Input.dispatchKeyEvent", type="keyUp", windowsVirtualKeyCode=code, key=key)

    def mouse(self, kind: str, x: float, y: float, **given: Any) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **given)

    def picture(self, path: Path | str, *, whole: bool = True) -> None:
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        Path(path).write_bytes(base64.b64decode(data))


class Browser:
    """The process."""

    def __init__(self, program: str, folder: str) -> None:
        ours, theirs = os.pipe(), os.pipe()
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run"]
        flags += ["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"]
        flags += ["--hide-scrollbars", "--force-color-profile=srgb"]

        def wire() -> None:
            read, write = os.dup(ours[0]), os.dup(theirs[1])
            os.dup2(read, 3)
            os.dup2(write, 4)

        self._process = subprocess.Popen(
            [program, *flags, f"--user-data-dir={folder}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=wire,
            close_fds=False,
            env={**os.environ, "HOME": folder},
        )
        os.close(ours[0])
        os.close(theirs[1])
        self._write, self._read = ours[1], theirs[0]
        self._numbers = itertools.count(1)
        self._rest = b""
        self._answers: dict[int, dict[str, Any]] = {}
        self.pages: dict[str, Page] = {}

    def call(self, method: str, session: str = "", **given: Any) -> dict[str, Any]:
        number = next(self._numbers)
        asked = {"id": number, "method": method, "params": given, **({"sessionId": session} if session else {})}
        os.write(self._write, json.dumps(asked).encode() + b"\0")
        self._wait(lambda: number in self._answers)
        answer = self._answers.pop(number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer.get("result", {})

    def page(self) -> Page:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        return Page(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])

    def close(self) -> None:
        os.close(self._write)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)

    def _wait(self, come: Callable[[], bool]) -> None:
        ends = time.monotonic() + PATIENCE
        while not come():
            ready, _, _ = select.select([self._read], [], [], max(0.0, ends - time.monotonic()))
            data = os.read(self._read, 1 << 20) if ready else b""
            if not data:
                raise TimeoutError("Chromium does not answer")
            *whole, self._rest = (self._rest + data).split(b"\0")
            for text in whole:
                self._take(json.loads(text))

    def _take(self, said: dict[str, Any]) -> None:
        if "id" in said:
            self._answers[said["id"]] = said
            return
        page, given = self.pages.get(said.get("sessionId", "")), said.get("params", {})
        if page is None:
            return
        match said["method"]:
            case "Network.requestWillBeSent":
                page.requested.append(given["request"]["url"])
            case "Runtime.consoleAPICalled":
                page.said.append(" ".join(str(each.get("value")) for each in given["args"]))
            case "Runtime.exceptionThrown":
                page.said.append(json.dumps(given["exceptionDetails"]))
            case "Log.entryAdded":
                page.said.append(given["entry"]["text"])


@contextmanager
def browser(program: str) -> Iterator[Browser]:
    """Give a browser that goes away, with all that it wrote down."""
    with tempfile.TemporaryDirectory(prefix="whilst-chromium-", ignore_cleanup_errors=True) as folder:
        found = Browser(program, folder)
        try:
            yield found
        finally:
            found.close()
