import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import nbformat
import pytest

from mmlab import index
from mmlab.cli import main
from mmlab.index.store.schema import Schema
from mmlab.items import Space
from mmlab.runs import read_manifest, run_folder, start_step
from tests.index.pairs import make_pairs
from tests.index.qdrant_server import qdrant_server
from tests.made_run import make_judged_run


@pytest.fixture
def runs(here):
    for name in ("a", "b"):
        start_step("08_compare" if name == "a" else "01_ingest", name).finish("")
    (here.parent / "data" / "cache").mkdir()
    return here.parent / "data" / "runs"


def test_without_a_choice_it_is_only_shown_what_could_go(runs, capsys):
    assert main(["clean"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:4]] == [["run", "a"], ["run", "b"], ["cache", "cache"]]
    assert lines[4].startswith("Nothing is removed")
    assert (runs / "a").is_dir()


@pytest.mark.parametrize(("answer", "left"), [("n\n", ["a", "b"]), ("y\n", ["a"])])
def test_it_is_asked_before_anything_goes(runs, monkeypatch, capsys, answer, left):
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: answer.strip())
    assert main(["clean", "b"]) == 0
    assert "run   b" in capsys.readouterr().out
    assert [name for name in ("a", "b") if (runs / name).is_dir()] == left


def test_what_was_judged_by_hand_goes_only_with_a_word_of_its_own(runs, capsys):
    (runs / "b" / "labels.jsonl").write_text('{"query_id": "q"}\n{"query_id": "r"}\n')
    assert main(["clean"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["what", "name", "MB", "labels"]
    assert [row[3:] for row in rows[1:4]] == [[], ["2"], []]
    for choice in (["a", "b"], ["--unfinished"]):
        assert main(["clean", *choice, "--yes"]) == 2
        assert "b would go with what was done by hand" in capsys.readouterr().err
        assert (runs / "a").is_dir()
        assert (runs / "b" / "labels.jsonl").is_file()
    assert main(["clean", "b", "--yes", "--labels"]) == 0
    assert not (runs / "b").exists()


def test_what_was_taken_back_is_no_judgement(runs, capsys):
    lines = [
        {"query_id": "q", "item_id": "a", "relevance": 1},
        {"query_id": "q", "item_id": "b", "relevance": 0},
        {"query_id": "q", "item_id": "a", "relevance": None},
    ]
    file = runs / "b" / "labels.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert main(["clean"]) == 0
    assert capsys.readouterr().out.splitlines()[2].split()[3:] == ["1"]
    file.write_text(file.read_text() + json.dumps(lines[1] | {"relevance": None}) + "\n")
    assert main(["clean", "b", "--yes"]) == 0
    assert not (runs / "b").exists()


KEEPER = """
import sys, time
from mmlab.index import open_store
store = open_store(sys.argv[1], keep_open=30)
print(store.count("demo"), flush=True)
sys.stdin.readline()
"""


def test_a_store_that_is_kept_open_for_the_next_question_is_removed(runs, capsys):
    """By another process and by this one: each gives it back first, and puts nothing into the folder any more."""
    folder = runs / "b" / "store"
    store = index.open_store(folder, keep_open=30)
    store.create("demo", Schema(Space("toy", "1", "mean", "", "", 2)))
    keeper = [sys.executable, "-c", KEEPER, folder]
    with subprocess.Popen(
        keeper, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "0\n"
        assert main(["clean", "b", "--yes"]) == 0
        assert [path.name for path in runs.iterdir() if path.is_dir()] == ["a"]
        assert other.communicate("done\n", timeout=60)[1] == ""
    index.build_index(store, "demo", make_pairs(4).items, [make_pairs(4).both], progress=False)
    assert index.open_store(folder, keep_open=30).count("demo-unified") > 0
    start_step("01_ingest", "b").finish("")
    assert main(["clean", "b", "--yes"]) == 0
    assert [path.name for path in runs.iterdir() if path.is_dir()] == ["a"]


def test_a_store_at_work_stays(runs, capsys):
    store = index.open_store(runs / "b" / "store")
    with store.session(), ThreadPoolExecutor(1) as threads:
        assert threads.submit(main, ["clean", "b", "--yes"]).result() == 2
    assert "is in use by another thread" in capsys.readouterr().err
    assert (runs / "b" / "manifest.json").exists()


def test_yes_does_not_ask(runs, capsys):
    assert main(["clean", "--unfinished", "--cache", "--yes"]) == 0
    assert capsys.readouterr().out.endswith("Removed.\n")
    assert (runs / "a").is_dir()
    assert not (runs / "b").exists()
    assert not (runs.parent / "cache").exists()
    assert main(["clean", "--demo"]) == 0
    assert capsys.readouterr().out == "Nothing to remove.\n"


def evaluate_by_hand(metrics):
    """05 of the run `p` as its notebook does it, with these metrics."""
    step = start_step("05_evaluate", "p", seed=0, k="demo")
    step.write("05_evaluate.txt").write_text("made with 0")
    step.write("metrics.json").write_text(metrics)
    step.finish("")


def test_verify_ends_with_1_and_a_table_where_a_run_does_not_hold(here, capsys):
    notebook = here / "notebooks" / "05_evaluate.ipynb"
    content = nbformat.read(notebook, as_version=4)
    entry = json.dumps({"measures": [{"direction": "d", "measure": "RR", "value": 0.5}]})
    content.cells[-1].source += f"\nstep.write('metrics.json').write_text({entry!r})\nstep.finish('')"
    nbformat.write(content, notebook)
    evaluate_by_hand(entry)
    assert main(["verify", "p"]) == 0
    assert capsys.readouterr().out.startswith("p holds: ")
    assert not list((here.parent / "data").glob("verify-*"))
    (run_folder("p") / "metrics.json").write_text(entry.replace("0.5", "0.75"))
    assert main(["verify", "p"]) == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1].startswith(
        "metrics.json  is not what 05_evaluate recorded: it was changed"
    )
    assert shown.err.endswith(
        "1 of its files or notebooks are not as they were recorded; nothing was run again\n"
    )
    evaluate_by_hand(entry.replace("0.5", "0.75"))
    assert main(["verify", "p"]) == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1].split() == ["metrics.json", "d", "RR", "0.75", "0.5"]
    assert shown.err.splitlines()[-1].startswith("mmlab: error: p does not hold: 1 differences")


def test_verify_leaves_the_server_of_a_run_alone(here, capsys):
    """The second run's index is built in its own folder, or it would stay on the server."""
    notebook = here / "notebooks" / "03_index.ipynb"
    content = nbformat.read(notebook, as_version=4)
    content.cells[0].source = content.cells[0].source.replace("k: str = 'demo'", "store: str = ''")
    content.cells[-1].source = "assert store == ''\n" + content.cells[-1].source
    nbformat.write(content, notebook)
    step = start_step("03_index", "p", seed=0, store="http://127.0.0.1:1")
    step.write("03_index.txt").write_text("made with 0")
    step.finish("")
    assert main(["verify", "p"]) == 0
    assert capsys.readouterr().out.startswith("p holds: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
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
def test_wrong_arguments_are_told(here, capsys, arguments, message):
    start_step("03_index", "a", store="", layout="named").finish("")
    start_step("03_index", "c", store="http://localhost:1/").finish("")
    assert main(arguments.split()) == 2
    assert message in capsys.readouterr().err


def test_an_index_that_is_not_there_is_one_line_and_1(here, capsys):
    start_step("03_index", "a", store="").finish("")
    assert main(["push", "a", "--to", "http://localhost:1"]) == 1
    shown = capsys.readouterr().err
    assert shown.splitlines()[-1].startswith("mmlab: error: ")
    assert "Traceback" not in shown


@pytest.fixture
def build(here):
    """Build the index of a run "a" with some settings."""
    step, pairs = start_step("03_index", "a", store=""), make_pairs(10)
    step.finish("")
    source = index.open_store(step.folder / "store")

    def build(**settings):
        index.build_index(source, "a", pairs.items, [pairs.both], progress=False, **settings)

    build()
    return build


def test_shards_replicas_and_leave_to_replace_reach_the_server(build, capsys):
    with qdrant_server(3) as cluster:
        push = ["push", "a", "--to", cluster.url]
        assert main([*push, "--shards", "4", "--replicas", "2"]) == 0
        assert capsys.readouterr().out.endswith(
            f"Written to Qdrant server at {cluster.url} (REST): a-unified\n"
        )
        target = index.open_store(cluster.url)
        assert index.open_index(target, "a").schemas["a-unified"].cluster == index.Cluster(4, 2, 1)
        build(hnsw=index.Hnsw(m=8))
        assert main(push) == 1
        assert "hnsw.m: 64 and 8" in capsys.readouterr().err
        assert main([*push, "--replace"]) == 0
        assert index.open_index(target, "a").schemas["a-unified"].hnsw.m == 8


def test_a_push_says_where_it_wrote_and_over_what(build, capsys):
    with qdrant_server() as server:
        port = server.nodes[0].grpc_port
        assert main(["push", "a", "--to", server.url, "--grpc-port", str(port)]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == (
            f"Written to Qdrant server at {server.url} (gRPC, port {port}): a-unified"
        )
        with qdrant_server() as other:
            assert main(["push", "a", "--to", server.url, "--grpc-port", str(other.nodes[0].grpc_port)]) == 1
            assert "error: not the gRPC port of Qdrant server at" in capsys.readouterr().err
            assert other.collections == {}


def plan_rows(shown: str) -> dict[str, str]:
    """The lines of a plan by their quantity."""
    return {re.split(r"  +", line)[0]: line for line in shown.splitlines()}


def test_a_cluster_is_planned_without_a_run(here, capsys):
    arguments = "plan --items 2e6 --model openai/clip-vit-base-patch32 --retrievers dense,bm25 --qps 50"
    assert main([*arguments.split(), "--embed-rate", "500", "--gpu-hour", "3"]) == 0
    shown = capsys.readouterr().out
    rows = plan_rows(shown)
    assert next(iter(rows)) == "quantity"
    assert {"dense vectors", "bm25 postings", "nodes", "shards", "upload", "queries"} <= rows.keys()
    assert re.match(r"dense vectors +2048 +4\.096 ", rows["dense vectors"])
    # 2,000,000 / 500 / 3600 hours, at 3 each
    assert re.match(
        r"embedding +1\.11111 +GPU hours +3\.33333 +500 items a second: as given", rows["embedding"]
    )
    assert shown.splitlines()[-1].startswith(
        "2,000,000 items of 512 dimensions: 3 nodes of 64 GB, 6 shards in 2 copies"
    )


def test_a_cluster_is_planned_by_the_rates_of_a_run(here, capsys):
    """60 items of 8 numbers; the median of a query is 1.5 ms in 03."""
    make_judged_run("p", 0.5)
    assert (
        main(["plan", "--items", "1e6", "--from", "p", "--qps", "10", "--replicas", "1", "--hnsw-m", "100"])
        == 0
    )
    rows = plan_rows(capsys.readouterr().out)
    seconds = read_manifest("p")["steps"]["02_embed"]["seconds"]
    assert f"{60 / seconds:,.4g} items a second: 02_embed of p as a whole" in rows["embedding"]
    assert re.match(r"dense vectors +32 +0\.032 ", rows["dense vectors"])
    assert "10 a second x 1 shards x 1.5 ms: 03_index of p, the median" in rows["queries"]
    assert "200 links of" in rows["graph"]
    assert "JSON of the items of p x 1.5" in rows["payload"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("plan", "Missing option '--items'"),
        ("plan --items many", "'many' is not a valid float"),
        ("plan --items 1.5 --dimension 3", "--items: expected a whole number from 1, as 100e6; found 1.5"),
        ("plan --items inf --dimension 3", "--items: expected a whole number from 1, as 100e6; found inf"),
        ("plan --items 1e6", "dimension: expected --dimension, --model or --from RUN"),
        ("plan --items 1e6 --model mine", "the dimension of 'mine' is not known here"),
        ("plan --items 1e6 --from none", "there is no run 'none'"),
        ("plan --items 1e6 --dimension 8 --node-ram 0", "node_ram_gb: expected a number above 0"),
    ],
)
def test_a_plan_says_what_it_lacks(here, capsys, arguments, message):
    assert main(arguments.split()) == 2
    assert message in capsys.readouterr().err
