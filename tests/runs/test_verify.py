import os

import pytest

from mmlab.runs import start_step, verify_run
from mmlab.runs.verify import data_folder as using_folder


def test_there_must_be_something_to_verify():
    start_step("08_compare", "a").finish("")
    with pytest.raises(ValueError, match="there is nothing to verify"):
        verify_run("a")


def test_the_data_folder_is_another_one_for_a_while(data_folder, tmp_path, monkeypatch):
    with using_folder(tmp_path / "again"):
        assert os.environ["MMLAB_DATA"] == str(tmp_path / "again")
    assert os.environ["MMLAB_DATA"] == str(data_folder)
    monkeypatch.delenv("MMLAB_DATA")
    with using_folder(tmp_path):
        pass
    assert "MMLAB_DATA" not in os.environ
