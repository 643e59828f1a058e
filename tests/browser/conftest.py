"""A real run, a real JupyterLab over it, and Chromium driven by Playwright.

Skipped with the reason where Chromium or Playwright is missing. An image of every step is kept in `screens` of the
data folder; the last lines of the tests say where. Scopes are modules: what Playwright starts must not outlive them.
"""

import shutil
from pathlib import Path

import pytest

from mmlab.cli import main
from mmlab.items import data
from tests.browser.lab import Lab, start_lab
from tests.conftest import data_in

QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
QUIET += ("--disable-sync", "--no-first-run", "--enable-unsafe-swiftshader")  # the map panel draws by WebGL
FOCUS, SHOWN = "document.activeElement.outerHTML.slice(0, 300)", 3_000  # characters


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Say where the focus was and what the page showed when a test failed."""
    report = yield
    if report.failed and call.when == "call":
        for name, page in item.funcargs.items():
            if hasattr(page, "keyboard"):
                report.sections.append((f"focus in {name}", page.evaluate(FOCUS)))
                report.sections.append((f"text of {name}", page.locator("body").inner_text()[-SHOWN:]))
    return report


@pytest.fixture(scope="module")
def screens() -> Path:
    """The folder for the images of every step; those of the tests before go."""
    folder = data() / "screens"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def chromium() -> str:
    """The path of the browser."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium")
    return path or pytest.skip("chromium is not installed")


@pytest.fixture(scope="module")
def data_folder(chromium, screens, demo_data, tmp_path_factory):
    """A copy of the shared data folder, which these tests write to; JupyterLab's kernels get the same one."""
    folder = shutil.copytree(demo_data, tmp_path_factory.mktemp("browser") / "data")
    with data_in(folder):
        yield folder


@pytest.fixture(scope="module")
def run(data_folder: Path) -> Path:
    """The folder of the run `demo`, with its report."""
    return data_folder / "runs" / "demo"


@pytest.fixture(scope="module")
def lab(run: Path, data_folder: Path):
    """JupyterLab as `mmlab lab` starts it, over a project folder of its own."""
    folder = data_folder.parent
    assert main(["init", str(folder)]) == 0
    with start_lab(folder) as started:
        yield started
    assert not list(started.runtime.glob("jpserver-*.json"))


@pytest.fixture(scope="module")
def work(lab: Lab, data_folder: Path) -> Path:
    """The folder for notebooks of one's own, in the project that JupyterLab serves."""
    return data_folder.parent / "work"


@pytest.fixture(scope="module")
def browser(chromium, run: Path):
    """Chromium; begun after the run, which has an event loop of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=QUIET)
        yield opened
        opened.close()
