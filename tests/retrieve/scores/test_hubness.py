"""Hubs, rescored away: score matrices, and whole collections with a bank of other pairs."""

import numpy as np
import pandas as pd
import pytest

from mmlab.items import Space, Vectors, unit_rows
from mmlab.items.tables import TooFew
from mmlab.retrieve import RESCORINGS, csls, qb_norm
from mmlab.retrieve.scores import hubness
from mmlab.retrieve.scores.fuse import Centring
from mmlab.retrieve.scores.hubness import (
    TEMPERATURES,
    choose_temperature,
    find_banks,
    fit_temperature,
    inverted_softmax,
    rescore,
)
from tests.retrieve.tables import order_of

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


every_rescoring = pytest.mark.parametrize("rescoring", RESCORINGS.values(), ids=list(RESCORINGS))


@every_rescoring
def test_a_rescoring_keeps_shape_and_float32_and_its_inputs(rescoring) -> None:
    rng = np.random.default_rng(0)
    scores, bank = (rng.random(shape, dtype=np.float32) for shape in ((30, 700), (600, 700)))
    before = scores.copy(), bank.copy()
    rescored = rescoring(scores, bank)
    assert rescored.shape == scores.shape
    assert rescored.dtype == np.float32
    assert (scores == before[0]).all() and (bank == before[1]).all()
    queries, items, references = (rng.permutation(size) for size in (30, 700, 600))
    again = rescoring(scores[queries][:, items], bank[references][:, items])  # other blocks, same answer
    assert again == pytest.approx(rescored[queries][:, items], abs=1e-5)


@every_rescoring
def test_a_gallery_without_hubs_is_left_in_order(rescoring) -> None:
    rows = unit_rows(np.stack([np.cos(np.arange(12) * np.pi / 6), np.sin(np.arange(12) * np.pi / 6)], axis=1))
    circle = rows @ rows.T  # every point sees the same
    settings = {"k": 3} if rescoring is csls else {}
    rescored = rescoring(circle, circle, **settings)
    assert rescored.argmax(axis=1).tolist() == list(range(12))


@every_rescoring
@pytest.mark.parametrize("bank", [np.ones((2, 4)), np.empty((0, 3)), np.ones(3)])
def test_a_bank_of_another_gallery_or_without_queries_is_refused(rescoring, bank: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"same gallery and B at least 1, found \(2, 3\) and"):
        rescoring(SCORES, bank)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="found k 3, 3 items, 2 reference queries"):
        csls(SCORES, BANK, k=3)
    with pytest.raises(ValueError, match="the number of items, 3; found 4"):
        qb_norm(SCORES, BANK, k=4)
    for k in (0, 3):
        with pytest.raises(ValueError, match=f"found k {k}, 3 items, 2 reference queries"):
            csls(SCORES, BANK, k=k)
    with pytest.raises(ValueError, match="found k 3, 2 items, 3 reference queries"):
        csls(np.ones((4, 2)), np.ones((3, 2)), k=3)
    assert csls(np.ones((4, 2)), np.zeros((2, 2)), k=2).tolist() == [[1, 1]] * 4
    with pytest.raises(ValueError, match="the number of items, 3; found 0"):
        qb_norm(SCORES, BANK, k=0)
    assert qb_norm(SCORES, BANK, k=3).tolist() == inverted_softmax(SCORES, BANK).tolist()  # all are active
    for rescoring in (inverted_softmax, qb_norm):
        for temperature in (0, np.inf):
            with pytest.raises(
                ValueError, match=f"temperature: expected a number above 0, found {temperature}"
            ):
                rescoring(SCORES, BANK, temperature=temperature)
    with pytest.raises(ValueError, match=r"found \(3,\) and \(2, 3\)"):
        csls(SCORES[0], BANK)


def test_the_temperature_is_a_twentieth_unless_given_and_the_neighbours_ten() -> None:
    rng = np.random.default_rng(2)
    scores, bank = rng.random((5, 40)), rng.random((30, 40))
    assert (
        inverted_softmax(scores, bank).tolist() == inverted_softmax(scores, bank, temperature=0.05).tolist()
    )
    assert qb_norm(scores, bank).tolist() == qb_norm(scores, bank, temperature=0.05, k=1).tolist()
    assert csls(scores, bank).tolist() == csls(scores, bank, k=10).tolist()
    ratios = np.divide(TEMPERATURES[1:], TEMPERATURES[:-1])
    assert ratios.min() >= 2 - 1e-9 and ratios.max() <= 2.5 + 1e-9  # two decades in even steps
    assert (TEMPERATURES[0], TEMPERATURES[-1]) == (0.005, 0.5)
    assert 0.05 in TEMPERATURES
    assert qb_norm(np.array([[1, 0]]), np.array([[0, 1]])).dtype == np.float64  # of whole numbers


