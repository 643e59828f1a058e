import hashlib
from pathlib import Path

import pytest

import mmlab
from mmlab.items import data, replacing
from mmlab.items.files import Checksums, file_hash, find_path, find_shortage, project, resolve, shorten


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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_told_with_the_file_and_what_to_do_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    message = r"the disk is full: [\d,]+ MB are free at .*mmlab clean lists it.*MMLAB_DATA.*file.txt"
    with pytest.raises(OSError, match=message), replacing(path):
        Path("/dev/full").write_text("new")
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("error", "begins"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("OperationalError: database or disk is full", "the disk is full"),
        ("Exception: Service runtime error: No space left on device (os error 28)", "the disk is full"),
        ("OSError: [Errno 122] Disk quota exceeded", "the disk is full"),
        ("MemoryError: ", "memory ran out"),
        ("_ArrayMemoryError: Unable to allocate 7.45 GiB for an array", "memory ran out"),
        ("RuntimeError: could not create a primitive", "memory ran out"),
        ("OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "memory ran out"),
        ("DeadKernelError: Kernel died", "the kernel died, as it does when memory runs out"),
        ("FileNotFoundError: [Errno 2] No such file or directory", ""),
    ],
)
def test_what_ran_out_is_seen_from_the_text_of_an_error(error, begins):
    assert find_shortage(error).partition(":")[0] == begins


def test_checksums_find_what_was_changed_and_nothing_else(tmp_path):
    sums = Checksums(tmp_path)
    assert sums.changed() == []
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(name.encode() * 100_000)
    (tmp_path / "d.json").write_text('{"x": 1, "y": 2}')
    sums.write(sorted(tmp_path.iterdir()))
    (tmp_path / "a").touch()
    (tmp_path / "d.json").write_text('{"y": 2, "x": 1}')
    assert sums.changed() == []
    (tmp_path / "b").write_bytes(b"b" * 99_999 + b"B")
    (tmp_path / "c").unlink()
    assert sums.changed() == sums.changed(thorough=True) == ["b", "c"]
    sums.file.write_text("{")
    assert sums.changed() == ["checksums.json"]


def test_holes_have_the_checksum_of_zeros(tmp_path):
    sums = Checksums(tmp_path)
    with open(tmp_path / "sparse", "wb") as file:
        file.seek(1_000_000)
        file.write(b"x")
        file.truncate(3_000_000)
    sums.write([tmp_path / "sparse"])
    (tmp_path / "sparse").write_bytes(bytes(1_000_000) + b"x" + bytes(1_999_999))
    assert sums.changed() == []
    (tmp_path / "sparse").write_bytes(bytes(1_000_001) + b"x" + bytes(1_999_998))
    assert sums.changed() == ["sparse"]


def test_the_hash_is_sha256_of_the_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"mmlab")
    assert file_hash(tmp_path / "file") == hashlib.sha256(b"mmlab").hexdigest()


def test_the_project_is_the_checkout_from_wherever_there_is_no_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert project() / "mmlab" / "__init__.py" == Path(mmlab.__file__).resolve()


def test_relative_paths_start_at_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve("data/demo") == project() / "data" / "demo"
    assert resolve(Path("../beside")) == project().parent / "beside"
    assert resolve(tmp_path / "x") == tmp_path / "x"


def test_what_a_parameter_names_lies_in_the_first_folder_that_has_it_else_in_the_project(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("mmlab.items.files.find_project", lambda: tmp_path / "project")
    for folder, name in (("a", "1"), ("b", "1"), ("b", "2"), ("project", "2"), ("project", "3")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).touch()
    found = [find_path("queries", name, tmp_path / "a", tmp_path / "b") for name in "123"]
    assert found == [tmp_path / "a" / "1", tmp_path / "b" / "2", tmp_path / "project" / "3"]
    with pytest.raises(
        FileNotFoundError, match=r"parameter queries: expected a file .* found nothing at .*/a/4 or "
    ):
        find_path("queries", "4", tmp_path / "a")


def test_a_path_inside_the_project_is_named_from_there(tmp_path):
    assert shorten(project() / "data" / "clip") == Path("data", "clip")
    assert shorten(tmp_path) == tmp_path


def test_a_tilde_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/photos") == tmp_path / "photos"


def test_data_lies_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.delenv("MMLAB_DATA", raising=False)
    assert data() == project() / "data"
    monkeypatch.setenv("MMLAB_DATA", str(tmp_path))
    assert data() == tmp_path
    monkeypatch.setenv("MMLAB_DATA", "data/other")  # the same for a command and for its kernels
    monkeypatch.chdir(tmp_path)
    assert data() == project() / "data" / "other"
