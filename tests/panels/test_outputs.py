import pandas as pd

from mmlab.panels.outputs import (
    BUSY,
    Unfinished,
    add_query_columns,
    describe_error,
    download_link,
    show_in,
    to_csv,
)
from mmlab.retrieve import Query


def test_what_looks_like_a_formula_is_quoted_and_numbers_are_not():
    table = pd.DataFrame(
        {"words": ["=1+1", "+a", "-b", "@c", "\t=d", "fine", None], "score": [-0.5, 1, 2, 3, 4, 5, 6]}
    )
    lines = to_csv(table).splitlines()
    assert lines[:6] == ["words,score", "'=1+1,-0.5", "'+a,1.0", "'-b,2.0", "'@c,3.0", "'\t=d,4.0"]
    assert lines[6:] == ["fine,5.0", ",6.0"]


def test_a_name_of_a_column_or_file_cannot_break_out():
    html = str(download_link(pd.DataFrame({"=cmd": ["a"]}), '"><script>.csv'))
    assert "<script" not in html


def test_an_error_is_shown_with_its_causes():
    class Area:
        value = ""

    def fail():
        try:
            raise KeyError("<deep>")
        except KeyError as error:
            raise ValueError("on top") from error

    area = Area()
    assert not show_in(area, fail)
    assert "ValueError: on top\ncaused by KeyError: &#x27;&lt;deep&gt;&#x27;" in area.value
    assert "where it happened" in area.value
    assert show_in(area, lambda: "fine")
    assert area.value == "fine"


def test_a_panel_is_busy_while_it_works_and_hints_at_what_is_missing():
    class Area:
        value = ""

    area, seen = Area(), []
    assert show_in(area, lambda: seen.append(area.value) or "done")
    assert seen == [BUSY]
    assert 'role="status"' in BUSY

    def wait():
        raise Unfinished("choose a <image>")

    assert not show_in(area, wait)
    assert "choose a &lt;image&gt;" in area.value
    assert "alert" not in area.value
    assert "Unfinished" not in area.value


def test_what_was_asked_stands_beside_what_was_found():
    query = Query(text="=mug", k=3, where={"label": ["cup"]}, models=("a", "b"), fusion="rrf")
    table = add_query_columns(pd.DataFrame({"rank": [1, 2]}), query.to_dict())
    assert table["asked_text"].tolist() == ["=mug", "=mug"]
    assert table.loc[1, ["asked_k", "asked_fusion", "asked_exact"]].tolist() == [3, "rrf", False]
    assert (table["asked_where"][0], table["asked_models"][0]) == ('{"label": ["cup"]}', '["a", "b"]')
    assert "1,'=mug," in to_csv(table)


def test_a_hidden_cause_stays_hidden():
    error = ValueError("outer")
    error.__context__, error.__suppress_context__ = KeyError("inner"), True
    assert "caused by" not in str(describe_error(error))
