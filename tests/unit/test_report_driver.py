"""Headless Chromium on a pipe: opens a page, points, clicks, types, and tells what it logged and asked for.

Only the browser itself is needed: its DevTools protocol is JSON, ended by a zero byte, on file descriptors 3 and 4.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="needs chromium, chromium-browser or google-chrome on the PATH"
)

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)
PATIENCE = 30.0
"""Seconds until an answer is given up; a busy machine needs a few."""

KEYS = {"Enter": 13, " ": 32, "Tab": 9, "ArrowRight": 39, "ArrowLeft": 37, "Home": 36, "End": 35}


class Browser:
    """One browser process; `page` opens tabs in it."""

    def __init__(self, profile: Path) -> None:
        command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        # Copied to numbers beyond 4 first: otherwise one copy onto 3 or 4 could close the other's source.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (to_browser, from_browser)]
        with (profile.parent / "chromium.log").open("wb") as log:
            actions = [
                (os.POSIX_SPAWN_DUP2, log.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, log.fileno(), 2),
                (os.POSIX_SPAWN_DUP2, ends[0], 3),
                (os.POSIX_SPAWN_DUP2, ends[1], 4),
            ]
            self._process = os.posix_spawn(command[0], command, os.environ, file_actions=actions, setpgroup=0)
        for end in (to_browser, from_browser, *ends):
            os.close(end)
        self._buffer = b""
        self._number = 0
        self.pages: dict[str, Page] = {}

    def send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """The answer to one command; events that come before it are kept by their page."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer)
                result: dict[str, Any] = answer["result"]
                return result

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], PATIENCE)
            assert ready, "the browser does not answer"
            part = os.read(self._read, 1 << 20)
            assert part, "the browser has ended"
            self._buffer += part
        text, self._buffer = self._buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(text)
        if "method" in message and message.get("sessionId") in self.pages:
            self.pages[message["sessionId"]].take(message["method"], message["params"])
        return message

    @contextmanager
    def page(self, address: str, width: int = 1280, height: int = 900, scheme: str = "light") -> Iterator[Page]:
        """A report opened at a window width, in a "light" or "dark" colour scheme, once its script has run."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.send(f"{domain}.enable")
        is_phone = width < 600
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone}
        page.send("Emulation.setDeviceMetricsOverride", **metrics)
        page.send("Emulation.setTouchEmulationEnabled", enabled=is_phone)
        page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        page.send("Page.navigate", url=address)
        page.wait_for("document.documentElement?.dataset.ready === 'yes'")
        page.settle()
        try:
            yield page
        finally:
            del self.pages[session]
            self.send("Target.closeTarget", targetId=target)

    def close(self) -> None:
        with suppress(AssertionError, OSError):
            self.send("Browser.close")
        for end in (self._write, self._read):
            os.close(end)
        deadline = time.monotonic() + PATIENCE
        while os.waitpid(self._process, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.killpg(self._process, signal.SIGKILL)
                os.waitpid(self._process, 0)
                break
            time.sleep(0.02)


class Page:
    """One tab: what it shows, logs and asks for."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session
        self.messages: list[str] = []
        self.requests: list[str] = []

    def take(self, method: str, event: dict[str, Any]) -> None:
        if method == "Runtime.consoleAPICalled":
            self.messages.append(" ".join(str(part.get("value")) for part in event["args"]))
        elif method == "Runtime.exceptionThrown":
            details = event["exceptionDetails"]
            self.messages.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Log.entryAdded":
            self.messages.append(event["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(event["request"]["url"])

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.send(method, self._session, **parameters)

    def run(self, expression: str) -> Any:
        """Value of a JavaScript expression."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, (expression, answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait_for(self, condition: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.run(f"Boolean({condition})"):
            assert time.monotonic() < deadline, f"never came true: {condition}"
            time.sleep(0.02)

    def settle(self) -> None:
        """Let everything that waits for the next frame be drawn."""
        frame = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        self.run(frame)
        self.run(frame)

    def count(self, selector: str) -> int:
        """Elements that are drawn, with a size of their own."""
        shown = "[...document.querySelectorAll({})].filter((e) => e.getClientRects().length).length"
        return int(self.run(shown.format(json.dumps(selector))))

    def text(self, selector: str) -> str:
        """Visible text of the first element."""
        return str(self.run(f"document.querySelector({json.dumps(selector)}).innerText"))

    def attribute(self, selector: str, name: str) -> str | None:
        value = self.run(f"document.querySelector({json.dumps(selector)}).getAttribute({json.dumps(name)})")
        return None if value is None else str(value)

    def place(self, selector: str, across: float = 0.5, down: float = 0.5) -> tuple[float, float]:
        """Window position of a point within the first element, scrolled to the middle of the window."""
        box = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); "
            "e.scrollIntoView({block: 'center', behavior: 'instant'}); const b = e.getBoundingClientRect(); "
            "return [b.left, b.top, b.width, b.height]; })()"
        )
        return box[0] + across * box[2], box[1] + down * box[3]

    def point(self, selector: str, across: float = 0.5, down: float = 0.5) -> None:
        """Move the mouse over a point of the first element."""
        x, y = self.place(selector, across, down)
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self.settle()

    def click(self, selector: str, across: float = 0.5, down: float = 0.5) -> None:
        x, y = self.place(selector, across, down)
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        self.settle()

    def tap(self, selector: str, across: float = 0.5, down: float = 0.5) -> None:
        x, y = self.place(selector, across, down)
        self.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.settle()

    def press(self, key: str) -> None:
        text = {"text": "\r" if key == "Enter" else key} if key in ("Enter", " ") else {}
        for kind in ("keyDown", "keyUp"):
            code = KEYS[key]
            more = text if kind == "keyDown" else {}
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **more)
        self.settle()

    def focus(self, selector: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")

    def screenshot(self, path: Path, selector: str | None = None) -> None:
        """The whole page, or the first element that matches, as a PNG file."""
        box = self.run(
            f"(() => {{ const b = document.querySelector({json.dumps(selector or 'html')}).getBoundingClientRect(); "
            "return [b.left + scrollX, b.top + scrollY, b.width, b.height]; })()"
        )
        clip = dict(zip(("x", "y", "width", "height"), box, strict=True), scale=1)
        picture = self.send("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(picture["data"]))


@needs_chromium
def test_the_driver_sees_what_a_page_logs_and_asks_for(tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_text(
        "<script>document.documentElement.dataset.ready = 'yes'; console.error('once'); "
        "fetch('missing.json').catch(() => 0); setTimeout(() => { throw Error('twice'); });</script>"
    )
    browser = Browser(tmp_path / "profile")
    try:
        with browser.page((tmp_path / "bad.html").as_uri()) as page:
            page.settle()
            told = " ".join(page.messages)
            assert "once" in told
            assert "twice" in told
            assert any(address.endswith("missing.json") for address in page.requests)
    finally:
        browser.close()
