"""What a person does, in a browser: a notebook is run and its panels are used, a report is opened from disk."""

import csv
import getpass
import io

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

from mmlab.evaluate import read_labels
from mmlab.items import read_items

PHONE = 390  # pixels wide
WIDE, NARROW = {"width": 1300, "height": 950}, {"width": 480, "height": 950}
IMAGE = "figure img[src^='data:image/jpeg']"
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
SOON = 30_000  # milliseconds: the machine may be busy, 300 ms are measured elsewhere


@pytest.fixture(scope="module")
def retrieve(browser, lab, screens):
    """04 in JupyterLab, all cells run; every test goes on from where the one before it stopped."""
    page = browser.new_page(viewport=WIDE)
    lab.open(page, "04_retrieve.ipynb")
    lab.run_all(page)
    page.screenshot(path=screens / "04_run_all.png")
    yield page
    page.close()


@pytest.fixture
def panel(retrieve):
    """The query panel, in sight."""
    panel = retrieve.locator(".mmlab-query")
    panel.scroll_into_view_if_needed()
    return panel


def wait_for_answer(panel, *words: str) -> None:
    """Wait until the line above the hits holds these words."""
    line = panel.locator("p[role=status]")
    for word in words:
        line = line.filter(has_text=word)
    line.first.wait_for(timeout=SOON)


def type_text(panel, text: str) -> None:
    field = panel.get_by_label("Text", exact=True)
    field.fill(text)
    field.press("Enter")


def upload(page, panel, file) -> None:
    with page.expect_file_chooser() as chooser:
        panel.get_by_role("button", name="Upload an image").click()
    chooser.value.set_files(file)


def test_a_text_finds_images(panel, retrieve, screens):
    type_text(panel, "a red mug")
    wait_for_answer(panel, "a red mug", "8 hits", "ms to embed", "ms to search", "ms to draw")
    assert panel.locator(IMAGE).count() == 8
    retrieve.screenshot(path=screens / "04_text.png")


def test_the_slider_moves_by_keys(panel, retrieve, screens):
    slider = panel.get_by_role("slider").nth(1)
    slider.focus()
    slider.press("ArrowRight")
    wait_for_answer(panel, "a red mug", "9 hits")
    retrieve.screenshot(path=screens / "04_slider.png")


def hits_of(panel) -> list[str]:
    """What stands under the images that were found: rank, score and words."""
    return panel.locator("figcaption").all_inner_texts()


def test_an_image_that_is_not_chosen_yet_is_asked_for(panel, retrieve, screens):
    panel.get_by_role("button", name="image", exact=True).click()
    panel.get_by_text("Choose an image of the collection").wait_for(timeout=SOON)
    assert panel.locator("[role=alert]").count() == 0
    retrieve.screenshot(path=screens / "04_hint.png")


def test_an_uploaded_image_finds_its_like_also_when_it_is_uploaded_again(panel, retrieve, run, screens):
    file = next((run.parents[1] / "demo" / "images").glob("*7.jpg"))
    upload(retrieve, panel, file)
    wait_for_answer(panel, f"{file.name} (image)")
    panel.get_by_role("button", name="text", exact=True).click()
    wait_for_answer(panel, "a red mug")
    upload(retrieve, panel, file)
    wait_for_answer(panel, f"{file.name} (image)")
    retrieve.screenshot(path=screens / "04_upload.png")


def test_text_and_image_are_mixed_by_the_share_of_the_slider(panel, retrieve, screens):
    panel.get_by_role("button", name="both", exact=True).click()
    wait_for_answer(panel, "a red mug", "(image)")
    before = hits_of(panel)
    retrieve.screenshot(path=screens / "04_both.png")
    share = panel.get_by_role("slider").first
    share.focus()
    for _ in range(6):
        share.press("ArrowRight")
    panel.get_by_text("0.80").wait_for(timeout=SOON)
    retrieve.wait_for_function(
        "([box, old]) => box.querySelector('figcaption')?.innerText !== old",
        arg=[panel.element_handle(), before[0]],
        timeout=SOON,
    )
    wait_for_answer(panel, "a red mug", "(image)")
    retrieve.screenshot(path=screens / "04_share.png")
    share.press("End")
    panel.locator("p[role=status]").filter(has_not_text="(image)").filter(has_text="a red mug").wait_for()
    assert hits_of(panel) != before


