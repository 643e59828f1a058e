import io
from pathlib import Path

import pytest
from PIL import Image

from mmlab.panels import PanelData
from mmlab.panels.controls import Unfinished
from mmlab.panels.query_form import MAX_UPLOAD_BYTES, QueryForm, open_upload
from mmlab.retrieve import Query


@pytest.fixture
def form(collection):
    return QueryForm(PanelData(collection.retriever, collection.items), "a red mug")


@pytest.fixture
def image(collection):
    return collection.items[collection.items["modality"] == "image"].iloc[0]


def test_the_last_of_text_and_image_that_was_changed_asks_unless_both_do(form, image):
    modes = []
    form.listen(lambda: modes.append(form.mode.value))
    form.image.value = image["pair_id"]
    form.text.value = "a teapot"
    form.mode.value = "both"
    form.image.value = ""
    assert modes == ["image", "text", "both", "both"]


def test_a_query_fills_in_the_form_without_a_call(form, image):
    calls = []
    form.listen(lambda: calls.append(1))
    query = Query("a cup", Path(image["image"]), image["pair_id"], to="text", weight=0.25)
    form.fill(query)
    assert calls == []
    assert form.query() == query
    assert not form.weight.disabled


def test_the_share_of_the_text_counts_only_where_both_ask(form):
    assert form.weight.disabled
    form.mode.value = "both"
    assert not form.weight.disabled


def test_what_is_still_missing_is_named(form):
    form.mode.value = "both"
    with pytest.raises(
        Unfinished, match="Choose an image of the collection by its name, or choose, drop or paste one"
    ):
        form.query()
    form.mode.value, form.text.value = "text", " "
    with pytest.raises(Unfinished, match="Type what to look for"):
        form.query()


def test_an_upload_is_bounded():
    assert (
        MAX_UPLOAD_BYTES < 10 * 1024 * 1024
    )  # of a message of the browser, which Jupyter drops without a word
    with pytest.raises(ValueError, match="has 8 MB, expected 8 at most"):
        open_upload(bytes(MAX_UPLOAD_BYTES + 1), "huge.png")


def test_a_path_that_is_typed_asks_and_one_that_is_not_there_says_so(form, image, tmp_path):
    mine = tmp_path / "mine.png"
    Image.new("RGB", (30, 20), "red").save(mine)
    form.image.value = str(mine)
    query = form.query()
    assert (query.image, query.text, form.mode.value) == (mine, "", "image")
    assert PIL_open(form.upload.preview).size == (30, 20)
    form.image.value = image["pair_id"]
    assert form.query().image == Path(image["image"])
    form.image.value = str(tmp_path / "other.png")
    with pytest.raises(ValueError, match="has no image '.*other.png' and no file of that path is there"):
        form.query()
    assert (form.upload.name, form.upload.preview) == (str(tmp_path / "other.png"), b"")


def test_an_address_is_fetched_once_by_what_the_panel_is_given(collection, form):
    form.image.value = "https://example.org/mug.png"
    with pytest.raises(
        ValueError, match="images on the web are not fetched here: save it, and drop the file"
    ):
        form.query()
    fetched, file = [], io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(file, "PNG")

    def fetch(url):
        fetched.append(url)
        return file.getvalue()

    form = QueryForm(PanelData(collection.retriever, collection.items, fetch=fetch))
    form.image.value = "https://example.org/mug.png"
    for _ in range(2):
        query = form.query()
        assert (query.image.size, query.image_name) == ((30, 20), "https://example.org/mug.png")
    assert fetched == ["https://example.org/mug.png"]


def test_the_image_is_shown_and_can_be_taken_away(form, image):
    form._take_upload("mine.jpg", Path(image["image"]).read_bytes())
    assert form.query().image_name == "mine.jpg"
    assert (form.upload.name, form.mode.value) == ("mine.jpg", "image")
    assert form.upload.preview[:2] == b"\xff\xd8"  # a JPEG
    form.upload._receive(form.upload, {"do": "clear"}, [])
    assert (form.upload.name, form.upload.preview, form.mode.value) == ("", b"", "text")
    assert form.query() == Query("a red mug")


def PIL_open(content):  # noqa: N802 - it opens as PIL does
    return Image.open(io.BytesIO(content))
