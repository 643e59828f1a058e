import hashlib
import re

import pytest

import mmlab.runs.record.step as module
from mmlab.runs import StaleInput, begin_step, read_manifest, start_step
from mmlab.runs.record.run_files import check_store
from mmlab.runs.record.step import copy_on_write


def write(name, files, reads=(), summary="seen", **parameters):
    """Run a step that reads the files `reads` and writes `files`, a dict of name to text."""
    step = start_step(name, "r", **parameters)
    for file in reads:
        step.read(file)
    for file, text in files.items():
        step.write(file).write_text(text)
    step.finish(summary)
    return step


def reads(name, file, **parameters):
    return start_step(name, "r", **parameters).read(file)


@pytest.fixture
def chain():
    write("01_ingest", {"items.parquet": "items"}, dataset="d", seed=0)
    write("02_embed", {"vectors/demo.arrow": "vectors"}, ["items.parquet"], models=["demo"], seed=0)


def test_a_step_takes_names_from_the_notebook_and_values_from_the_namespace(make_notebook, monkeypatch):
    monkeypatch.chdir(make_notebook("02_embed", 'name: str = "demo"\nk: list = [1]  # cutoffs').parent)
    step = begin_step("02_embed", {"name": "r", "k": (1, 5), "other": object()})
    assert (step.name, step.run_name, step.parameters) == ("02_embed", "r", {"k": [1, 5]})


def test_a_step_begins_anywhere_with_the_projects_notebook(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"sample": 1, "group_by": "label", "umap_neighbours": 2, "perplexity": 1, "seed": 1}
    assert begin_step("06_visualize", {"name": "r", **given}).parameters == given


def test_a_step_does_not_begin_without_its_parameters(make_notebook, monkeypatch):
    monkeypatch.chdir(make_notebook("02_embed", 'name: str = "demo"\nk: int = 1\nseed: int = 0').parent)
    make_notebook("03_index", "seed: int = 0")
    with pytest.raises(
        ValueError, match="02_embed: no value for k, seed; save the notebook and run its cell"
    ):
        begin_step("02_embed", {"name": "r"})
    with pytest.raises(ValueError, match="03_index: its cell of parameters has no `name`"):
        begin_step("03_index", {"seed": 0})
    with pytest.raises(
        FileNotFoundError, match=r"no 09_none\.ipynb in .* or .*: its parameters are not known"
    ):
        begin_step("09_none", {})


def test_the_record_says_what_was_given_read_and_written():
    write(
        "01_ingest",
        {"items.parquet": "items", "figures/a.png": "png"},
        summary="**3** items",
        dataset="d",
        k=[1, 5],
    )
    record = read_manifest("r")["steps"]["01_ingest"]
    assert record["parameters"] == {"dataset": "d", "k": [1, 5]}
    assert record["reads"] == {}
    assert record["writes"] == {
        "items.parquet": hashlib.sha256(b"items").hexdigest(),
        "figures/a.png": hashlib.sha256(b"png").hexdigest(),
    }
    assert record["summary"] == "**3** items"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", record["finished"])
    assert 0 <= record["seconds"] < 60
    assert {"packages", "platform", "git"} == set(record["environment"])


def test_nothing_of_the_environment_is_recorded(data_folder, monkeypatch):
    monkeypatch.setenv("QDRANT_API_KEY", "the-planted-secret")
    write("01_ingest", {"items.parquet": "items"})
    written = [path.read_bytes() for path in data_folder.rglob("*") if path.is_file()]
    assert written
    assert not any(b"the-planted-secret" in text for text in written)


def test_what_was_read_is_recorded_with_its_hash(chain):
    assert read_manifest("r")["steps"]["02_embed"]["reads"] == {
        "items.parquet": hashlib.sha256(b"items").hexdigest()
    }


def test_the_conclusion_is_shown_as_safe_html():
    step = start_step("01_ingest", "r")
    assert str(step.finish("**3** <b>items</b>")) == "<p><strong>3</strong> &lt;b&gt;items&lt;/b&gt;</p>\n"


def test_a_missing_file_names_the_notebook_that_writes_it():
    with pytest.raises(
        FileNotFoundError, match=r"no items\.parquet in .*r: run 01_ingest for this run first"
    ):
        reads("02_embed", "items.parquet")
    with pytest.raises(FileNotFoundError, match="run 04_retrieve for this run first"):
        reads("05_evaluate", "rankings/text-to-image.parquet")


def test_a_changed_file_is_refused(chain):
    start_step("x", "r").write("items.parquet").write_text("by hand")
    with pytest.raises(StaleInput, match=r"items\.parquet is not what 01_ingest recorded"):
        reads("02_embed", "items.parquet", seed=0)


def test_a_file_that_no_step_recorded_is_refused():
    start_step("01_ingest", "r").write("items.parquet").write_text("and then the kernel died")
    with pytest.raises(StaleInput, match="no step that wrote it: run 01_ingest to the end"):
        reads("02_embed", "items.parquet")


def test_another_parameter_is_refused_with_both_values(chain):
    message = (
        r"demo\.arrow was made with other parameters: models is \['big'\] here and was \['demo'\] in 02_embed"
    )
    with pytest.raises(StaleInput, match=message):
        reads("04_retrieve", "vectors/demo.arrow", models=["big"], seed=0)


def test_a_parameter_of_a_step_further_up_counts_too(chain):
    with pytest.raises(StaleInput, match="dataset is 'e' here and was 'd' in 01_ingest"):
        reads("03_index", "vectors/demo.arrow", dataset="e", seed=0)


def test_parameters_of_other_names_do_not_matter(chain):
    assert reads("03_index", "vectors/demo.arrow", hnsw_m=16, seed=0).read_text() == "vectors"


