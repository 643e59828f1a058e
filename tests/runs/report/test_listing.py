import re

from mmlab.runs import begin_step, list_runs


def test_a_row_has_what_the_manifest_says():
    begin_step("01_ingest", run="a", dataset="photos").finish("")
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
