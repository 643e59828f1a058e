import json

import pandas as pd

from mmlab.items import write_table
from mmlab.runs import run_folder, start_step
from mmlab.runs.execute import NOTEBOOKS
from mmlab.runs.report.advice import what_to_look_at

LINKS = {name: f"{name}.html" for name in NOTEBOOKS}


def test_an_unfinished_run_says_what_is_missing():
    start_step("01_ingest", "r").finish("")
    assert what_to_look_at("r", [], {}) == [("The run did not reach its end: 02_embed is missing.", "")]


def test_losses_and_the_weaker_direction_are_told_with_a_link():
    for name in NOTEBOOKS:
        start_step(name, "r").finish("")
    measures = [
        {"direction": direction, "measure": "Success@1", "value": value}
        for direction, value in (("text-to-image", 0.8), ("image-to-text", 0.5))
    ]
    (run_folder("r") / "metrics.json").write_text(json.dumps({"measures": measures}))
    judged = pd.DataFrame({"search": ["exact", "HNSW ef=10"], "recall": [1.0, 0.9], "p50_ms": [1.0, 0.5]})
    write_table(judged, run_folder("r") / "index.parquet")
    assert what_to_look_at("r", [{"id": "gallery-1", "title": "Worst queries"}], LINKS) == [
        ("The weaker direction is image-to-text: Success@1 0.500 against 0.800.", "05_evaluate.html"),
        ("The index loses answers: recall 0.900 against exact search with HNSW ef=10.", "03_index.html"),
        ("Gallery: worst queries.", "#gallery-1"),
    ]