SPACE = Space("s", "1", "", "", "", 8)


@pytest.fixture(scope="module")
def sides():
    rng = np.random.default_rng(0)
    images = unit_rows(rng.standard_normal((12, 8)) + 0.5)
    texts = unit_rows(images + 0.3 * rng.standard_normal((12, 8)) - 0.3)
    pairs = pd.Series(
        [f"p{i}" for i in range(12)] * 2, index=[f"{side}{i}" for side in "ti" for i in range(12)]
    )
    named = [
        Vectors([f"{side}{i}" for i in range(12)], rows, SPACE)
        for side, rows in (("t", texts), ("i", images))
    ]
    return *named, pairs


def test_plain_scores_are_cosines_in_the_order_of_the_queries(sides) -> None:
    texts, images, pairs = sides
    ranked = rescore(texts, images, pairs, "none", "text", k=3).rankings
    best = images.ids[np.argsort(-texts.array @ images.array.T, axis=1)[:, :3]]
    assert ranked["query_id"].drop_duplicates().tolist() == texts.ids.tolist()
    assert ranked["item_id"].to_numpy().reshape(12, 3).tolist() == best.tolist()


def test_centring_takes_the_mean_of_each_side(sides) -> None:
    texts, images, pairs = sides
    centring = Centring.fit(texts, images)
    scores = centring.apply(images, "image").array @ centring.apply(texts, "text").array.T
    ranked = rescore(images, texts, pairs, "centring", "image", k=1).rankings
    assert ranked["item_id"].tolist() == texts.ids[scores.argmax(axis=1)].tolist()
    assert ranked["score"].to_numpy() == pytest.approx(scores.max(axis=1), abs=1e-6)


def scores_of(bank, gallery) -> np.ndarray:
    return np.hstack(list(bank.score_blocks(gallery)))


def test_no_bank_tells_the_right_item_from_the_wrong_ones(isotropic) -> None:
    """Neither an item's own queries nor those of the pair that asks are in its bank, and all banks are as large."""
    texts, images, pairs = isotropic(0, images=100)
    banks = find_banks(texts, images, pairs, seed=1)
    assert np.sort(np.concatenate([bank.rows for bank in banks])).tolist() == list(range(500))
    row_of = {text.tobytes(): name for name, text in zip(texts.ids, texts.array, strict=True)}
    for bank in banks:
        scores = scores_of(bank, images)
        reference_pairs = pairs[[row_of[row.tobytes()] for row in bank.references]].to_numpy()
        assert not set(reference_pairs) & set(pairs[texts.ids[bank.rows]])
        own = reference_pairs[:, None] == pairs[images.ids].to_numpy()
        assert np.isneginf(scores[own]).all()
        assert np.isfinite(scores).sum(axis=0).tolist() == [400] * 100  # 8 of 10 parts of 10 pairs


def test_queries_of_pairs_outside_the_gallery_are_the_bank(isotropic) -> None:
    texts, images, pairs = isotropic(0, images=30)
    outside, _, others = isotropic(1, images=20, prefix="o")
    known = pd.concat([pairs, others])
    ranked = rescore(texts, images, known, "csls", "text", k=30, references=outside).rankings
    expected = csls(texts.array @ images.array.T, outside.array @ images.array.T, k=10)
    found = order_of(ranked)
    for name, row in zip(texts.ids, expected, strict=True):
        assert found[name] == images.ids[np.argsort(-row, kind="stable")].tolist()
    mixed = Vectors([*outside.ids, *texts.ids], np.r_[outside.array, texts.array], SPACE)
    again = rescore(texts, images, known, "csls", "text", k=30, references=mixed).rankings
    assert order_of(again) == found  # references of the gallery's own pairs are not taken


def test_fifty_references_outside_the_gallery_are_enough_and_five_thousand_are_drawn(isotropic) -> None:
    texts, images, pairs = isotropic(0, images=150, captions=1)
    outside, _, others = isotropic(1, images=60, captions=1, prefix="o")
    known = pd.concat([pairs, others])
    (bank,) = find_banks(texts, images, known, outside.take(outside.ids[:50]))
    assert bank.references.tolist() == outside.array[:50].tolist()
    assert bank.rows.tolist() == list(range(150))
    assert scores_of(bank, images) == pytest.approx(outside.array[:50] @ images.array.T)
    assert (
        len(find_banks(texts, images, known, outside.take(outside.ids[:49]))) == 10
    )  # their own queries instead
    many = Vectors([f"m{n}" for n in range(5050)], np.resize(outside.array, (5050, 8)), SPACE)
    of_many = pd.concat([pairs, pd.Series("m", index=many.ids)])
    assert [len(one.references) for one in find_banks(texts, images, of_many, many)] == [5000]


