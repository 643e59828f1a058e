import pytest

from mmlab.runs import index_of, start_step
from mmlab.runs.sharing import share_step


def test_an_index_bears_the_name_of_the_run_that_built_it(data_folder):
    start_step("03_index", "a", store="", layout="named").finish("")
    share_step("03_index", "a", "b")
    assert index_of("a") == (str(data_folder / "runs" / "a" / "store"), "a", "named")
    assert index_of("b") == (str(data_folder / "runs" / "b" / "store"), "a", "named")


def test_a_server_is_named_by_its_url():
    start_step("03_index", "a", store="http://localhost:6333").finish("")
    assert index_of("a") == ("http://localhost:6333", "a", "unified")
    with pytest.raises(ValueError, match="run 'b' has no index"):
        index_of("b")
