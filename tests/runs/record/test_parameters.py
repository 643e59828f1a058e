import time

import pytest

from mmlab.items.options import Number, Text, Whole
from mmlab.items.parameter_table import PARAMETERS, Parameter
from mmlab.runs import start_step
from mmlab.runs.record.parameters import (
    check_all,
    check_dataset,
    check_files,
    check_model,
    check_parameters,
    check_secrets,
    notebook_parameters,
)

CELL = """\
name: str = "demo"  # name of the run
seed: int = 0  # for the samples
share: float = 0.5  # of the rows
exact: bool = False  # scan
k_values: list = [1, 5]  # cutoffs
names: list[str] = ["a"]  # of fields
"""


@pytest.fixture
def notebooks(make_notebook):
    return [make_notebook("01_ingest", CELL), make_notebook("02_embed", 'model: str = "demo"  # a model')]


def test_parameters_are_read_with_type_default_and_help(notebooks):
    found = notebook_parameters(notebooks[0])
    assert list(found) == ["name", "seed", "share", "exact", "k_values", "names"]
    assert found["seed"] == Parameter("seed", PARAMETERS["seed"].kind, 0, "for the samples")
    assert found["share"] == Parameter("share", Number(), 0.5, "of the rows")  # in no table
    assert found["k_values"] == Parameter("k_values", PARAMETERS["k_values"].kind, [1, 5], "cutoffs")
    assert found["k_values"].line == "k_values: list[int] = [1, 5]  # cutoffs"


def test_a_parameter_of_ones_own_is_of_the_type_that_the_notebook_declares(make_notebook):
    """Also where the table has one of this name: k is a number there."""
    own = make_notebook("x", 'k: str = "a"\nmuch: int = 3')
    found = notebook_parameters(own)
    assert (found["k"].kind.type, found["much"].kind) == ("str", Whole())
    assert check_parameters({"k": "b", "much": "-7"}, [own]) == {"k": "b", "much": -7}


def test_a_default_that_is_no_literal_is_named(make_notebook):
    with pytest.raises(ValueError, match=r"x\.ipynb: its parameters cannot be read: "):
        notebook_parameters(make_notebook("x", "k: int = 2 * 3"))


def test_what_is_no_line_of_a_parameter_is_left_out(make_notebook):
    cell = "# a comment\nplain = 3  # no type\nnote: str = 'ünï # no comment'  # é\nlater: int\nprint(plain)"
    assert list(notebook_parameters(make_notebook("x", cell)).values()) == [
        Parameter("plain", None, 3, "no type"), Parameter("note", Text(), "ünï # no comment", "é")
    ]  # fmt: skip


def test_a_notebook_without_such_a_cell_has_no_parameters(tmp_path):
    path = tmp_path / "x.ipynb"
    path.write_text('{"cells": [{"metadata": {}, "source": ["a: int = 1"]}]}')
    assert notebook_parameters(path) == {}


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"cells": [{"metadata": {"tags": ["parameters"]}, "source": "%time"}]}']
)
def test_what_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "x.ipynb"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"x\.ipynb: its parameters cannot be read: "):
        notebook_parameters(path)


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("seed", "7", 7),
        ("seed", 7, 7),
        ("share", "1e-3", 0.001),
        ("share", 1, 1.0),
        ("exact", "true", True),
        ("exact", "No", False),
        ("exact", True, True),
        ("k_values", "[1, 2]", [1, 2]),
        ("k_values", [3], [3]),
        ("names", '["x", "y"]', ["x", "y"]),
        ("names", "x, y=z", ["x", "y=z"]),
        ("names", '{"x": "y"}', ["x=y"]),
        ("names", {"x": "y", "z": ["1", "2"]}, ["x=y", "z=1", "z=2"]),
        ("name", "7", "7"),
        ("model", "a=b", "a=b"),
    ],
)
def test_values_take_the_type_of_the_parameter(notebooks, name, typed, value):
    found = check_parameters({name: typed}, notebooks)
    assert found == {name: value}
    assert type(found[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("seed", "seven"),
        ("seed", "1.5"),
        ("seed", 1.5),
        ("seed", True),
        ("share", "much"),
        ("share", False),
        ("exact", "maybe"),
        ("exact", 2),
        ("k_values", "1, five"),
        ("k_values", '{"a": 1}'),
        ("names", "[1]"),
        ("name", 7),
    ],
)
def test_values_of_another_type_are_refused(notebooks, name, typed):
    with pytest.raises(ValueError, match=f"parameter {name}: expected .*, found "):
        check_parameters({name: typed}, notebooks)


