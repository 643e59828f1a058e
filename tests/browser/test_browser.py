"""What a person does, in a browser: a notebook is run and its panels are used, a report is opened from disk."""

import base64
import csv
import getpass
import io
from pathlib import Path

import axe_playwright_python
import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image
from playwright.sync_api import expect

from mmlab.evaluate import read_labels
from mmlab.items import read_items

pytestmark = pytest.mark.slow

PHONE = 390  # pixels wide
WIDE, NARROW = {"width": 1300, "height": 950}, {"width": 480, "height": 950}
IMAGE = "figure img[src^='data:image/jpeg']"
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
SOON = 60_000  # milliseconds: the machine may be busy, 300 ms are measured elsewhere


@pytest.fixture(scope="module")
def opened(browser, lab, screens):
    """00_ask as `mmlab lab` opens it; every test goes on from where the one before it stopped."""
    page = browser.new_page(viewport=WIDE)
    lab.open(page, lab.printed)
    yield page
    page.close()


@pytest.fixture
def panel(opened):
    """The query panel, in sight."""
    panel = opened.locator(".mmlab-query")
    panel.scroll_into_view_if_needed()
    return panel


def wait_for_answer(panel, *words: str) -> None:
    """Wait until the line above the hits holds these words."""
    line = panel.locator(".mm-status")
    for word in words:
        line = line.filter(has_text=word)
    line.first.wait_for(timeout=SOON)


def type_text(panel, text: str) -> None:
    field = panel.get_by_label("Text", exact=True)
    field.fill(text)
    field.press("Enter")


def upload(page, panel, file) -> None:
    with page.expect_file_chooser() as chooser:
        panel.get_by_role("button", name="Choose").click()
    chooser.value.set_files(file)


def hits_of(panel) -> list[str]:
    """What stands under the images that were found: rank, score and words."""
    return panel.locator(".mm-body").all_inner_texts()


def test_the_lab_is_open_at_a_panel_that_is_ready_to_be_asked(panel, opened, lab, screens):
    assert "/lab/tree/work/00_ask.ipynb?token=" in lab.printed
    assert [session["path"] for session in lab.ask("api/sessions")] == ["work/00_ask.ipynb"]
    assert "run-all-cells" in lab.ask("lab/extensions/mmlab-ask/static/run_on_open.js")
    assert panel.get_by_label("Text", exact=True).is_visible()
    opened.wait_for_timeout(1000)
    assert not opened.locator(".Toastify__toast").count()  # no question of JupyterLab's lies over the panel
    opened.screenshot(path=screens / "ask_opened.png")


def test_a_text_finds_images(panel, opened, screens):
    type_text(panel, "a red mug")
    wait_for_answer(panel, "a red mug", "8 hits", "ms to embed", "ms to search")
    assert panel.locator(".mm-card img").count() == 8
    opened.screenshot(path=screens / "ask_text.png")


CARET = """panel => {
  panel.querySelectorAll("details").forEach(one => one.open = true);
  return [...panel.querySelectorAll("input:not([type=file]), select, button, [role=slider], [contenteditable]")]
    .filter(one => one.checkVisibility({visibilityProperty: true}) && !one.disabled)
    .map((one, place) => (one.dataset.place = place, place));
}"""


RESTORE = """(one, value) => {
  if (!one.matches("select, input") || one.type === "checkbox" || one.value === value) return;
  one.value = value;
  for (const name of ["input", "change"]) one.dispatchEvent(new Event(name, {bubbles: true}));
}"""


def press_dangerous_keys(page, place) -> list[str]:
    """The controls of a panel on which b, m or d d changed the notebook; a text field is left first by Escape."""
    panel = page.locator(place)
    cells, hurt = page.locator(".jp-Cell").count(), []
    for number in panel.evaluate(CARET):
        control = panel.locator(f"[data-place='{number}']")
        if not control.count():
            continue  # drawn anew meanwhile
        before = control.evaluate("one => one.value ?? ''")
        control.focus()
        for key in ("Escape", "b", "m", "d", "d"):
            page.keyboard.press(key)
        control.evaluate(RESTORE, before)
        if page.locator(".jp-Cell").count() != cells or panel.count() != 1:
            hurt.append(control.evaluate("one => one.outerHTML.slice(0, 200)"))
            break
    return hurt


