import re
from pathlib import Path

import pandas as pd
import pytest

from mmlab.panels import PanelData, compare_answers
from mmlab.panels.compare_panel import ComparePanel, describe_difference, parameters_table
from mmlab.retrieve import Query
from mmlab.retrieve.query.known_queries import SavedRankings
from mmlab.retrieve.query.systems import crop_matcher, systems_of
from mmlab.retrieve.scores.calibrate import Temperature
from mmlab.retrieve.scores.fitted_calibration import FittedCalibration


def found(panel) -> list[list[str]]:
    """The item_ids of the cards of either side, which are those of `hits`."""
    ids = [[card["item_id"] for card in grid.cards] for grid in panel.grids]
    assert ids == [panel.hits[side]["item_id"].tolist() for side in ("left", "right")]
    return ids


def answers(data, panel) -> list[list[str]]:
    asked = [panel.form.query(**settings.values) for settings in panel.settings]
    assert [panel.questions[side] for side in ("left", "right")] == asked
    return [data.search(query).table["item_id"].tolist()[: query.k] for query in asked]


def notes(panel) -> list[str]:
    return [card["note"] for card in panel.grids[1].cards]


def test_it_answers_both_and_keeps_them_as_html(collection):
    systems = {"one": collection.retriever, "two": collection.retriever}
    data = PanelData(systems, collection.items)
    panel = ComparePanel(data, "a red mug", 3)
    first, second = (Query(text="a red mug", k=3, models=(name,)) for name in systems)
    assert panel._static == str(compare_answers(data, first, second))
    assert found(panel) == answers(data, panel)
    assert "Nothing moved" in panel.result.value
    assert [grid.status.split(" hits")[0] for grid in panel.grids] == ["Left: one: 3", "Right: two: 3"]
    panel.settings[1].exact.value = not data.exact
    assert f"exact: {data.exact} | {not data.exact}" in panel.difference.value
    panel.form.text.value = " "
    assert "Type what to look for" in panel.message.value
    assert (panel.hits, [grid.cards for grid in panel.grids]) == ({}, [[], []])


def test_each_side_has_settings_of_its_own(collection):
    systems = {"one": collection.retriever, "two": collection.retriever}
    fitted = {
        name: {"temperature": {"text-to-image": FittedCalibration(Temperature(0.1), frozenset())}}
        for name in systems
    }
    match = crop_matcher(systems_of(systems))
    data = PanelData(systems, collection.items, fitted, match)
    panel = ComparePanel(data, "a red mug", 3)
    left, right = panel.settings
    right.k.value = 2
    right.calibration.value = "temperature"
    right.filters["colour"].value = ["red"]
    right.rerank.value = 2
    left.models.value = ("one", "two")
    left.fusion.value = "rrf"
    assert [len(ids) for ids in found(panel)] == [3, 2]
    for words in ("k: 3 | 2", "calibration: none | temperature", "rerank: 0 | 2", "colour red"):
        assert words in panel.difference.value
    assert all("probability" in card for card in panel.grids[1].cards)
    assert panel._static.count("<figure") == 3 + 2
    assert panel.message.value.count("no filter (here colour = red)") == 1  # of the right side


def test_one_system_is_held_against_its_own_graph(collection):
    panel = ComparePanel(PanelData(collection.retriever, collection.items, exact=True), "a red mug", 3)
    assert [settings.exact.value for settings in panel.settings] == [True, False]
    assert "exact: True | False" in panel.difference.value


@pytest.fixture
def runs(collection):
    """Two runs over the collection that are called like modalities, with the rankings of one text and one image."""
    items = collection.items
    texts, images = (
        items.loc[items["modality"] == modality, "item_id"].iloc[:3] for modality in ("text", "image")
    )
    ranks = {"rank": [1, 2, 3], "score": [0.9, 0.5, 0.1]}
    there = pd.DataFrame({"query_id": texts.iloc[0], "item_id": images.to_numpy(), **ranks})
    back = pd.DataFrame({"query_id": images.iloc[0], "item_id": texts.to_numpy(), **ranks})
    turned = there.assign(item_id=images.to_numpy()[::-1])
    one = SavedRankings({"text-to-image": there, "image-to-text": back}, items)
    return {"text": one, "image": SavedRankings({"text-to-image": turned, "image-to-text": back}, items)}


