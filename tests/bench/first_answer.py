"""How long a newcomer waits for the first answer of their own: `mmlab lab` over the demo, in Chromium."""

import re
import shutil
import subprocess
import sys
import time

from tests.bench.figures import Figure

COMMAND = (sys.executable, "-m", "mmlab", "lab", "--no-browser", "demo", "--allow-root")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
QUIET += ("--disable-sync", "--no-first-run")
PANEL, TEXT = ".mmlab-query", ".mmlab-query input[type=text]"
PATIENCE = 120_000  # milliseconds


def first_answer() -> list[Figure]:
    """Seconds to the browser's window, from there to the panel and to an answer; needs the run `demo`."""
    started = time.perf_counter()
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as lab:
        try:
            line = next((line for line in lab.stdout or () if "The panel of demo:" in line), "")
            found = re.search(r"http\S+", line)
            if found is None:
                raise RuntimeError("mmlab lab did not start: is there a run demo, and JupyterLab?")
            ready = time.perf_counter() - started
            panel, answer, scrolled = _ask(found[0])
        finally:
            lab.terminate()
    return [
        Figure("mmlab lab, until the browser is opened", ready, "s"),
        Figure("from the window to the panel, no click", panel, "s"),
        Figure("from the window to the first own answer", answer, "s", "limit", "<= 8"),
        Figure("pixels scrolled to see the first hits", scrolled, "px", "window of 1280 x 800", "0"),
    ]


def _ask(url: str) -> tuple[float, float, float]:
    """Return the seconds to the panel and to the answer, and by how far its hits lie below the window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        began = time.perf_counter()
        page.goto(url)
        text = page.locator(TEXT).first
        text.wait_for(timeout=PATIENCE)
        panel = time.perf_counter() - began
        text.fill("a red mug")
        text.press("Enter")
        hit = page.locator(f"{PANEL} img").first
        hit.wait_for(timeout=PATIENCE)
        answer = time.perf_counter() - began
        box = hit.bounding_box()
        browser.close()
    return panel, answer, max(box["y"] + box["height"] - 800, 0) if box else float("nan")
