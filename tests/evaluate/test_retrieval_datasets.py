"""What is judged, as data sets of BEIR and MTEB and as TREC files: other tools read them and find the same figures."""

import csv
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import mmlab
from mmlab.evaluate.retrieval_datasets import RetrievalDataset, write_beir, write_mteb
from tests.made_run import draw_plain, make_judged_run

MEASURES = ("nDCG@10", "AP", "RR")
DIRECTIONS = ("text-to-image", "image-to-text")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of 30 pairs whose texts lie far from their images, with files of the images."""
    folder = tmp_path_factory.mktemp("datasets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMLAB_DATA", str(folder / "data"))
        make_judged_run("p", noise=2.0, folder=folder / "images")
        yield mmlab.open_run("p")


@pytest.fixture(scope="module")
def expected(run) -> dict[str, pd.DataFrame]:
    """mmlab's own scores of each query, by direction."""
    scores = run.evaluate().per_query
    names = {"AP@100": "AP", "RR@100": "RR"}
    return {name: table.rename(columns=names).set_index("query_id") for name, table in scores.items()}


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    """All three exports of the run: trec/, beir/ and mteb/."""
    folder = tmp_path_factory.mktemp("exports")
    for to in ("trec", "beir", "mteb"):
        written = run.export(folder / to, to=to).table
        assert all((folder / to / file).is_file() for file in written["file"])
    return folder


def check(found: dict[str, pd.Series], expected: pd.DataFrame) -> None:
    assert set(found) == set(MEASURES)
    for name, scores in found.items():
        assert 0 < scores.mean() < 1
        np.testing.assert_allclose(scores.reindex(expected.index), expected[name], atol=1e-9, err_msg=name)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_ir_measures_finds_the_same_figures_in_trec_files(folder, expected, direction) -> None:
    ir_measures = pytest.importorskip("ir_measures")
    qrels, ranked = (folder / "trec" / f"p.{direction}.{kind}" for kind in ("qrels", "run"))
    measures = {name: ir_measures.parse_measure(name) for name in MEASURES}
    files = ir_measures.read_trec_qrels(str(qrels)), ir_measures.read_trec_run(str(ranked))
    rows = pd.DataFrame(ir_measures.iter_calc(list(measures.values()), *files))
    own = {
        name: rows[rows["measure"] == one].set_index("query_id")["value"] for name, one in measures.items()
    }
    check(own, expected[direction])


RANX = """
import json, sys
from ranx import Qrels, Run, evaluate

for name in sys.argv[1:]:
    qrels, run = Qrels.from_file(name + ".qrels", kind="trec"), Run.from_file(name + ".run", kind="trec")
    evaluate(qrels, run, ["ndcg@10", "map", "mrr"])
    print(json.dumps(run.scores))
"""


@pytest.mark.skipif(find_spec("ranx") is None, reason="ranx is not installed: pip install -e '.[dev]'")
def test_ranx_finds_the_same_figures_in_trec_files(folder, expected) -> None:
    files = [str(folder / "trec" / f"p.{direction}") for direction in DIRECTIONS]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}  # which would compile for a minute
    answer = subprocess.run(
        [sys.executable, "-c", RANX, *files], capture_output=True, text=True, check=True, env=environment
    )
    theirs = {"nDCG@10": "ndcg@10", "AP": "map", "RR": "mrr"}
    for direction, line in zip(DIRECTIONS, answer.stdout.splitlines(), strict=True):
        scores = json.loads(line)
        check({name: pd.Series(scores[one]) for name, one in theirs.items()}, expected[direction])


def read_run(path) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for line in path.read_text().splitlines():
        query, _, item, _, score, _ = line.split()
        found.setdefault(query, {})[item] = float(score)
    return found


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_mteb_reads_the_data_set_and_finds_the_same_figures(
    run, folder, expected, direction, monkeypatch
) -> None:
    mteb = pytest.importorskip("mteb")
    import datasets
    from mteb._evaluators.retrieval_metrics import calculate_retrieval_scores
    from mteb.abstasks.retrieval_dataset_loaders import RetrievalDatasetLoader

    assert mteb.__version__
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "cache")
    read = RetrievalDatasetLoader(str(folder / "mteb" / direction), revision=None).load()
    items = run.items.set_index("item_id")
    for part, modality in zip(("queries", "corpus"), direction.split("-to-"), strict=True):
        table = read[part]
        assert table["id"] == items.index[items["modality"] == modality].tolist()
        assert set(table["modality"]) == {modality}
        if modality == "text":
            assert list(table["text"]) == items.loc[list(table["id"]), "text"].tolist()
        else:
            with Image.open(items.loc[table["id"][0], "image"]) as image:
                assert table["image"][0].tobytes() == image.tobytes()
    answers = read_run(folder / "trec" / f"p.{direction}.run")
    scores = calculate_retrieval_scores(answers, read["relevant_docs"], [10, 30]).all_scores
    table = pd.DataFrame(scores).T
    first = {query: min(rank for rank, item in enumerate(sorted(own, key=own.get, reverse=True), 1)
                        if read["relevant_docs"][query].get(item)) for query, own in answers.items()}  # fmt: skip
    check(
        {"nDCG@10": table["ndcg_cut_10"], "AP": table["map_cut_30"], "RR": 1 / pd.Series(first)},
        expected[direction],
    )


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_beir_holds_the_queries_the_corpus_and_what_is_relevant(run, folder, direction) -> None:
    own = folder / "beir" / direction
    corpus, queries = (
        [json.loads(line) for line in (own / f"{name}.jsonl").read_text("utf-8").splitlines()]
        for name in ("corpus", "queries")
    )
    with open(own / "qrels" / "test.tsv", encoding="utf-8", newline="") as file:  # as BEIR's loader does
        header, *rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_MINIMAL)
    right = run.qrels(direction.split("-to-")[1])
    assert header == ["query-id", "corpus-id", "score"]
    assert [(query, item, int(score)) for query, item, score in rows] == list(
        right.itertuples(index=False, name=None)
    )
    items = run.items.set_index("item_id")
    for table, modality in zip((queries, corpus), direction.split("-to-"), strict=True):
        own_items = items[items["modality"] == modality]
        assert [row["_id"] for row in table] == own_items.index.tolist()
        if modality == "text":
            assert [row["text"] for row in table] == own_items["text"].tolist()
        else:
            assert [row["image"] for row in table] == own_items["image"].tolist()
            assert {row["text"] for row in table} == {""}
    assert {row["title"] for row in corpus} == {""}


