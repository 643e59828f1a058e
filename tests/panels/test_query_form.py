from pathlib import Path

import pytest

from mmlab.panels import PanelData
from mmlab.panels.controls import Unfinished
from mmlab.panels.query_panel import MAX_UPLOAD_BYTES, QueryForm, open_upload
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
    with pytest.raises(Unfinished, match="Choose an image of the collection by its name, or upload one"):
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
