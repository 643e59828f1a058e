import json
import shutil
from pathlib import Path

import pytest

import mmlab
from mmlab.cli import main
from mmlab.items import data
from mmlab.items.files import NoProject, project, resolve

CHECKOUT = Path(mmlab.__file__).parents[1]
NOTEBOOKS = sorted(path.name for path in CHECKOUT.glob("notebooks/[0-9]*.ipynb"))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The package as an installation has it, with the files to write inside; the current folder lies in no project."""
    monkeypatch.delenv("MMLAB_DATA", raising=False)
    package = tmp_path / "site-packages" / "mmlab"
    shutil.copytree(CHECKOUT / "notebooks", package / "project" / "notebooks")
    (package / "project" / "data").mkdir()
    shutil.copy(CHECKOUT / "data" / "README.md", package / "project" / "data")
    monkeypatch.setattr("mmlab.__file__", str(package / "__init__.py"))
    monkeypatch.chdir(tmp_path)
    return package / "project"


def write_notebook(path, source, outputs=()):
    cell = {"cell_type": "code", "source": source, "metadata": {}, "outputs": list(outputs)}
    path.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))


def test_a_new_folder_has_the_notebooks_and_an_empty_data(installed, tmp_path, capsys):
    assert main(["init", "bench"]) == 0
    written = sorted(path for path in (tmp_path / "bench").rglob("*") if path.is_file())
    assert [path.relative_to(tmp_path).as_posix() for path in written] == [
        "bench/data/README.md",
        "bench/notebooks/.written.json",
        *(f"bench/notebooks/{name}" for name in NOTEBOOKS),
    ]
    assert all(
        path.read_bytes() == (installed / path.relative_to(tmp_path / "bench")).read_bytes()
        for path in written
        if path.name != ".written.json"
    )
    assert capsys.readouterr().out.splitlines() == [
        f"bench: {len(NOTEBOOKS)} notebooks written, 0 were there",
        "Next: cd bench; mmlab demo; mmlab lab",
    ]


def test_a_second_time_keeps_what_is_there_and_names_what_differs(installed, tmp_path, capsys):
    main(["init", "my bench"])
    folder = tmp_path / "my bench" / "notebooks"
    write_notebook(folder / "02_embed.ipynb", "mine = 1")
    (folder / "03_index.ipynb").write_text("no notebook")
    (folder / "06_visualize.ipynb").unlink()
    (folder.parent / "data" / "README.md").write_text("mine")
    capsys.readouterr()
    assert main(["init", "my bench"]) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == f"my bench: 1 notebooks written, {len(NOTEBOOKS) - 1} were there"
    here = Path("notebooks")
    assert second.startswith(
        f"Kept, though unlike those of mmlab {mmlab.__version__}: "
        f"{here / '02_embed.ipynb'}, {here / '03_index.ipynb'}. To have the new ones, move these out"
    )
    assert third.startswith("Next: cd 'my bench'; ")
    assert "mine = 1" in (folder / "02_embed.ipynb").read_text()
    assert (folder / "03_index.ipynb").read_text() == "no notebook"
    assert (folder / "06_visualize.ipynb").is_file()
    assert (folder.parent / "data" / "README.md").read_text() == "mine"


def test_a_notebook_that_was_only_run_does_not_differ(installed, tmp_path, capsys):
    write_notebook(installed / "notebooks" / "01_ingest.ipynb", ["a = 1\n", "a"])
    main(["init", "bench"])
    run = {"output_type": "stream", "name": "stdout", "text": "1"}
    write_notebook(tmp_path / "bench" / "notebooks" / "01_ingest.ipynb", "a = 1\na", [run])
    capsys.readouterr()
    assert main(["init", "bench"]) == 0
    assert "Kept" not in capsys.readouterr().out
    assert "stdout" in (tmp_path / "bench" / "notebooks" / "01_ingest.ipynb").read_text()


def test_a_checkout_writes_its_own_notebooks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["init", str(tmp_path / "bench")]) == 0
    assert sorted(path.name for path in (tmp_path / "bench" / "notebooks").glob("*.ipynb")) == NOTEBOOKS


def test_a_file_is_no_folder(installed, tmp_path, capsys):
    (tmp_path / "bench").touch()
    assert main(["init", "bench"]) == 2
    assert "bench" in capsys.readouterr().err


def test_a_file_in_the_way_of_the_notebooks_is_an_error(installed, tmp_path, capsys):
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "notebooks").write_text("mine")
    assert main(["init", "bench"]) == 1
    assert str(Path("bench", "notebooks")) in capsys.readouterr().err
    assert (tmp_path / "bench" / "notebooks").read_text() == "mine"


@pytest.mark.parametrize(
    "arguments",
    [
        ["demo"],
        ["run", "--dataset", ".", "--name", "mine"],
        ["list"],
        ["report", "demo"],
        ["parameters"],
        ["verify", "demo"],
        ["clean"],
        ["tune", "demo"],
        ["study", "fusion", "demo"],
        ["compare", "a", "b"],
        ["sweep", "settings.yaml"],
        ["push", "demo", "--to", "http://localhost:1"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_outside_of_a_project_every_command_says_what_to_do(installed, tmp_path, capsys, arguments):
    assert main(arguments) == 2
    assert capsys.readouterr().err == (
        f"mmlab: error: no folder with notebooks/ and data/ at {tmp_path} or above: write one with "
        "`mmlab init FOLDER`, then work in it\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site-packages"]


def test_the_project_is_the_nearest_folder_above_and_never_that_of_a_run(installed, tmp_path, monkeypatch):
    main(["init", "bench"])
    executed = tmp_path / "bench" / "data" / "runs" / "demo" / "notebooks"
    shutil.copytree(tmp_path / "bench" / "notebooks", executed)
    for folder in ("bench", "bench/notebooks", "bench/data/runs/demo/notebooks"):
        monkeypatch.chdir(tmp_path / folder)
        assert project() == tmp_path / "bench"
        assert data() == tmp_path / "bench" / "data"
    main(["init", "within"])
    monkeypatch.chdir("within")
    assert project() == executed / "within"


def test_without_a_project_paths_start_here_and_data_must_be_named(installed, tmp_path, monkeypatch):
    assert resolve("photos") == tmp_path / "photos"
    with pytest.raises(NoProject, match="write one with `mmlab init FOLDER`"):
        data()
    monkeypatch.setenv("MMLAB_DATA", str(tmp_path / "made"))
    assert data() == tmp_path / "made"
