import pandas as pd

from mmlab.items import ITEM_COLUMNS
from mmlab.runs import changes_gallery

ITEMS = pd.DataFrame(
    {
        "item_id": ["i1", "i2", "t1"],
        "modality": ["image", "image", "text"],
        "pair_id": ["1", "2", "1"],
        "text": [None, None, "<script>a mug"],
        "image": ["/none/1.jpg", "/none/2.jpg", None],
        "label": ["mug", "cup", "mug"],
    }
).reindex(columns=ITEM_COLUMNS)
QRELS = pd.DataFrame({"query_id": ["t1"], "item_id": ["i1"], "relevance": [1]})
CHANGED = pd.DataFrame({"query_id": ["t1"], "before": [1.0], "after": [0.5]})


def ranked(*items):
    return pd.DataFrame(
        {
            "query_id": "t1",
            "item_id": items,
            "rank": range(1, len(items) + 1),
            "score": [0.9, 0.8][: len(items)],
        }
    )


def test_both_answers_are_shown_one_under_the_other():
    html = str(changes_gallery(CHANGED, {"a<b>": ranked("i1"), "c": ranked("i2", "i1")}, QRELS, ITEMS, "RR"))
    assert html.index("a&lt;b&gt;, RR 1.000") < html.index("c, RR 0.500")
    assert html.index("first right answer at rank 1") < html.index("first right answer at rank 2")
    assert "<script>" not in html


def test_nothing_changed_is_said():
    assert str(changes_gallery(CHANGED.head(0), {}, QRELS, ITEMS, "RR")) == "<em>none</em>"
