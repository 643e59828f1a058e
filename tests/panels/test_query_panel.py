"""The query panel: it shows what `answer_query` gives, and its errors."""

import base64
import io
import re
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from mmlab.panels import PanelData, answer_query, query_panel
from mmlab.panels.query_panel import QueryPanel
from mmlab.retrieve import Query, Retriever, search
from mmlab.retrieve.scores.calibrate import Temperature
from mmlab.retrieve.scores.fitted_calibration import FittedCalibration


def without_times(html: object) -> str:
    return re.sub(r"\d+ ms", "", str(html))


def upload(content: bytes, name: str = "mine.png") -> tuple[dict, ...]:
    file = {"name": name, "type": "image/png", "size": len(content), "content": memoryview(content)}
    return ({**file, "last_modified": datetime.now(UTC)},)


@pytest.fixture
def panel(collection):
    calibrations = {"": {"temperature": {"text-to-image": FittedCalibration(Temperature(0.1), frozenset())}}}
    return QueryPanel(PanelData(collection.retriever, collection.items, calibrations), "a red mug", 3)


@pytest.fixture
def expected(collection):
    data = PanelData(collection.retriever, collection.items)
    return lambda **query: without_times(answer_query(data, Query(**query)).shown)


def test_it_opens_with_the_answer_of_the_plain_call(panel, expected) -> None:
    assert without_times(panel.result.value) == expected(text="a red mug", k=3)


def test_every_control_asks_again(panel, expected) -> None:
    panel.form.text.value = "a teapot"
    panel.settings.k.value = 2
    panel.form.to.value = "text"
    panel.settings.filters["label"].value = ("teapot", "mug")
    panel.settings.exact.value = False
    where = {"label": ["teapot", "mug"]}
    assert without_times(panel.result.value) == expected(
        text="a teapot", to="text", k=2, where=where, exact=False
    )


def test_an_image_of_the_collection_asks_then_both_with_a_weight(collection, panel, expected) -> None:
    image = collection.items[collection.items["modality"] == "image"].iloc[0]
    panel.form.image.value = image["pair_id"]
    assert panel.form.mode.value == "image"
    asked = {"image": Path(image["image"]), "image_name": image["pair_id"], "k": 3}
    assert without_times(panel.result.value) == expected(**asked)
    panel.form.mode.value = "both"
    panel.form.weight.value = 0.25
    panel.settings.fusion.value = "rrf"
    both = {**asked, "text": "a red mug", "weight": 0.25, "fusion": "rrf"}
    assert without_times(panel.result.value) == expected(**both)


def test_an_uploaded_image_asks(collection, panel) -> None:
    image = collection.items[collection.items["modality"] == "image"].iloc[0]
    panel.form.upload.value = upload(Path(image["image"]).read_bytes())
    assert "mine.png (image)" in panel.result.value
    assert panel.asked[0].image.size == Image.open(image["image"]).size
    assert "1. 1.000" in panel.result.value  # it finds itself


@pytest.mark.parametrize(
    ("content", "cause"), [(b"no image", "ImageError: not an image"), (b"", "ImageError: empty file")]
)
def test_an_upload_that_is_no_image_is_refused_with_its_cause(panel, content, cause) -> None:
    panel.form.upload.value = upload(content)
    assert f"caused by {cause}" in panel.result.value


def test_errors_are_shown_in_the_panel_with_their_cause(panel) -> None:
    panel.form.image.value = "<i>nothing</i>"
    assert "the collection has no image &#x27;&lt;i&gt;nothing" in panel.result.value
    assert panel.link.value == ""


def test_history_asks_again_with_all_settings(panel) -> None:
    before = without_times(panel.result.value)
    panel.settings.filters["colour"].value = ("red",)
    panel.form.text.value = "a lamp"
    panel.settings.exact.value = False
    assert [query.text for query in panel.asked] == ["a lamp", "a lamp", "a red mug", "a red mug"]
    panel.history.value = 3
    assert without_times(panel.result.value) == before
    assert panel.form.query(**panel.settings.values) == panel.asked[0]
    assert len(panel.asked) == 4


def test_a_calibration_adds_probabilities_and_says_where_it_has_none(panel) -> None:
    panel.settings.calibration.value = "temperature"
    assert re.search(r"1\. 0\.\d{3}  p 0\.\d\d", panel.result.value)
    panel.form.to.value = "text"
    assert "of this model is fitted for text-to-image; text-to-text is asked here" in panel.result.value


def test_a_calibration_that_is_used_elsewhere_says_so_once_as_text(collection) -> None:
    one = FittedCalibration(Temperature(0.1), frozenset(), gallery=7, filter="label = <script>")
    data = PanelData(collection.retriever, collection.items, {"": {"temperature": {"text-to-image": one}}})
    panel = QueryPanel(data, "a red mug", 3)
    assert 'role="note"' not in panel.result.value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        panel.settings.calibration.value = "temperature"
    images = (collection.items["modality"] == "image").sum()
    said = f"with 7 items to be found (here {images}), label = &lt;script&gt; (here none). Trust their order"
    assert panel.result.value.count("probabilities may be off") == panel.result.value.count(said) == 1
    assert "<script" not in panel.result.value


