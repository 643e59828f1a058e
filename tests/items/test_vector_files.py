import json
import mmap
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from psutil import Process

from mmlab.items import Space, Vectors
from mmlab.items.vector_files import ROWS_PER_BLOCK, VectorWriter, check_unit_rows, release_memory

SPACE = Space("owner/model", "1", "mean", "", "none", 2)
FIELDS = {b"space": json.dumps(SPACE.to_dict()).encode()}
ROWS = np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)


def written(path, ids=("a", "b", "c"), sizes=(2, 1)):
    with VectorWriter(path, SPACE) as writer:
        for end, size in zip(np.cumsum(sizes), sizes, strict=True):
            writer.append(ids[end - size : end], ROWS[end - size : end])
    return path


def test_blocks_become_one_file(tmp_path):
    whole = Vectors(["a", "b", "c"], ROWS, SPACE).save(tmp_path / "whole.arrow")
    assert written(tmp_path / "new" / "blocks.arrow").read_bytes() == whole.read_bytes()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["blocks.arrow"]


def test_no_blocks_are_no_vectors(tmp_path):
    assert len(Vectors.load(written(tmp_path / "none.arrow", sizes=()))) == 0


def test_rows_are_a_view_of_the_file(tmp_path):
    path = written(tmp_path / "v.arrow")
    before = pa.total_allocated_bytes()
    array = Vectors.load(path).array
    assert pa.total_allocated_bytes() == before  # nothing was read into memory
    assert not array.flags.writeable and not array.flags.owndata and array.flags.c_contiguous
    np.testing.assert_array_equal(array, ROWS)


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="the system takes no such advice")
def test_memory_that_is_given_back_is_read_again(tmp_path):
    rows = np.zeros((1 << 20, 8), dtype=np.float32)  # 32 MiB
    rows[:, 3] = 1
    path = Vectors(np.arange(len(rows)).astype(str), rows, replace(SPACE, dimension=8)).save(
        tmp_path / "v.arrow"
    )
    array = Vectors.load(path).array  # each row is looked at
    before = Process().memory_info().rss
    release_memory(array[5:])  # a view of the file
    assert before - Process().memory_info().rss > 30 << 20
    np.testing.assert_array_equal(array, rows)
    release_memory(rows)
    assert rows[:, 3].all()  # in no file: nothing is lost


def test_others_can_read_the_file(tmp_path):
    with pa.memory_map(str(written(tmp_path / "v.arrow"))) as file:
        reader = pa.ipc.open_file(file)
        assert reader.num_record_batches == 1
        table = reader.read_all()
    assert table.schema.metadata == FIELDS
    assert table.schema.types == [pa.string(), pa.list_(pa.float32(), 2)]
    assert table["vector"].to_pylist()[1] == [0, 1]


def fail(path):
    with VectorWriter(path, SPACE) as writer:
        writer.append(["a"], ROWS[:1])
        raise KeyboardInterrupt


def long_rows(path):
    with VectorWriter(path, SPACE) as writer:
        writer.append(["a", "b"], ROWS[:1])


def no_unit_rows(path):
    with VectorWriter(path, SPACE) as writer:
        writer.append(["a", "b"], 2 * ROWS[:2])


@pytest.mark.parametrize(
    ("write", "error", "message"),
    [
        (fail, KeyboardInterrupt, None),
        (long_rows, ValueError, r"expected rows of shape \(2, 2\), found \(1, 2\)"),
        (no_unit_rows, ValueError, "2 of 2 rows are not unit rows, first a with norm 2"),
        (lambda path: written(path, ids=("a", "b", "a")), ValueError, "3 ids, only 2 different ones"),
    ],
)
def test_what_fails_leaves_the_old_file(tmp_path, write, error, message):
    path = written(tmp_path / "v.arrow")
    before = path.read_bytes()
    with pytest.raises(error, match=message):
        write(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_norm_is_checked_in_every_block():
    rows = np.ones((ROWS_PER_BLOCK + 2, 1), dtype=np.float32)
    rows[-1] = 3
    with pytest.raises(
        ValueError, match=f"1 of {len(rows)} rows are not unit rows, first {len(rows) - 1} with norm 3"
    ):
        check_unit_rows(rows, np.arange(len(rows)))


def table_of(ids, rows, names=("item_id", "vector"), metadata=FIELDS):
    return pa.table(dict(zip(names, (ids, rows), strict=True))).replace_schema_metadata(metadata)


WIDE = pa.FixedSizeListArray.from_arrays(pa.array(ROWS.reshape(-1)), 3)
LISTS = pa.FixedSizeListArray.from_arrays(pa.array(ROWS.reshape(-1)), 2)
IDS = pa.array(["a", "b", "c"])
WRONG = {
    "another column": (table_of(IDS, LISTS, names=("item_id", "row")), "vector"),
    "another type": (table_of(IDS, LISTS.cast(pa.list_(pa.float64(), 2))), "1 batches of .*<item: double>"),
    "a missing id": (table_of(pa.array(["a", None, "c"]), LISTS), "1 missing values"),
    "a missing number": (table_of(IDS, pa.array([[1, None], [0, 1], [1, 0]], LISTS.type)), "1 missing values"),
    "two batches": (pa.concat_tables([table_of(IDS, LISTS)] * 2), "2 batches"),
    "no space": (table_of(IDS, LISTS, metadata=None), "not subscriptable"),
    "a space that is no JSON": (table_of(IDS, LISTS, metadata={"space": "{"}), "Expecting"),
    "a space of other fields": (table_of(IDS, LISTS, metadata={"space": '{"a": 1}'}), "are not the fields of a space"),
    "rows of another length": (table_of(IDS[:2], WIDE), r"of shape \(2, 2\), found \(2, 3\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_other_files_are_refused(tmp_path, case):
    table, message = WRONG[case]
    with pa.ipc.new_file(tmp_path / "v.arrow", table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(ValueError, match=message):
        Vectors.load(tmp_path / "v.arrow")


def test_a_file_that_was_cut_off_is_refused(tmp_path):
    path = written(tmp_path / "v.arrow")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="is no vectors file: .*run 02_embed again"):
        Vectors.load(path)