@pytest.mark.parametrize(("count", "found"), [(63, 49), (64, 50)])
def test_queries_that_are_their_own_bank_leave_fifty_beside_the_two_largest_parts(
    isotropic, count, found
) -> None:
    """Ten parts of 63 pairs hold 6 or 7: beside two of 7 are 49."""
    texts, images, pairs = isotropic(0, images=count, captions=1)
    if found < 50:
        with pytest.raises(TooFew, match=f"found {found} among {count} queries"):
            find_banks(texts, images, pairs)
        return
    banks = find_banks(texts, images, pairs)
    assert [len(bank.rows) for bank in banks] == [7, 7, 7, 7, 6, 6, 6, 6, 6, 6]
    least = min(np.isfinite(scores_of(bank, images)).sum(axis=0).min() for bank in banks)
    assert least == found
    for seed, same in ((0, True), (1, False)):
        again = find_banks(texts, images, pairs, seed=seed)
        alike = [one.rows.tolist() == other.rows.tolist() for one, other in zip(banks, again, strict=True)]
        assert all(alike) == same


def test_items_without_a_pair_are_each_of_their_own(isotropic) -> None:
    texts, images, pairs = isotropic(0, images=100, captions=1)
    alone = pairs.where(~pairs.isin(["p3", "p4"]))
    banks = find_banks(texts, images, alone)
    assert sorted(row for bank in banks for row in bank.rows) == list(range(100))
    parts = {int(row): bank.part for bank in banks for row in bank.rows}
    assert len(banks[0].item_parts) == 100
    assert len(set(parts.values())) == 10
    sizes = np.bincount(np.r_[list(parts.values()), banks[0].item_parts], minlength=10)
    assert sizes.max() - sizes.min() <= 4  # 102 names: 98 pairs of two, and four of one


def test_a_hundred_hits_are_kept_unless_told_otherwise(isotropic) -> None:
    texts, images, pairs = isotropic(0, images=120, captions=1)
    for name, temperature in (("none", None), ("centring", None), ("csls", None), ("qb_norm", 0.05)):
        found = rescore(texts, images, pairs, name, "text")
        assert set(found.rankings.groupby("query_id").size()) == {100}
        assert found.temperature == temperature
    given = rescore(texts, images, pairs, "inverted_softmax", "text", temperature=0.2)
    assert given.temperature == 0.2
    by_seed = [rescore(texts, images, pairs, "csls", "text", seed=seed).rankings for seed in (0, 1)]
    plain = rescore(texts, images, pairs, "csls", "text").rankings
    assert plain.equals(by_seed[0])
    assert not plain.equals(by_seed[1])


def test_a_temperature_is_chosen_on_at_most_a_thousand_queries_with_an_answer(isotropic, monkeypatch) -> None:
    texts, images, pairs = isotropic(0, images=150, captions=8)
    asked = []

    def counting(rescoring, scores, terms):
        asked.append(len(scores))
        return apply(rescoring, scores, terms)

    apply = hubness._apply
    monkeypatch.setattr(hubness, "_apply", counting)
    banks, everybody = find_banks(texts, images, pairs), np.ones(1200, dtype=bool)
    for gallery, fitting, expected in (
        (images, everybody, 1000),
        (images, np.arange(1200) < 1001, 1000),
        (images, np.arange(1200) < 300, 300),
        (images.take(images.ids[:20]), everybody, 160),  # the others have no answer there
    ):
        asked.clear()
        banks = find_banks(texts, gallery, pairs)
        choose_temperature(texts, gallery, pairs, "qb_norm", banks, fitting, temperatures=(0.1, 0.3))
        assert sum(asked) == 2 * expected


@pytest.fixture(scope="module")
def isotropic():
    """Texts near their own image in a space that has no hubs: nothing can be gained."""

    def made(seed: int, images: int = 500, captions: int = 5, prefix: str = ""):
        rng = np.random.default_rng([seed, images])
        centres = unit_rows(rng.standard_normal((images, 8 if images < 200 else 256)))
        owner = np.repeat(np.arange(images), captions)
        noise = unit_rows(rng.standard_normal((len(owner), centres.shape[1])))
        text_ids, image_ids = (
            [f"{prefix}{kind}{n}" for n in range(size)] for kind, size in (("t", len(owner)), ("i", images))
        )
        pairs = pd.Series([f"{prefix}p{n}" for n in (*owner, *range(images))], index=text_ids + image_ids)
        space = SPACE if centres.shape[1] == 8 else Space("s", "1", "", "", "", 256)
        texts = Vectors(text_ids, unit_rows(centres[owner] + 3.6 * noise), space)
        return texts, Vectors(image_ids, centres, space), pairs

    return made


