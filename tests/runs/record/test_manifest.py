import json
import threading

import pytest

from mmlab.runs import DamagedManifest, start_step
from mmlab.runs.execute.run_sweep import share_step
from mmlab.runs.record.manifest import (
    check_runs,
    differing_parameters,
    find_compared,
    given_parameters,
    locate_index,
    read_manifest,
    record_step,
)
from mmlab.runs.record.run_files import run_folder


@pytest.mark.parametrize("name", ["demo", "flickr8k-200", "a.b_c", "_x", "index", "html", "A" * 100])
def test_a_runs_folder_lies_under_data_runs(name, data_folder):
    assert run_folder(name) == data_folder / "runs" / name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        "-rf",
        ".hidden",
        "a b",
        "é",
        "a\n",
        "A" * 101,
        "index.html",
        "a.HTM",
        None,
        3,
    ],
)
def test_names_that_are_no_plain_names_are_refused(name):
    with pytest.raises(ValueError, match="parameter name: expected 1 to 100 letters"):
        run_folder(name)


def test_a_run_that_never_ran_has_no_steps(data_folder):
    assert read_manifest("new") == {"run": "new", "steps": {}, "begun": {}}
    assert not data_folder.exists()


def test_steps_are_kept_in_the_order_of_their_names():
    record_step("r", "02_embed", {"a": 1})
    record_step("r", "01_ingest", {"a": 2})
    record_step("r", "02_embed", {"a": 3})
    assert list(read_manifest("r")["steps"].items()) == [("01_ingest", {"a": 2}), ("02_embed", {"a": 3})]


def test_steps_recorded_at_once_are_all_there():
    threads = [threading.Thread(target=record_step, args=("r", f"{n:02}_step", {"n": n})) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [record["n"] for record in read_manifest("r")["steps"].values()] == list(range(20))


def test_a_record_that_cannot_be_written_leaves_the_old_manifest():
    record_step("r", "01_ingest", {"a": 1})
    with pytest.raises(TypeError):
        record_step("r", "02_embed", {"a": object()})
    assert list(read_manifest("r")["steps"]) == ["01_ingest"]
    assert sorted(path.name for path in run_folder("r").iterdir()) == [".manifest.lock", "manifest.json"]


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is not JSON"), ("[]", "is no manifest"), (json.dumps({}), "is no manifest")]
)
def test_a_damaged_manifest_is_named(text, message):
    run_folder("r").mkdir(parents=True)
    (run_folder("r") / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=rf"manifest\.json {message}"):
        read_manifest("r")


def test_an_index_bears_the_name_of_the_run_that_built_it(data_folder):
    start_step("03_index", "a", store="", layout="named").finish("")
    share_step("03_index", "a", "b")
    assert locate_index(read_manifest("a")) == (str(data_folder / "runs" / "a" / "store"), "a", "named")
    assert locate_index(read_manifest("b")) == (str(data_folder / "runs" / "b" / "store"), "a", "named")


def test_a_server_is_named_by_its_url(data_folder):
    start_step("03_index", "a", store="http://localhost:6333").finish("")
    assert locate_index(read_manifest("a")) == ("http://localhost:6333", "a", "unified")
    with pytest.raises(ValueError, match="run 'b' has no index"):
        locate_index(read_manifest("b"))
    (data_folder / "stores.txt").unlink()
    with pytest.raises(ValueError, match="its manifest alone names the store http://localhost:6333"):
        locate_index(read_manifest("a"))


def test_a_run_has_a_finished_notebook():
    start_step("01_ingest", "a").finish("")
    check_runs(["a"])
    with pytest.raises(
        ValueError, match="run 'b': no notebook has finished in .*b; mmlab list shows all runs"
    ):
        check_runs(["a", "b"])


def test_the_first_step_decides_a_parameter_that_several_have():
    start_step("01_ingest", "a", dataset="d", seed=3).finish("")
    start_step("02_embed", "a", models=["demo"], seed=4).finish("")
    assert given_parameters(read_manifest("a")["steps"]) == {"dataset": "d", "models": ["demo"], "seed": 3}


def test_a_run_whose_folder_was_renamed_goes_by_its_new_name():
    record_step("a", "01_ingest", {"a": 1})
    run_folder("a").rename(run_folder("b"))
    assert read_manifest("b") == {"run": "b", "steps": {"01_ingest": {"a": 1}}, "begun": {}}


def test_parameters_that_differ_are_a_row_each():
    for run, ef in (("a", 50), ("b", 100)):
        start_step("01_ingest", run, dataset="d").finish("")
        start_step("03_index", run, ef=ef).finish("")
    start_step("07_tune", "a", tune_ef=[10]).finish("")  # explains no difference
    assert differing_parameters(["a", "b"]).to_dict("records") == [
        {"notebook": "03_index", "parameter": "ef", "a": "50", "b": "100"}
    ]


def test_what_is_compared_is_a_run_or_a_file(tmp_path):
    start_step("01_ingest", "a").finish("")
    for name in ("a", "b.run"):  # a run counts before a file of its name
        (tmp_path / name).touch()
    assert find_compared(["b.run", "a"], tmp_path) == (["a"], [tmp_path / "b.run"])
    assert find_compared([str(tmp_path / "a")]) == ([], [tmp_path / "a"])
    with pytest.raises(
        ValueError, match="run 'c.run': no notebook has finished in .* no TREC run file .*c.run"
    ):
        find_compared(["a", "c.run"], tmp_path)
    with pytest.raises(ValueError, match="there is no TREC run file .*/x/c.run; mmlab list shows the runs"):
        find_compared(["a", "x/c.run"], tmp_path)
    with pytest.raises(ValueError, match="each run and each file once; found b.run, ./b.run"):
        find_compared(["b.run", "./b.run"], tmp_path)


def test_a_manifest_that_was_changed_by_hand_is_refused():
    start_step("01_ingest", "r", dataset="d").finish("31 images")
    path = run_folder("r") / "manifest.json"
    path.write_text(path.read_text().replace("31 images", "37 images"))
    with pytest.raises(DamagedManifest, match=r"manifest\.json is not as a notebook wrote it"):
        read_manifest("r")


def test_a_folder_in_place_of_a_manifest_is_refused():
    (run_folder("r") / "manifest.json").mkdir(parents=True)
    with pytest.raises(DamagedManifest, match=r"manifest\.json is not JSON"):
        start_step("01_ingest", "r")


def test_a_step_that_begins_again_is_noted_until_its_end():
    start_step("01_ingest", "r")
    assert read_manifest("r") == {"run": "r", "steps": {}, "begun": {}}  # it has nothing to lose yet
    start_step("01_ingest", "r").finish("")
    step = start_step("01_ingest", "r")
    assert list(read_manifest("r")["begun"]) == ["01_ingest"]
    step.finish("")
    assert read_manifest("r")["begun"] == {}