def test_lists_and_tuples_are_the_same_parameter():
    write("04_retrieve", {"rankings.parquet": "r"}, k_values=(1, 5))
    assert reads("05_evaluate", "rankings.parquet", k_values=[1, 5]).is_file()


def test_what_was_made_from_a_file_since_replaced_is_refused(chain):
    write("01_ingest", {"items.parquet": "other items"}, dataset="e", seed=0)
    message = r"02_embed read another items\.parquet than 01_ingest has written since; run 02_embed again"
    with pytest.raises(StaleInput, match=message):
        reads("03_index", "vectors/demo.arrow", seed=0)


def test_running_a_step_again_with_the_same_content_is_fine(chain):
    write("01_ingest", {"items.parquet": "items"}, dataset="d", seed=0)
    assert reads("03_index", "vectors/demo.arrow", seed=0).is_file()


def test_a_folder_goes_by_what_it_was_made_from(chain, data_folder):
    def index(m):
        step = start_step("03_index", "r", m=m, seed=0)
        step.read("vectors/demo.arrow")
        step.write("store").mkdir(exist_ok=True)
        step.finish("")

    index(16)
    write("04_retrieve", {"rankings.parquet": "r"}, ["store"], seed=0)
    (data_folder / "runs" / "r" / "store" / "wal").write_text("a store's files change as it is used")
    index(16)
    assert reads("05_evaluate", "rankings.parquet", seed=0).is_file()
    index(32)
    with pytest.raises(StaleInput, match="04_retrieve read another store than 03_index"):
        reads("05_evaluate", "rankings.parquet", seed=0)


def test_an_output_that_was_announced_must_be_there():
    step = start_step("01_ingest", "r")
    step.write("items.parquet")
    with pytest.raises(
        FileNotFoundError, match=r"01_ingest announced \['items\.parquet'\] but did not write"
    ):
        step.finish("")
    assert read_manifest("r")["steps"] == {}


@pytest.mark.parametrize("file", ["../other/items.parquet", "/etc/passwd", "", "."])
def test_files_lie_inside_the_runs_folder(file):
    step = start_step("01_ingest", "r")
    with pytest.raises(ValueError, match="inside its run's folder"):
        step.write(file)


def test_checks_that_hold_are_shown():
    shown = str(start_step("01_ingest", "r").check({"rows < texts": True}))
    assert "rows &lt; texts" in shown


def test_checks_that_fail_are_named():
    checks = {"a": True, "rows add up": False, "c": False}
    with pytest.raises(ValueError, match="01_ingest.*rows add up; c"):
        start_step("01_ingest", "r").check(checks)


def test_parameters_are_plain_values():
    with pytest.raises(TypeError, match="02_embed: parameters are numbers, strings"):
        start_step("02_embed", "r", model=object())


def test_read_all_gives_the_files_of_the_last_run_of_a_step_in_its_order(chain):
    files = {"vectors/z.arrow": "1", "vectors/a.arrow": "2", "vectors/a/b.arrow": "3", "vectors/readme": "4"}
    write("02_embed", files, ["items.parquet"], models=["z", "a"], seed=0)
    step = start_step("03_index", "r", seed=0)
    assert [path.name for path in step.read_all("vectors/*.arrow")] == ["z.arrow", "a.arrow"]
    assert list(step.reads) == ["vectors/z.arrow", "vectors/a.arrow"]
    step.folder.joinpath("vectors/a.arrow").write_text("by hand")
    with pytest.raises(StaleInput, match=r"vectors/a\.arrow is not what 02_embed recorded"):
        step.read_all("vectors/*.arrow")


def test_read_all_of_nothing_names_the_notebook_that_writes_it():
    with pytest.raises(
        FileNotFoundError, match=r"no vectors/\*\.arrow in .*: run 02_embed for this run first"
    ):
        start_step("03_index", "r").read_all("vectors/*.arrow")


def test_a_file_of_its_own_stays_the_same_file(tmp_path):
    path = tmp_path / "a"
    path.write_text("a")
    before = path.stat().st_ino
    copy_on_write(path)
    copy_on_write(tmp_path / "none")
    assert path.stat().st_ino == before


def test_a_file_that_no_run_wrote_is_recorded_with_its_fingerprint(tmp_path):
    (tmp_path / "bm25.run").write_bytes(b"theirs")
    step = start_step("08_compare", "r")
    path = step.read_outside(tmp_path / "x" / ".." / "bm25.run")
    step.finish("")
    assert read_manifest("r")["steps"]["08_compare"]["reads"] == {
        str(path): hashlib.sha256(b"theirs").hexdigest()
    }
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none\.run"):
        step.read_outside(tmp_path / "none.run")


def test_a_store_that_a_step_was_given_is_one_that_the_user_named():
    start_step("03_index", "a", store="http://127.0.0.1:6333/").finish("")
    assert check_store("b", "http://127.0.0.1:6333") == "http://127.0.0.1:6333"
    with pytest.raises(ValueError, match="its manifest alone names the store"):
        check_store("b", "None")


def test_memory_is_given_back_each_time_that_the_process_has_grown(monkeypatch):
    """Of 3 units, 1 is left when memory was given back; 2 have not grown by more than a unit since, 2.5 have."""
    held, given = iter([3, 1, 2, 2.5, 1.5, 2]), []
    monkeypatch.setattr(module, "_own_bytes", lambda: next(held) * module.GROWN_BYTES)
    monkeypatch.setattr(module, "release_spare_memory", lambda: given.append("given back"))
    release = module._Release()
    counts = [release(None) or len(given) for _ in range(4)]
    assert counts == [1, 1, 2, 2]
