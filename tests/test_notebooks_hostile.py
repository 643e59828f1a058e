"""Names, captions and labels made to break out: through all notebooks, then every page in a browser without network."""

import csv
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmlab.items import read_items
from mmlab.runs import run_notebooks, write_report
from mmlab.runs.report.html_report import write_overview, write_single_file
from tests.conftest import data_in

pytestmark = pytest.mark.slow

QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
QUIET += ("--disable-sync", "--no-first-run")
CODE = "globalThis.broken=1;alert(1)"  # what must never run
NAMES = (
    f'"><img src=x onerror={CODE}>.jpg',
    f"' onmouseover='{CODE}' x='.jpg",
    "\u202egpj.exe.jpg",
    f"<script>{CODE}<!--.jpg",
)
CAPTIONS = (
    f"<script>{CODE}</script> a red mug on a table",
    f"&lt;script&gt;{CODE}&lt;/script&gt; a blue bag on a table",
    f"&amp;lt;img src=x onerror={CODE}&amp;gt; a green hat on a shelf",
    "a shirt that is called </script> in a \"shop\" of 'quotes' & <more",
    "a lamp \u202e that reads \u200f from right to left \u2067 here",
    f"a very long story {'of a ball ' * 1000}",
    f'a chair "><svg onload={CODE}> on a white floor',
    "[a link](javascript:globalThis.broken=1) and `code` **bold** $x$ on a plate",
)
LABELS = (
    f"<img src=x onerror={CODE}>",
    "</script><script>globalThis.broken=1</script>",
    'it\'s "quoted"',
    "\u202elabel",
)
SHOWN = (  # of each: what a page must hold as text
    f"<img src=x onerror={CODE}>",
    "</script><script>globalThis.broken=1</script>",
    'it\'s "quoted"',
)
KEPT = os.environ.get("MMLAB_DATA")  # before the tests have one of their own
SIDES = ("top", "right", "bottom", "left")
WIDE = """() => [...document.querySelectorAll("table, img, figure, pre, p, h1, h2, h3, h4")]
  .filter((part) => part.getBoundingClientRect().right > 719)
  .map((part) => part.outerHTML.slice(0, 100))"""  # what reaches beyond the paper
LIVE = """() => [...document.querySelectorAll("nav, input, label, button, iframe")]
  .filter((part) => part.checkVisibility()).map((part) => part.outerHTML.slice(0, 100))"""  # what only a screen needs


@pytest.fixture(scope="module", autouse=True)
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Everything that runs here is made in a folder of its own."""
    folder = tmp_path_factory.mktemp("data")
    with data_in(folder):
        yield folder


@pytest.fixture(scope="module")
def photos(catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 drawn products under hostile names, in a folder with a hostile name."""
    folder = tmp_path_factory.mktemp("hostile") / f'"><b onclick={CODE}>'
    folder.mkdir()
    with open(folder / "captions.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "caption", "label"])
        for number, image in enumerate(sorted((catalogue / "images").glob("*.jpg"))[:40]):
            name = f"{number:02} {NAMES[number % len(NAMES)]}"
            shutil.copyfile(image, folder / name)
            caption = f"{CAPTIONS[number % len(CAPTIONS)]} {number}"
            writer.writerow([name, caption, LABELS[number % len(LABELS)]])
    return folder


@pytest.fixture(scope="module")
def run(photos: Path) -> Path:
    """The folder of the run with its report, its single file and the index over all runs."""
    given = {"dataset": str(photos), "query": f"<script>{CODE}</script>", "max_chars": 20_000, "sample": 30}
    folder = run_notebooks("hostile", given, progress=False)
    write_report("hostile")
    write_single_file("hostile")
    write_overview()
    return folder


@pytest.fixture(scope="module")
def browser(run: Path):
    """Chromium; begun after the run, which has an event loop of its own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture
def page(browser):
    """A page of Chromium without network, and the list of all that should not have happened in it."""
    context, told = browser.new_context(offline=True), []
    opened = context.new_page()
    opened.on("dialog", lambda dialog: (told.append(f"dialog {dialog.message}"), dialog.dismiss()))
    opened.on("console", lambda message: told.append(f"console {message.text}"))
    opened.on("pageerror", lambda error: told.append(f"error {error}"))
    opened.on("requestfailed", lambda request: told.append(f"failed {request.url[:200]}"))
    opened.on("popup", lambda _: told.append("popup"))
    yield opened, told
    context.close()


def test_hostile_texts_come_through_the_notebooks(run: Path, photos: Path) -> None:
    items = read_items(run / "items.parquet")
    assert set(items["label"].dropna()) == set(LABELS)
    assert items["pair_id"].str.contains("onerror", regex=False).any()
    texts = items["text"].dropna()
    assert texts.str.len().max() > 10_000
    assert texts.str.contains('">', regex=False).any()
    assert texts.str.contains("](javascript:", regex=False).any()


def test_every_page_shows_them_as_text_and_runs_none(run: Path, page) -> None:
    opened, told = page
    pages = [*sorted(run.glob("*.html")), run.parent / "index.html"]
    assert len(pages) == 10  # the report, six notebooks, the map, the single file, all runs
    for path in pages:
        opened.goto(path.as_uri(), wait_until="load")
        opened.mouse.move(200, 300)
        opened.wait_for_timeout(200)
        frames = [frame.evaluate("globalThis.broken === undefined") for frame in opened.frames]
        assert (path.name, all(frames), told) == (path.name, True, [])
        held = opened.evaluate(
            "document.querySelectorAll('[onerror], [onclick], [onload], [onmouseover]').length"
        )
        assert (path.name, held) == (path.name, 0)


def test_the_texts_are_read_as_they_were_written(run: Path, page) -> None:
    opened, _ = page
    opened.goto((run / "hostile-report.html").as_uri())
    shown = opened.evaluate("document.body.innerText")
    assert [text for text in SHOWN if text not in shown] == []
    saw = opened.get_by_text("What each notebook found").locator("..").text_content()
    assert re.search(r"Of \d groups by label", saw)
    assert "&lt;" not in saw
    opened.goto((run.parent / "index.html").as_uri())
    assert f'"><b onclick={CODE}>' in opened.evaluate("document.body.innerText")


def test_every_page_prints_within_the_width_of_its_paper(run: Path, page, tmp_path_factory) -> None:
    """A4 with margins of 10 mm is 718 CSS pixels wide; the pages are kept as PDF, to be looked at."""
    opened, _ = page
    opened.set_viewport_size({"width": 718, "height": 1000})
    opened.emulate_media(media="print")
    kept = Path(KEPT) / "screens" if KEPT else tmp_path_factory.mktemp("screens")
    for name in ("index", "hostile-report", "01_ingest", "04_retrieve", "05_evaluate"):
        opened.goto((run / f"{name}.html").as_uri())
        assert (name, opened.evaluate(WIDE)) == (name, [])
        assert (name, opened.evaluate(LIVE)) == (name, [])
        opened.pdf(path=kept / f"print-{name}.pdf", format="A4", margin=dict.fromkeys(SIDES, "10mm"))
