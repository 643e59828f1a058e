import hashlib

import pytest

from mmlab.items import replacing
from mmlab.items.files import file_hash


def test_a_file_takes_its_place_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.suffix == ".txt"
    assert path.read_text() == "whole"


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(TypeError, match="must be str"), replacing(path) as temporary:
        temporary.open("w").write(1)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"]


def test_the_hash_is_sha256_of_the_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"mmlab")
    assert file_hash(tmp_path / "file") == hashlib.sha256(b"mmlab").hexdigest()
