import subprocess

import nbformat
import pytest
from click.shell_completion import ShellComplete

import mmlab
from mmlab.cli import cli, main
from mmlab.runs import read_manifest, start_step


def test_a_comparison_is_a_run_of_its_own_with_a_report(here, tmp_path, capsys):
    for name in ("a", "b"):
        start_step("05_evaluate", name, seed=3).finish("")
    assert main(["compare", "a", "b", "-p", "seed=4"]) == 0
    folder = tmp_path / "data" / "runs" / "compare-a-b"
    report = f"Report: {folder / 'index.html'}\n"
    assert capsys.readouterr().out == f"08_compare with seed 4\n{report}"
    steps = read_manifest("compare-a-b")["steps"]
    assert {name: record["parameters"] for name, record in steps.items()} == {
        "08_compare": {"seed": 4, "runs": ["a", "b"]}
    }
    assert (folder / "08_compare.html").is_file()


def test_a_run_is_compared_with_a_file_where_the_shell_stands(here, tmp_path, capsys):
    start_step("05_evaluate", "a", seed=3).finish("")
    (tmp_path / "bm25 1.run").write_text("q Q0 i 1 0.5 t")
    assert main(["compare", "a", "bm25 1.run"]) == 0
    steps = read_manifest("compare-a-bm25-1.run")["steps"]
    assert steps["08_compare"]["parameters"]["runs"] == ["a", str(tmp_path / "bm25 1.run")]
    assert main(["compare", "bm25 1.run", "./bm25 1.run", "--name", "x"]) == 2
    assert main(["compare", "a", "none.run"]) == 2
    assert "no TREC run file" in capsys.readouterr().err
    (tmp_path / "b.run").write_text("q Q0 i 1 0.5 t")
    assert main(["compare", "b.run", "bm25 1.run"]) == 2
    assert "expected the name of a run as well" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["tune", "a"], ["study", "tune", "a"], ["study", "07", "a"]])
def test_a_study_goes_on_with_the_parameters_of_the_run_and_joins_its_report(here, tmp_path, words):
    start_step("03_index", "a", seed=3, k="7").finish("")
    assert main(words) == 0
    assert read_manifest("a")["steps"]["07_tune"]["parameters"] == {"seed": 3, "k": "7"}
    folder = tmp_path / "data" / "runs" / "a"
    assert (folder / "07_tune.html").is_file()
    assert '<a href="07_tune.html">' in (folder / "index.html").read_text()


@pytest.mark.parametrize(
    ("words", "again"),
    [
        (["compare", "a", "b", "-p", "seed=4"], "compare a b --name compare-a-b -p seed=4"),
        (["tune", "a"], "study tune a"),
    ],
)
def test_ctrl_c_names_the_command_to_go_on_with(here, command, words, again):
    for name in ("a", "b"):
        start_step("05_evaluate", name, seed=3).finish("")
    path = next((here / "notebooks").glob(f"*_{words[0]}.ipynb"))
    slow = nbformat.read(path, as_version=4)
    stop = "import os, signal, time\nos.kill(os.getppid(), signal.SIGINT)\ntime.sleep(60)"
    slow.cells.append(nbformat.v4.new_code_cell(stop))
    nbformat.write(slow, path)
    stopped = subprocess.run(**command(*words), capture_output=True, check=False, timeout=120)
    assert stopped.returncode == 130
    last = stopped.stderr.splitlines()[-1]
    assert last == (
        f"mmlab: error: stopped in {path.stem}; what is finished stays, go on with: mmlab {again}"
    )


def test_a_comparison_that_fails_names_the_command_to_go_on_with(here, tmp_path, capsys):
    for name in ("a", "b"):
        start_step("05_evaluate", name).finish("")
    path = here / "notebooks" / "08_compare.ipynb"
    path.write_text(path.read_text().replace("step.write(", "raise MemoryError\\nstep.write("))
    assert main(["compare", "a", "b"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "memory ran out" in last
    assert last.endswith("go on with: mmlab compare a b --name compare-a-b")


def test_notebooks_of_an_older_version_are_named_in_one_line(here, tmp_path, monkeypatch, capsys):
    start_step("03_index", "a", seed=3, k="7").finish("")
    (here / "data").mkdir()
    (here / "data" / "README.md").touch()
    assert main(["init", str(tmp_path / "bench")]) == 0
    monkeypatch.chdir(tmp_path / "bench")
    for name in ("07_tune", "08_compare"):  # a new version, and an edit of the user's own
        path = (here if name == "07_tune" else tmp_path / "bench") / "notebooks" / f"{name}.ipynb"
        path.write_text(path.read_text().replace("seed: int = 0", "seed: int = 1"))
    capsys.readouterr()
    assert main(["study", "tune", "a"]) == 0
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    folder = tmp_path / "bench"
    assert notes == [
        f"note: unlike those of mmlab {mmlab.__version__}: 07_tune.ipynb in {folder / 'notebooks'}. Move out those "
        f"that are not your own, and run `mmlab init {folder}`"
    ]
    (folder / "notebooks" / "07_tune.ipynb").unlink()
    assert main(["init", str(folder)]) == 0
    assert main(["study", "tune", "a"]) == 0
    assert "note: " not in capsys.readouterr().err


def test_a_study_takes_parameters(here):
    start_step("03_index", "a", seed=3, k="7").finish("")
    assert main(["study", "tune", "a", "-p", "k=8"]) == 0
    assert read_manifest("a")["steps"]["07_tune"]["parameters"] == {"seed": 3, "k": "8"}


@pytest.mark.parametrize(
    ("words", "suggested"), [("study t", "tune"), ("study tune ph", "photos"), ("tune ph", "photos")]
)
def test_a_shell_completes_studies_and_runs(here, words, suggested):
    for name in ("photos", "other"):
        start_step("01_ingest", name).finish("")
    *before, typed = words.split()
    complete = ShellComplete(cli, {}, "mmlab", "_MMLAB_COMPLETE")
    assert [found.value for found in complete.get_completions(before, typed)] == [suggested]
