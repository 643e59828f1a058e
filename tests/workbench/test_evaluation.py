"""What an evaluation says where relevance was judged by hand, and where captions are known to be wrong."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import mmlab
from mmlab.evaluate.measures.qrels import append_labels
from mmlab.items import Space, Vectors, unit_rows
from mmlab.runs import start_step
from tests.conftest import data_in
from tests.made_run import embed_and_rank, make_judged_run


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data folder with run `p`: 30 pairs, each ranked by two steps, exact search and an index with gaps."""
    folder = tmp_path_factory.mktemp("evaluation") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMLAB_DATA", str(folder))
        make_judged_run("p", noise=2.0)
        yield folder


def label(data, answers: pd.DataFrame, relevance: int) -> None:
    append_labels(data / "runs" / "p" / "labels.jsonl", answers.assign(relevance=relevance))


def test_few_judgements_are_a_warning_and_the_rest_is_listed_to_be_judged(data):
    run = mmlab.open_run("p")
    assert run.evaluate().unjudged().table.empty
    assert run.evaluate().by_hand().sentence == ""
    hits = run.rankings.answers["text-to-image"]
    query = hits["query_id"].iloc[-1]
    right = run.qrels("image").set_index("query_id")["item_id"][query]
    own = hits[(hits["query_id"] == query) & (hits["item_id"] != right)]
    label(data, own.head(2), 0)
    evaluation = run.evaluate()
    assert "Too few hits are judged" in evaluation.by_hand().sentence
    table = evaluation.by_hand().table.set_index(["direction", "measure"])
    first = hits.loc[(hits["query_id"] == query) & (hits["rank"] <= 10), "item_id"]
    judged = {right, *own["item_id"].head(2)}
    assert table.loc[("text-to-image", "Judged@10"), "with"] == pytest.approx(first.isin(judged).mean())
    assert ("image-to-text", "Judged@10") not in table.index
    pooled = evaluation.unjudged().table
    steps = evaluation.rankings.steps["text-to-image"].values()
    found = {
        item for one in steps for item in one[(one["query_id"] == query) & (one["rank"] <= 10)]["item_id"]
    }
    assert pooled["item_id"].tolist() == sorted((found | set(first)) - judged)
    assert set(pooled["query_id"]) == {query}
    assert list(pooled.columns) == ["direction", "query_id", "item_id", "query", "item"]
    names = run.items.set_index("item_id")["pair_id"]
    assert pooled["item"].tolist() == names[pooled["item_id"]].tolist()
    assert f"lists {len(pooled)} hits to judge next" in evaluation.by_hand().sentence
    label(data, pooled, 1)
    assert evaluation.unjudged().table.empty
    assert "text-to-image 100 of 100" in evaluation.by_hand().sentence


def test_hard_negatives_of_a_dataset_are_those_of_the_vectors_of_the_run(tmp_path):
    dataset, colours = tmp_path / "set", ("red", "green", "blue", "orange")
    dataset.mkdir()
    rows = ["image,caption,negative_caption"]
    for number, colour in enumerate(colours):
        Image.new("RGB", (64, 64), colour).save(dataset / f"{colour}.png")
        rows.append(f"{colour}.png,a plain {colour} square,a plain square that is number {number}")
    (dataset / "captions.csv").write_text("\n".join(rows))
    with data_in(tmp_path / "data"):
        step = start_step("01_ingest", "n", dataset=str(dataset))
        report = mmlab.open_run(step).ingest(dataset)
        assert all(report.checks.values())
        report.write(step)
        step.finish("")
        items = report.items
        rng = np.random.default_rng(0)
        array = unit_rows(rng.standard_normal((len(items), 4)))
        embed_and_rank("n", items, [Vectors(items["item_id"], array, Space("m", "1", "p", "", "", 4))])
        evaluation = mmlab.open_run("n").evaluate()
        [row] = evaluation.hard_negatives().table.to_dict("records")
        assert "Of 4 pairs of right and wrong caption" in evaluation.hard_negatives().sentence
    place = {key: number for number, key in enumerate(zip(items["pair_id"], items["modality"], strict=True))}
    words = {text: number for number, text in enumerate(items["text"])}
    wins = []
    for number, colour in enumerate(colours):
        image = array[place[f"{colour}.png", "image"]]
        right = array[words[f"a plain {colour} square"]] @ image
        wins.append(right > array[words[f"a plain square that is number {number}"]] @ image)
    assert (row["value"], row["tests"], row["pairs"]) == (np.mean(wins), 4, 4)
    assert 0 < row["value"] < 1