def test_a_filter_lets_only_its_value_through(panel, retrieve, screens):
    panel.get_by_role("button", name="text", exact=True).click()
    panel.get_by_role("button", name="Filters").click()
    panel.get_by_label("colour", exact=True).select_option("blue")
    wait_for_answer(panel, "a red mug", "colour = blue")
    retrieve.screenshot(path=screens / "04_filter.png")
    panel.get_by_label("colour", exact=True).select_option([])
    panel.get_by_role("button", name="Filters").click()
    panel.locator("p[role=status]").filter(has_not_text="colour = blue").first.wait_for(timeout=SOON)


def test_the_button_asks_again(panel):
    panel.get_by_role("button", name="Ask", exact=True).click()
    wait_for_answer(panel, "a red mug")


def test_an_error_is_seen_with_its_cause(panel, retrieve, screens):
    wrong = {"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"no image at all"}
    upload(retrieve, panel, wrong)
    panel.get_by_text("caused by ImageError: not an image").first.wait_for(timeout=SOON)
    retrieve.screenshot(path=screens / "04_error.png")
    type_text(panel, "a green lamp")
    panel.get_by_role("button", name="text", exact=True).click()
    wait_for_answer(panel, "a green lamp")


def test_the_history_asks_again_and_the_table_is_saved(panel, retrieve, screens, tmp_path):
    history = panel.get_by_label("Asked before")
    asked = [text.replace("\xa0", " ") for text in history.locator("option").all_text_contents()]
    old = next(
        number for number, text in enumerate(asked) if "“a red mug” → image" in text and "+" not in text
    )
    history.select_option(index=old)
    wait_for_answer(panel, "a red mug")
    with retrieve.expect_download() as saved:
        panel.get_by_role("link", name="hits.csv").click()
    saved.value.save_as(tmp_path / "hits.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "hits.csv").read_text("utf-8-sig"))))
    assert [row["rank"] for row in rows[:3]] == ["1", "2", "3"]
    assert {row["asked_text"] for row in rows} == {"a red mug"}
    retrieve.screenshot(path=screens / "04_history.png")


@pytest.fixture(scope="module")
def evaluate(browser, lab, screens):
    """05 in JupyterLab, all cells run."""
    page = browser.new_page(viewport=WIDE)
    lab.open(page, "05_evaluate.ipynb")
    lab.run_all(page)
    yield page
    page.close()


def test_a_hit_that_is_judged_is_found_in_the_file(evaluate, run, screens):
    panel = evaluate.locator(".mmlab-inspect")
    panel.scroll_into_view_if_needed()
    panel.get_by_role("button", name="relevant", exact=True).first.click()
    panel.get_by_text("judged relevant: version 1").wait_for(timeout=SOON)
    evaluate.screenshot(path=screens / "05_judged.png")
    labels = read_labels(run / "labels.jsonl")
    assert labels[["relevance", "by"]].to_numpy().tolist() == [[1, getpass.getuser()]]
    assert labels["item_id"].isin(read_items(run / "items.parquet")["item_id"]).all()
    panel.get_by_role("button", name="next").click()
    panel.get_by_label("Failed").select_option(index=1)
    evaluate.screenshot(path=screens / "05_next.png")
    panel.get_by_label("Direction").select_option("image-to-text")
    panel.get_by_label("Judged by").fill("a colleague")
    panel.get_by_role("button", name="not", exact=True).first.click()
    panel.get_by_text("judged not relevant: version 2").wait_for(timeout=SOON)
    panel.locator("figcaption", has_text="(judged not relevant)").first.wait_for(timeout=SOON)
    evaluate.screenshot(path=screens / "05_image_to_text.png")
    labels, modality = read_labels(run / "labels.jsonl"), read_items(run / "items.parquet")
    asked = modality.set_index("item_id").loc[labels["query_id"], "modality"]
    assert asked.tolist() == ["text", "image"]
    assert labels["by"].tolist() == [getpass.getuser(), "a colleague"]


SAVED_RANKINGS = """
import mmlab
from mmlab.panels import PanelData, compare_panel
from mmlab.retrieve.query.known_queries import SavedRankings
run = mmlab.open_run("demo")
asked = run.rankings.answers["text-to-image"]["query_id"].iloc[0]
text = run.items.set_index("item_id")["text"][asked]
ranked = {step: {"text-to-image": table} for step, table in run.rankings.steps["text-to-image"].items()}
saved = {step: SavedRankings(ranked[step], run.items) for step in ("exact", "index")}
""".strip()


@pytest.fixture(scope="module")
def other_panels(browser, lab):
    """A small notebook of the map and two compare panels, of saved rankings and live; all cells run."""
    cells = [
        SAVED_RANKINGS,
        "run.panel('map', maps=run.map(60))",
        "compare_panel(PanelData(saved, run.items), text, k=4)",
        "run.panel('compare', query=text, k=4)",
    ]
    nbformat.write(
        new_notebook(cells=[new_code_cell(cell) for cell in cells], metadata=KERNEL),
        lab.notebooks / "map.ipynb",
    )
    page = browser.new_page(viewport=WIDE)
    lab.open(page, "map.ipynb")
    lab.run_all(page)
    yield page
    page.close()


def pixels_of(element, colour) -> int:
    """How many pixels of the element have the colour, nearly."""
    with Image.open(io.BytesIO(element.screenshot())) as shown:
        differences = np.abs(np.asarray(shown.convert("RGB"), dtype=int) - colour)
    return int((differences.max(axis=2) < 16).sum())


def test_the_map_lists_what_is_chosen_and_marks_the_place_of_a_query(other_panels, screens):
    panel = other_panels.locator(".mmlab-map")
    panel.locator("canvas").first.wait_for(timeout=SOON)
    panel.get_by_label("Label").select_option(index=1)
    panel.get_by_text("chosen").wait_for(timeout=SOON)
    field = panel.get_by_label("Query")
    field.fill("a red mug")
    field.press("Enter")
    panel.get_by_text("lands at the cross").wait_for(timeout=SOON)
    panel.scroll_into_view_if_needed()
    other_panels.wait_for_timeout(1000)  # the points move into place
    other_panels.screenshot(path=screens / "06_map.png")
    assert pixels_of(panel.locator("canvas").first, (0x00, 0x72, 0xB2)) > 100  # the images' points are drawn
    box = panel.locator("canvas").first.bounding_box()
    panel.get_by_title("Activate lasso selection").click()
    lasso = [(0.15, 0.1), (0.85, 0.1), (0.85, 0.9), (0.15, 0.9), (0.15, 0.15)]
    for number, (x, y) in enumerate(lasso):
        other_panels.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y, steps=10)
        if not number:
            other_panels.mouse.down()
    other_panels.mouse.up()
    panel.get_by_text("the first 24").wait_for(timeout=SOON)
    other_panels.screenshot(path=screens / "06_lasso.png")


def test_two_saved_answers_stand_side_by_side(other_panels, screens):
    panel = other_panels.locator(".mmlab-compare").first
    panel.scroll_into_view_if_needed()
    panel.locator("section").nth(1).wait_for(timeout=SOON)
    assert panel.locator("section").count() == 2
    assert panel.locator(IMAGE).count() == 8
    assert panel.get_by_label("exact search").count() == 0  # which cannot act on saved rankings
    panel.get_by_role("slider").nth(1).press("ArrowLeft")
    panel.get_by_text("k: 4 | 3").wait_for(timeout=SOON)
    panel.get_by_label("Model").nth(1).select_option("exact")
    panel.locator('section[aria-label="Right: exact"]').wait_for(timeout=SOON)
    assert panel.get_by_text("Nothing moved").count()
    other_panels.screenshot(path=screens / "08_compare.png")


def test_each_side_of_a_live_comparison_is_set_by_itself(other_panels, screens):
    panel = other_panels.locator(".mmlab-compare").last
    panel.scroll_into_view_if_needed()
    panel.get_by_text("exact: False | True").wait_for(timeout=SOON)
    panel.get_by_role("button", name="Right: how it is ranked").click()
    panel.get_by_label("exact search, not the graph").last.uncheck()
    panel.get_by_text("the same settings on both sides").wait_for(timeout=SOON)
    panel.get_by_role("button", name="Right: filters").click()
    panel.get_by_label("colour", exact=True).last.select_option("red")
    panel.get_by_text("where: none | colour red").wait_for(timeout=SOON)
    assert panel.get_by_text("found on the left only").count()
    field = panel.get_by_label("Text", exact=True)
    field.fill("a red mug")
    field.press("Enter")
    panel.locator("p[role=status]", has_text="a red mug").wait_for(timeout=SOON)
    panel.get_by_role("button", name="Right: filters").click()
    panel.locator("section").first.scroll_into_view_if_needed()
    other_panels.screenshot(path=screens / "04_compare.png")


CONTROLS = "input:not([type=file]), select, button, [role=slider]"
SEEN = f"""box => [...box.querySelectorAll("{CONTROLS}")].filter(
  one => one.checkVisibility({{visibilityProperty: true}}) && !one.disabled && !one.ariaDisabled)"""
ROW = (
    "one.closest('.widget-slider')?.querySelector('label')?.textContent"  # ipywidgets names no handle itself
)
UNNAMED = f"""box => ({SEEN})(box).filter(one =>
  !(one.labels?.length || one.title || one.textContent || one.ariaLabel || {ROW})
).map(one => one.outerHTML.slice(0, 200))"""
UNREACHED = (
    f"""box => ({SEEN})(box).filter(one => !one.dataset.reached).map(one => one.outerHTML.slice(0, 200))"""
)
REACH = "() => { document.activeElement.dataset.reached = 1; }"


def hide_files(page):
    """The file browser makes room."""
    files = page.locator(".jp-FileBrowser")
    if files.is_visible():
        page.keyboard.press("Control+b")
        files.wait_for(state="hidden")


@pytest.mark.parametrize(
    ("notebook", "place"),
    [
        ("retrieve", ".mmlab-query"),
        ("evaluate", ".mmlab-inspect"),
        ("other_panels", ".mmlab-compare >> nth=0"),
        ("other_panels", ".mmlab-compare >> nth=1"),
        ("other_panels", ".mmlab-map"),
    ],
)
def test_a_panel_is_named_reached_by_keys_and_fits_a_narrow_window(request, screens, notebook, place):
    page = request.getfixturevalue(notebook)
    panel = page.locator(place)
    panel.scroll_into_view_if_needed()
    assert panel.evaluate(UNNAMED) == []
    assert panel.locator("img:not([alt])").count() == 0
    controls = panel.locator(CONTROLS)
    controls.first.focus()
    for _ in range(2 * controls.count()):  # the number beside a slider is a stop too
        page.evaluate(REACH)
        page.keyboard.press("Tab")
    assert panel.evaluate(UNREACHED) == []
    controls.first.focus()
    page.set_viewport_size(NARROW)
    hide_files(page)
    panel.evaluate("box => box.scrollIntoView(true)")
    page.wait_for_timeout(300)
    wider = panel.evaluate("box => box.scrollWidth - box.clientWidth")
    page.screenshot(path=screens / f"narrow_{place[7:].replace(' >> nth=', '_')}.png")
    page.set_viewport_size(WIDE)
    assert wider <= 1


@pytest.fixture
def offline(browser):
    """A page without network, and all that goes wrong on it."""
    context = browser.new_context(viewport=WIDE, offline=True)
    page, wrong = context.new_page(), []
    page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url[:200]}"))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("request", lambda asked: wrong.append(asked.url[:200]) if asked.url.startswith("http") else None)
    yield page, wrong
    context.close()


