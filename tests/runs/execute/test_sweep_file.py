import re
from itertools import pairwise

import pytest

from mmlab.runs.execute.sweep_file import MAX_NAME_CHARS, Setting, name_runs, read_settings

CELL = """\
name: str = "d"
dataset: str = "d"
seed: int = 0
k: int = 1
models: list = []
exact: bool = True"""


@pytest.fixture
def read(make_notebook, tmp_path):
    """A function: the text of a sweep's file -> its settings."""
    notebooks = [make_notebook("01_ingest", CELL)]

    def read(text):
        path = tmp_path / "Try out.yaml"
        path.write_text(text, encoding="utf-8")
        return read_settings(path, notebooks)

    return read


def test_a_grid_is_every_combination(read):
    assert read("parameters: {seed: 7}\ngrid:\n  k: [1, 2]\n  exact: [yes, no]") == [
        Setting("try-out-k-1-exact-true", {"seed": 7, "k": 1, "exact": True}),
        Setting("try-out-k-1-exact-false", {"seed": 7, "k": 1, "exact": False}),
        Setting("try-out-k-2-exact-true", {"seed": 7, "k": 2, "exact": True}),
        Setting("try-out-k-2-exact-false", {"seed": 7, "k": 2, "exact": False}),
    ]


def test_sets_are_taken_as_they_are_listed(read):
    assert read("sets:\n- {k: 3}\n- {}\n- {seed: 1, models: [demo]}") == [
        Setting("try-out-k-3", {"k": 3}),
        Setting("try-out", {}),
        Setting("try-out-seed-1-models-demo", {"seed": 1, "models": ["demo"]}),
    ]


def test_each_model_of_a_grid_is_a_run(read):
    settings = read("grid: {models: [demo, [demo, gpt2]]}")
    assert [setting.values["models"] for setting in settings] == [["demo"], ["demo", "gpt2"]]


def test_paths_become_absolute(read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (setting,) = read("sets: [{dataset: photos}]")
    assert setting.values == {"dataset": str(tmp_path / "photos")}


# each list holds the one before ten times: what an error would show is as large as memory
TENS = [f"{one}: &{one} [{f'*{before}, ' * 10}]" for before, one in pairwise("abcdefghi")]
ALIASES = f"sets: {{a: &a [1], {', '.join(TENS)}}}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grid:\n  k: [1\n", "line 3: expected ',' or ']'"),
        ("grid: {k: [1]}\nsweep: 2", "line 2: unknown key 'sweep'; known: parameters, grid, sets"),
        ("grid: {k: [1]}\nsets: []", "expected either grid .* or sets"),
        ("parameters: {k: 1}", "expected either grid .* or sets"),
        ("- 1", "expected keys parameters, and grid or sets; found list"),
        ("grid:\n  k: 5", r"line 2: k takes a list of values; found 5"),
        ("grid:\n  k: []", r"line 2: k takes a list of values; found \[\]"),
        ("grid: [k]", "line 1: grid holds lines 'name: value'"),
        ("sets: {k: 1}", "line 1: sets is a list"),
        ("sets: []", "line 1: sets is a list"),
        ("sets:\n- {k: 1}\n- {sed: 1}", "line 3: no notebook has a parameter 'sed'; did you mean seed"),
        ("sets:\n- {k: one}", "line 2: parameter k: expected a whole number from 1 to 100,000, found 'one'"),
        ("parameters:\n  seed: 1.5\ngrid: {k: [1]}", "line 2: parameter seed: expected a whole number"),
        ("grid:\n  models: [[]]", "line 2: parameter models: expected a list of 1 to 20"),
        ("sets: [{dataset: ''}]", "line 1: parameter dataset: expected a folder, a table"),
        ("sets:\n- {name: x}", "line 2: the names of the runs are made from the file and the settings"),
        ("sets:\n- {models: [./none]}", "line 2: model ./none does not exist"),
        ("sets:\n- {models: [1]}", "line 2: "),
        ("sets:\n- {k: 1}\n- {seed: 3}\n- {k: 1}", "settings 1 and 3 are the same"),
        ("grid:\n  k: [1]\n  k: [2]", "line 3: k is given twice"),
        ("grid:\n  1: [1]", "line 2: expected a name, found 1"),
        ("grid: {k: [1]}\nparameters: !!python/object/apply:os.system ['true']", "line 2: could not determine"),
        ("grid: {k: &a [*a]}", r"line 1: \*a stands for another value: write that one out"),
        (ALIASES, r"line 1: \*a stands for another value"),
        ("grid: {k: [" + ", ".join("1" * 501) + "]}", "501 settings; a sweep has 500 at most"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(read, text, message):
    with pytest.raises(ValueError, match=message):
        read(text)


def test_a_missing_and_a_binary_file_are_told(read, tmp_path):
    with pytest.raises(FileNotFoundError, match="no sweep file"):
        read_settings(tmp_path / "none.yaml", [])
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is no YAML"):
        read_settings(tmp_path / "b.yaml", [])


def test_a_run_is_named_by_the_file_and_its_own_parameters():
    varied = [{"ef": 20, "share": 0.5}, {"models": ["openai/clip-vit-base-patch32", "demo"]}, {"exact": True}]
    assert name_runs("My Sweep", varied) == [
        "my-sweep-ef-20-share-0.5",
        "my-sweep-models-clip-vit-base-patch32-demo",
        "my-sweep-exact-true",
    ]


def test_names_that_would_be_the_same_or_too_long_end_in_a_hash():
    names = name_runs("s", [{"query": "a b"}, {"query": "a-b"}, {"query": "x" * 200}, {"query": "c"}])
    assert len(set(names)) == 4
    assert all(re.fullmatch(r"s-query-.*-[0-9a-f]{8}", name) for name in names[:3])
    assert max(map(len, names)) == MAX_NAME_CHARS
    assert names[3] == "s-query-c"


def test_a_name_is_one_of_a_folder_whatever_the_file_is_called():
    assert name_runs("../é", [{"query": "../../etc"}]) == ["sweep-query-etc"]
    assert name_runs("s", [{"query": ""}]) == ["s-query"]
