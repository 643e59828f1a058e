"""The query panel: it shows what `answer_query` gives, and its errors; and hands back hits, labels and questions."""

import asyncio
import base64
import io
import re
import warnings
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from mmlab.panels import PanelData, answer_query, query_panel
from mmlab.panels.controls import PanelBox
from mmlab.panels.query_panel import LESS, MORE, QueryPanel
from mmlab.retrieve import Query, Retriever, search
from mmlab.retrieve.query.known_queries import SavedQuestions
from mmlab.retrieve.scores.calibrate import Temperature
from mmlab.retrieve.scores.fitted_calibration import FittedCalibration


def found(panel) -> list[str]:
    """The item_ids of the cards, which are those of `hits`."""
    ids = [card["item_id"] for card in panel.grid.cards]
    assert panel.hits.get("item_id", pd.Series()).tolist() == ids
    return ids


@pytest.fixture
def panel(collection, tmp_path):
    calibrations = {"": {"temperature": {"text-to-image": FittedCalibration(Temperature(0.1), frozenset())}}}
    saved = SavedQuestions(tmp_path / "questions.jsonl")
    data = PanelData(collection.retriever, collection.items, calibrations, questions=saved)
    return QueryPanel(data, "a red mug", 3)


@pytest.fixture
def expected(collection):
    data = PanelData(collection.retriever, collection.items)
    return lambda **query: answer_query(data, Query(**query)).hits["item_id"].tolist()


@pytest.fixture
def image(collection):
    return collection.items[collection.items["modality"] == "image"].iloc[0]


def upload(panel, content: bytes, name: str = "mine.png") -> None:
    panel.form.upload._receive(panel.form.upload, {"do": "image", "name": name}, [memoryview(content)])


def test_it_opens_with_the_answer_of_the_plain_call(panel, expected) -> None:
    assert found(panel) == expected(text="a red mug", k=3)
    assert panel.question == Query(text="a red mug", k=3)
    assert panel.grid.status.startswith("“a red mug” → image: 3 hits; ")
    assert not panel.grid.busy


def test_every_control_asks_again(panel, expected) -> None:
    panel.form.text.value = "a teapot"
    panel.settings.k.value = 2
    panel.form.to.value = "text"
    panel.settings.filters["label"].value = ["teapot", "mug"]
    panel.settings.exact.value = not Query.exact
    where = {"label": ["teapot", "mug"]}
    assert found(panel) == expected(text="a teapot", to="text", k=2, where=where, exact=not Query.exact)
    assert all(card["modality"] == "text" for card in panel.grid.cards)


def test_an_image_of_the_collection_asks_then_both_with_a_weight(image, panel, expected) -> None:
    panel.form.image.value = image["pair_id"]
    assert panel.form.mode.value == "image"
    asked = {"image": Path(image["image"]), "image_name": image["pair_id"], "k": 3}
    assert found(panel) == expected(**asked)
    assert image["item_id"] not in found(panel)  # the query leaves itself out
    assert f"(right: the other images of label “{image['label']}”)" in panel.grid.status
    panel.form.mode.value = "both"
    assert {card["right"] for card in panel.grid.cards} == {None}
    panel.form.weight.value = 0.25
    panel.settings.fusion.value = "rrf"
    both = {**asked, "text": "a red mug", "weight": 0.25, "fusion": "rrf"}
    assert found(panel) == expected(**both)


def test_an_uploaded_image_asks_and_finds_itself(image, panel) -> None:
    upload(panel, Path(image["image"]).read_bytes())
    assert panel.grid.status.startswith("mine.png (image) → image: 3 hits;")
    assert panel.asked[0].image.size == Image.open(image["image"]).size
    assert panel.hits[["item_id", "score"]].iloc[0].tolist() == [image["item_id"], pytest.approx(1, abs=1e-3)]


@pytest.mark.parametrize(
    ("content", "cause"), [(b"no image", "ImageError: not an image"), (b"", "ImageError: empty file")]
)
def test_an_upload_that_is_no_image_is_refused_with_its_cause(panel, content, cause) -> None:
    upload(panel, content)
    assert f"caused by {cause}" in panel.message.value
    assert found(panel) == []


def test_a_filter_to_begin_with_is_seen_kept_in_the_history_and_cleared(collection) -> None:
    images = collection.items[collection.items["modality"] == "image"]
    pairs = images["pair_id"].head(20).tolist()
    panel = QueryPanel(PanelData(collection.retriever, collection.items), "a red mug", 30, {"pair_id": pairs})
    assert set(panel.hits["pair_id"]) == set(pairs)
    assert "Only pair_id = 20 values" in panel.settings.active.value
    panel.settings.clear.click()
    assert len(panel.hits) == 30
    panel.history.value = 1
    assert set(panel.hits["pair_id"]) == set(pairs)


