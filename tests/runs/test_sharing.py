import os

import pytest

from mmlab.runs import read_manifest, run_folder, start_step
from mmlab.runs.sharing import copy_folder, keep_to_itself, share_step


@pytest.fixture
def made():
    """A run `a` in which 01 and 03 were done, with a store."""
    step = start_step("01_ingest", "a", seed=0)
    step.write("items.parquet").write_text("items")
    step.finish("3 items")
    step = start_step("03_index", "a", seed=0)
    step.read("items.parquet")
    step.write("index.parquet").write_text("index")
    step.finish("built")
    for file in ("store/a-unified/shard/wal", "store/.lock", "notebooks/03_index.ipynb", "03_index.html"):
        path = run_folder("a") / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file)
    share_step("01_ingest", "a", "b")
    share_step("03_index", "a", "b")
    return run_folder("b")


def test_the_other_run_has_the_files_and_the_records(made):
    assert (made / "items.parquet").read_text() == "items"
    assert (made / "03_index.html").read_text() == "03_index.html"
    assert (made / "notebooks" / "03_index.ipynb").is_file()
    mine, theirs = read_manifest("a")["steps"], read_manifest("b")["steps"]
    assert theirs == {name: {**record, "shared_from": "a"} for name, record in mine.items()}
    share_step("01_ingest", "b", "c")
    assert read_manifest("c")["steps"]["01_ingest"]["shared_from"] == "a"


def test_a_store_is_copied_without_its_locks(made):
    wal = made / "store" / "a-unified" / "shard" / "wal"
    assert wal.read_text() == "store/a-unified/shard/wal"
    assert wal.stat().st_nlink == 1
    assert not (made / "store" / ".lock").exists()


def test_writing_a_linked_file_again_leaves_that_of_the_other_run(made):
    assert (made / "items.parquet").stat().st_nlink == 2
    start_step("01_ingest", "b").write("items.parquet").write_text("other")
    assert (run_folder("a") / "items.parquet").read_text() == "items"


def test_a_file_of_its_own_stays_the_same_file(tmp_path):
    path = tmp_path / "a"
    path.write_text("a")
    before = path.stat().st_ino
    keep_to_itself(path)
    keep_to_itself(tmp_path / "none")
    assert path.stat().st_ino == before


def test_holes_stay_holes(tmp_path):
    (tmp_path / "a").mkdir()
    with open(tmp_path / "a" / "wal", "wb") as file:
        file.write(b"head")
        file.seek(8 << 20)
        file.write(b"tail" + bytes(100))
    copy_folder(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b" / "wal").read_bytes() == (tmp_path / "a" / "wal").read_bytes()
    if hasattr(os.stat_result, "st_blocks"):
        assert 512 * (tmp_path / "b" / "wal").stat().st_blocks < 1 << 20


@pytest.mark.parametrize(
    "parts", [{}, {0: b"all of it"}, {1 << 20: b"at the end"}, {4096: b"one", 5 << 20: b"two " * 5000}]
)
def test_a_copy_with_holes_has_the_same_bytes(tmp_path, parts):
    (tmp_path / "a").mkdir()
    with open(tmp_path / "a" / "page", "wb") as file:
        for start, content in parts.items():
            file.seek(start)
            file.write(content)
        file.truncate(max(file.tell(), 3 << 20))
    copy_folder(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b" / "page").read_bytes() == (tmp_path / "a" / "page").read_bytes()


def test_where_a_system_knows_no_holes_all_is_copied(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "SEEK_DATA", raising=False)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "page").write_bytes(bytes(1 << 20) + b"end")
    copy_folder(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b" / "page").read_bytes() == bytes(1 << 20) + b"end"
