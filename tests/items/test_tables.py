import sys
import uuid

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlab.items import ITEM_COLUMNS, check_columns, is_among, read_items, read_table, write_items
from mmlab.items import tables as module
from mmlab.items.tables import (
    SavedTables,
    check_items,
    first_places,
    in_blocks,
    item_id,
    on_disk,
    places_among,
    text_keys,
    to_csv,
    write_table,
)


@pytest.fixture
def items():
    """One image and its text, with a column of the user's."""
    rows = [
        {"item_id": "1", "modality": "image", "pair_id": "a.jpg", "image": "/a.jpg", "origin": "image"},
        {"item_id": "2", "modality": "text", "pair_id": "a.jpg", "text": "a dog", "origin": "caption"},
    ]
    return pd.DataFrame(rows, columns=[*ITEM_COLUMNS, "price"])


def test_saved_tables_are_read_whenever_they_are_asked_for_but_those_that_are_known(tmp_path) -> None:
    paths = {name: write_table(pd.DataFrame({"rank": [1]}), tmp_path / f"{name}.parquet") for name in "ab"}
    saved = SavedTables(paths, ["rank"])
    assert (list(saved), len(saved)) == (["a", "b"], 2)
    assert saved["a"] is not saved["a"]
    write_table(pd.DataFrame({"rank": [2]}), paths["a"])
    assert saved["a"]["rank"].tolist() == [2]
    saved.known["b"] = known = pd.DataFrame({"rank": [7]})
    paths["b"].unlink()
    assert saved["b"] is known
    write_table(pd.DataFrame({"score": [2]}), paths["a"])
    with pytest.raises(ValueError, match=r"a\.parquet: columns \['rank'\] are missing"):
        _ = saved["a"]


@pytest.fixture
def two_a_block(monkeypatch):
    for place in ("mmlab.items.vector_files", "mmlab.items.tables"):
        monkeypatch.setattr(f"{place}.ROWS_PER_BLOCK", 2)


@pytest.mark.parametrize("index", [range(1, 6), ["e", "d", "c", "b", "a"]])
def test_a_table_on_disk_is_what_it_was(two_a_block, index):
    table = pd.DataFrame(
        {
            "text": pd.array(["a mug", None, "", "ß", "x"], "str"),
            "width": pd.array([1, None, 3, 4, 5], "Int32"),
            "score": [0.5, np.nan, 2.0, 3.0, 4.0],
            "listed": [True, False, True, True, False],
            "nothing": pd.array([None] * 5, "str"),
            "day": pd.to_datetime(["2026-01-01", "2026-01-02", None, "2026-01-04", "2026-01-05"]),
        },
        pd.Index(index, name="row"),
    )
    found = on_disk([*in_blocks(table[:4]), table[4:4], *in_blocks(table[4:])])
    pd.testing.assert_frame_equal(found, table, check_index_type=False)
    assert [len(block) for block in in_blocks(table)] == [2, 2, 1]


def test_numbers_of_a_table_on_disk_can_be_changed(two_a_block):
    table = pd.DataFrame({"price": [1.0, 2, 3], "width": pd.array([4, None, 6], "Int32"), "count": [7, 8, 9]})
    found = on_disk(in_blocks(table))
    found.loc[0, ["price", "width", "count"]] = 5
    assert found.iloc[0].tolist() == [5, 5, 5]
    assert found.iloc[1:].equals(table.iloc[1:])


def test_rows_that_follow_each_other_are_numbered_without_an_array(two_a_block):
    table = pd.DataFrame({"text": list("abcde")}, pd.RangeIndex(1, 6, name="row"))
    assert on_disk(in_blocks(table)).index.identical(table.index)
    gap = on_disk(in_blocks(table.drop(index=3)))
    assert gap.index.tolist() == [1, 2, 4, 5]


def test_rows_of_a_table_on_disk_are_taken_without_joining_its_blocks(two_a_block):
    table = pd.DataFrame({"text": pd.array(["a long text " * 10_000] * 6, "str")})
    found = on_disk(in_blocks(table))
    before = module.pa.total_allocated_bytes()
    taken = found.iloc[[5]]
    assert module.pa.total_allocated_bytes() - before < 2 * len(taken["text"].iloc[0])


def test_the_columns_of_a_table_on_disk_take_no_memory_of_arrow(two_a_block):
    table = pd.DataFrame({"text": pd.array(["a long text " * 10_000] * 6, "str")})
    before = module.pa.total_allocated_bytes()
    found = on_disk(in_blocks(table))
    assert module.pa.total_allocated_bytes() - before < 10_000
    assert found["text"].tolist() == table["text"].tolist()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no limit of a file")
def test_a_full_disk_is_an_error(two_a_block):
    import resource

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            on_disk(in_blocks(pd.DataFrame({"text": pd.array(["a long text " * 10_000] * 6, "str")})))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


def test_nothing_is_left_of_a_table_on_disk(two_a_block, tmp_path, monkeypatch):
    monkeypatch.setenv("MMLAB_DATA", str(tmp_path))
    found = on_disk(in_blocks(pd.DataFrame({"text": list("abcde")})))
    assert found["text"].tolist() == list("abcde")
    assert not list(tmp_path.iterdir())


