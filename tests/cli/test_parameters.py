from mmlab.cli import main
from mmlab.runs import choose_notebooks, notebook_parameters


def test_every_parameter_of_every_notebook_is_listed(capsys):
    assert main(["parameters"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for notebook in choose_notebooks():
        assert notebook.stem in lines
        for found in notebook_parameters(notebook).values():
            rows = [line.split() for line in lines if line.endswith(found.help)]
            assert [found.name, found.type] in [row[:2] for row in rows]


def test_one_notebook_by_its_number(capsys):
    assert main(["parameters", "04"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "04_retrieve"
    assert lines[1].split() == ["name", "type", "default"]
    assert any(line.split()[:3] == ["fusion", "str", '"none"'] for line in lines)
    assert "01_ingest" not in lines
