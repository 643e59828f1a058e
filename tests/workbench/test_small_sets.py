"""Small and odd collections, through the cells of the notebooks: what an answer lacks it says, and nothing raises."""

import csv
import re
import warnings
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

import mmlab
from mmlab.items import read_table
from mmlab.runs import write_report
from tests.bench.sentences import find_minilm
from tests.cells import run_cells
from tests.conftest import data_in

pytestmark = pytest.mark.slow

WORDS = ("one", "two", "three", "four", "five", "six")
RUN = (
    "01_ingest", "02_embed", "03_index", "04_retrieve", "05_evaluate", "06_visualize", "09_fusion", "10_scores",
)  # fmt: skip
KEPT = {"keep": ["no image named"]}


def images(folder: Path, count: int) -> list[str]:
    """Draw so many images, each of a colour of its own."""
    names = [f"{number}.png" for number in range(count)]
    for number, name in enumerate(names):
        image = Image.linear_gradient("L").convert("RGB").resize((64, 64)).rotate(60 * number)
        image.paste((40 * number, 200 - 30 * number, 99), (8 * number, 4, 8 * number + 20, 40))
        image.save(folder / name)
    return names


def table(folder: Path, rows: list[tuple[str, ...]], header: tuple[str, ...] = ("image", "caption")) -> None:
    with open(folder / "captions.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def photos(folder: Path) -> None:
    images(folder, 6)


def one_pair(folder: Path) -> None:
    table(folder, [(name, "a single caption of an image") for name in images(folder, 1)])


def texts(folder: Path) -> None:
    table(folder, [("", f"text number {word} without any image") for word in WORDS])


def one_text(folder: Path) -> None:
    """Also: labels that are all unlike, and of three splits only one has items."""
    header = ("image", "caption", "label", "split")
    rows = [(name, "the same text for all", name, "train") for name in images(folder, 3)]
    table(folder, rows, header)


def captioned(folder: Path) -> None:
    """Each image has two captions."""
    names = images(folder, 6)
    rows = [(name, f"drawing {word} of a ramp") for name, word in zip(names, WORDS, strict=True)]
    table(folder, rows + [(name, f"a small square on {name}") for name in names])


SETS = {
    "photos": (photos, {}),
    "one pair": (one_pair, {}),
    "texts": (texts, KEPT),
    "one text": (one_text, {}),
}


@contextmanager
def ran(folder: Path, name: str, make: Callable[[Path], None], more: dict, notebooks: Iterable[str] = RUN):
    """Make a set and run the notebooks on it: the run, and what their cells showed; warnings of numpy are errors."""
    (folder / "set").mkdir()
    make(folder / "set")
    given = {"name": name, "dataset": str(folder / "set"), "ocr": False, **more}
    with data_in(folder / "data"), warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        shown = [run_cells(notebook, given) for notebook in notebooks]
        yield mmlab.open_run(name), {cell: html for cells in shown for cell, html in cells.items()}


@pytest.fixture(scope="module", params=SETS)
def small(request, tmp_path_factory):
    """The name of a set, its run, and what the cells of all notebooks showed."""
    name = request.param
    with ran(tmp_path_factory.mktemp("small"), name.replace(" ", "-"), *SETS[name]) as (run, shown):
        yield name, run, shown


def test_a_text_encoder_alone_finds_texts_and_says_what_to_add(tmp_path):
    given = {"models": [str(find_minilm())]}
    with ran(tmp_path, "sentences", captioned, given, RUN[:6]) as (run, shown):
        assert "No model embeds the 6 images: texts find texts, each shown with its pair." in shown["02-04"]
        assert "To find images too, add a model of texts and images such as openai/clip" in shown["02-04"]
        hits = run.search("drawing four of a ramp", k=6)
        assert set(hits.found["modality"]) == {"text"}
        assert "drawing four of a ramp" not in set(hits.found["text"])  # which asked
        assert "no model of this run embeds images" in hits.explain(rank=1).sentence
        for cell in ("04-21", "05-06", "05-13"):
            assert "Nothing is measured here: no model embeds the images of this run" in shown[cell]


def test_all_cells_run_and_show_no_number_that_is_none(small):
    _, _, shown = small
    assert len(shown) > 60
    without_images = {cell: re.sub(r'src(doc)?="[^"]*"', "", html) for cell, html in shown.items()}
    assert [cell for cell, html in without_images.items() if re.search(r"\bnan\b", html, re.IGNORECASE)] == []


def test_01_says_what_such_items_cannot_serve_for(small):
    name, _, shown = small
    says = {
        "photos": "There are no texts: the images can be searched and mapped",
        "texts": "There are no images: texts can be searched by texts alone",
        "one text": "All 3 texts are the same, so they tell no image from another",
    }
    assert [other for other, words in says.items() if words in shown["01-26"]] == [name] * (name in says)


def test_the_report_says_that_nothing_is_judged(small):
    name, run, _ = small
    page = write_report(run.name).read_text(encoding="utf-8")
    assert ("Nothing could be measured: 05_evaluate says why" in page) == (name in ("photos", "texts"))


def test_05_says_what_to_judge_by_where_there_is_nothing(small):
    name, run, shown = small
    judged = name not in ("photos", "texts")
    assert ("There is nothing to judge by" in shown["05-06"]) != judged
    assert len(run.evaluate().measures) == (
        0 if not judged else len(run.evaluate().measures["measure"].unique()) * 2
    )
    if not judged:
        assert "<img" not in shown["05-06"] + shown["05-11"] + shown["05-13"]
        assert "captions.csv with the columns image and caption" in shown["05-32"]
        assert "<img" not in shown["05-35"]
        assert "No query has a known right answer" in shown["05-35"]
        assert "No query has a known right answer" in shown["05-36"]


def test_a_search_finds_all_that_there_are(small):
    name, run, _ = small
    hits = run.search(run.sample("text"), k=8)
    counts = {"photos": 6, "one pair": 1, "texts": 5, "one text": 3}  # a text among texts leaves itself out
    assert len(hits) == counts[name]
    assert set(hits.table["modality"]) == ({"text"} if name == "texts" else {"image"})


def test_a_collection_without_texts_is_asked_by_typed_ones(small):
    name, run, shown = small
    stands_in = "The collection has no text of its own: “a photo” stands in"
    assert (stands_in in shown["04-04"]) == (name == "photos")
    if name == "photos":
        assert len(run.search("a red mug", k=3)) == 3
        assert run.search(run.sample("image"), k=2).table["modality"].tolist() == ["image"] * 2


def test_a_collection_without_images_says_so_where_one_would_ask(small):
    name, run, shown = small
    if name == "texts":
        assert run.sample("image") is None
        assert "there is none to ask with" in shown["04-06"]
        assert "An explanation needs an image" in shown["04-17"]
    else:
        assert "there is none to ask with" not in shown["04-06"]


def test_the_panel_finds_what_there_is(small):
    name, run, _ = small
    panel = run.panel(query="a red mug")
    assert panel.form.to.options == {"photos": ("image",), "texts": ("text",)}.get(name, ("image", "text"))
    assert len(panel.hits) > 0
    assert panel.message.value == ""


def test_a_map_needs_neighbourhoods(small):
    name, run, shown = small
    drawn = {"photos": 6, "one pair": 2, "texts": 6, "one text": 6}[name]
    assert len(read_table(run.folder / "maps.parquet")) == drawn
    assert ("A map needs 5 items or more" in shown["06-06"]) == (drawn < 5)
    assert ("<img" in shown["06-06"]) == (drawn >= 5)


def test_studies_say_what_they_lack(small):
    name, _, shown = small
    assert "no weight was learned: it takes two pairs or more" in shown["09-12"] or name in (
        "photos",
        "texts",
    )
    assert "no weight was learned" in shown["09-14"]
    assert ("and cannot be centred" in shown["10-04"]) == (name in ("one pair", "one text"))
    lacks = {
        "photos": "There is nothing to rescore",
        "one pair": "expected those of two pairs or more to divide, found 1",
        "texts": "There is nothing to rescore",
        "one text": "Left out: centring (centring needs texts that differ: 3 of 3 are their own mean); csls,",
    }
    assert lacks[name] in shown["10-06"]
    assert ("<img" in shown["10-21"]) == (name == "one text")
    assert ("No probabilities: the logistic calibration" in shown["10-12"]) == (name != "one text")
