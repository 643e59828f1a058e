"""Arguments of calls that are also parameters of notebooks are held against the same table, before anything is done."""

import numpy as np
import pytest

import mmlab
from mmlab.ingest import Rules
from mmlab.items.parameter_table import PARAMETERS
from mmlab.retrieve import RetrievalConfig
from mmlab.retrieve.query.spec import Query
from mmlab.workbench.tuning_report import IndexGrid
from tests.conftest import data_in
from tests.made_run import make_judged_run
from tests.parameter_values import refused, wrong_values

TUNED = ("m", "ef_construct", "ef", "oversampling", "on_disk")
# of a call: the arguments that it needs, and those that are checked; where these are called otherwise, the parameter
CALLS = {
    "search": ({"query": "a mug"}, ["k", "rrf_k", "calibration", "rerank", "rerank_model", "exact"]),
    "time_search": ({}, ["k", "seed"]),
    "sample": ({}, ["seed"]),
    "rank": ({}, ["depth", "exact", "fusion", "weights", "rrf_k", "rescoring", "calibration", "rerank",
                  "rerank_model", "siblings", "seed", "split"]),
    "evaluate": ({}, ["k_values", "seed"]),
    "compare": ({}, ["measures", "measure", "seed"]),
    "study_hubs": ({}, ["depth", "seed"]),
    "compare_scales": ({"query": "a mug"}, ["k"]),
    "calibrate": ({}, ["depth", "seed", "split"]),
    "study_fusion": ({}, ["fusion", "depth", "seed"]),
    "tune": ({}, ["neighbours", "store", "seed"]),
    "map": ({}, ["group_by", "umap_neighbours", "perplexity", "seed"]),
    "panel": ({}, ["k"]),
    "embed": ({"models": ["demo"]}, ["prompts", "precision", "truncate_dim", "batch_size", "engine"]),
    "build_index": ({}, ["layout", "on_disk", "replace"]),
    "inspect": ({"dataset": "photos"}, ["source"]),
    "ingest": ({"dataset": "photos"}, ["source"]),
}  # fmt: skip
RENAMED = [
    ("tune", "points", "tune_points"),
    ("tune_model", "batch_sizes", "tune_batch_sizes"),
    ("tune_model", "precisions", "tune_precisions"),
    ("tune_model", "items", "tune_items"),
    ("map", "pairs", "sample"),
]
GIVEN = [(call, name, name) for call, (_, names) in CALLS.items() for name in names] + RENAMED


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with data_in(tmp_path_factory.mktemp("arguments")):
        make_judged_run("p", 0.5)
        yield mmlab.open_run("p")


@pytest.mark.parametrize(("call", "argument", "parameter"), GIVEN)
def test_a_call_takes_what_the_table_takes(run, call, argument, parameter):
    needed, _ = CALLS.get(call, ({}, ()))
    for value in wrong_values(parameter, PARAMETERS[parameter].kind):
        if value is not None:  # not given
            with pytest.raises(ValueError, match="parameter ") as found:
                getattr(run, call)(**needed, **{argument: value})
            assert refused(parameter, value, found.value)


OF_QUERY = ("k", "rrf_k", "depth", "calibration", "rerank")
OF_RULES = ("min_words", "max_chars", "refuse", "keep", "ocr", "ocr_confidence", "captioner", "max_downloads")


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (RetrievalConfig, {name: name for name in RetrievalConfig.__dataclass_fields__}),
        (lambda **given: Query(text="a", **given), {name: name for name in OF_QUERY}),
        (Rules, {name: name for name in OF_RULES}),
        (IndexGrid, {"quantizations": "tune_quantization"} | {name: f"tune_{name}" for name in TUNED}),
    ],
    ids=["RetrievalConfig", "Query", "Rules", "IndexGrid"],
)
def test_settings_that_are_made_take_what_the_table_takes(make, parameters):
    for name, parameter in parameters.items():
        for value in wrong_values(parameter, PARAMETERS[parameter].kind):
            if value is not None:
                with pytest.raises(ValueError, match="parameter ") as found:
                    make(**{name: value})
                assert refused(parameter, value, found.value, label=name)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"diversity": 1.01}, "parameter diversity: expected a number from 0 to 1, found 1.01"),
        ({"diversity": float("nan")}, "parameter diversity: expected a number from 0 to 1, found nan"),
        ({"weight": True}, "parameter weight: expected a number from 0 to 1, or 'confidence', found True"),
        ({"to": "video"}, "parameter to: expected one of text, image, found 'video'"),
        ({"minus_weight": -1}, "parameter minus_weight: expected a number from 0, found -1"),
    ],
)
def test_what_is_no_parameter_of_a_notebook_is_checked_alike(wrong, message):
    with pytest.raises(ValueError, match=message):
        Query(text="a", **wrong)


def test_what_numpy_gives_is_taken(run):
    assert Query(text="a", k=np.int64(3), weight=np.float32(0.5)).k == 3
    assert run.evaluate(k_values=np.array([1, 3])).k_values == (1, 3)
    assert run.evaluate(k_values=range(1, 3)).k_values == (1, 2)


def test_the_rest_of_a_number_of_things_shown(run):
    evaluation = run.evaluate()
    for count in (0, -1, True, 1.5, 1001):
        with pytest.raises(ValueError, match="parameter count: expected a whole number from 1 to 1,000"):
            evaluation.queries("worst", count)
        with pytest.raises(ValueError, match="parameter suspects: expected a whole number from 1 to 1,000"):
            evaluation.failures().suspects(count)
    with pytest.raises(
        ValueError, match="parameter which: expected one of worst, best, random, found 'good'"
    ):
        evaluation.queries("good")


def test_an_empty_dataset_is_not_the_project(run):
    for call in (run.inspect, run.ingest):
        with pytest.raises(
            ValueError, match="parameter dataset: expected a folder, a table or hf://owner/name"
        ):
            call("")
