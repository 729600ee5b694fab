"""Drives a real headless browser by the WebDriver protocol, which needs no library."""

import base64
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


def visit(path, *, folder, width):
    """Open a file; return what its page asked for, complained of and looks like, the size of each picture included."""
    url = path.resolve().as_uri()
    with page(url, folder=folder, width=width) as ask:
        errors = [entry["message"] for entry in ask("POST", "/se/log", {"type": "browser"})]
        events = [json.loads(entry["message"])["message"] for entry in ask("POST", "/se/log", {"type": "performance"})]
        requests = [one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"]
        measure = (
            "return {title: document.title, width: document.documentElement.scrollWidth, screen: innerWidth, "
            "height: document.body.scrollHeight, text: document.body.innerText, "
            "answered: document.querySelector('.answers').getBoundingClientRect().bottom, "
            "pictures: [...document.querySelectorAll('svg')].map(svg => svg.getBoundingClientRect().height), "
            "letters: Math.min(...[...document.querySelectorAll('svg text')].map(text => parseFloat("
            "getComputedStyle(text).fontSize) * text.ownerSVGElement.getScreenCTM().a))}"
        )
        found = ask("POST", "/execute/sync", {"script": measure, "args": []})
    # data: is the page's own, chrome: the browser's.
    outside = [address for address in requests if address != url and not address.startswith(("data:", "chrome:"))]
    return {**found, "errors": errors, "outside": outside}


def printed(path, *, folder, width):
    """Lay a file's page out for paper so wide; return what may be lost there."""
    measure = (
        "const box = element => element.getBoundingClientRect(); "
        "return {width: document.documentElement.scrollWidth, nav: box(document.querySelector('nav')).height, "
        "folded: [...document.querySelectorAll('details > *')].filter(one => !one.checkVisibility()).length, "
        "tables: [...document.querySelectorAll('table')].map(one => box(one).right), "
        "boxes: [...document.querySelectorAll('table, figure')].map(box).map(({left, right, top, bottom}) => "
        "[left, right, top, bottom])}"
    )
    with page(path.resolve().as_uri(), folder=folder, width=width) as ask:
        ask("POST", "/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {"media": "print"}})
        return ask("POST", "/execute/sync", {"script": measure, "args": []})


def screenshot(path, *, folder, width, height):
    """Return a picture, as PNG, of the top of a file's page."""
    with page(path.resolve().as_uri(), folder=folder, width=width, height=height) as ask:
        return base64.b64decode(ask("GET", "/screenshot"))


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
