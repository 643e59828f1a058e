import re

import pandas as pd
import pytest

from mmlab.panels import PanelData, compare_answers, compare_two_systems
from mmlab.panels.answer_comparison import describe_difference, parameters_table
from mmlab.retrieve import Query
from mmlab.retrieve.query.known_queries import SavedRankings


def test_what_differs_is_said():
    one = Query(text="a mug", models=("a",))
    other = Query(text="a mug", models=("b",), where={"colour": ["red"]}, exact=True)
    words = describe_difference(one, other)
    assert words.endswith("where: none | colour red; models: a | b; exact: False | True")
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
    html = str(compare_two_systems(PanelData(systems, items), text, k=3, parameters=parameters))
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
