import os

import nbformat
import pytest

from mmlab.items.files import copy_folder
from mmlab.runs import StaleInput, read_manifest, run_folder, start_step
from mmlab.runs.execute import kernels
from mmlab.runs.execute.run_sweep import Node, StepCache, _choose, plan_steps, run_sweep, share_step
from mmlab.runs.execute.sweep_file import Setting
from mmlab.runs.record.lineage import find_maker

STEP = """\
import os
from mmlab.runs import begin_step
step = begin_step({name!r}, globals())
seen = [step.read(file).read_text() for file in {reads!r}]
step.write({writes!r}).write_text(f"{{seen}} {{seed}} {{os.getpid()}}")
step.finish("")
print(sorted(word for word in globals() if word == "left_over"), os.environ["MMLAB_NOTEBOOK"])
left_over = 1"""


@pytest.fixture
def notebooks(make_notebook):
    first = STEP.format(name="01_ingest", reads=[], writes="items.parquet")
    second = STEP.format(name="03_index", reads=["items.parquet"], writes="index.parquet")
    last = STEP.format(name="05_evaluate", reads=["items.parquet"], writes="metrics.json")
    broken = "if ef == 13:\n    raise KeyError('bad luck')"
    return [
        make_notebook("01_ingest", 'name: str = "d"\nseed: int = 0', first),
        make_notebook("03_index", 'name: str = "d"\nseed: int = 0\nef: int = 50', broken, second),
        make_notebook("05_evaluate", 'name: str = "d"\nseed: int = 0', last),
    ]


@pytest.fixture
def roots(notebooks):
    settings = [Setting("a", {"ef": 20}), Setting("b", {"ef": 13}), Setting("c", {"ef": 60})]
    return plan_steps(settings, notebooks)


def test_shared_steps_are_done_once_and_a_failure_ends_its_run_only(roots, capfd):
    failures = run_sweep(roots, jobs=2, progress=False)
    assert list(failures) == ["b"]
    assert "03_index failed at cell 5, In [3] under 'Work'" in failures["b"]
    steps = {run: read_manifest(run)["steps"] for run in "abc"}
    assert [list(found) for found in steps.values()] == [
        ["01_ingest", "03_index", "05_evaluate"], ["01_ingest"], ["01_ingest", "03_index", "05_evaluate"]
    ]  # fmt: skip
    assert [steps[run]["01_ingest"].get("shared_from") for run in "abc"] == [None, "a", "a"]
    texts = {(run_folder(run) / "items.parquet").read_text() for run in "abc"}
    assert len(texts) == 1
    assert (run_folder("c") / "index.parquet").read_text().startswith(str(list(texts)))
    assert capfd.readouterr().err == ""
    check_chain("c")
    check_kernels()
    check_resuming(roots)


def check_chain(run):
    """A shared step's files may be read as if the run had made them, and not with other parameters."""
    step = start_step("06_visualize", run, seed=0)
    assert step.read("items.parquet").read_text() == step.read("items.parquet").read_text()
    manifest = read_manifest(run)
    assert [find_maker(manifest, file) for file in ("items.parquet", "index.parquet")] == ["a", "c"]
    with pytest.raises(StaleInput, match="seed is 1 here and was 0 in 01_ingest"):
        start_step("06_visualize", run, seed=1).read("items.parquet")


def check_kernels():
    """Several notebooks ran in one process, and none saw what another left behind."""
    processes, printed = set(), set()
    for run in "ac":
        for name in ("01_ingest", "03_index", "05_evaluate"):
            cells = nbformat.read(run_folder(run) / "notebooks" / f"{name}.ipynb", as_version=4).cells
            printed |= {cells[-1].outputs[-1].text.strip()}
            assert cells[-1].execution_count == len([cell for cell in cells if cell.cell_type == "code"])
        for file in ("items.parquet", "index.parquet", "metrics.json"):
            processes.add((run_folder(run) / file).read_text().split()[-1])
    assert printed == {"[] 01_ingest.ipynb", "[] 03_index.ipynb", "[] 05_evaluate.ipynb"}
    assert 1 <= len(processes) <= 2