def test_written_rankings_have_no_controls_that_cannot_act(collection, runs):
    items = collection.items
    panel = ComparePanel(PanelData(runs, items), items.loc[items["modality"] == "text", "text"].iloc[0], 3)
    assert notes(panel) == ["(▲ 2)", "", "(▼ 2)"]
    assert [one.ranking for one in panel.settings] == [[one.models] for one in panel.settings]
    assert [one.filters for one in panel.settings] == [{}, {}]
    assert panel.form.mode.options == ("text", "image")
    shown = controls_in(panel)
    assert not {panel.form.upload, panel.form.weight, panel.form.to} & shown
    assert not {panel.settings[0].fusion, panel.settings[0].exact} & shown
    panel.form.image.value = items.loc[items["modality"] == "image", "pair_id"].iloc[0]
    assert "Nothing moved" in panel.result.value
    assert "→ text" in panel.difference.value
    panel.form.mode.value = "text"
    assert "→ image" in panel.difference.value


def test_a_saved_ranking_is_asked_by_an_image_of_the_collection(collection, runs):
    image = collection.items[collection.items["modality"] == "image"].iloc[0]
    panel = ComparePanel(PanelData(runs, collection.items), Path(image["image"]), 2)
    assert (panel.form.mode.value, panel.form.image.value) == ("image", image["pair_id"])
    assert "→ text" in panel.difference.value
    with pytest.raises(ValueError, match="the collection has no image elsewhere.jpg"):
        ComparePanel(PanelData(runs, collection.items), Path("elsewhere.jpg"))


def controls_in(box):
    """All widgets inside."""
    inside = set(getattr(box, "children", ()))
    return inside.union(*(controls_in(one) for one in inside))


def test_what_differs_is_said():
    one = Query(text="a mug", models=("a",))
    other = Query(text="a mug", models=("b",), where={"colour": ["red"]}, exact=False)
    words = describe_difference(one, other)
    assert words.endswith("where: none | colour red; models: a | b; exact: True | False")
    assert "the same settings" in describe_difference(one, one)


def test_the_parameters_of_two_runs_stand_beside_their_answers():
    differing = pd.DataFrame(
        [["02_embed", "models", "a", "b", "a"], ["04_retrieve", "exact", "True", "True", "False"]],
        columns=["notebook", "parameter", "one", "two", "three"],
    )
    html = str(parameters_table(differing, ("one", "two")))
    assert "models" in html
    assert "exact" not in html  # differs from the third only
    assert "the same parameters" in str(parameters_table(differing.iloc[:0], ("one", "two")))
    assert (
        str(parameters_table(differing, ("one", "one"))) == str(parameters_table(None, ("one", "two"))) == ""
    )


def test_one_query_two_settings(collection):
    data = PanelData({"demo": collection.retriever}, collection.items)
    left = Query(text="a red mug", k=4)
    assert "Nothing moved" in str(compare_answers(data, left, left))
    right = Query(text="a red mug", k=4, to="image", where={"colour": ["red"]})
    html = str(compare_answers(data, left, right))
    assert html.count("<section") == 2
    assert re.search(
        r"\((▲|▼) \d+\)", html
    )  # a whole number, also where something was found on one side only
    assert "What moved" in html


def test_two_runs_by_what_they_wrote(collection):
    items = collection.items
    texts = items[items["modality"] == "text"].iloc[:1]
    images = items.loc[items["modality"] == "image", "item_id"].iloc[:3].tolist()

    def ranked(ids):
        return pd.DataFrame(
            {
                "query_id": texts["item_id"].iloc[0],
                "item_id": ids,
                "rank": [1, 2, 3],
                "score": [0.9, 0.5, 0.1],
            }
        )

    systems = {
        "before": SavedRankings({"text-to-image": ranked(images)}, items),
        "after": SavedRankings({"text-to-image": ranked(images[::-1])}, items),
    }
    parameters = pd.DataFrame([["04_retrieve", "fusion", "<none>", "rrf"]])
    parameters.columns = ["notebook", "parameter", "before", "after"]
    text = texts["text"].iloc[0]
    before, after = (Query(text=text, models=(name,), k=3) for name in systems)
    html = str(compare_answers(PanelData(systems, items), before, after, parameters))
    assert "&lt;none&gt;" in html
    assert "score 0.900 → 0.100" in html
    assert "(▲ 2)" in html
    assert "(▼ 2)" in html
    assert "passed 2" in html
    assert "passed by 2" in html
    with pytest.raises(ValueError, match="none of the queries that were ranked"):
        systems["before"].search("never asked")
    with pytest.raises(ValueError, match="no rankings text-to-text are saved"):
        systems["before"].search(texts["text"].iloc[0], to="text")
    with pytest.raises(ValueError, match="cannot be searched anew; leave out: filters"):
        systems["before"].search(texts["text"].iloc[0], where={"label": "mug"})