def test_topics_hold_the_queries(run, folder) -> None:
    items = run.items.set_index("item_id")
    for direction, (tag, column) in zip(DIRECTIONS, (("title", "text"), ("image", "image")), strict=True):
        topics = ElementTree.parse(folder / "trec" / f"p.{direction}.topics.xml").getroot()  # noqa: S314 - our own
        asked = {topic.get("number"): topic.findtext(tag) for topic in topics}
        assert asked == items.loc[items["modality"] == column, column].to_dict()  # texts hold < and >


def table(modality: str, **contents: str | None) -> pd.DataFrame:
    rows = {"item_id": list(contents), "modality": modality, "text": None, "image": None}
    return pd.DataFrame(rows).assign(**{modality: list(contents.values())})


def qrels(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["query_id", "item_id", "relevance"])


def test_any_queries_and_qrels_may_be_written(tmp_path) -> None:
    """Texts that find texts, in grades; an id with a tab, a letter of two bytes; a query that nobody judged."""
    queries = table("text", **{"q\t1": 'süß "x"', "q2": "no one"})
    corpus = table("text", d1="a\nb", d2="c")
    dataset = RetrievalDataset(queries, corpus, qrels(("q\t1", "d2", 2), ("q\t1", "d1", 0)))
    written = write_beir(tmp_path / "beir", dataset)
    assert written["rows"].tolist() == [2, 1, 2]
    lines = (tmp_path / "beir" / "queries.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"_id": "q\t1", "text": 'süß "x"'}]
    with open(tmp_path / "beir" / "qrels" / "test.tsv", encoding="utf-8", newline="") as file:
        assert list(csv.reader(file, delimiter="\t"))[1:] == [["q\t1", "d2", "2"], ["q\t1", "d1", "0"]]
    assert write_mteb(tmp_path / "mteb", dataset)["rows"].tolist() == [2, 1, 2, 1]
    read = pd.read_parquet(tmp_path / "mteb" / "qrels")
    assert read.to_numpy().tolist() == [["q\t1", "d2", 2], ["q\t1", "d1", 0]]


def test_many_images_are_written_block_by_block(tmp_path, monkeypatch) -> None:
    from pyarrow.parquet import ParquetFile

    monkeypatch.setattr("mmlab.evaluate.retrieval_datasets.IMAGES_PER_BLOCK", 2)
    corpus = table("image", **{f"i{n}": draw_plain(tmp_path / f"{n}.png", n) for n in range(5)})
    dataset = RetrievalDataset(table("text", q="x"), corpus, qrels(("q", "i0", 1)))
    write_mteb(tmp_path / "mteb", dataset)
    file = ParquetFile(tmp_path / "mteb" / "corpus" / "test-00000-of-00001.parquet")
    assert file.metadata.num_row_groups == 3
    images = file.read()["image"].to_pylist()
    assert images == [{"bytes": (tmp_path / f"{n}.png").read_bytes(), "path": f"{n}.png"} for n in range(5)]


def test_what_cannot_be_written_is_refused(tmp_path) -> None:
    queries, corpus = table("text", q="x"), table("image", i=str(tmp_path / "gone.png"))
    with pytest.raises(ValueError, match="qrels: 1 rows name none of the corpus, first z"):
        RetrievalDataset(queries, corpus, qrels(("q", "i", 1), ("q", "z", 1)))
    with pytest.raises(ValueError, match="qrels: 1 rows name none of the queries, first z"):
        RetrievalDataset(queries, corpus, qrels(("z", "i", 1)))
    with pytest.raises(ValueError, match="corpus: expected texts or images, found both"):
        RetrievalDataset(queries, pd.concat([queries, corpus]), qrels(("q", "i", 1)))
    with pytest.raises(ValueError, match="queries: columns .*modality"):
        RetrievalDataset(queries.drop(columns="modality"), corpus, qrels(("q", "i", 1)))
    with pytest.raises(ValueError, match=r"gone\.png: missing file; a data set holds every image"):
        write_mteb(tmp_path / "mteb", RetrievalDataset(queries, corpus, qrels(("q", "i", 1))))
    assert not list((tmp_path / "mteb").rglob("*.parquet"))