def test_the_table_can_be_saved(panel) -> None:
    content = re.search(r'base64,([^"]+)"', panel.link.value).group(1)
    head, *rows = base64.b64decode(content).decode("utf-8-sig").splitlines()
    assert head.startswith("rank,score,item_id,modality,pair_id,words,label")
    assert ",asked_text,asked_image,asked_to,asked_k,asked_where," in head
    assert len(rows) == 3
    assert all("a red mug" in row for row in rows)


def test_several_models_can_be_chosen_and_fused(collection) -> None:
    both = {"one": collection.retriever, "two": collection.retriever}
    panel = QueryPanel(PanelData(both, collection.items), "a red mug", 3)
    alone = without_times(panel.result.value)
    assert panel.settings.models.value == ("one",)
    panel.settings.models.value = ("one", "two")
    assert "early" not in panel.settings.fusion.options
    assert panel.settings.fusion.value == "weighted_sum"
    order = re.compile(r"[123]\. [\d.]+ +([^<]+)")
    assert order.findall(panel.result.value) == order.findall(alone)  # the same model twice changes no rank


def test_none_chosen_means_all(collection) -> None:
    both = {"one": collection.retriever, "two": collection.retriever}
    panel = QueryPanel(PanelData(both, collection.items), "a red mug", 3)
    panel.settings.models.value = ("one", "two")
    fused = without_times(panel.result.value)
    panel.settings.models.value = ()
    assert without_times(panel.result.value) == fused
    with pytest.raises(ValueError, match="choose weighted_sum, rrf, dbsf"):
        search(both, Query(text="a red mug"))


def test_what_is_still_missing_is_a_hint_and_no_error(panel) -> None:
    for mode, hint in (("image", "Choose an image"), ("both", "Choose an image")):
        panel.form.mode.value = mode
        assert hint in panel.result.value
        assert "alert" not in panel.result.value
    panel.form.mode.value = "text"
    panel.form.text.value = " "
    assert "Type what to look for" in panel.result.value
    assert "alert" not in panel.result.value
    assert panel.link.value == ""


def test_the_button_asks_the_same_once_more(panel, monkeypatch) -> None:
    def taken(*_, **__):
        raise OSError("the store is held by another notebook")

    before = without_times(panel.result.value)
    with monkeypatch.context() as patch:
        patch.setattr(PanelData, "search", taken)
        panel.form.button.click()
        assert "held by another notebook" in panel.result.value
    panel.form.button.click()
    assert without_times(panel.result.value) == before


def test_the_same_file_can_be_uploaded_twice(collection, panel) -> None:
    image = collection.items[collection.items["modality"] == "image"].iloc[0]
    file = upload(Path(image["image"]).read_bytes())
    panel.form.upload.value = file
    assert panel.form.upload.value == ()
    first = without_times(panel.result.value)
    panel.form.mode.value = "text"
    panel.form.upload.value = file
    assert without_times(panel.result.value) == first


def test_what_there_is_no_choice_in_is_not_shown(collection) -> None:
    panel = QueryPanel(PanelData(collection.retriever, collection.items))
    assert panel.result.value == ""
    assert panel.settings.ranking == [panel.settings.fusion, panel.settings.rrf_k, panel.settings.exact]


def test_the_box_is_a_widget(collection) -> None:
    assert type(query_panel(PanelData(collection.retriever, collection.items))).__name__ == "VBox"


def test_images_of_a_drawing_program_are_opened_within_bounds(panel) -> None:
    file = io.BytesIO()
    Image.new("RGBA", (3000, 20), (255, 0, 0, 0)).save(file, "PNG")
    panel.form.upload.value = upload(file.getvalue())
    assert "mine.png (image)" in panel.result.value


def test_a_calibration_is_fitted_when_it_is_chosen(collection) -> None:
    fitted = []

    def fit():
        fitted.append(1)
        return {"temperature": {"text-to-image": FittedCalibration(Temperature(0.1), frozenset())}}

    panel = QueryPanel(PanelData(collection.retriever, collection.items, {"": fit}), "a red mug", 3)
    assert fitted == []
    panel.settings.calibration.value = "temperature"
    assert "p 0." in panel.result.value
    assert fitted == [1]


def test_an_image_of_the_collection_may_begin(collection, expected) -> None:
    image = collection.items[collection.items["modality"] == "image"].iloc[0]
    panel = QueryPanel(PanelData(collection.retriever, collection.items), Path(image["image"]), 2)
    asked = {"image": Path(image["image"]), "image_name": image["pair_id"], "k": 2}
    assert without_times(panel.result.value) == expected(**asked)


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
