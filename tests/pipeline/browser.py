"""Drives a real headless browser by the WebDriver protocol, which needs no library."""

import contextlib
import json
import shutil
import subprocess
import time
import urllib.request

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


def find():
    """Return the paths of browser and driver, or None where one is missing."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


@contextlib.contextmanager
def page(url, *, folder, width, height=844):
    """Open a page on a screen so wide, in a browser with its profile in `folder`; yield the function that asks it."""
    browser, driver = find()
    with subprocess.Popen(
        [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            line = next(line for line in process.stdout if "started successfully on port" in line)
            port = int(line.rstrip(".\n").rpartition(" ")[2])
            arguments = ["--headless", "--no-sandbox", "--disable-gpu", *QUIET, f"--user-data-dir={folder}"]
            options = {
                "binary": browser,
                "args": arguments,
                "mobileEmulation": {"deviceMetrics": {"width": width, "height": height, "pixelRatio": 1}},
            }
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
            opened = _ask(port, "POST", "/session", {"capabilities": {"alwaysMatch": wanted}})

            def ask(method, path, body=None):
                return _ask(port, method, f"/session/{opened['sessionId']}{path}", body)

            try:
                ask("POST", "/url", {"url": url})
                time.sleep(0.2)  # for what a page might do after it is loaded
                yield ask
            finally:
                ask("DELETE", "")
        finally:
            process.terminate()


def _ask(port, method, path, body):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json"},
        method=method,
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as answer:
        return json.loads(answer.read())["value"]
