import json

import pandas as pd
import pytest

from mmlab.items import write_table
from mmlab.runs.report.metrics_table import first_measure, read_metrics, tabulate_latency, tabulate_measures


def entry(direction, measure, value, **more):
    return {"direction": direction, "measure": measure, "value": value, "queries": 10, **more}


@pytest.fixture
def path(tmp_path):
    measures = [
        entry("text-to-image", "RR", 1.0, low=None, high=None),
        entry("text-to-image", "Success@1", 0.8125, low=0.7, high=0.9),
        entry("image-to-text", "Success@1", 0.5, low=0.25, high=0.75),
    ]
    protocol = [
        {"direction": "text-to-image", "queries": 10, "tie rule": "against"},
        {"direction": "image-to-text", "queries": 4, "tie rule": None},
    ]
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps({"measures": measures, "protocol": protocol}))
    return path


def test_measures_are_a_row_each_and_directions_a_column_each(path):
    table = tabulate_measures(read_metrics(path))
    assert table.directions == ["text-to-image", "image-to-text"]
    assert table.rows == [
        ("RR", [("1.000", ""), ("", "")]),
        ("Success@1", [("0.812", "0.700 to 0.900"), ("0.500", "0.250 to 0.750")]),
    ]


def test_the_protocol_is_a_row_for_each_rule(path):
    table = tabulate_measures(read_metrics(path))
    assert table.protocol_of == ["text-to-image", "image-to-text"]
    assert table.protocol == [("queries", ["10", "4"]), ("tie rule", ["against", ""])]


def test_success_stands_for_a_run(path, tmp_path):
    assert first_measure(read_metrics(path)) == ("text-to-image Success@1", 0.8125)
    path.write_text(json.dumps({"measures": [entry("a", "RR", 0.5)]}))
    assert first_measure(read_metrics(path)) == ("a RR", 0.5)
    path.write_text("{")
    assert first_measure(read_metrics(path)) == first_measure(read_metrics(tmp_path / "none")) == ("", None)
    assert tabulate_measures(read_metrics(path)).rows == []


def test_latency_is_that_of_03(tmp_path):
    path = tmp_path / "index.parquet"
    assert tabulate_latency(path) == []
    table = pd.DataFrame(
        {"search": ["exact"], "recall": [1.0], "p50_ms": [0.25], "p95_ms": [0.5], "other": [1]}
    )
    write_table(table, path)
    assert tabulate_latency(path) == [
        {"search": "exact", "recall": "1.000", "median, ms": "0.250", "95th percentile, ms": "0.500"}
    ]
    write_table(table.drop(columns="p50_ms"), path)
    assert tabulate_latency(path) == []