def test_errors_are_shown_in_the_panel_with_their_cause(panel) -> None:
    panel.form.image.value = "<i>nothing</i>"
    assert "the collection has no image &#x27;&lt;i&gt;nothing" in panel.message.value
    assert (panel.link.value, panel.question, found(panel)) == ("", None, [])
    panel.form.mode.value = "text"
    assert panel.message.value == ""
    assert len(found(panel)) == 3


def test_history_asks_again_with_all_settings(panel) -> None:
    before = found(panel)
    panel.settings.filters["colour"].value = ["red"]
    panel.form.text.value = "a lamp"
    panel.settings.exact.value = not Query.exact
    assert [query.text for query in panel.asked] == ["a lamp", "a lamp", "a red mug", "a red mug"]
    panel.history.value = 3
    assert found(panel) == before
    assert panel.form.query(**panel.settings.values) == panel.asked[0]
    assert len(panel.asked) == 4


def test_a_calibration_adds_probabilities_and_says_where_it_has_none(panel) -> None:
    panel.settings.calibration.value = "temperature"
    assert all(0 < card["probability"] < 1 for card in panel.grid.cards)
    panel.form.to.value = "text"
    assert "of this model is fitted for text-to-image; text-to-text is asked here" in panel.message.value


def test_a_calibration_that_is_used_elsewhere_says_so_once_as_text(collection) -> None:
    one = FittedCalibration(Temperature(0.1), frozenset(), gallery=7, filter="label = <script>")
    data = PanelData(collection.retriever, collection.items, {"": {"temperature": {"text-to-image": one}}})
    panel = QueryPanel(data, "a red mug", 3)
    assert panel.message.value == ""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        panel.settings.calibration.value = "temperature"
    images = (collection.items["modality"] == "image").sum()
    said = f"with 7 items to be found (here {images}), label = &lt;script&gt; (here none). Trust their order"
    assert panel.message.value.count("probabilities may be off") == panel.message.value.count(said) == 1
    assert "<script" not in panel.message.value


def test_the_table_can_be_saved(panel) -> None:
    content = re.search(r'base64,([^"]+)"', panel.link.value).group(1)
    head, *rows = base64.b64decode(content).decode("utf-8-sig").splitlines()
    assert head.startswith("rank,score,item_id,modality,pair_id,words,label")
    assert ",asked_text,asked_image,asked_to,asked_k,asked_where," in head
    assert len(rows) == 3
    assert all("a red mug" in row for row in rows)


def test_several_models_can_be_chosen_and_fused_and_none_chosen_means_all(collection) -> None:
    both = {"one": collection.retriever, "two": collection.retriever}
    panel = QueryPanel(PanelData(both, collection.items), "a red mug", 3)
    alone = found(panel)
    assert panel.settings.models.value == ("one",)
    panel.settings.models.value = ("one", "two")
    assert "early" not in panel.settings.fusion.options
    assert panel.settings.fusion.value == "weighted_sum"
    assert found(panel) == alone  # the same model twice changes no rank
    panel.settings.models.value = ()
    assert found(panel) == alone
    with pytest.raises(ValueError, match="choose weighted_sum, rrf, dbsf"):
        search(both, Query(text="a red mug"))


def test_what_is_still_missing_is_a_hint_and_no_error(panel) -> None:
    for mode, hint in (("image", "Choose an image"), ("both", "Choose an image")):
        panel.form.mode.value = mode
        assert hint in panel.message.value
        assert "alert" not in panel.message.value
    panel.form.mode.value = "text"
    panel.form.text.value = " "
    assert "Type what to look for" in panel.message.value
    assert "alert" not in panel.message.value
    assert panel.link.value == ""


def test_the_button_asks_once_more_but_not_what_has_just_been_answered(panel, monkeypatch) -> None:
    def taken(*_, **__):
        raise OSError("the store is held by another notebook")

    before = found(panel)
    with monkeypatch.context() as patch:
        patch.setattr(PanelData, "search", taken)
        panel.form.button.click()  # at once: the answer that is there still holds
        assert found(panel) == before
        panel.settings.k.value = 2
        assert "held by another notebook" in panel.message.value
    panel.form.button.click()
    assert found(panel) == before[:2]


def test_of_ten_questions_in_a_row_the_last_is_answered(panel, monkeypatch) -> None:
    asked, answer = [], PanelData.search
    monkeypatch.setattr(
        PanelData, "search", lambda data, query: asked.append(query.text) or answer(data, query)
    )

    async def click() -> None:
        for number in range(10):
            panel.form.text.value = f"question {number}"
            panel.form.button.click()
        assert panel.grid.busy
        await asyncio.sleep(0.2)

    asyncio.run(click())
    assert asked == ["question 9"]
    assert not panel.grid.busy


