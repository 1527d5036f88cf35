"""Opens a page in headless Chromium and evaluates a script in it, whose result it prints as JSON.

    browser.py CHROMIUM PAGE SCRIPT [--no-webgpu] [--screenshot PNG] [--width N]

The script is the body of an async function; it begins when the page says `data-state`. Errors of the page end the program. Nothing but
Python and Chromium is needed: they talk over a pipe.
"""

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


class Browser:
    """Chromium, driven over the pipe of its debugging protocol."""

    def __init__(self, chromium, profile, webgpu, width):
        (to_read, self.to_browser), (self.from_browser, to_write) = os.pipe(), os.pipe()

        def as_three_and_four():
            # Chromium reads from 3 and writes to 4. Either may be taken by the other pipe's end.
            read, write = os.dup(to_read), os.dup(to_write)
            os.dup2(read, 3)
            os.dup2(write, 4)

        options = ["--headless=new", "--no-sandbox", "--remote-debugging-pipe", f"--user-data-dir={profile}", f"--window-size={width},900"]
        if webgpu:
            options.append("--enable-unsafe-webgpu")
        self.process = subprocess.Popen(
            [chromium, *options], preexec_fn=as_three_and_four, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_read)
        os.close(to_write)
        self.number, self.pending, self.session = 0, b"", None

    def messages(self):
        """The next message."""
        while b"\0" not in self.pending:
            read = os.read(self.from_browser, 1 << 20)
            if not read:
                sys.exit("Chromium has ended")
            self.pending += read
        message, self.pending = self.pending.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        """Calls a method and returns its result. An exception of the page ends the program."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.messages()
            if answer.get("method") == "Runtime.exceptionThrown":
                details = answer["params"]["exceptionDetails"]
                sys.exit(f"the page failed: {details.get('exception', {}).get('description', details['text'])}")
            if answer.get("id") == self.number:
                if "error" in answer:
                    sys.exit(f"{method}: {answer['error']}")
                return answer["result"]

    def evaluate(self, body):
        """The value of an async function's body."""
        result = self.call("Runtime.evaluate", expression=f"(async () => {{{body}}})()", awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            sys.exit(f"the script failed: {result['exceptionDetails'].get('exception', {}).get('description')}")
        return result["result"].get("value")


def main():
    parser = argparse.ArgumentParser()
    for name in ("chromium", "page", "script"):
        parser.add_argument(name)
    parser.add_argument("--no-webgpu", action="store_true")
    parser.add_argument("--screenshot")
    parser.add_argument("--width", type=int, default=1000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(given.chromium, profile, not given.no_webgpu, given.width)
        try:
            target = browser.call("Target.createTarget", url="about:blank")["targetId"]
            browser.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            browser.call("Runtime.enable")
            browser.call("Page.enable")
            browser.call("Page.navigate", url=Path(given.page).resolve().as_uri())
            ready = "while (!document.documentElement?.dataset.state) await new Promise((go) => setTimeout(go, 50));"
            browser.evaluate(ready + "return document.documentElement.dataset.state;")
            value = browser.evaluate(Path(given.script).read_text())
            if given.screenshot:
                shot = browser.call("Page.captureScreenshot", captureBeyondViewport=True)
                Path(given.screenshot).write_bytes(base64.b64decode(shot["data"]))
            print(json.dumps(value))
        finally:
            browser.process.kill()
            browser.process.wait()


if __name__ == "__main__":
    main()