def test_keys_in_the_panel_do_not_edit_the_notebook(panel, opened, screens):
    for fold in ("Ranking", "Filters", "Saved"):
        panel.get_by_role("button", name=fold, exact=True).click()
    assert press_dangerous_keys(opened, ".mmlab-query") == []
    opened.screenshot(path=screens / "ask_keys.png")
    for fold in ("Ranking", "Filters", "Saved"):
        panel.get_by_role("button", name=fold, exact=True).click()
    type_text(panel, "a red mug")
    wait_for_answer(panel, "“a red mug” → image: 8 hits")


def test_a_hit_opens_with_all_that_is_known_of_it(panel, opened, screens):
    panel.locator(".mm-open").first.click()
    dialog = panel.get_by_role("dialog")
    dialog.get_by_role("link", name="open the image alone").wait_for(timeout=SOON)
    assert dialog.locator(".mm-big img").evaluate("one => one.naturalWidth") >= 200
    for name in ("path", "item_id", "pair_id", "label", "colour"):
        assert dialog.locator("dt", has_text=name).count()
    opened.screenshot(path=screens / "ask_details.png")
    words = dialog.locator(".mm-dialog-facts").inner_text()
    opened.keyboard.press("ArrowRight")
    assert dialog.locator(".mm-dialog-facts").inner_text() != words
    opened.keyboard.press("Escape")
    assert opened.evaluate("document.activeElement.ariaLabel").startswith("Rank 2")


def test_hits_are_labelled_by_keys_and_refine_the_question(panel, opened, screens):
    panel.locator(".mm-open").first.focus()
    for key in "ynus":  # yes to the first, no to the second, which is taken back, the third is selected
        opened.keyboard.press(key)
    pressed = {"Relevant (y)": 1, "Not relevant (n)": 0, "Select (s)": 1}
    for name, count in pressed.items():  # labels are kept by the kernel, and come back from it
        button = panel.locator(f'.mm-card [aria-label="{name}"][aria-pressed=true]')
        expect(button).to_have_count(count, timeout=SOON)
    panel.get_by_text("1 selected").wait_for(timeout=SOON)
    panel.get_by_role("button", name="Saved", exact=True).click()
    panel.get_by_text("1 hits labelled").wait_for(timeout=SOON)
    panel.get_by_label("Name", exact=True).fill("mugs")
    panel.get_by_role("button", name="Save", exact=True).click()
    panel.get_by_text("questions.jsonl").wait_for(timeout=SOON)
    panel.get_by_role("button", name="Saved", exact=True).click()
    panel.locator(".mm-card").first.hover()
    panel.get_by_role("button", name="Not this").first.click()
    panel.get_by_role("button", name="−").and_(panel.locator(".jupyter-button")).wait_for(timeout=SOON)
    opened.screenshot(path=screens / "ask_labels.png")
    panel.locator(".jupyter-button", has_text="−").click()
    panel.locator(".jupyter-button", has_text="−").wait_for(state="detached", timeout=SOON)


def test_texts_that_are_found_are_a_list(panel, opened, screens):
    panel.get_by_role("group", name="Find").get_by_role("button", name="text").click()
    wait_for_answer(panel, "→ text: 8 hits")
    assert panel.locator(".mm-text").count() == 8
    opened.screenshot(path=screens / "ask_texts.png")
    panel.get_by_role("group", name="Find").get_by_role("button", name="image").click()
    wait_for_answer(panel, "→ image: 8 hits")


def ask_by(panel, mode):
    return panel.get_by_role("group", name="Ask by").get_by_role("button", name=mode)


def test_an_image_that_is_not_chosen_yet_is_asked_for(panel, opened, screens):
    ask_by(panel, "image").click()
    panel.get_by_text("Choose an image of the collection").wait_for(timeout=SOON)
    assert panel.locator("[role=alert]:visible").count() == 0
    opened.screenshot(path=screens / "ask_hint.png")


def test_an_uploaded_image_finds_its_like_also_when_it_is_uploaded_again(panel, opened, run, screens):
    file = next((run.parents[1] / "demo" / "images").glob("*7.jpg"))
    upload(opened, panel, file)
    wait_for_answer(panel, f"{file.name} (image)")
    ask_by(panel, "text").click()
    wait_for_answer(panel, "a red mug")
    upload(opened, panel, file)
    wait_for_answer(panel, f"{file.name} (image)")
    opened.screenshot(path=screens / "ask_upload.png")


