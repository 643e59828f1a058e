import re

from mmlab.runs import list_runs, start_step


def test_a_row_has_what_the_manifest_says():
    start_step("01_ingest", "a", dataset="photos").finish("")
    (row,) = list_runs()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", row.pop("finished"))
    assert row == {
        "name": "a",
        "dataset": "photos",
        "models": [],
        "seconds": 0.0,
        "measure": "",
        "value": None,
        "state": "stopped before 02_embed",
    }
