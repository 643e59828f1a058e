import pytest
from qdrant_client import QdrantClient

from mmlab import index
from mmlab.cli import main
from mmlab.runs import start_step
from tests.index.pairs import make_pairs


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            "push a --to nowhere",
            "--to is the URL of a Qdrant server, as http://localhost:6333; found 'nowhere'",
        ),
        ("push b --to http://localhost:1", "run 'b' has no index: run 03_index for it first"),
        ("push c --to http://localhost:1", "the index of c is on http://localhost:1 already"),
        ("push a", "Missing option '--to'"),
        ("push a --to http://localhost:1 --shards 0", "Invalid value for '--shards': 0"),
        (
            "push a --to http://localhost:1 --replicas 2 --write-consistency 3",
            "cluster: write_consistency 3 is more than the 2 replicas",
        ),
    ],
)
def test_wrong_arguments_are_told(here, capsys, arguments, told):
    start_step("03_index", "a", store="", layout="named").finish("")
    start_step("03_index", "c", store="http://localhost:1/").finish("")
    assert main(arguments.split()) == 2
    assert told in capsys.readouterr().err


def test_an_index_that_is_not_there_is_one_line_and_1(here, capsys):
    start_step("03_index", "a", store="").finish("")
    assert main(["push", "a", "--to", "http://localhost:1"]) == 1
    shown = capsys.readouterr().err
    assert shown.splitlines()[-1].startswith("mmlab: error: ")
    assert "Traceback" not in shown


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect")
def test_shards_replicas_and_leave_to_replace_reach_the_server(here, capsys, monkeypatch):
    step, pairs = start_step("03_index", "a", store=""), make_pairs(10)
    source, target = index.open_store(step.folder / "store"), index.open_store(QdrantClient(":memory:"))
    step.finish("")
    build = {"items": pairs.items, "spaces": [pairs.both], "progress": False}
    index.build_index(source, "a", **build)
    monkeypatch.setattr(index, "open_store", lambda where: target if "//" in str(where) else source)
    push = ["push", "a", "--to", "http://localhost:6333"]
    assert main([*push, "--shards", "4", "--replicas", "2"]) == 0
    assert index.open_index(target, "a").schemas["a-unified"].cluster == index.Cluster(4, 2, 1)
    index.build_index(source, "a", hnsw=index.Hnsw(m=8), **build)
    assert main(push) == 1
    assert "hnsw.m: 64 and 8" in capsys.readouterr().err
    assert main([*push, "--replace"]) == 0
    assert index.open_index(target, "a").schemas["a-unified"].hnsw.m == 8