def test_every_page_of_the_report_opens_from_disk_without_network(offline, run, screens):
    page, wrong = offline
    for file in sorted(run.glob("*.html")):
        page.goto(file.as_uri())
        page.screenshot(path=screens / f"report_{file.stem}.png")
        assert page.title()
        page.set_viewport_size({"width": PHONE, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE or file.stem == "map", file.stem
        page.set_viewport_size(WIDE)
    assert wrong == []


def test_the_report_begins_with_the_verdict_and_has_five_screens_at_most(offline, run):
    page, wrong = offline
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto((run / "index.html").as_uri())
    assert page.get_by_role("heading", name="The verdict").bounding_box()["y"] < 400
    assert page.get_by_text("texts find their image first").is_visible()
    assert page.evaluate("document.documentElement.scrollHeight") <= 5 * 800
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 25, 30)"
    page.get_by_role("link", name="Which split, against how many items").click()
    assert page.get_by_text("tie rule").is_visible()  # the link unfolds it
    assert wrong == []


def test_the_map_of_the_report_reacts_to_the_mouse(offline, run, screens):
    page, wrong = offline
    page.goto((run / "index.html").as_uri())
    page.get_by_text("Map of images and texts").click()
    frame = page.locator("iframe[title^='Interactive map']")
    frame.scroll_into_view_if_needed()
    card, view = frame.content_frame.locator("#card"), frame.content_frame.locator("#view")
    view.wait_for(timeout=SOON)
    before, box = card.inner_text(), view.bounding_box()
    for step in range(400):  # along the diagonal and back, until a point is under the mouse
        share = 0.1 + 0.8 * (step % 200) / 200
        page.mouse.move(
            box["x"] + box["width"] * share, box["y"] + box["height"] * (share if step < 200 else 1 - share)
        )
        if card.inner_text() != before:
            break
    assert card.inner_text() != before
    assert card.locator("img").count() == 1
    page.screenshot(path=screens / "report_map.png")
    assert wrong == []
