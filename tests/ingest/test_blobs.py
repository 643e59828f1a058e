import hashlib

from mmlab.ingest.blobs import Blobs


def test_bytes_come_back_from_a_file_named_by_their_hash(tmp_path):
    path = Blobs(tmp_path / "blobs").put(b"bytes")
    assert path.read_bytes() == b"bytes"
    assert path.name == hashlib.sha256(b"bytes").hexdigest()
    assert path.is_absolute()


def test_the_same_bytes_are_kept_once(tmp_path):
    blobs = Blobs(tmp_path)
    assert blobs.put(b"same") == blobs.put(b"same")
    assert blobs.put(b"other") != blobs.put(b"same")
    assert sum(path.is_file() for path in tmp_path.rglob("*")) == 2


def test_a_file_that_was_cut_is_written_again(tmp_path):
    blobs = Blobs(tmp_path)
    path = blobs.put(b"whole")
    path.write_bytes(b"wh")
    assert blobs.put(b"whole").read_bytes() == b"whole"
