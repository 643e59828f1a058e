"""What a kernel's messages tell of a progress bar: the words of tqdm, as widgets and as text."""

import pytest

from mmlab.runs.execute.cell_progress import CellProgress, read_progress


def widget(text: object) -> dict:
    state = {"method": "update", "state": {"value": text}}
    return {"msg_type": "comm_msg", "content": {"data": state, "comm_id": "x"}}


def stream(text: str) -> dict:
    return {"msg_type": "stream", "content": {"name": "stderr", "text": text}}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            widget("\u200710/40\u2007[00:00&lt;00:01,\u200729.43\u2007image/s]"),
            CellProgress(0.25, "10/40, 29.43 image/s, 00:01 left"),
        ),
        (
            stream("\rtexts: 0/8 [00:00<?, ? text/s]\rtexts: 6/8 [00:09<00:03,  1.50s/ text]"),
            CellProgress(0.75, "6/8, 1.50s/ text, 00:03 left"),
        ),
        (
            stream("1.50k/2.00k [01:00<00:20, 25.0it/s, loss=1]"),
            CellProgress(0.75, "1.50k/2.00k, 25.0it/s, 00:20 left"),
        ),
        (stream("9/8 [00:09<00:00, 1.50it/s]"), CellProgress(1, "9/8, 1.50it/s, 00:00 left")),
    ],
)
def test_a_bar_is_read(message, expected):
    assert read_progress(message) == expected


@pytest.mark.parametrize(
    "message",
    [
        widget("\u20070/40\u2007[00:00&lt;?,\u2007?\u2007image/s]"),  # no rate yet
        widget(10.0),
        widget("image: 25%"),
        stream("12it [00:03, 4.00it/s]"),  # no total
        stream("0/0 [00:00<00:00, 1.00it/s]"),
        stream("a text"),
        {"msg_type": "comm_msg", "content": {"data": None}},
        {"msg_type": "status", "content": {"execution_state": "idle"}},
    ],
)
def test_other_messages_tell_nothing(message):
    assert read_progress(message) is None