@pytest.mark.parametrize("rescoring", RESCORINGS)
def test_nothing_is_gained_where_there_are_no_hubs(isotropic, rescoring: str) -> None:
    """A bank that holds the captions of wrong images alone shows gains of .02 to .05 here."""
    changes = []
    for seed in range(3):
        texts, images, pairs = isotropic(seed, captions=3)
        plain, rescored = (
            success(rescore(texts, images, pairs, name, "text", k=1, seed=seed).rankings, pairs)
            for name in ("none", rescoring)
        )
        changes.append(rescored - plain)
    assert abs(np.mean(changes)) < 0.005
    assert max(changes) < 0.005


@pytest.mark.parametrize("rescoring", ["inverted_softmax", "qb_norm"])
def test_every_query_is_rescored_once(isotropic, rescoring) -> None:
    texts, images, pairs = isotropic(0, images=100)
    ranked = rescore(texts, images, pairs, rescoring, "text", k=5).rankings
    assert ranked.groupby("query_id").size().tolist() == [5] * 500


def tempered(hub: float):
    """A hub h that is right for nobody and scores highest for every text; a low temperature takes its lead away."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((100, 16))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    middle = np.full((100, 1), hub)
    texts = unit_rows(np.c_[centres + 0.1 * rng.standard_normal(centres.shape), middle])
    images = unit_rows(np.vstack([np.c_[centres, np.zeros(100)], np.eye(17)[-1]]))
    space = Space("s", "1", "", "", "", 17)
    text_ids, image_ids = [f"t{n}" for n in range(100)], [*(f"i{n}" for n in range(100)), "h"]
    pairs = pd.Series([*(f"p{n}" for n in range(100))] * 2 + ["hub"], index=text_ids + image_ids)
    return Vectors(text_ids, texts, space), Vectors(image_ids, images, space), pairs


def success(ranked, pairs) -> float:
    first = ranked[ranked["rank"] == 1]
    return float((pairs[first["query_id"]].to_numpy() == pairs[first["item_id"]].to_numpy()).mean())


@pytest.mark.parametrize("rescoring", RESCORINGS)
@pytest.mark.parametrize("own_bank", [True, False])
def test_blocks_of_items_and_queries_change_nothing(isotropic, rescoring, own_bank, monkeypatch) -> None:
    texts, images, pairs = isotropic(0, images=120)
    gallery = images.take(images.ids[:60])
    of_gallery = np.isin(pairs[texts.ids], pairs[gallery.ids])
    asking, others = texts.take(texts.ids[of_gallery]), texts.take(texts.ids[~of_gallery])
    asked = (asking, gallery, pairs, rescoring, "text")
    references = None if own_bank else others
    whole = rescore(*asked, references=references).rankings.set_index(["query_id", "item_id"])
    for module in ("mmlab.items.vectors", "mmlab.retrieve.scores.hubness"):
        monkeypatch.setattr(f"{module}.SCORES_PER_BLOCK", 1000)
    assert len(list(find_banks(asking, gallery, pairs, references)[0].score_blocks(gallery))) >= 15
    found = rescore(*asked, references=references).rankings.set_index(["query_id", "item_id"])
    assert len(found) == len(whole) == 300 * 60
    np.testing.assert_allclose(found["score"].reindex(whole.index), whole["score"], atol=1e-6)


@pytest.mark.parametrize("rescoring", ["inverted_softmax", "qb_norm"])
def test_the_temperature_is_the_one_that_finds_most_on_validation(rescoring: str) -> None:
    texts, images, pairs = tempered(2)
    assert success(rescore(texts, images, pairs, "none", "text").rankings, pairs) == 0
    measured = {
        t: success(rescore(texts, images, pairs, rescoring, "text", temperature=t).rankings, pairs)
        for t in TEMPERATURES
    }
    assert min(measured.values()) < max(measured.values())
    best = [t for t, value in measured.items() if value == max(measured.values())]
    banks, fitting = find_banks(texts, images, pairs), np.ones(len(texts), dtype=bool)
    chosen = choose_temperature(texts, images, pairs, rescoring, banks, fitting)
    assert chosen == min(best, key=lambda t: abs(np.log(t / 0.05)))
    assert fit_temperature(texts, images, pairs, rescoring, texts.ids) == chosen
    assert fit_temperature(texts, images, pairs, "csls", texts.ids) is None
    found = rescore(texts, images, pairs, rescoring, "text", temperature=chosen)
    assert found.temperature == chosen
    assert success(found.rankings, pairs) == max(measured.values())


def test_an_unknown_rescoring_and_too_small_a_bank_are_refused(sides) -> None:
    texts, images, pairs = sides
    with pytest.raises(
        ValueError, match="parameter rescoring: expected one of none, centring, csls, .*, found 'softmax'"
    ):
        rescore(texts, images, pairs, "softmax", "text")
    with pytest.raises(ValueError, match="expected 50 reference queries of pairs that .*, found 8 among 12"):
        rescore(texts, images, pairs, "csls", "text")