def check_resuming(roots):
    """What is done stays as it is; what is missing, changed or was never done is done."""
    before = read_manifest("a")["steps"]
    (run_folder("a") / "metrics.json").write_text("by hand")
    assert list(run_sweep(roots, resume=True, progress=False)) == ["b"]
    after = read_manifest("a")["steps"]
    again = [name for name in after if after[name]["finished"] != before[name]["finished"]]
    assert again == ["05_evaluate"]
    assert "by hand" not in (run_folder("a") / "metrics.json").read_text()


def test_a_damaged_manifest_ends_its_run_only(roots, capfd):
    for run in "ac":
        run_folder(run).mkdir(parents=True)
    (run_folder("a") / "manifest.json").write_text("{")
    failures = run_sweep(roots, resume=True, progress=False)
    assert list(failures) == ["a", "b"]
    assert "manifest.json is not JSON" in failures["a"]
    assert list(read_manifest("c")["steps"]) == ["01_ingest", "03_index", "05_evaluate"]
    assert not [path for run in "abc" for path in run_folder(run).glob(".working-*")]


def test_a_page_or_a_file_that_cannot_be_written_ends_its_runs_only(roots):
    (run_folder("a") / "05_evaluate.html" / "in the way").mkdir(parents=True)
    (run_folder("c") / "items.parquet" / "in the way").mkdir(parents=True)
    failures = run_sweep(roots, progress=False)
    assert set(failures) == {"a", "b", "c"}
    assert "05_evaluate.html" in failures["a"]
    assert "items.parquet" in failures["c"]
    assert "03_index failed" in failures["b"]


def test_a_kernel_that_does_not_start_ends_its_runs_only(roots, monkeypatch):
    def refuse(kernel, notebook, empty=kernels.empty_kernel):
        if notebook.stem == "05_evaluate":
            raise AttributeError("no such kernel")
        empty(kernel, notebook)

    monkeypatch.setattr(kernels, "empty_kernel", refuse)
    failures = run_sweep(roots, progress=False)
    assert {run: reason for run, reason in failures.items() if run != "b"} == dict.fromkeys(
        "ac", "AttributeError: no such kernel"
    )
    assert list(read_manifest("c")["steps"]) == ["01_ingest", "03_index"]


def test_a_step_that_reads_the_same_files_in_another_run_is_shared(roots):
    run_sweep(roots, progress=False)
    maker, other = (read_manifest(run)["steps"]["05_evaluate"] for run in "ac")
    assert other == {**maker, "shared_from": "a"}
    assert read_manifest("c")["steps"]["03_index"].get("shared_from") is None
    for file in ("metrics.json", "05_evaluate.html", "notebooks/05_evaluate.ipynb"):
        assert (run_folder("c") / file).read_bytes() == (run_folder("a") / file).read_bytes()


def test_the_next_step_is_one_of_a_notebook_that_the_fewest_are_at_the_latest_first(tmp_path):
    index, ask, maps = (
        Node(tmp_path / f"{name}.ipynb", {}, ("run",)) for name in ("03_index", "04_retrieve", "06_visualize")
    )
    assert _choose([index, ask, maps], []) == 2
    assert _choose([index, ask, maps], [maps]) == 1
    assert _choose([index, ask, maps], [maps, ask]) == 0
    assert _choose([maps, maps], [maps, ask]) == 0
    assert _choose([ask, maps], [maps, maps, ask]) == 0


@pytest.fixture
def planned(make_notebook):
    return [
        make_notebook("01_ingest", 'name: str = "d"  # n\nseed: int = 0  # s'),
        make_notebook("02_embed", 'name: str = "d"  # n\nshare: float = 0.5  # s'),
        make_notebook("03_index", 'name: str = "d"  # n\nef: int = 50  # e\nseed: int = 0  # s'),
    ]


def outline(nodes):
    return [(node.notebook.stem, node.runs, outline(node.children)) for node in nodes]


