"""The verdict says what the files of a run say, in words; gains are bounds that can be counted by hand."""

import json

import pandas as pd
import pytest

from mmlab.items import write_table
from mmlab.runs import start_step
from mmlab.runs.record.lineage import read_held
from mmlab.runs.record.run_files import NOTEBOOKS
from mmlab.runs.report.verdict import make_verdict

DIRECTIONS = ("text-to-image", "image-to-text")
QUERIES = {"text-to-image": 200, "image-to-text": 50}


def cause(direction, name, kind, missed, marked=None):
    row = {"direction": direction, "cause": name, "kind": kind, "missed": missed, "marked": marked}
    return {**row, "queries": QUERIES[direction], "k": 10}


SOME = [
    cause("text-to-image", "printed text", "data", 4, 5),
    cause("text-to-image", "suspected wrong pair", "data", 6, 6),
    cause("image-to-text", "suspected wrong pair", "data", 4, 4),
    cause("text-to-image", "lost by index", "index", 1),
]


def make(causes=SOME, exact_ms=0.5, recall=0.98, split="test", exact=False):
    """A whole run with these causes; its index takes 1 ms."""
    for name in NOTEBOOKS[:3]:
        start_step(name, "r").finish("")
    start_step("04_retrieve", "r", exact=exact).finish("")
    step = start_step("05_evaluate", "r")
    protocol = [
        {"direction": name, "split": split, "queries": QUERIES[name], "gallery": gallery}
        for name, gallery in zip(DIRECTIONS, (50, 200), strict=True)
    ]
    measures = [
        {"direction": name, "measure": "Success@1", "value": value, "low": value - 0.04, "high": value + 0.04}
        for name, value in zip(DIRECTIONS, (0.9, 0.88), strict=True)
    ]
    measures = [{**row, "queries": QUERIES[row["direction"]]} for row in measures]
    metrics = {"measures": measures, "protocol": protocol, "causes": causes}
    step.write("metrics.json").write_text(json.dumps(metrics))
    suspected = pd.DataFrame({"text_id": list("abc"), "suspected": [True, True, False]})
    write_table(suspected, step.write("suspects/wrong_pairs.parquet"))
    above = pd.DataFrame({"query_id": ["q1", "q1", "q2", "q3"], "rank": [1, 2, 1, 2]})
    write_table(above, step.write("suspects/false_negatives.parquet"))
    index = pd.DataFrame({"search": ["exact", "HNSW"], "recall": [1.0, recall], "p50_ms": [exact_ms, 1.0]})
    write_table(index, step.write("index.parquet"))
    step.finish("")
    start_step("06_visualize", "r").finish("")
    return make_verdict(read_held("r"))


def test_how_good_it_is_comes_with_interval_split_and_gallery():
    assert make().good == [
        "**90 of 100 texts find their image first** (95% interval 86 to 94): 200 texts of the test split asked among "
        "50 images.",
        "**88 of 100 images find one of their texts first** (95% interval 84 to 92): 50 images of the test split asked "
        "among 200 texts.",
    ]


def test_a_split_with_a_name_from_outside_is_no_markdown():
    good = make(split="<b>[te*st](https://example.org)").good
    assert not set("<>[]()*") & set(good[0].partition("texts of the ")[2].partition(" split")[0])


def test_why_it_misses_is_counted_by_cause_over_both_directions():
    verdict = make()
    assert verdict.why == (
        "**15 of 250 queries** find no right answer among the first 10: 10 suspected wrong pairs, 4 printed texts and "
        "1 lost by index. None is put down to the model."
    )
    assert [(one.name, one.total, one.marked) for one in verdict.causes] == [
        ("suspected wrong pair", 10, 10), ("printed text", 4, 5), ("lost by index", 1, 0)
    ]  # fmt: skip
    assert "2 by the model." in make([cause("text-to-image", "the model", "model", 2)]).why


def test_what_to_do_next_is_in_order_of_gain_with_its_bound():
    """Of 250 queries 10 are 4 points, 4 are 1.6 and 1 is 0.4; 2 of 200 first hits are 1 point."""
    actions = make().actions
    assert [(one.text.split("**")[1], one.gain) for one in actions] == [
        ("Repair the 2 suspected wrong pairs", "at most 4.0 points of Success@10 (10 queries)"),
        (
            "Describe the images whose only text was printed in them",
            "at most 1.6 points of Success@10 (4 queries)",
        ),
        (
            "Judge 2 first hits whose captions say nearly the same",
            "at most 1.0 point of text-to-image Success@1 (2 queries)",
        ),
        ("Leave out the step index", "0.4 points of Success@10 (1 query, measured)"),
        ("Search exactly", "the 2 of 100 nearest items that the index misses, measured"),
    ]
    assert "4 of 5 such queries are missed" in actions[1].text
    assert "0.50 ms a query, the index 1.0 ms" in actions[-1].text


@pytest.mark.parametrize(
    ("given", "last"),
    [
        ({"exact_ms": 5.0}, "Tune the index"),
        ({"recall": 0.995}, "Judge 2 first hits"),
        ({"exact": True}, "Judge 2 first hits"),
    ],
)
def test_exact_search_is_no_advice_where_it_costs_more_or_gains_nothing(given, last):
    assert make(SOME[:3], **given).actions[-1].text.startswith(f"**{last}")


def test_the_model_is_blamed_for_what_nothing_else_explains_and_marks_are_named():
    verdict = make(
        [cause("text-to-image", "the model", "model", 3), cause("text-to-image", "short text", "data", 2, 9)]
    )
    assert verdict.actions[0].text.startswith("**Try another model**")
    short = [one for one in verdict.actions if "short texts" in one.text]
    assert "2 of 9 such queries" in short[0].text
    dark = make([cause("text-to-image", "dark", "data", 2, 9)]).actions[0].text
    assert dark == "**Replace what is marked as dark**, or refuse it: 2 of 9 such queries are missed"


def test_directions_are_not_compared_within_their_intervals():
    assert "weaker" not in " ".join(make().lines())


def test_a_terminal_gets_five_plain_lines():
    lines = make().lines()
    assert len(lines) == 5
    assert not any(mark in line for line in lines for mark in ("**", "`", "&"))
    assert lines[2] == (
        "Next: Repair the 2 suspected wrong pairs of all splits (mmlab export r --fixes); gain: at most 4.0 points of "
        "Success@10 (10 queries)"
    )


def test_a_run_that_is_not_finished_says_what_is_missing():
    start_step("01_ingest", "r").finish("")
    assert make_verdict(read_held("r")).lines() == ["The run is not finished: 02_embed is missing."]


def test_a_run_without_causes_gives_its_measures_alone():
    verdict = make([])
    assert len(verdict.good) == 2
    assert (verdict.why, verdict.causes) == ("", [])


def test_a_comparison_has_its_own_conclusion_in_a_few_sentences():
    start_step("08_compare", "r", runs=["a", "b"]).finish("**2 runs** alike. One. Two. Three. Four.")
    assert make_verdict(read_held("r")).lines() == ["2 runs alike.", "One.", "Two.", "Three."]
