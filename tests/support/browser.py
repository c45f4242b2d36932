"""A headless Chromium, driven over the DevTools protocol."""

import base64
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from attrs import define, field
from websockets.sync.client import ClientConnection, connect

_FLAGS = [
    "--headless",
    "--no-sandbox",  # which root cannot have, and the pages are ours
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",  # nothing leaves this machine
    "--remote-debugging-port=0",
    "--window-size=900,800",
]
_START_S = 30


@define
class Tab:
    """One page; `events` is what the browser reported so far."""

    connection: ClientConnection
    events: list[dict[str, Any]] = field(factory=list)
    numbers: Iterator[int] = field(factory=lambda: itertools.count(1))

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self.numbers)
        self.connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.connection.recv(timeout=30))
            if message.get("id") == number:
                assert "error" not in message, message
                return dict(message["result"])
            self.events.append(message)

    def open(self, url: str) -> None:
        self.command("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression, awaited if it is a promise."""
        answer = self.command("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press and release a key as a person does: `Tab`, `Enter`, `Escape`."""
        code = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        which = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.command("Input.dispatchKeyEvent", type="keyDown", **which, **text)
        self.command("Input.dispatchKeyEvent", type="keyUp", **which)

    def write(self, text: str) -> None:
        """Replace what the focused field holds, as somebody who types."""
        self.run("document.activeElement.select(); 0")
        self.command("Input.insertText", text=text)

    def tab_to(self, what: str) -> None:
        """Press Tab until the focused element has this text or label."""
        label = "(document.activeElement.getAttribute('aria-label') || document.activeElement.innerText || '').trim()"
        for _ in range(200):
            self.press("Tab")
            if self.run(label) == what:
                return
        raise AssertionError(f"no Tab leads to {what!r}")

    def look(self, *, width: int, height: int = 900, scheme: str = "light") -> None:
        """Show the page on a screen of this size, in a light or dark scheme."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.command("Emulation.setEmulatedMedia", features=features)

    def picture(self) -> bytes:
        """Return what is on the screen, as PNG."""
        return base64.b64decode(self.command("Page.captureScreenshot", format="png")["data"])

    def wait_for(self, condition: str) -> None:
        """Return when a JavaScript expression is true."""
        deadline = time.monotonic() + 60
        while not self.run(f"Boolean({condition})"):
            assert time.monotonic() < deadline, f"never true: {condition}\n{self.run('document.body.innerText')}"
            time.sleep(0.05)

    def requests(self, url: str) -> list[tuple[str, dict[str, str]]]:
        """Return method and headers of the requests to a URL so far, preflights among them."""
        self.run("0")  # takes in what the browser has to report
        sent = [event["params"]["request"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [(request["method"], request["headers"]) for request in sent if request["url"] == url]

    def blocked(self) -> list[str]:
        """Return why CORS kept answers from the page."""
        self.run("0")
        failed = [event["params"] for event in self.events if event["method"] == "Network.loadingFailed"]
        return [one["corsErrorStatus"]["corsError"] for one in failed if "corsErrorStatus" in one]

    def complaints(self) -> list[str]:
        """Return the errors in the browser's console: scripts that fail, and what the content policy refuses."""
        self.run("0")
        thrown = [event["params"] for event in self.events if event["method"] == "Runtime.exceptionThrown"]
        logged = [event["params"]["entry"] for event in self.events if event["method"] == "Log.entryAdded"]
        return [str(one) for one in thrown] + [one["text"] for one in logged if one["source"] == "security"]


@contextmanager
def browser_tab(profile: Path) -> Iterator[Tab]:
    program = shutil.which("chromium")
    assert program, "chromium is not installed; .ci/run says how to get it"
    profile.mkdir()
    with (profile / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        # While a test does something else, what the page reports may fill the queue: no answer to a ping is read then.
        with connect(_page_of(process, profile), max_size=None, ping_interval=None) as connection:
            tab = Tab(connection)
            for domain in ("Page", "Runtime", "Network", "Log"):
                tab.command(f"{domain}.enable")
            yield tab
    finally:
        process.terminate()
        process.wait(30)


def _page_of(process: "subprocess.Popen[bytes]", profile: Path) -> str:
    """Return the WebSocket address of the one page, when the browser has written where it listens."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError, ValueError, httpx.TransportError):
            port = int((profile / "DevToolsActivePort").read_text().splitlines()[0])
            for target in httpx.get(f"http://127.0.0.1:{port}/json/list").json():
                if target["type"] == "page":
                    return str(target["webSocketDebuggerUrl"])
        time.sleep(0.05)
    raise AssertionError((profile / "chromium.log").read_text(errors="replace"))