def test_steps_are_shared_as_long_as_all_before_them_are_the_same(planned):
    settings = [
        Setting("a", {"ef": 20}),
        Setting("b", {"ef": 60}),
        Setting("c", {"seed": 1}),
    ]
    assert outline(plan_steps(settings, planned)) == [
        ("01_ingest", ("a", "b"), [
            ("02_embed", ("a", "b"), [("03_index", ("a",), []), ("03_index", ("b",), [])]),
        ]),
        ("01_ingest", ("c",), [("02_embed", ("c",), [("03_index", ("c",), [])])]),
    ]  # fmt: skip


def test_a_run_can_be_taken_out_of_the_tree(planned):
    (root,) = plan_steps([Setting("a", {"ef": 20}), Setting("b", {"ef": 60}), Setting("c", {})], planned)
    (left,) = root.without({"a"})
    assert outline([left]) == [
        ("01_ingest", ("b", "c"), [("02_embed", ("b", "c"), [("03_index", (run,), []) for run in "bc"])])
    ]  # fmt: skip
    assert root.without({"a", "b", "c"}) == []


def test_a_default_that_is_given_is_no_other_setting(planned):
    (root,) = plan_steps([Setting("a", {"ef": 50}), Setting("b", {})], planned)
    assert [(node.notebook.stem, node.parameters, node.runs) for node in root.walk()] == [
        ("01_ingest", {"seed": 0}, ("a", "b")),
        ("02_embed", {"share": 0.5}, ("a", "b")),
        ("03_index", {"ef": 50, "seed": 0}, ("a", "b")),
    ]


PARAMETERS = {"seed": 0}
FILES = {"items.parquet": "items", "rankings/a/exact.parquet": "exact", "rankings/a/index.parquet": "index"}


def search(run, **changed):
    """What 01 to 04 leave behind, in short: files of these texts."""
    step = start_step("04_retrieve", run, depth=100)
    for file, text in (FILES | {name.replace("__", "/"): text for name, text in changed.items()}).items():
        step.write(file).write_text(text)
    step.finish("")


def evaluate(run, step="05_evaluate", **parameters):
    doing = start_step(step, run, **(PARAMETERS | parameters))
    doing.read("items.parquet")
    texts = [path.read_text() for path in doing.read_all("rankings/a/*.parquet")]
    doing.write("metrics.json").write_text(" ".join(texts))
    doing.finish("")


@pytest.fixture
def steps_done(data_folder):
    """The run a has done 05_evaluate."""
    search("a")
    evaluate("a")
    found = StepCache()
    found.add("05_evaluate", "a")
    return found


def test_a_run_with_the_same_files_is_found(steps_done):
    search("b")
    assert steps_done.find("05_evaluate", "b", PARAMETERS) == "a"


def test_other_parameters_have_none(steps_done):
    search("b")
    assert steps_done.find("05_evaluate", "b", {"seed": 1}) is None
    assert steps_done.find("06_visualize", "b", PARAMETERS) is None


@pytest.mark.parametrize("file", FILES)
def test_another_byte_in_a_file_that_was_read_has_none(steps_done, file):
    search("b", **{file.replace("/", "__"): "other"})
    assert steps_done.find("05_evaluate", "b", PARAMETERS) is None


def test_one_file_more_or_less_among_those_that_were_read_has_none(steps_done):
    search("b", rankings__a__fused="fused")
    assert steps_done.find("05_evaluate", "b", PARAMETERS) is None
    search("c")
    evaluate("c")
    steps_done.add("05_evaluate", "c")
    step = start_step("04_retrieve", "d", depth=100)
    for file in list(FILES)[:2]:
        step.write(file).write_text(FILES[file])
    step.finish("")
    assert steps_done.find("05_evaluate", "d", PARAMETERS) is None


