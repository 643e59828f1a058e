import re

from mmlab.runs.sweep.names import LONGEST, name_runs


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
    assert max(map(len, names)) == LONGEST
    assert names[3] == "s-query-c"


def test_a_name_is_one_of_a_folder_whatever_the_file_is_called():
    assert name_runs("../é", [{"query": "../../etc"}]) == ["sweep-query-etc"]
    assert name_runs("s", [{"query": ""}]) == ["s-query"]
