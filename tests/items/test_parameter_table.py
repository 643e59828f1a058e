"""Every parameter of the table takes the values to both ends of its range and nothing beside, wherever it is given."""

import json
import re
from dataclasses import replace
from itertools import count, product

import nbformat
import pytest

from mmlab.cli import main
from mmlab.evaluate.measures.scoring import AT_R, MEASURES, NDCG_BY_LABELS, WITHOUT_CUTOFF
from mmlab.items.files import project
from mmlab.items.parameter_table import MEASURE, PARAMETERS, check_together, check_values, parse_weights
from mmlab.runs import begin_step, start_step
from mmlab.runs.execute.notebooks import choose_notebooks
from mmlab.runs.execute.sweep_file import read_settings
from mmlab.runs.record.parameters import check_parameters, notebook_parameters
from mmlab.runs.record.run_files import NOTEBOOKS
from tests.made_run import make_judged_run
from tests.parameter_values import refused, right_values, wrong_values

CASES = [(name, value) for name, one in PARAMETERS.items() for value in wrong_values(name, one.kind)]


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    """The folder that everything would be made in."""
    monkeypatch.setenv("MMLAB_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_takes_its_range_to_both_ends_and_its_default(name):
    parameter = PARAMETERS[name]
    for value in [parameter.default, *right_values(name, parameter.kind)]:
        check_values(**{name: value})
        assert check_parameters({name: value}, choose_notebooks()) == {name: value}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_takes_nothing_else_from_a_command_line_or_a_sweep(name):
    for value in wrong_values(name, PARAMETERS[name].kind):
        with pytest.raises(ValueError, match=f"parameter {name}: ") as found:
            check_parameters({name: value}, choose_notebooks())
        assert refused(name, value, found.value)


@pytest.mark.parametrize("notebook", choose_notebooks(), ids=lambda path: path.stem)
def test_a_notebook_refuses_a_value_in_its_first_cell(notebook, data_folder):
    known = notebook_parameters(notebook)
    defaults = {name: one.default for name, one in known.items()}
    for name, value in ((name, value) for name, value in CASES if name in known):
        with pytest.raises(ValueError, match=f"parameter {name}: ") as found:
            begin_step(notebook.stem, {**defaults, name: value})
        assert refused(name, value, found.value)
    assert not data_folder.exists()


def typed(value):
    return value if isinstance(value, str) else json.dumps(value)


def test_the_command_line_refuses_before_anything_runs(tmp_path, data_folder, capsys):
    """The first wrong number or name, empty text and list of each parameter of the six, as typed in a shell."""
    (tmp_path / "photos").mkdir()
    six = {name for path in choose_notebooks()[:6] for name in notebook_parameters(path)} - {
        "name",
        "dataset",
        "models",
    }
    for name in sorted(six):
        value = next(one for one in wrong_values(name, PARAMETERS[name].kind) if typed(one).isprintable())
        given = f"{name}={typed(value)[:5000]}"
        assert main(["run", "--dataset", str(tmp_path / "photos"), "--name", "p", "-p", given]) == 2, given
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith(f"mmlab: error: parameter {name}: expected "), given
        assert shown.err.count("\n") == 1
    assert not data_folder.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run --name p --from 04 --dataset photos", "parameter dataset is of 01_ingest, which is not run"),
        ("run --name p --from 03 --model demo", "parameter models is of 02_embed, which is not run"),
        ("run --name p --from 06 -p hnsw_m=16", "parameter hnsw_m is of 03_index, which is not run"),
        ("run --name p --from 06 -p query=mug", "parameter query is of 04_retrieve, which is not run"),
        (
            "run --name p --from 04_retrieve -p batch_size=8",
            "parameter batch_size is of 02_embed, which is not run",
        ),
        (
            "run --name p --from 05 -p layout=named",
            "layout is of 03_index and 04_retrieve, which are not run",
        ),
        (
            "tune p -p hnsw_m=16",
            "parameter hnsw_m is of 03_index, which is not run, and would change nothing",
        ),
        ("study fusion p -p weights=learned", "parameter weights is of 04_retrieve, which is not run"),
        ("compare a p -p k=3", "no notebook has a parameter 'k'"),
        ("compare a p -p runs=[]", "-p runs=... is given by the command itself: leave it out"),
        ("tune p -p models=[]", "-p models=... is given by the command itself"),
    ],
)
def test_what_belongs_to_a_step_that_is_not_run_is_refused(arguments, message, data_folder, capsys):
    """It would be used by nothing, and nothing would say so."""
    for run, step in product("ap", NOTEBOOKS):
        start_step(step, run).finish("")
    assert main(arguments.split()) == 2
    assert message in capsys.readouterr().err
    assert not list(data_folder.glob("runs/*/notebooks"))


