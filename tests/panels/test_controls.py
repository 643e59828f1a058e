import ipywidgets as widgets
import pytest

from mmlab.panels import controls


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
    box = controls.folded_rows({"Filters": [controls.checkbox(False, "new")], "Empty": []})
    switches, hidden = box.children
    assert [switch.description for switch in switches.children] == ["Filters"]
    assert hidden.layout.display == "none"
    switches.children[0].value = True
    assert hidden.layout.display == "flex"
