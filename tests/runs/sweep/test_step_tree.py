import pytest

from mmlab.runs.sweep.step_tree import plan_steps
from mmlab.runs.sweep.sweep_file import Setting


@pytest.fixture
def notebooks(make_notebook):
    return [
        make_notebook("01_ingest", 'name: str = "d"  # n\nseed: int = 0  # s'),
        make_notebook("02_embed", 'name: str = "d"  # n\nshare: float = 0.5  # s'),
        make_notebook("03_index", 'name: str = "d"  # n\nef: int = 50  # e\nseed: int = 0  # s'),
    ]


def outline(nodes):
    return [(node.notebook.stem, node.runs, outline(node.children)) for node in nodes]


def test_steps_are_shared_as_long_as_all_before_them_are_the_same(notebooks):
    settings = [
        Setting("a", {"ef": 20}),
        Setting("b", {"ef": 60}),
        Setting("c", {"seed": 1}),
    ]
    assert outline(plan_steps(settings, notebooks)) == [
        ("01_ingest", ("a", "b"), [
            ("02_embed", ("a", "b"), [("03_index", ("a",), []), ("03_index", ("b",), [])]),
        ]),
        ("01_ingest", ("c",), [("02_embed", ("c",), [("03_index", ("c",), [])])]),
    ]  # fmt: skip


def test_a_run_can_be_taken_out_of_the_tree(notebooks):
    (root,) = plan_steps([Setting("a", {"ef": 20}), Setting("b", {"ef": 60}), Setting("c", {})], notebooks)
    (left,) = root.without({"a"})
    assert outline([left]) == [
        ("01_ingest", ("b", "c"), [("02_embed", ("b", "c"), [("03_index", (run,), []) for run in "bc"])])
    ]  # fmt: skip
    assert root.without({"a", "b", "c"}) == []


def test_a_default_that_is_given_is_no_other_setting(notebooks):
    (root,) = plan_steps([Setting("a", {"ef": 50}), Setting("b", {})], notebooks)
    assert [(node.notebook.stem, node.parameters, node.runs) for node in root.walk()] == [
        ("01_ingest", {"seed": 0}, ("a", "b")),
        ("02_embed", {"share": 0.5}, ("a", "b")),
        ("03_index", {"ef": 50, "seed": 0}, ("a", "b")),
    ]