def test_more_like_this_and_not_this_refine_the_question(panel, expected) -> None:
    first = panel.hits.iloc[0]
    panel.grid._receive(panel.grid, {"do": "act", "action": "more", "id": first["item_id"]}, [])
    second = panel.hits.iloc[1]
    panel.refine("less", second["item_id"])
    plus, minus = (Path(first["image"]),), (Path(second["image"]),)
    assert found(panel) == expected(text="a red mug", k=3, plus=plus, minus=minus)
    names = [chip.description for chip in panel.refined.children]
    assert names == [f"+ {plus[0].name} ✕", f"− {minus[0].name} ✕"]
    panel.refined.children[1].click()
    assert found(panel) == expected(text="a red mug", k=3, plus=plus)
    panel.history.value = 2  # the first question
    assert (panel.refined.children, panel.question) == ((), Query(text="a red mug", k=3))


def test_marks_ask_again_by_relevance_feedback(panel, expected, collection) -> None:
    panel.again.click()
    assert "Mark some of the hits as right or as wrong first." in panel.message.value
    first, second, third = found(panel)
    paths = collection.items.set_index("item_id")["image"]
    plus, minus = (Path(paths[second]),), (Path(paths[first]), Path(paths[third]))
    panel.grid.press("y", second)
    panel.again.click()
    assert found(panel) == expected(text="a red mug", k=3, plus=plus)  # nothing to compare: by Rocchio
    assert panel.question.recommend == "rocchio"
    panel.history.value = 1  # the question without examples
    panel.grid.press("n", first)
    panel.grid.press("n", third)
    panel.again.click()
    marked = Query(text="a red mug", k=3, plus=plus, minus=minus, recommend="feedback")
    assert panel.question == marked
    assert found(panel) == expected(text="a red mug", k=3, plus=plus, minus=minus, recommend="feedback")
    assert "scored by feedback" in panel.grid.status
    panel.history.value = 1
    assert panel.question == Query(text="a red mug", k=3)
    panel.history.value = 1
    assert panel.question == marked
    for _ in range(3):
        panel.refined.children[0].click()
    assert (panel.question, panel.by_marks) == (Query(text="a red mug", k=3), False)


def test_what_is_selected_and_labelled_comes_back_to_python(panel) -> None:
    first, second, third = found(panel)
    panel.grid.selected = [third, first]
    assert panel.selected["item_id"].tolist() == [first, third]
    panel.grid.press("y", second)
    panel.grid.press("n", third)
    panel.form.text.value = "a teapot"
    assert panel.labels.to_numpy().tolist() == [
        ["“a red mug” → image", second, 1],
        ["“a red mug” → image", third, 0],
    ]
    assert (panel.grid.labels, len(panel.selected)) == ({}, 0)
    panel.form.text.value = "a red mug"
    assert panel.grid.labels == {second: 1, third: 0}


def test_a_question_is_saved_by_name_and_opened_tomorrow(panel, collection) -> None:
    panel.grid.press("n", found(panel)[1])
    panel.saved.button.click()
    assert "Type a name" in panel.saved.status.value
    panel.saved.name.value = "<b>mugs</b>"
    panel.saved.button.click()
    assert "Saved in " in panel.saved.status.value
    assert panel.data.questions.table["item_id"].tolist() == found(panel)
    tomorrow = QueryPanel(PanelData(collection.retriever, collection.items, questions=panel.data.questions))
    assert tomorrow.saved.opened.options == (("", ""), ("<b>mugs</b>", "<b>mugs</b>"))
    tomorrow.saved.opened.value = "<b>mugs</b>"
    assert tomorrow.question == panel.question
    assert tomorrow.grid.labels == panel.grid.labels == {found(panel)[1]: 0}
    panel.data.questions.path.write_text("no JSON")
    tomorrow.saved.opened.value = ""
    assert QueryPanel(panel.data).saved.status.value.count("alert") == 1


def test_the_last_answer_is_kept_as_html_for_a_notebook_without_a_kernel(panel) -> None:
    assert "“a red mug” → image" in panel._static
    panel.form.text.value = "<script>alert(1)</script>"
    assert "&lt;script&gt;alert(1)" in panel._static
    assert "<script" not in panel._static


def test_the_same_file_can_be_uploaded_twice(image, panel) -> None:
    content = Path(image["image"]).read_bytes()
    upload(panel, content)
    first = found(panel)
    panel.form.mode.value = "text"
    upload(panel, content)
    assert found(panel) == first


def test_what_there_is_no_choice_in_is_not_shown(collection) -> None:
    panel = QueryPanel(PanelData(collection.retriever, collection.items))
    assert (panel.grid.cards, panel.message.value, panel.saved.rows) == ([], "", [])
    own = panel.settings
    assert own.ranking == [own.fusion, own.rrf_k, own.recommend, *own.boost.rows, own.exact]
    assert own.boost.field.options == ("none", "width", "height")