def test_an_unknown_name_lists_the_known_and_the_closest(notebooks):
    with pytest.raises(
        ValueError, match="no notebook has a parameter 'sead'; did you mean seed.* known: exact, k_values"
    ):
        check_parameters({"sead": "1"}, notebooks)


def test_nothing_is_close_to_some_names(notebooks):
    with pytest.raises(ValueError, match="no notebook has a parameter 'zzz'; known: exact"):
        check_parameters({"zzz": "1"}, notebooks)


def test_what_belongs_to_a_notebook_that_is_not_run_is_refused(notebooks):
    first, second = notebooks
    assert check_parameters({"model": "a"}, [second], [first]) == {"model": "a"}
    with pytest.raises(
        ValueError,
        match="parameter seed is of 01_ingest, which is not run, and would change nothing: leave it out",
    ):
        check_parameters({"seed": 1}, [second], [first])


def test_values_are_completed_and_held_together(make_notebook):
    notebook = make_notebook("04_retrieve", 'fusion: str = "none"\nweights: str = "equal"')
    assert check_all([notebook], {"fusion": "rrf"}) == [{"fusion": "rrf", "weights": "equal"}]
    with pytest.raises(ValueError, match="weights: 'learned' needs a fusion"):
        check_all([notebook], {"weights": "learned"})


def test_files_are_made_absolute_or_missed(here):
    (here / "words.csv").touch()
    assert check_files({"replacements": "words.csv", "captioner": "", "k": 3}) == {
        "replacements": str(here / "words.csv"), "captioner": "", "k": 3
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"parameter replacements: there is no file .*none\.csv"):
        check_files({"replacements": "none.csv"})
    with pytest.raises(ValueError, match=r"model \./none does not exist"):
        check_files({"captioner": "./none"})


def test_queries_lie_where_they_are_typed_or_in_the_folder_of_the_dataset(here):
    (here / "shop").mkdir()
    for name in ("queries.csv", "shop/queries.csv", "shop/qrels.csv", "shop/items.csv"):
        (here / name).touch()
    for dataset in ("shop", "shop/items.csv"):
        found = check_files({"dataset": dataset, "queries": "queries.csv", "qrels": "qrels.csv"})
        assert found["queries"] == str(here / "queries.csv")
        assert found["qrels"] == str(here / "shop" / "qrels.csv")
    with pytest.raises(
        ValueError, match=r"parameter qrels: expected a file or a folder, found nothing at .*none\.csv"
    ):
        check_files({"dataset": "shop", "queries": "queries.csv", "qrels": "none.csv"})
    assert check_files({"queries": "", "qrels": ""}) == {"queries": "", "qrels": ""}


@pytest.mark.parametrize("check", [check_dataset, check_model])
def test_an_empty_text_is_no_path(here, check):
    """As of a variable of the shell that is not set: the current folder is not meant."""
    (here / "config.json").touch()
    for text in ("", " "):
        with pytest.raises(ValueError, match="parameter (dataset|models): expected "):
            check(text)


def test_an_option_is_checked_before_a_run(make_notebook):
    notebook = make_notebook("03_index", 'name: str = "d"\nlayout: str = "unified"')
    assert check_parameters({"layout": "named"}, [notebook]) == {"layout": "named"}
    with pytest.raises(ValueError, match="parameter layout: expected one of .*, found 'wide'"):
        check_parameters({"layout": "wide"}, [notebook])


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("model", ["demo", "openai/clip-vit-base-patch32", "gpt2"])
def test_hub_ids_are_taken_as_they_are(model):
    assert check_model(model) == model