def test_a_photo_of_15_megabytes_asks_upright(panel, opened, run, tmp_path):
    """Noise over a product, lying on its side with the orientation that makes it upright, as a phone saves it."""
    source = next((run.parents[1] / "demo" / "images").glob("*3.jpg"))
    noise = np.random.default_rng(0).integers(-45, 45, (3000, 4000, 3))
    with Image.open(source) as product:
        pixels = np.asarray(product.convert("RGB").resize((4000, 3000))) + noise
    photo, exif = Image.fromarray(pixels.clip(0, 255).astype("uint8")).rotate(90, expand=True), Image.Exif()
    exif[0x0112] = 6
    photo.save(tmp_path / "photo.jpg", quality=99, exif=exif)
    assert (tmp_path / "photo.jpg").stat().st_size > 12_000_000
    upload(opened, panel, tmp_path / "photo.jpg")
    wait_for_answer(panel, "photo.jpg (image)")
    assert float(panel.locator(".mm-facts").first.inner_text().split()[1]) > 0.8
    upload(opened, panel, source)  # the connection is alive
    wait_for_answer(panel, source.name)


GIVE = """([box, kind, name, content]) => {
  const bytes = Uint8Array.from(atob(content), one => one.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, {type: "image/jpeg"}));
  const options = {bubbles: true, cancelable: true, clipboardData: data, dataTransfer: data};
  const event = kind === "paste" ? new ClipboardEvent(kind, options) : new DragEvent(kind, options);
  box.querySelector("select").dispatchEvent(event);
}"""


def test_an_image_is_pasted_dropped_typed_as_a_path_and_taken_away(panel, opened, run):
    file = Path(read_items(run / "items.parquet")["image"].dropna().iloc[0])
    content = base64.b64encode(file.read_bytes()).decode()
    for kind in ("paste", "drop"):
        opened.evaluate(GIVE, [panel.element_handle(), kind, f"{kind}.jpg", content])
        wait_for_answer(panel, f"{kind}.jpg (image)")
    field = panel.get_by_label("Image", exact=True)
    field.fill(str(file))
    field.press("Enter")
    wait_for_answer(panel, str(file), "(right: the other images of label")
    panel.get_by_role("button", name="Take the image away").click()
    wait_for_answer(panel, "a red mug")


def test_text_and_image_are_mixed_by_the_share_of_the_slider(panel, opened, run, screens):
    upload(opened, panel, next((run.parents[1] / "demo" / "images").glob("*7.jpg")))
    wait_for_answer(panel, "(image)")
    ask_by(panel, "both").click()
    wait_for_answer(panel, "a red mug", "(image)")
    before = hits_of(panel)
    opened.screenshot(path=screens / "ask_both.png")
    share = panel.get_by_role("slider", name="Text share")
    share.focus()
    share.press("End")
    panel.locator(".mm-status").filter(has_not_text="(image)").filter(has_text="a red mug").wait_for()
    assert hits_of(panel) != before
    ask_by(panel, "text").click()


def test_a_filter_is_searched_set_shown_and_cleared(panel, opened, screens):
    panel.get_by_role("button", name="Filters", exact=True).click()
    panel.get_by_label("Search in label").fill("mu")
    mugs = panel.get_by_role("group", name="label")
    assert "mug" in mugs.inner_text()
    assert "lamp" not in mugs.inner_text()
    panel.get_by_role("group", name="colour").get_by_label("blue").check()
    wait_for_answer(panel, "a red mug", "colour = blue")
    panel.get_by_text("Only colour = blue").wait_for(timeout=SOON)
    opened.screenshot(path=screens / "ask_filter.png")
    panel.get_by_role("button", name="Filters", exact=True).click()
    panel.get_by_role("button", name="clear filters").click()
    panel.locator(".mm-status").filter(has_not_text="colour = blue").first.wait_for(timeout=SOON)


