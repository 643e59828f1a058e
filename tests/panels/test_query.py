"""The query panel: it shows what `answer` gives, and its errors."""

import re
from pathlib import Path

import pytest

from mmlab.panels import answer, query_panel


def parts(panel):
    """The panel's controls by their description, and the area that shows the result."""
    text, picture, controls, result = panel.children
    to, count, label = controls.children
    return {"text": text, "picture": picture, "to": to, "count": count, "label": label}, result


def without_times(html: object) -> str:
    return re.sub(r"\d+ ms", "", str(html))


@pytest.fixture
def panel(collection):
    return query_panel(collection.retriever, collection.items, "a red mug", k=3)


def test_it_opens_with_the_answer_of_its_static_twin(collection, panel) -> None:
    _, result = parts(panel)
    assert without_times(result.value) == without_times(answer(collection.retriever, "a red mug", k=3))


def test_every_control_asks_again(collection, panel) -> None:
    controls, result = parts(panel)
    controls["text"].value = "a teapot"
    controls["count"].value = 2
    controls["to"].value = "text"
    controls["label"].value = "teapot"
    expected = answer(collection.retriever, "a teapot", to="text", k=2, where={"label": "teapot"})
    assert without_times(result.value) == without_times(expected)


def test_a_picture_of_the_collection_can_ask(collection, panel) -> None:
    controls, result = parts(panel)
    picture = collection.items[collection.items["modality"] == "image"].iloc[0]
    controls["picture"].value = picture["pair_id"]
    expected = answer(collection.retriever, Path(picture["image"]), k=3)
    assert without_times(result.value) == without_times(expected)


def test_an_error_is_shown_in_the_panel(panel) -> None:
    controls, result = parts(panel)
    controls["text"].value = " "
    assert "ValueError: the query is empty" in result.value


def test_hostile_queries_are_shown_as_text(collection) -> None:
    html = str(answer(collection.retriever, "<script>alert(1)</script> mug", k=1))
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_known_answers_are_marked(collection) -> None:
    hits = collection.retriever.search("a red mug", k=2)
    html = str(answer(collection.retriever, "a red mug", k=2, right=[hits["item_id"].iloc[1]]))
    assert html.index("&#10007;") < html.index("&#10003;")
