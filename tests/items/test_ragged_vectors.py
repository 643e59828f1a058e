"""Vectors of weighted terms and of token rows; expected scores are worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from mmlab.items import Space, SpaceMismatch, Vectors, exact_search
from mmlab.items.ragged_vectors import SparseVectors, Terms, TokenVectors, load_vectors, pooled_space
from mmlab.items.rankings import OwnPairs

TERMS = Space("toy", "1", "term weights", "", "", 0)
RARE = Space("toy", "1", "term weights, by rarity", "", "", 0)
TOKENS = Space("toy", "1", "token vectors", "", "", 2)


def sparse(space=TERMS, **own) -> SparseVectors:
    """Items a {7: 1}, b {7: 2, 9: 1} and c without a term."""
    return SparseVectors(["a", "b", "c"], [0, 1, 3, 3], space, indices=[7, 7, 9], weights=[1, 2, 1], **own)


def tokens() -> TokenVectors:
    return TokenVectors(["a", "b"], [0, 1, 3], TOKENS, array=[[1, 0], [0.6, 0.8], [0, 1]])


@pytest.mark.parametrize(
    ("pooling", "kind"),
    [
        ("projected", "dense"),
        ("term weights, by rarity", "sparse"),
        ("token vectors", "late"),
        ("mean of token vectors", "pooled"),
    ],
)
def test_a_space_tells_its_kind(pooling, kind):
    assert Space("toy", "1", pooling, "", "", 2).kind == kind


def test_vectors_are_taken_by_id_in_the_order_asked():
    taken = sparse().take(["b", "a"])
    assert (taken.ids.tolist(), taken.offsets.tolist(), taken.indices.tolist()) == (
        ["b", "a"],
        [0, 2, 3],
        [7, 9, 7],
    )
    assert tokens().take(["b"]).array.round(1).tolist() == np.float32([[0.6, 0.8], [0, 1]]).tolist()
    with pytest.raises(KeyError, match="1 of 1 ids have no vector, first x"):
        sparse().take(["x"])


def test_engines_get_plain_terms_and_rows():
    assert sparse().rows(np.array([1, 2])) == [Terms([7, 9], [2.0, 1.0]), Terms([], [])]
    assert tokens().rows([0]) == [[[1.0, 0.0]]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SparseVectors(["a"], [0, 2], TERMS, indices=[1], weights=[1]), "2 offsets from 0 up to 1"),
        (lambda: SparseVectors(["a", "a"], [0, 1, 1], TERMS, indices=[1], weights=[1]), "only 1 different"),
        (lambda: SparseVectors(["a"], [0, 1], TERMS, indices=[1], weights=[np.nan]), "finite weights"),
        (lambda: TokenVectors(["a"], [0, 1], TOKENS, array=[[1, 0, 0]]), "token rows of 2 numbers"),
        (lambda: TokenVectors(["a", "b"], [0, 1, 1], TOKENS, array=[[1, 0]]), "at least one row"),
        (
            lambda: TokenVectors(["a"], [0, 1], TOKENS, array=[[2, 0]]),
            "1 of 1 rows are not unit rows, first a",
        ),
    ],
)
def test_what_is_no_vector_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_queries_are_of_the_same_space():
    with pytest.raises(SpaceMismatch, match="pooling"):
        sparse(queries=sparse(RARE))


def test_those_ask_that_are_queries_and_all_where_none_are_named():
    asking = SparseVectors(["b"], [0, 1], TERMS, indices=[9], weights=[1])
    assert sparse(queries=asking).take(["b", "c"]).asking().ids.tolist() == ["b"]
    assert sparse(queries=asking).take(["c"]).asking().ids.tolist() == []
    assert tokens().asking().ids.tolist() == ["a", "b"]


def test_items_that_share_no_term_are_no_hits():
    found = exact_search(
        sparse().take(["b"]), SparseVectors(["x", "y"], [0, 1, 2], TERMS, indices=[9, 8], weights=[3, 1])
    )
    assert found[["query_id", "item_id", "score"]].to_numpy().tolist() == [["b", "x", 3.0]]


def test_rare_terms_count_more():
    # of the three items two have 7: ln(1 + 1.5 / 2.5), one has 9: ln(1 + 2.5 / 1.5)
    query = SparseVectors(["q"], [0, 2], RARE, indices=[7, 9], weights=[1, 1])
    scores = exact_search(query, sparse(RARE)).set_index("item_id")["score"]
    common, rare = np.log(1.6), np.log(8 / 3)
    assert scores.to_dict() == pytest.approx({"b": 2 * common + rare, "a": common})


def test_a_query_finds_its_own_pair_by_what_the_pair_says_without_it():
    own = SparseVectors(["a"], [0, 1], TERMS, indices=[7], weights=[0.5])
    pairs = pd.Series({"a": "p", "b": "p", "c": "q"})
    found = exact_search(sparse().take(["a"]), sparse(), own=OwnPairs(pairs, own))
    assert found[["item_id", "score"]].to_numpy().tolist() == [["b", 0.5]]


def test_items_without_a_pair_are_nobodys():
    pairs = pd.Series({"a": None, "b": None, "c": None})
    nothing = SparseVectors(["a"], [0, 0], TERMS, indices=[], weights=[])
    assert exact_search(sparse().take(["a"]), sparse(), own=OwnPairs(pairs, nothing))["score"].tolist() == [
        2.0
    ]


def test_maxsim_sums_the_best_cosine_of_each_row():
    # a asks: with itself 1 (left out), with b max(.6, 0); b asks a: .6 + 0
    found = exact_search(tokens(), tokens())
    assert found["score"].round(6).tolist() == pytest.approx([0.6, 0.6])
    asked = TokenVectors(["q"], [0, 2], TOKENS, array=[[1, 0], [0, 1]])
    assert exact_search(asked, tokens())["score"].tolist() == pytest.approx([1.6, 1.0])


def test_blocks_of_few_tokens_give_the_same_scores(monkeypatch):
    whole = np.vstack([scores for _, scores in tokens().score_blocks(tokens())])
    monkeypatch.setattr("mmlab.items.ragged_vectors.TOKEN_SCORES_PER_BLOCK", 1)
    blocks = list(tokens().score_blocks(tokens()))
    assert [part for part, _ in blocks] == [slice(0, 1), slice(1, 2)]
    assert np.vstack([scores for _, scores in blocks]).tolist() == whole.tolist()


def test_token_rows_are_pooled_to_their_unit_mean():
    pooled = tokens().pooled()
    assert isinstance(pooled, Vectors)
    assert pooled.space == pooled_space(TOKENS)
    assert pooled.array[1].tolist() == pytest.approx((np.array([0.6, 1.8]) / np.hypot(0.6, 1.8)).tolist())


@pytest.mark.parametrize("make", [sparse, tokens])
def test_what_is_saved_is_read_back(make, tmp_path):
    saved = make()
    found = load_vectors(saved.save(tmp_path / "own.npz"))
    assert type(found) is type(saved)
    assert found.space == saved.space
    assert found.rows(np.arange(len(saved))) == saved.rows(np.arange(len(saved)))


def test_other_files_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", offsets=[0])
    with pytest.raises(ValueError, match=r"other\.npz is no vectors file: found \['offsets'\]"):
        load_vectors(tmp_path / "other.npz")
    with pytest.raises(FileNotFoundError, match="run 02_embed"):
        load_vectors(tmp_path / "none.npz")
