"""Hubs: counted, and rescored away."""

import numpy as np
import pytest

from mmlab.items import Space, SpaceMismatch, Vectors, unit_rows
from mmlab.retrieve import RESCORINGS, csls, qb_norm
from mmlab.retrieve.scores.hubness import cosines, inverted_softmax

SCORES = np.array([[0.9, 0.8, 0.1], [0.7, 0.2, 0.6]])
BANK = np.array([[0.8, 0.2, 0.0], [0.6, 0.4, 0.2]])  # its queries' best item is the first


def test_csls_takes_the_mean_of_the_best_from_both_sides() -> None:
    query, item = [(0.9 + 0.8) / 2, (0.7 + 0.6) / 2], [(0.8 + 0.6) / 2, (0.2 + 0.4) / 2, (0.0 + 0.2) / 2]
    expected = [[2 * SCORES[q, i] - query[q] - item[i] for i in range(3)] for q in range(2)]
    assert csls(SCORES, BANK, k=2) == pytest.approx(np.array(expected))
    best = csls(SCORES, BANK, k=1)
    assert best[0, 1] == pytest.approx(2 * 0.8 - 0.9 - 0.4)


def test_the_inverted_softmax_divides_by_the_items_mass_over_the_bank() -> None:
    rescored = inverted_softmax(SCORES, BANK, temperature=0.1)
    inverted = np.exp(SCORES / 0.1) / np.exp(BANK / 0.1).sum(axis=0)
    assert rescored == pytest.approx(0.1 * np.log(inverted))
    assert rescored.argmax(axis=1).tolist() == [1, 2]  # the hub, first of both queries, lost both


def test_a_tiny_temperature_does_not_overflow() -> None:
    rescored = inverted_softmax(SCORES.astype(np.float32), BANK, temperature=1e-5)
    assert rescored == pytest.approx(SCORES - BANK.max(axis=0), abs=1e-4)


def test_qb_norm_rescores_only_queries_whose_best_item_is_a_likely_hub() -> None:
    scores = np.array([[0.9, 0.8, 0.1], [0.2, 0.7, 0.6]])
    rescored = qb_norm(scores, BANK, temperature=0.1)
    assert rescored[0].tolist() == inverted_softmax(scores, BANK, 0.1)[0].tolist()
    assert rescored[1].tolist() == scores[1].tolist()
    wider = qb_norm(scores, BANK, temperature=0.1, k=2)  # the second item is now active too
    assert wider.tolist() == inverted_softmax(scores, BANK, 0.1).tolist()


every_rescoring = pytest.mark.parametrize("rescore", RESCORINGS.values(), ids=list(RESCORINGS))


@every_rescoring
def test_a_rescoring_keeps_shape_and_float32_and_its_inputs(rescore) -> None:
    rng = np.random.default_rng(0)
    scores, bank = (rng.random(shape, dtype=np.float32) for shape in ((30, 700), (600, 700)))
    before = scores.copy(), bank.copy()
    rescored = rescore(scores, bank)
    assert rescored.shape == scores.shape
    assert rescored.dtype == np.float32
    assert (scores == before[0]).all() and (bank == before[1]).all()
    queries, items, references = (rng.permutation(size) for size in (30, 700, 600))
    again = rescore(scores[queries][:, items], bank[references][:, items])  # other blocks, same answer
    assert again == pytest.approx(rescored[queries][:, items], abs=1e-5)


@every_rescoring
def test_a_gallery_without_hubs_is_left_in_order(rescore) -> None:
    rows = unit_rows(np.stack([np.cos(np.arange(12) * np.pi / 6), np.sin(np.arange(12) * np.pi / 6)], axis=1))
    circle = rows @ rows.T  # every point sees the same
    settings = {"k": 3} if rescore is csls else {}
    rescored = rescore(circle, circle, **settings)
    assert rescored.argmax(axis=1).tolist() == list(range(12))


@every_rescoring
@pytest.mark.parametrize("bank", [np.ones((2, 4)), np.empty((0, 3)), np.ones(3)])
def test_a_bank_of_another_gallery_or_without_queries_is_refused(rescore, bank: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"same gallery and B at least 1, found \(2, 3\) and"):
        rescore(SCORES, bank)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="found k 3, 3 items, 2 reference queries"):
        csls(SCORES, BANK, k=3)
    with pytest.raises(ValueError, match="the number of items, 3; found 4"):
        qb_norm(SCORES, BANK, k=4)
    for rescore in (inverted_softmax, qb_norm):
        with pytest.raises(ValueError, match="temperature is a positive number, found 0"):
            rescore(SCORES, BANK, temperature=0)


def test_cosines_are_of_one_space() -> None:
    spaces = [Space("mmlab/toy", revision, "projected", "", "none", 2) for revision in "12"]
    one, other = (Vectors(["a", "b"], np.array([[1, 0], [0.6, 0.8]]), space) for space in spaces)
    assert cosines(one, one) == pytest.approx(np.array([[1, 0.6], [0.6, 1]]))
    with pytest.raises(SpaceMismatch, match="revision"):
        cosines(one, other)