def test_a_model_folder_becomes_absolute(here):
    (here / "models" / "clip").mkdir(parents=True)
    with pytest.raises(
        ValueError, match=r"model models/clip is not the folder of a model: it holds no config\.json"
    ):
        check_model("models/clip")
    (here / "models" / "clip" / "config.json").touch()
    assert check_model("models/clip") == check_model("./models/clip") == str(here / "models" / "clip")
    with pytest.raises(ValueError, match=r"model \./none does not exist"):
        check_model("./none")


def test_a_dataset_is_there_or_on_the_hub(here):
    assert check_dataset("hf://owner/name") == "hf://owner/name"
    assert check_dataset(".") == str(here)
    (here / "blob").touch()
    (here / "table.csv").symlink_to("blob")
    assert check_dataset("table.csv") == str(here / "table.csv")
    with pytest.raises(ValueError, match=r"dataset .*none does not exist; expected a folder"):
        check_dataset("none")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("store", "https://me:s3cret@host:6333"),
        ("store", "https://s3cret@host"),
        ("store", "HTTPS://me:s3cret@host"),
        ("store", "me:s3cret@host:6333"),
        ("store", "https://host/?api_key=s3cret"),
        ("store", "https://host#s3cret"),
        ("dataset", "hf://me:s3cret@owner/name"),
        ("models", ["demo", "https://me:s3cret@host/model"]),
        ("columns", [["image=https://me:s3cret@host"]]),
    ],
)
def test_a_secret_in_a_url_is_refused_and_not_repeated(name, value):
    with pytest.raises(ValueError, match=f"parameter {name} is a URL with a name, a password") as found:
        check_secrets({name: value})
    assert "s3cret" not in str(found.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("store", ""),
        ("store", "https://host:6333"),
        ("store", "/home/me@work/store"),
        ("dataset", "hf://owner/name@main"),
        ("query", "what is this? a note: mail me@home"),
        ("k_values", [1, 5]),
        ("seed", 3),
    ],
)
def test_what_holds_no_secret_passes(name, value):
    check_secrets({name: value})


@pytest.mark.parametrize("value", ["a" * 100_000, "a:" * 50_000, "a.-+" * 25_000, ":" * 100_000])
def test_a_long_value_is_checked_at_once(value):
    began = time.perf_counter()
    check_secrets({"query": value, "store": value})
    assert time.perf_counter() - began < 5  # it took minutes


def test_a_key_of_the_environment_is_found_wherever_it_stands(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_s3cret")
    with pytest.raises(ValueError, match="parameter query contains the value of HF_TOKEN") as found:
        check_secrets({"query": "a dog hf_s3cret"})
    assert "s3cret" not in str(found.value)
    monkeypatch.setenv("HF_TOKEN", "a")
    check_secrets({"query": "a dog"})


@pytest.mark.parametrize(
    "url",
    [
        "https://host/a8f5f167f44f4964e6c998dee827110c",
        "http://host:6333/x/eyJhbGciOiJIUzI1NiIs/",
        "https://h/s3cretS3cretS3cret",
    ],
)
def test_a_key_in_the_path_of_a_store_is_a_secret(url):
    with pytest.raises(
        ValueError, match="parameter store is a URL with a name, a password or a key in it"
    ) as found:
        check_secrets({"store": url})
    assert url.rpartition("/")[2] not in str(found.value) or url.endswith("/")
    for plain in (
        "https://host:6333/qdrant",
        "http://a8f5f167f44f4964e6c998dee827110c.cloud.example:6333",
        "",
        "/data/x",
    ):
        check_secrets({"store": plain})


def test_parameters_and_steps_are_checked(make_notebook, data_folder):
    notebook = make_notebook("03_index", 'name: str = "d"\nstore: str = ""')
    with pytest.raises(ValueError, match="parameter store is a URL"):
        check_parameters({"store": "https://me:s3cret@host"}, [notebook])
    with pytest.raises(ValueError, match="parameter store is a URL"):
        start_step("03_index", "r", store="https://me:s3cret@host")
    assert not data_folder.exists()