def test_a_step_of_another_sweep_or_one_that_reads_the_store_is_not_found(steps_done):
    search("b")
    assert StepCache().find("05_evaluate", "b", PARAMETERS) is None
    evaluate("a", step="04_retrieve", depth=100)
    steps_done.add("04_retrieve", "a")
    assert steps_done.find("04_retrieve", "b", {**PARAMETERS, "depth": 100}) is None


def test_what_was_changed_since_or_judged_by_hand_is_not_shared(steps_done):
    search("b")
    (run_folder("b") / "labels.jsonl").write_text("{}")
    assert steps_done.find("05_evaluate", "b", PARAMETERS) is None
    (run_folder("b") / "labels.jsonl").unlink()
    (run_folder("a") / "metrics.json").write_text("by hand")
    assert steps_done.find("05_evaluate", "b", PARAMETERS) is None
    assert "05_evaluate" not in read_manifest("b")["steps"]


@pytest.fixture
def made():
    """A run `a` in which 01 and 03 were done, with a store."""
    step = start_step("01_ingest", "a", seed=0)
    step.write("items.parquet").write_text("items")
    step.finish("3 items")
    step = start_step("03_index", "a", seed=0)
    step.read("items.parquet")
    step.write("index.parquet").write_text("index")
    step.finish("built")
    for file in ("store/a-unified/shard/wal", "store/.lock", "notebooks/03_index.ipynb", "03_index.html"):
        path = run_folder("a") / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file)
    share_step("01_ingest", "a", "b")
    share_step("03_index", "a", "b")
    return run_folder("b")


def test_the_other_run_has_the_files_and_the_records(made):
    assert (made / "items.parquet").read_text() == "items"
    assert (made / "03_index.html").read_text() == "03_index.html"
    assert (made / "notebooks" / "03_index.ipynb").is_file()
    mine, theirs = read_manifest("a")["steps"], read_manifest("b")["steps"]
    assert theirs == {name: {**record, "shared_from": "a"} for name, record in mine.items()}
    share_step("01_ingest", "b", "c")
    assert read_manifest("c")["steps"]["01_ingest"]["shared_from"] == "a"


def test_a_store_is_copied_without_its_locks(made):
    wal = made / "store" / "a-unified" / "shard" / "wal"
    assert wal.read_text() == "store/a-unified/shard/wal"
    assert wal.stat().st_nlink == 1
    assert not (made / "store" / ".lock").exists()


def test_writing_a_linked_file_again_leaves_that_of_the_other_run(made):
    assert (made / "items.parquet").stat().st_nlink == 2
    start_step("01_ingest", "b").write("items.parquet").write_text("other")
    assert (run_folder("a") / "items.parquet").read_text() == "items"


def test_holes_stay_holes(tmp_path):
    (tmp_path / "a").mkdir()
    with open(tmp_path / "a" / "wal", "wb") as file:
        file.write(b"head")
        file.seek(8 << 20)
        file.write(b"tail" + bytes(100))
    copy_folder(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b" / "wal").read_bytes() == (tmp_path / "a" / "wal").read_bytes()
    if hasattr(os.stat_result, "st_blocks"):
        assert 512 * (tmp_path / "b" / "wal").stat().st_blocks < 1 << 20


@pytest.mark.parametrize(
    "parts", [{}, {0: b"all of it"}, {1 << 20: b"at the end"}, {4096: b"one", 5 << 20: b"two " * 5000}]
)
def test_a_copy_with_holes_has_the_same_bytes(tmp_path, parts):
    (tmp_path / "a").mkdir()
    with open(tmp_path / "a" / "page", "wb") as file:
        for start, content in parts.items():
            file.seek(start)
            file.write(content)
        file.truncate(max(file.tell(), 3 << 20))
    copy_folder(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b" / "page").read_bytes() == (tmp_path / "a" / "page").read_bytes()


def test_where_a_system_knows_no_holes_all_is_copied(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "SEEK_DATA", raising=False)
    (tmp_path / "a").mkdir()
    content = b"begin" + bytes(3 << 20) + b"end"
    (tmp_path / "a" / "page").write_bytes(content)
    copy_folder(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b" / "page").read_bytes() == content
