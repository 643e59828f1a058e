import pytest

from mmlab.cli import main
from mmlab.runs import begin_step


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
    ],
)
def test_wrong_arguments_are_told(here, capsys, arguments, told):
    begin_step("03_index", run="a", store="", layout="named").finish("")
    begin_step("03_index", run="c", store="http://localhost:1").finish("")
    assert main(arguments.split()) == 2
    assert told in capsys.readouterr().err


def test_an_index_that_is_not_there_is_one_line_and_1(here, capsys):
    begin_step("03_index", run="a", store="").finish("")
    assert main(["push", "a", "--to", "http://localhost:1"]) == 1
    shown = capsys.readouterr().err
    assert shown.splitlines()[-1].startswith("mmlab: error: ")
    assert "Traceback" not in shown
