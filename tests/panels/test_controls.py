import asyncio

import ipywidgets as widgets
import pandas as pd
import pytest

from mmlab.items.tables import to_csv
from mmlab.panels import controls
from mmlab.panels.controls import (
    BUSY,
    Unfinished,
    add_query_columns,
    describe_error,
    download_link,
    show_in,
)
from mmlab.retrieve import Query


def test_silence_ends_with_its_block_also_after_an_error_and_within_another():
    listening, field, seen = controls.Listening(), widgets.IntText(0), []
    listening.watch(field, seen.append)
    with listening.silenced():
        with pytest.raises(ValueError, match="wrong"), listening.silenced():
            raise ValueError("wrong")
        field.value = 1
    field.value = 2
    assert seen == [2]


def test_numbers_are_whole_where_all_given_are():
    assert type(controls.slider(1, 0, 5, "How many")) is widgets.IntSlider
    assert type(controls.slider(0.5, 0.0, 1.0, "Share", 0.05)) is widgets.FloatSlider
    assert controls.range_slider(0, 50, "stock").step == 1
    assert controls.range_slider(0.0, 50.0, "price").step == 0.5


def test_rows_are_folded_out_by_a_button_of_their_name():
    first = controls.text_line("", "Name", "")
    box = controls.folded_rows({"Filters": [controls.checkbox(False, "new")], "Empty": []}, first)
    switches, hidden = box.children
    assert [switch.description for switch in switches.children] == ["Name", "Filters"]
    assert hidden.layout.display == "none"
    switches.children[1].value = True
    assert hidden.layout.display == "flex"


def test_of_many_calls_in_a_row_the_last_one_works():
    done = []
    later = controls.LastCall(lambda: done.append(len(done)), 0.01)

    async def call():
        for _ in range(5):
            later()
        await asyncio.sleep(0.05)
        later()
        later.cancel()
        await asyncio.sleep(0.05)

    asyncio.run(call())
    assert done == [0]
    later()
    assert done == [0, 1]  # at once, where no loop runs


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
    assert table.loc[1, ["asked_k", "asked_fusion", "asked_exact"]].tolist() == [3, "rrf", True]
    assert (table["asked_where"][0], table["asked_models"][0]) == ('{"label": ["cup"]}', '["a", "b"]')
    assert "1,'=mug," in to_csv(table)


def test_a_hidden_cause_stays_hidden():
    error = ValueError("outer")
    error.__context__, error.__suppress_context__ = KeyError("inner"), True
    assert "caused by" not in str(describe_error(error))
