"""The README's images: a panel at work and the first page of a report, from the run `demo`.

```
make demo screenshots
```
"""

import io
import shutil
import tempfile
from pathlib import Path

import click
from PIL import Image
from playwright.sync_api import sync_playwright

from mmlab.cli import main
from mmlab.items import data
from mmlab.items.files import project
from tests.browser.conftest import QUIET
from tests.browser.lab import start_lab
from tests.conftest import data_in

MAX_JPEG_BYTES = 200_000
FIRST_QUERY, QUERY = "a blue umbrella", "a red mug"
WIDE = {"width": 1000, "height": 1000}


def take_panel(browser, home: Path) -> bytes:
    """The query panel as `mmlab lab` opens it, with the answer to a text."""
    main(["init", str(home)])
    with data_in(data()), start_lab(home) as lab:
        page = browser.new_page(viewport={**WIDE, "width": 1300})  # beside the file browser
        lab.open(page, lab.printed)
        panel = page.locator(".mmlab-query")
        field = panel.get_by_label("Text", exact=True)
        for query in (FIRST_QUERY, QUERY):  # the first opens the store
            field.fill(query)
            field.press("Enter")
            panel.locator(".mm-status", has_text=query).wait_for()
        page.wait_for_timeout(500)  # the images are drawn
        return panel.screenshot()


def take_report(browser, run: Path) -> bytes:
    """The first page of the report, down to the end of its measures."""
    page = browser.new_page(viewport=WIDE)
    page.goto((run / "index.html").as_uri())
    end = page.get_by_role("heading", name="Cost").bounding_box()["y"]
    return page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": WIDE["width"], "height": end - 20})


def save(image: bytes, path: Path) -> Path:
    """Write a screenshot as a JPEG of at most 200 KB."""
    with Image.open(io.BytesIO(image)) as opened:
        rgb = opened.convert("RGB")
    for quality in (85, 75, 65, 55):
        rgb.save(path, "JPEG", quality=quality, optimize=True)
        if path.stat().st_size <= MAX_JPEG_BYTES:
            return path
    raise ValueError(
        f"{path.name} has {path.stat().st_size} bytes, expected {MAX_JPEG_BYTES} at most: show less"
    )


def take_images() -> None:
    """Take both images of the run `demo` in the data folder."""
    run = data() / "runs" / "demo"
    if not (run / "index.html").is_file():
        raise SystemExit(f"no report in {run}: run `make demo` first")
    with tempfile.TemporaryDirectory() as home, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        images = {"panel.jpg": take_panel(browser, Path(home)), "report.jpg": take_report(browser, run)}
        browser.close()
    for name, image in images.items():
        click.echo(save(image, project() / "data" / name))


if __name__ == "__main__":
    take_images()
