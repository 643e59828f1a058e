"""A key that is typed where it does not belong gets into no file, whichever command it is given to."""

import pytest

from mmlab.cli import main
from mmlab.runs import start_step

URL = "https://me:s3cret@host:6333"


@pytest.fixture
def project_with_store(here):
    """The notebook 03 of the project has a parameter `store`, as the real one."""
    path = here / "notebooks" / "03_index.ipynb"
    path.write_text(path.read_text().replace("k: str = 'demo'", "store: str = ''"))
    return here.parent


def holding(folder, secret):
    """Names and contents of all files below the folder, the folders' names too."""
    paths = [path for path in folder.rglob("*") if "s3cret" in path.name]
    return paths + [path for path in folder.rglob("*") if path.is_file() and secret in path.read_bytes()]


@pytest.mark.parametrize("command", ["run --dataset photos --name p", "tune p", "demo --products 50"])
def test_no_command_writes_it(project_with_store, capsys, command):
    if command.startswith("tune"):
        start_step("01_ingest", "p", dataset="photos").finish("")
    assert main([*command.split(), "-p", f"store={URL}"]) == 2
    shown = capsys.readouterr()
    assert "parameter store is a URL with a name, a password or a key in it" in shown.err
    assert "s3cret" not in shown.err + shown.out
    assert holding(project_with_store, b"s3cret") == []


@pytest.mark.parametrize(
    "text", ["parameters: {{store: {0}}}\ngrid: {{seed: [1]}}", "grid: {{store: ['', '{0}']}}"]
)
def test_a_sweep_neither_writes_it_nor_calls_a_run_by_it(project_with_store, capsys, text):
    file = project_with_store / "try.yaml"
    file.write_text(text.format(URL))
    assert main(["sweep", str(file)]) == 2
    shown = capsys.readouterr()
    assert "line 1: parameter store is a URL with a name, a password or a key in it" in shown.err
    assert "s3cret" not in shown.err + shown.out
    assert holding(project_with_store, b"s3cret") == [file]
    assert not (project_with_store / "data").exists()


@pytest.mark.slow
def test_what_the_environment_holds_is_in_no_file_of_a_sweep_a_tuning_or_a_comparison(
    here, tmp_path, monkeypatch, capsys
):
    for name in ("QDRANT_API_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, "the-planted-s3cret")
    (tmp_path / "try.yaml").write_text("parameters: {dataset: photos}\ngrid: {k: [a, b]}\n")
    commands = [
        "sweep try.yaml --jobs 1",
        "tune try-k-a",
        "compare try-k-a try-k-b",
        "report try-k-a --single-file",
    ]
    for command in commands:
        assert main(command.split()) == 0
        shown = capsys.readouterr()
        assert "s3cret" not in shown.out + shown.err
    data = tmp_path / "data"
    assert {path.name for path in data.rglob("*.ipynb")} >= {"07_tune.ipynb", "08_compare.ipynb"}
    assert holding(data, b"the-planted-s3cret") == []