COUNT = """line => {
  window.counting?.disconnect();
  window.answers = 0;
  window.counting = new MutationObserver(() => { window.answers += 1; });
  window.counting.observe(line, {childList: true, characterData: true, subtree: true});
}"""
TEN = """field => {
  const ask = [...field.closest(".mmlab-panel").querySelectorAll("button")].find(one => one.textContent === "Ask");
  for (let number = 0; number < 10; number++) {
    field.value = `question ${number}`;
    for (const name of ["input", "change"]) field.dispatchEvent(new Event(name, {bubbles: true}));
    ask.click();
  }
}"""


def test_a_question_that_is_typed_and_clicked_is_searched_once(panel, opened):
    """Each answer writes the line above the hits anew."""
    panel.locator("[aria-busy=true]").wait_for(state="detached", timeout=SOON)
    panel.locator(".mm-status").evaluate(COUNT)
    panel.get_by_label("Text", exact=True).fill("a green lamp")
    panel.get_by_role("button", name="Ask", exact=True).click()
    wait_for_answer(panel, "a green lamp")
    opened.wait_for_timeout(1500)
    assert opened.evaluate("window.answers") == 1


def test_of_ten_clicks_the_last_question_is_answered(panel, opened):
    panel.locator("[aria-busy=true]").wait_for(state="detached", timeout=SOON)
    panel.locator(".mm-status").evaluate(COUNT)
    panel.get_by_label("Text", exact=True).evaluate(TEN)
    wait_for_answer(panel, "question 9")
    opened.wait_for_timeout(1000)
    assert opened.evaluate("window.answers") <= 2  # one may have begun before the others came
    type_text(panel, "a green lamp")
    wait_for_answer(panel, "a green lamp")