@pytest.mark.parametrize("given", ["measures=Success@1,P@7", "measure=P@7"])
def test_a_measure_that_a_run_lacks_is_said_before_08_begins(given, data_folder, capsys):
    for run in ("good", "poor"):
        make_judged_run(run, 0.5)
    assert main(["compare", "good", "poor", "-p", given]) == 2
    assert "05_evaluate wrote in run good, which are Success@1, " in capsys.readouterr().err
    assert not (data_folder / "runs" / "compare-good-poor").exists()


def test_a_sweep_names_the_line(tmp_path):
    notebooks, path, lines = choose_notebooks()[:6], tmp_path / "s.yaml", count(2)
    known = {name for notebook in notebooks for name in notebook_parameters(notebook)} - {"name"}
    for name in sorted(known):
        value = wrong_values(name, PARAMETERS[name].kind)[0]
        path.write_text(f"# {next(lines)}\nsets:\n- {json.dumps({name: value})}\n", encoding="utf-8")
        with pytest.raises(ValueError, match=rf"s\.yaml, line 3: parameter {name}: expected "):
            read_settings(path, notebooks)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"refuse": ["dark"], "keep": ["dark"]}, r"parameters refuse and keep both list \['dark'\]"),
        ({"queries": "", "qrels": "."}, "parameter qrels: .* judges queries of your own; set queries too"),
        ({"weights": "learned"}, "parameter weights: 'learned' needs a fusion; set fusion to rrf"),
        ({"rescoring": "qb_norm", "calibration": "logistic"}, "parameter calibration: qb_norm rescores some"),
    ],
)
def test_values_that_do_not_go_together_are_refused(values, message, tmp_path):
    check_together({name: values[name] for name in list(values)[:-1]})
    with pytest.raises(ValueError, match=message):
        check_together(values)
    (tmp_path / "s.yaml").write_text(f"sets:\n- {json.dumps(values)}\n")
    with pytest.raises(ValueError, match=rf"setting 1: {message}"):
        read_settings(tmp_path / "s.yaml", choose_notebooks()[:6])


def test_weights_are_read_as_numbers():
    assert parse_weights("0.7, 0.3") == (0.7, 0.3)


def test_the_cells_of_the_notebooks_are_lines_of_the_table():
    """Where this fails, the line that is expected stands in the message. 08 has a name of its own."""
    seen = set()
    for path in choose_notebooks():
        cells = nbformat.read(path, 4).cells
        cell = next(cell for cell in cells if "parameters" in cell.metadata.get("tags", []))
        for line in cell.source.splitlines():
            expected = PARAMETERS[line.partition(":")[0]]
            if (path.stem, expected.name) == ("08_compare", "name"):
                expected = replace(expected, default="comparison")
            assert line == expected.line
            assert len(line) <= 110  # as the formatter breaks lines
            seen.add(expected.name)
    assert seen == set(PARAMETERS)


def test_what_the_readme_gives_is_of_the_table():
    """Each -p NAME=VALUE of the README and of every --help is one that its parameter can have."""
    texts = [(project() / "README.md").read_text(encoding="utf-8")]
    texts += [path.read_text(encoding="utf-8") for path in sorted((project() / "mmlab" / "cli").glob("*.py"))]
    given = [
        one for text in texts for one in re.findall(r"""-p (?:'([^'\n]+)'|([a-z_]+=[^\s`'")]+))""", text)
    ]
    pairs = [(one or other).rstrip(",").partition("=")[::2] for one, other in given]
    pairs = [
        (name, value) for name, value in pairs if value not in ("FOLDER", "KIND", "NAME") and name != "name"
    ]
    assert len(pairs) > 20
    for name, value in pairs:
        if "..." not in value and "{" not in value:
            check_parameters({name: value}, choose_notebooks())
    table = re.search(r"\| parameter \| when \|\n.*?\n\n", texts[0], re.DOTALL).group()
    rows = re.findall(r"^\| `-p (\w+)=", table, re.MULTILINE)
    assert set(rows) <= {one for path in choose_notebooks("01") for one in notebook_parameters(path)}
    assert len(rows) == 6


def test_the_measures_are_those_that_can_be_computed():
    names = [*(f"{name}@10" for name in MEASURES), *WITHOUT_CUTOFF, *AT_R, NDCG_BY_LABELS]
    assert all(MEASURE.fullmatch(name) for name in names)
    assert not any(MEASURE.fullmatch(name) for name in set(MEASURES) - set(WITHOUT_CUTOFF))
