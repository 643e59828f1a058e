from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mmlab.items import Space, SpaceMismatch, Vectors, unit_rows
from mmlab.items.vectors import main_vectors

SPACE = Space("owner/Some Model", "1", "mean", "", "none", 2)


def vectors():
    return Vectors(["a", "b", "c"], [[1, 0], [0, 1], [0.6, 0.8]], SPACE)


def test_rows_become_unit_rows():
    np.testing.assert_allclose(unit_rows([[3, 4], [0, -2]]), [[0.6, 0.8], [0, -1]], atol=1e-7)
    assert unit_rows(np.ones((2, 3), dtype=np.float64)).dtype == np.float32


@pytest.mark.parametrize("row", [[0, 0], [np.nan, 1], [np.inf, 1]])
def test_rows_without_direction_are_refused(row):
    with pytest.raises(ValueError, match="1 of 2 vectors are zero or not finite, first row 1"):
        unit_rows([[1, 0], row])


def test_ids_and_rows_must_match():
    with pytest.raises(ValueError, match=r"expected an array of shape \(1, 2\), found \(2, 2\)"):
        Vectors(["a"], np.eye(2), SPACE)
    with pytest.raises(ValueError, match=r"expected an array of shape \(3, 2\), found \(3, 3\)"):
        Vectors(["a", "b", "c"], np.eye(3), SPACE)
    with pytest.raises(ValueError, match="2 ids, only 1 different"):
        Vectors(["a", "a"], np.eye(2), SPACE)


@pytest.mark.parametrize("row", [[0.5, 0.5], [np.nan, 0], [0, 0]])
def test_rows_must_be_unit_rows(row):
    with pytest.raises(ValueError, match="1 of 2 rows are not unit rows, first b with norm"):
        Vectors(["a", "b"], [[1, 0], row], SPACE)


def test_no_vectors_are_vectors():
    empty = Vectors([], np.zeros((0, 2)), SPACE)
    assert len(empty) == len(empty.take([])) == 0
    with pytest.raises(KeyError, match="1 of 1 ids have no vector, first a"):
        empty.take(["a"])


def test_take_gives_the_asked_order():
    taken = vectors().take(["c", "a"])
    assert taken.ids.tolist() == ["c", "a"]
    np.testing.assert_allclose(taken.array, [[0.6, 0.8], [1, 0]], atol=1e-7)
    assert taken.space is SPACE


@pytest.mark.parametrize("unknown", ["0", "bb", "z"])
def test_take_names_what_is_missing(unknown):
    with pytest.raises(KeyError, match=f"1 of 2 ids have no vector, first {unknown}"):
        vectors().take(["a", unknown])


def test_save_and_load(tmp_path):
    back = Vectors.load(vectors().save(tmp_path / "new" / "v.arrow"))
    assert back.ids.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(back.array, vectors().array)
    assert back.space == SPACE


def test_load_says_what_is_wrong(tmp_path):
    with pytest.raises(FileNotFoundError, match="no vectors at .*run 02_embed"):
        Vectors.load(tmp_path / "none.arrow")
    (tmp_path / "other.arrow").write_text("words")
    with pytest.raises(ValueError, match=r"other\.arrow is no vectors file: expected an Arrow file"):
        Vectors.load(tmp_path / "other.arrow")


def test_rows_that_follow_each_other_are_taken_without_a_copy():
    own = vectors()
    assert np.shares_memory(own.take(["b", "c"]).array, own.array)
    assert not np.shares_memory(own.take(["c", "b"]).array, own.array)
    with pytest.raises(ValueError, match="2 ids, only 1 different"):
        own.take(["b", "b"])


def test_two_spaces_do_not_meet():
    SPACE.check_same(Space.from_dict(SPACE.to_dict()))
    other = Space.from_dict(SPACE.to_dict() | {"revision": "2", "dimension": 3})
    with pytest.raises(SpaceMismatch, match="they differ in revision: '1' and '2'; dimension: 2 and 3"):
        SPACE.check_same(other)


def test_the_key_of_a_space_is_stable():
    other = Space.from_dict(SPACE.to_dict() | {"revision": "2"})
    assert SPACE.key.startswith("some-model-")
    assert SPACE.key == Space.from_dict(SPACE.to_dict()).key != other.key
    assert all(letter.isalnum() or letter == "-" for letter in Space("ünï/çø:d*", "", "", "", "", 1).key)


def test_the_main_vectors_are_the_first_of_both_modalities():
    items = pd.DataFrame({"item_id": ["i", "t"], "modality": ["image", "text"]})
    texts, both, again = (Vectors(ids, np.eye(len(ids), 2), SPACE) for ids in (["t"], ["t", "i"], ["i", "t"]))
    assert main_vectors([texts, both, again], items) is both
    assert main_vectors([texts], items) is texts


def test_texts_ask_by_their_own_rows_and_are_found_by_the_others():
    space = Space("toy", "1", "", "", "", 2)
    queries = Vectors(["t2", "t1"], [[0.6, 0.8], [0.8, 0.6]], space)
    found = Vectors(["i", "t1", "t2"], [[1, 0], [1, 0], [0, 1]], space, queries)
    asked = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8]], dtype="f4")
    np.testing.assert_array_equal(found.asking().array, asked)
    np.testing.assert_array_equal(found.take(["t2", "i"]).asking().array, asked[[2, 0]])
    np.testing.assert_array_equal(found.array[1], [1, 0])  # what is found stays
    assert found.asking().ids.tolist() == ["i", "t1", "t2"]
    assert queries.asking() is queries


def test_queries_of_another_space_are_refused():
    space = Space("toy", "1", "", "", "", 2)
    foreign = Vectors(["t"], [[1, 0]], replace(space, prompt="find: {}"))
    with pytest.raises(SpaceMismatch, match="prompt: '' and 'find: {}'"):
        Vectors(["t"], [[1, 0]], space, foreign)


def test_first_dimensions_are_unit_rows_of_a_space_of_their_own():
    space = Space("toy", "1", "mean", "", "", 4)
    asking = Vectors(["b"], [[0, 0.6, 0, 0.8]], space)
    vectors = Vectors(["a", "b"], [[0.6, 0, 0.8, 0], [0, 1, 0, 0]], space, queries=asking)
    first = vectors.truncate(2)
    assert first.array.tolist() == [[1, 0], [0, 1]]
    assert first.queries.array.tolist() == [[0, 1]]
    assert (first.space.pooling, first.space.dimension) == ("mean, first 2 dimensions", 2)
    assert (first.space.truncate_dim, space.truncate_dim) == (2, 0)
    with pytest.raises(
        SpaceMismatch, match=r"pooling: 'mean' and 'mean, first 2 dimensions'; dimension: 4 and 2"
    ):
        space.check_same(first.space)


def test_dimensions_that_were_kept_can_be_fewer_again():
    space = Space("toy", "1", "mean", "", "", 4)
    assert space.truncate(3).truncate(2) == space.truncate(2)
    assert space.truncate(4) == space
    with pytest.raises(ValueError, match="1 of 1 vectors are zero or not finite, first row 0"):
        Vectors(["a"], [[0, 0, 1, 0]], space).truncate(2)