def test_an_error_is_seen_with_its_cause(panel, opened, screens):
    wrong = {"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"no image at all"}
    upload(opened, panel, wrong)
    panel.get_by_text("caused by ImageError: not an image").first.wait_for(timeout=SOON)
    opened.screenshot(path=screens / "ask_error.png")
    ask_by(panel, "text").click()
    wait_for_answer(panel, "a green lamp")


def test_the_history_asks_again_and_the_table_is_saved(panel, opened, screens, tmp_path):
    history = panel.get_by_label("Asked before")
    asked = [text.replace("\xa0", " ") for text in history.locator("option").all_text_contents()]
    old = next(
        number
        for number, text in enumerate(asked)
        if "“a red mug” → image" in text and "+" not in text and "minus" not in text
    )
    history.select_option(index=old)
    wait_for_answer(panel, "a red mug")
    with opened.expect_download() as saved:
        panel.get_by_role("link", name="hits.csv").click()
    saved.value.save_as(tmp_path / "hits.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "hits.csv").read_text("utf-8-sig"))))
    assert [row["rank"] for row in rows[:3]] == ["1", "2", "3"]
    assert {row["asked_text"] for row in rows} == {"a red mug"}
    opened.screenshot(path=screens / "ask_history.png")


def wait_until(page, holds) -> None:
    """Wait until a condition holds, while the page goes on."""
    for _ in range(SOON // 100):
        if holds():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it does not hold in time")


def test_a_saved_notebook_shows_the_last_answer_without_a_kernel(browser, panel, opened, lab, work, screens):
    type_text(panel, "a blue bottle")
    wait_for_answer(panel, "a blue bottle")
    twin = opened.locator(".mmlab-twin", has_text="a blue bottle")
    twin.wait_for(state="attached", timeout=SOON)  # it is made when the answer has been there for a moment
    assert not twin.is_visible()
    panel.get_by_role("button", name="Ask", exact=True).focus()
    opened.keyboard.press("Control+s")
    wait_until(opened, lambda: "a blue bottle" in (work / "00_ask.ipynb").read_text("utf-8"))
    saved = nbformat.read(work / "00_ask.ipynb", 4)
    # JupyterLab would start the one kernel of a language, and the cells would run by themselves
    saved.metadata = {"kernelspec": {"name": "none", "display_name": "none", "language": "none"}}
    nbformat.write(saved, work / "saved.ipynb")
    page = browser.new_page(viewport=WIDE)
    page.goto(lab.address("work/saved.ipynb", "doc"), timeout=SOON * 4)
    twin = page.locator(".mmlab-twin", has_text="a blue bottle")
    twin.wait_for(timeout=SOON * 4)
    assert page.get_by_text("answers while its kernel runs").is_visible()
    assert twin.locator(IMAGE).count() == 8
    page.screenshot(path=screens / "ask_without_kernel.png")
    page.close()


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
def other_panels(opened, browser, lab, work):
    """A small notebook of the map, two compare panels (saved and live), browsing, misses and judging; all cells run.

    It shares the kernel of 00_ask, which has loaded everything. The page opens as on a slow machine, where widgets take
    longer to start than some versions of anywidget wait.
    """
    cells = [
        SAVED_RANKINGS,
        "run.panel('map', maps=run.map(60))",
        "compare_panel(PanelData(saved, run.items), text, k=4)",
        "run.panel('compare', query=text, k=4)",
        "run.panel('browse')",
        "run.evaluate(run.rank(split='all')).failures(k=1).panel()",
        "run.panel('judge', by='one')",
    ]
    nbformat.write(
        new_notebook(cells=[new_code_cell(cell) for cell in cells], metadata=KERNEL),
        work / "panels.ipynb",
    )
    (kernel,) = [one["kernel"] for one in lab.ask("api/sessions") if one["path"] == "work/00_ask.ipynb"]
    notebook = {"path": "work/panels.ipynb", "name": "panels.ipynb", "type": "notebook"}
    lab.ask("api/sessions", {**notebook, "kernel": kernel})
    page = browser.new_page(viewport=WIDE)
    lab.open(page, lab.address("work/panels.ipynb"), slower=6)
    yield page
    page.close()


@pytest.fixture
def misses(other_panels):
    """The inspect panel, in sight, with the focus on its first hit."""
    panel = other_panels.locator(".mmlab-inspect")
    panel.scroll_into_view_if_needed()
    panel.locator(".mm-open").first.focus()
    return panel


def judged(run):
    return read_labels(run / "labels.jsonl")[["relevance", "by"]].to_numpy().tolist()


def test_hits_are_judged_by_keys_alone_and_undo_goes_back(misses, other_panels, run, screens):
    other_panels.keyboard.press("y")
    misses.get_by_text("Judged relevant: version 1 of labels.jsonl").wait_for(timeout=SOON)
    misses.get_by_text("Miss 2 of").wait_for(timeout=SOON)
    other_panels.screenshot(path=screens / "05_judged.png")
    assert judged(run) == [[1, getpass.getuser()]]
    labels = read_labels(run / "labels.jsonl")
    assert labels["item_id"].isin(read_items(run / "items.parquet")["item_id"]).all()
    other_panels.keyboard.press("ArrowRight")
    other_panels.keyboard.press("n")
    misses.get_by_text("Judged not relevant: version 2").wait_for(timeout=SOON)
    for version in (3, 4):
        other_panels.keyboard.press("u")
        misses.get_by_text(f"Undone: judgement taken back: version {version}").wait_for(timeout=SOON)
    misses.get_by_text("Miss 1 of").wait_for(timeout=SOON)
    assert judged(run) == []
    assert str(run / "labels.jsonl") in misses.inner_text()


def test_an_image_that_asks_stands_beside_texts_that_can_be_read(misses, other_panels, run, screens):
    misses.get_by_label("Direction").select_option("image-to-text")
    misses.get_by_text("the query", exact=True).first.wait_for(timeout=SOON)
    misses.locator(".mm-text").first.wait_for(timeout=SOON)
    assert misses.locator(".mm-cards img").count() == 0
    other_panels.screenshot(path=screens / "05_image_to_text.png")
    misses.get_by_label("Judged by").fill("a colleague")
    misses.locator(".mm-text").first.hover()
    misses.get_by_role("button", name="Not relevant").first.click()
    misses.get_by_text("Judged not relevant: version 5").wait_for(timeout=SOON)
    assert judged(run) == [[0, "a colleague"]]
    labels, items = read_labels(run / "labels.jsonl"), read_items(run / "items.parquet")
    assert items.set_index("item_id")["modality"][labels["query_id"].iloc[0]] == "image"
    assert press_dangerous_keys(other_panels, ".mmlab-inspect") == []


def test_hits_of_own_queries_are_judged_blind_by_keys_and_two_people_are_compared(other_panels, run, screens):
    panel = other_panels.locator(".mmlab-judge")
    panel.scroll_into_view_if_needed()
    panel.get_by_text("Query 1 of").wait_for(timeout=SOON)
    for person in ("one", "two"):
        field = panel.get_by_label("Judged by")
        field.fill(person)
        field.press("Enter")
        panel.get_by_text("Judged not relevant: version").wait_for(state="hidden", timeout=SOON)  # begun anew
        panel.get_by_text("Query 1 of").wait_for(timeout=SOON)
        panel.locator(".mm-open").first.press(
            "y"
        )  # focused and pressed in one: JupyterLab may move the focus between
        panel.get_by_text("Judged relevant: version").wait_for(timeout=SOON)
        other_panels.keyboard.press("ArrowRight")
        other_panels.keyboard.press("n" if person == "one" else "y")
        words = "Judged not relevant: version" if person == "one" else "Judged relevant: version"
        panel.get_by_text(words).wait_for(timeout=SOON)
    panel.get_by_text("one and two agree on 1 of 2 hits").wait_for(timeout=SOON)
    other_panels.screenshot(path=screens / "05_judge.png")
    assert "#1" not in panel.locator(".mm-cards").inner_text()  # neither rank nor score
    labels = read_labels(run / "labels.jsonl")
    own = labels[labels["by"].isin(["one", "two"])]
    assert own["relevance"].tolist() == [1, 0, 1, 1]
    assert own["query_id"].nunique() == 1
    assert press_dangerous_keys(other_panels, ".mmlab-judge") == []


IMAGES = (0xE6, 0x9F, 0x00)  # the colour of images in all figures


def pixels_of(element, colour) -> int:
    """How many pixels of the element have the colour, nearly."""
    with Image.open(io.BytesIO(element.screenshot())) as shown:
        differences = np.abs(np.asarray(shown.convert("RGB"), dtype=int) - colour)
    return int((differences.max(axis=2) < 16).sum())


def test_the_map_lists_what_is_chosen_and_marks_the_place_of_a_query(other_panels, screens):
    panel = other_panels.locator(".mmlab-map")
    canvas = panel.locator("canvas").first
    canvas.wait_for(timeout=SOON)
    panel.get_by_label("Colour").select_option("label")
    panel.get_by_label("Choose").select_option(index=1)
    panel.get_by_text("chosen: `panel.selection`").wait_for(timeout=SOON)
    field = panel.get_by_label("Query")
    field.fill("a red mug")
    field.press("Enter")
    panel.get_by_text("lands at the cross").wait_for(timeout=SOON)
    panel.scroll_into_view_if_needed()
    other_panels.wait_for_timeout(1000)  # the points move into place
    other_panels.screenshot(path=screens / "06_map.png")


def test_the_map_shows_the_image_under_the_pointer_and_what_the_lasso_encloses(other_panels, screens):
    panel = other_panels.locator(".mmlab-map")
    canvas = panel.locator("canvas").first
    panel.get_by_label("Colour").select_option("modality")
    panel.get_by_label("Names").select_option("(no names)")
    panel.get_by_text("image 60").wait_for(timeout=SOON)
    other_panels.wait_for_timeout(1000)
    assert pixels_of(canvas, IMAGES) > 100  # the images' points are drawn, in the colour of all figures
    point_at(other_panels, canvas, IMAGES)
    panel.locator("img[src^='data:image/jpeg']").first.wait_for(timeout=SOON)
    other_panels.screenshot(path=screens / "06_pointed_at.png")
    box = canvas.bounding_box()
    panel.get_by_title("Activate lasso selection").click()
    lasso = [(0.05, 0.02), (0.95, 0.02), (0.95, 0.98), (0.05, 0.98), (0.05, 0.06)]
    for number, (x, y) in enumerate(lasso):
        other_panels.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y, steps=10)
        if not number:
            other_panels.mouse.down()
    other_panels.mouse.up()
    panel.get_by_text("120 chosen").wait_for(timeout=SOON)  # none is cut off at the edge
    other_panels.screenshot(path=screens / "06_lasso.png")
    assert press_dangerous_keys(other_panels, ".mmlab-map") == []


def point_at(page, element, colour) -> None:
    """Move the pointer to the pixel of the element that has the most neighbours of its colour."""
    with Image.open(io.BytesIO(element.screenshot())) as shown:
        differences = np.abs(np.asarray(shown.convert("RGB"), dtype=int) - colour)
    coloured = (differences.max(axis=2) < 16).astype(int)
    neighbours = sum(
        np.roll(coloured, (down, right), axis=(0, 1)) for down in range(-2, 3) for right in range(-2, 3)
    )
    y, x = np.unravel_index(neighbours.argmax(), neighbours.shape)
    box = element.bounding_box()
    page.mouse.move(box["x"] + x + 0.5, box["y"] + y + 0.5, steps=5)


def test_two_saved_answers_stand_side_by_side(other_panels, screens):
    panel = other_panels.locator(".mmlab-compare").first
    panel.scroll_into_view_if_needed()
    panel.locator(".mm-card").nth(7).wait_for(timeout=SOON)
    assert panel.locator(".mm-card img").count() == 8
    assert panel.get_by_label("exact search").count() == 0  # which cannot act on saved rankings
    panel.get_by_label("How many").nth(1).fill("3")
    panel.get_by_label("How many").nth(1).press("Enter")
    panel.get_by_text("k: 4 | 3").wait_for(timeout=SOON)
    panel.get_by_label("Model").nth(1).select_option("exact")
    wait_for_answer(panel, "Right: exact: ", "from saved rankings")
    assert panel.get_by_text("Nothing moved").count()
    other_panels.screenshot(path=screens / "08_compare.png")


def test_each_side_of_a_live_comparison_is_set_by_itself(other_panels, screens):
    panel = other_panels.locator(".mmlab-compare").last
    panel.scroll_into_view_if_needed()
    panel.get_by_text("exact: True | False").wait_for(timeout=SOON)
    panel.get_by_role("button", name="Right: ranking").click()
    panel.get_by_label("exact search, not the graph").last.check()
    panel.get_by_text("the same settings on both sides").wait_for(timeout=SOON)
    panel.get_by_role("button", name="Right: filters").click()
    panel.get_by_role("group", name="colour").last.get_by_label("red").check()
    panel.get_by_text("where: none | colour red").wait_for(timeout=SOON)
    assert panel.get_by_text("found on the left only").count()
    type_text(panel, "a red mug")
    wait_for_answer(panel, "Right: demo-", "4 hits")
    panel.get_by_role("button", name="Right: filters").click()
    assert press_dangerous_keys(other_panels, ".mmlab-compare >> nth=1") == []
    other_panels.screenshot(path=screens / "04_compare.png")


def test_a_collection_is_browsed_filtered_and_selected(other_panels, screens):
    panel = other_panels.locator(".mmlab-browse")
    panel.scroll_into_view_if_needed()
    panel.get_by_text("page 1 of").wait_for(timeout=SOON)
    panel.get_by_label("split").get_by_text("test", exact=True).click()
    panel.get_by_text("Only split = test").wait_for(timeout=SOON)
    panel.locator(".mm-card").first.hover()
    panel.locator(".mm-select").first.click()
    panel.get_by_text("is their table").wait_for(timeout=SOON)
    other_panels.screenshot(path=screens / "browse.png")
    panel.locator(".mm-open").first.click()
    panel.get_by_text("item_id").wait_for(timeout=SOON)
    other_panels.screenshot(path=screens / "browse_details.png")
    other_panels.keyboard.press("Escape")
    panel.get_by_role("button", name="clear filters").click()
    panel.get_by_role("button", name="text", exact=True).click()
    panel.locator(".mm-text").first.wait_for(timeout=SOON)
    field = panel.get_by_label("Words")
    field.fill("no text has these words")
    field.press("Enter")
    panel.get_by_text("No item passes the filters").wait_for(timeout=SOON)
    assert press_dangerous_keys(other_panels, ".mmlab-browse") == []
    field.fill("")
    field.press("Enter")
    panel.locator(".mm-text").first.wait_for(timeout=SOON)


CONTROLS = "input:not([type=file]), select, button, [role=slider]"
SEEN = f"""box => [...box.querySelectorAll("{CONTROLS}")].filter(
  one => one.checkVisibility({{visibilityProperty: true}}) && one.tabIndex >= 0
    && !one.disabled && !one.ariaDisabled)"""
ROW = (
    "one.closest('.widget-slider')?.querySelector('label')?.textContent"  # ipywidgets names no handle itself
)
UNNAMED = f"""box => ({SEEN})(box).filter(one =>
  !(one.labels?.length || one.title || one.textContent || one.ariaLabel || {ROW})
).map(one => one.outerHTML.slice(0, 200))"""
UNREACHED = (
    f"""box => ({SEEN})(box).filter(one => !one.dataset.reached).map(one => one.outerHTML.slice(0, 200))"""
)
REACH = """() => document.addEventListener("focusin", event => { event.target.dataset.reached = 1; }, true)"""


AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
SERIOUS = """async box => {
  const found = await axe.run(box ?? document);
  const seen = found.passes.filter(one => one.id === "color-contrast").flatMap(one => one.nodes).length;
  const serious = found.violations.filter(one => ["serious", "critical"].includes(one.impact));
  return { seen, serious: serious.map(one => [one.id, one.nodes.map(node => node.html.slice(0, 200))]) };
}"""


def has_nothing_serious(found) -> bool:
    """Whether axe sees texts, and finds nothing serious; `found`: what SERIOUS returned."""
    assert found["serious"] == []
    return found["seen"] > 0


def bring_into_sight(page, panel) -> None:
    """Scroll until the panel stays in the window: the notebook draws the cells that come into it, and moves."""
    still = 0
    for _ in range(SOON // 200):
        panel.scroll_into_view_if_needed()
        page.wait_for_timeout(200)
        box = panel.bounding_box()
        still = still + 1 if box and box["y"] < WIDE["height"] - 200 and box["y"] + box["height"] > 200 else 0
        if still == 3:
            return
    raise AssertionError("the panel does not come into sight")


def set_theme(page, name):
    if page.evaluate("document.body.dataset.jpThemeName") == f"JupyterLab {name}":
        return
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.get_by_text("Theme", exact=True).first.hover()
    page.get_by_text(f"JupyterLab {name}", exact=True).click()
    page.wait_for_timeout(1000)


@pytest.mark.parametrize(
    ("notebook", "place"),
    [
        ("opened", ".mmlab-query"),
        ("other_panels", ".mmlab-inspect"),
        ("other_panels", ".mmlab-judge"),
        ("other_panels", ".mmlab-compare >> nth=1"),
        ("other_panels", ".mmlab-map"),
        ("other_panels", ".mmlab-browse"),
    ],
)
@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_nothing_serious_is_found_by_axe(request, screens, notebook, place, theme):
    page = request.getfixturevalue(notebook)
    set_theme(page, theme)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    panel = page.locator(place)
    bring_into_sight(page, panel)
    page.screenshot(path=screens / f"{theme.lower()}_{place.split()[0].removeprefix('.mmlab-')}.png")
    assert has_nothing_serious(panel.evaluate(SERIOUS))


def hide_files(page):
    """The file browser makes room."""
    files = page.locator(".jp-FileBrowser")
    if files.is_visible():
        page.evaluate("document.activeElement.blur()")  # a text field keeps what is pressed in it
        page.keyboard.press("Control+b")
        files.wait_for(state="hidden")


@pytest.mark.parametrize(
    ("notebook", "place"),
    [
        ("opened", ".mmlab-query"),
        ("other_panels", ".mmlab-inspect"),
        ("other_panels", ".mmlab-judge"),
        ("other_panels", ".mmlab-compare >> nth=0"),
        ("other_panels", ".mmlab-compare >> nth=1"),
        ("other_panels", ".mmlab-map"),
        ("other_panels", ".mmlab-browse"),
    ],
)
def test_a_panel_is_named_reached_by_keys_and_fits_a_narrow_window(request, screens, notebook, place):
    page = request.getfixturevalue(notebook)
    panel = page.locator(place)
    panel.scroll_into_view_if_needed()
    assert panel.evaluate(UNNAMED) == []
    assert panel.locator("img:not([alt])").count() == 0
    controls = panel.locator(CONTROLS)
    page.evaluate(REACH)
    controls.first.focus()
    for _ in range(2 * controls.count()):  # the number beside a slider is a stop too
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
        page.evaluate(AXE.read_text(encoding="utf-8"))
        assert has_nothing_serious(page.evaluate(SERIOUS, None)), file.stem
        page.screenshot(path=screens / f"report_{file.stem}.png")
        assert page.title()
        if file.stem.startswith("04"):  # the answers of its panels
            assert page.locator(".mmlab-twin").nth(1).locator(IMAGE).count() >= 8
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