def test_one_block_stays_in_memory_and_none_is_an_empty_table():
    table = pd.DataFrame({"text": ["a"]})
    assert on_disk([table]) is table
    assert on_disk(in_blocks(table[:0])).empty


@settings(deadline=None)
@given(st.lists(st.none() | st.text(max_size=2)), st.lists(st.none() | st.text(max_size=2)))
def test_places_among_many_ids_are_those_of_a_search_by_hand(ids, known):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MANY_IDS", 0)
        expected = [known.index(name) if name in known else -1 for name in ids]
        assert places_among(pd.Series(ids, dtype="str"), pd.Series(known, dtype="str")).tolist() == expected


@given(st.lists(st.text(max_size=3)))
def test_the_first_place_of_each_text(texts):
    found = first_places(text_keys(pd.Series(texts, dtype="str")))
    assert found.tolist() == [texts.index(text) for text in texts]


def test_an_id_is_what_the_item_is():
    made = item_id("image", "a.jpg", "hash")
    assert uuid.UUID(made).version == 5
    assert made == item_id("image", "a.jpg", "hash")
    others = {
        item_id("text", "a.jpg", "hash"),
        item_id("image", "b.jpg", "hash"),
        item_id("image", "a.jpg", ""),
    }
    assert len(others | {made}) == 4


def test_items_survive_the_disk(items, tmp_path):
    back = read_items(write_items(items, tmp_path / "items.parquet"))
    assert back.columns.tolist() == items.columns.tolist()
    assert back["item_id"].tolist() == ["1", "2"]
    assert back["text"].isna().tolist() == [True, False]


def test_a_failed_write_leaves_the_old_table(items, tmp_path):
    path = write_items(items, tmp_path / "items.parquet")
    with pytest.raises(ValueError, match="1 item_id values occur twice, first 1"):
        write_items(items.assign(item_id="1"), path)
    assert len(read_items(path)) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["items.parquet"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modality": "sound"}, r"modality is 'image' or 'text', found \['sound'\]"),
        ({"item_id": "1"}, "1 item_id values occur twice, first 1"),
        ({"image": None}, "1 image rows have no image"),
        ({"text": None}, "1 text rows have no text"),
    ],
)
def test_items_are_checked(items, change, message):
    with pytest.raises(ValueError, match=message):
        check_items(items.assign(**change))


def test_missing_columns_are_named(items):
    with pytest.raises(ValueError, match=r"hits: columns \['score'\] are missing; found \['rank'\]"):
        check_columns(pd.DataFrame({"rank": [1]}), ("rank", "score"), "hits")
    with pytest.raises(ValueError, match=r"items: columns \['split'\] are missing"):
        check_items(items.drop(columns="split"))


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"run the notebook that writes items.parquet first"):
        read_table(tmp_path / "items.parquet")


FORMS = [list, np.array, pd.Series, pd.Index, lambda ids: pd.Series(ids, dtype="category")]


@pytest.mark.parametrize("form", FORMS)
def test_ids_are_found_among_others_in_whatever_they_come(form):
    ids, known = ["b", "x", "a", "b"], ["a", "b", "c", "b"]
    assert places_among(form(ids), form(known)).tolist() == [1, -1, 0, 1]
    assert is_among(form(ids), form(known)).tolist() == [True, False, True, True]
    assert is_among(form(ids), {"x"}).tolist() == [False, True, False, False]


def test_nothing_is_among_nothing():
    assert places_among([], ["a"]).tolist() == []
    assert places_among(["a"], []).tolist() == [-1]
    assert places_among(pd.Series(["a", None]), ["a"]).tolist() == [0, -1]
    without_rows = pd.DataFrame({"query_id": "q", "item_id": []})["item_id"]  # of floats
    assert places_among(without_rows, ["a"]).tolist() == []
    assert places_among(["a"], without_rows).tolist() == [-1]


@settings(deadline=None)
@given(st.lists(st.text(max_size=3)), st.lists(st.text(max_size=3)))
def test_places_are_those_of_a_search_by_hand(ids, known):
    expected = [known.index(name) if name in known else -1 for name in ids]
    assert places_among(ids, known).tolist() == expected
    assert is_among(pd.Series(ids, dtype="str"), known).tolist() == [name in known for name in ids]


def test_what_looks_like_a_formula_is_quoted_and_numbers_are_not():
    table = pd.DataFrame(
        {
            "words": ["=1+1", "+a", "-b", "@c", "\t=d", "fine", None, "\uff1d1", " =2", "\ufeff@e", " fine"],
            "score": [-0.5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        }
    )
    lines = to_csv(table).splitlines()
    assert lines[:6] == ["words,score", "'=1+1,-0.5", "'+a,1.0", "'-b,2.0", "'@c,3.0", "'\t=d,4.0"]
    assert lines[6:] == ["fine,5.0", ",6.0", "'\uff1d1,7.0", "' =2,8.0", "'\ufeff@e,9.0", " fine,10.0"]