def test_a_field_of_numbers_is_added_to_the_score(panel, collection) -> None:
    plain = panel.hits.set_index("item_id")["score"]
    panel.settings.boost.field.value = "width"
    assert panel.question.boost == {}  # a weight of 0 adds nothing
    panel.settings.boost.weight.value = 0.01
    panel.answer_now()
    assert panel.question.boost == {"width": 0.01}
    hits = panel.hits.set_index("item_id")
    shared = hits.index.intersection(plain.index)
    assert hits.loc[shared, "score"].to_numpy() == pytest.approx(
        plain[shared].to_numpy() + 0.01 * hits.loc[shared, "width"].to_numpy(dtype=float), abs=1e-5
    )


def test_examples_count_as_it_is_chosen(panel) -> None:
    panel.parts = {MORE: ["a red mug"], LESS: ["a blue shoe"]}
    for chosen, fields in (
        (
            "best_score",
            {"recommend": "best_score", "plus": ("a red mug",), "minus": ("a blue shoe",), "context": ()},
        ),
        (
            "pairs",
            {"recommend": "rocchio", "plus": (), "minus": (), "context": (("a red mug", "a blue shoe"),)},
        ),
    ):
        panel.settings.recommend.value = chosen
        panel.answer_now()
        asked = panel.question
        assert {name: getattr(asked, name) for name in fields} == fields
        panel.settings.recommend.value = "rocchio"
        panel.ask_again(asked)
        assert panel.settings.recommend.value == chosen
        assert panel.parts == {MORE: ["a red mug"], LESS: ["a blue shoe"]}


def test_it_begins_with_the_search_of_the_run(collection) -> None:
    panel = query_panel(PanelData(collection.retriever, collection.items, exact=True), "a red mug")
    assert isinstance(panel, PanelBox)
    assert panel.question.exact
    assert "; exact search, " in panel.grid.status


def test_images_of_a_drawing_program_are_opened_within_bounds(panel) -> None:
    file = io.BytesIO()
    Image.new("RGBA", (3000, 20), (255, 0, 0, 0)).save(file, "PNG")
    upload(panel, file.getvalue())
    assert panel.grid.status.startswith("mine.png (image)")


def test_a_calibration_is_fitted_when_it_is_chosen(collection) -> None:
    fitted = []

    def fit():
        fitted.append(1)
        return {"temperature": {"text-to-image": FittedCalibration(Temperature(0.1), frozenset())}}

    panel = QueryPanel(PanelData(collection.retriever, collection.items, {"": fit}), "a red mug", 3)
    assert fitted == []
    panel.settings.calibration.value = "temperature"
    assert "probability" in panel.hits
    assert fitted == [1]


def test_an_image_of_the_collection_may_begin(image, collection, expected) -> None:
    panel = QueryPanel(PanelData(collection.retriever, collection.items), Path(image["image"]), 2)
    asked = {"image": Path(image["image"]), "image_name": image["pair_id"], "k": 2}
    assert found(panel) == expected(**asked)


@pytest.mark.parametrize("rrf_k", [60, 5])
def test_text_and_image_over_two_models_give_the_ranking_of_search(collection, rrf_k) -> None:
    """Two models that disagree: the second reads every text backwards."""
    systems = {
        "one": collection.retriever,
        "two": Retriever(collection.retriever.index, Backwards(collection)),
    }
    image = collection.items[collection.items["modality"] == "image"].iloc[5]
    panel = QueryPanel(PanelData(systems, collection.items), "a red mug", 10)
    panel.form.image.value = image["pair_id"]
    panel.form.mode.value = "both"
    panel.form.weight.value = 0.3
    panel.settings.models.value = ("one", "two")
    panel.settings.fusion.value = "rrf"
    panel.settings.rrf_k.value = rrf_k
    query = Query("a red mug", Path(image["image"]), weight=0.3, fusion="rrf", rrf_k=rrf_k, k=10)
    hits = search(systems, query).table
    content = base64.b64decode(re.search(r'base64,([^"]+)"', panel.link.value).group(1))
    shown = pd.read_csv(io.BytesIO(content))
    assert shown["item_id"].tolist() == hits["item_id"].tolist()
    assert shown["score"].tolist() == pytest.approx(hits["score"].tolist())
    assert shown["asked_rrf_k"].unique().tolist() == [rrf_k]


class Backwards:
    """The demo model, which reads every text backwards."""

    def __init__(self, collection) -> None:
        self.model, self.space = collection.retriever.model, collection.retriever.model.space

    def embed_queries(self, texts):
        return self.model.embed_queries([text[::-1] for text in texts])

    def embed_images(self, images):
        return self.model.embed_images(images)
