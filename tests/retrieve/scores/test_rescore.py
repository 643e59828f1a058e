"""Rescorings of a whole collection, each query by a bank of other pairs."""

import numpy as np
import pandas as pd
import pytest
from mmlab.retrieve.scores.centring import Centring
from mmlab.retrieve.scores.rescore import TEMPERATURES, choose_temperature, hubness_table, rescored

from mmlab.items import Space, Vectors, unit_rows
from mmlab.retrieve import csls
from mmlab.retrieve.scores.hubness import cosines
from mmlab.retrieve.scores.query_split import Fold
from tests.retrieve.tables import order_of, qrels, rankings

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
    ranked = rescored(texts, images, pairs, "none", "text", k=3)
    best = images.ids[np.argsort(-cosines(texts, images), axis=1)[:, :3]]
    assert ranked["query_id"].drop_duplicates().tolist() == texts.ids.tolist()
    assert ranked["item_id"].to_numpy().reshape(12, 3).tolist() == best.tolist()


def test_centring_takes_the_mean_of_each_side(sides) -> None:
    texts, images, pairs = sides
    centring = Centring.fit(texts, images)
    scores = cosines(centring.apply(images, "image"), centring.apply(texts, "text"))
    ranked = rescored(images, texts, pairs, "centring", "image", k=1)
    assert ranked["item_id"].tolist() == texts.ids[scores.argmax(axis=1)].tolist()
    assert ranked["score"].to_numpy() == pytest.approx(scores.max(axis=1), abs=1e-6)


def test_no_query_is_in_its_own_bank(sides) -> None:
    texts, images, pairs = sides
    ranked = rescored(texts, images, pairs, "csls", "text", k=12, seed=1)
    drawn = set(np.random.default_rng(1).permutation(np.sort(pairs[texts.ids].unique()))[:6])
    first = pairs[texts.ids].isin(drawn).to_numpy()
    scores = cosines(texts, images)
    for half in (first, ~first):
        expected = csls(scores[half], scores[~half], k=6)  # 12 items, a bank of 6 queries
        for name, row in zip(texts.ids[half], expected, strict=True):
            assert order_of(ranked)[name] == images.ids[np.argsort(-row, kind="stable")].tolist()


@pytest.mark.parametrize("how", ["inverted_softmax", "qb_norm"])
def test_every_query_is_rescored_once(sides, how) -> None:
    texts, images, pairs = sides
    ranked = rescored(texts, images, pairs, how, "text", k=5)
    assert ranked.groupby("query_id").size().tolist() == [5] * 12


def tempered(gap: float):
    """A hub h that is right for nobody, and of each pair an image that its text is nearer to by `gap` than another's.

    The hub scores highest for every text; a low temperature takes its lead away from every text alike.
    """
    space = Space("s", "1", "", "", "", 3)
    angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles), np.full(8, gap)], axis=1)
    texts = Vectors([f"t{i}" for i in range(8)], unit_rows(circle), space)
    names = [*(f"i{i}" for i in range(8)), "h"]
    images = Vectors(names, unit_rows(np.vstack([circle * [1, 1, -0.4], [0, 0, 1]])), space)
    pairs = pd.Series([*(f"p{i}" for i in range(8))] * 2 + ["hub"], index=[*texts.ids, *names])
    return texts, images, pairs


def success(ranked, pairs) -> float:
    first = ranked[ranked["rank"] == 1]
    return float((pairs[first["query_id"]].to_numpy() == pairs[first["item_id"]].to_numpy()).mean())


@pytest.mark.parametrize("how", ["inverted_softmax", "qb_norm"])
def test_the_temperature_is_the_one_that_finds_most_on_validation(how: str) -> None:
    texts, images, pairs = tempered(2)
    assert success(rescored(texts, images, pairs, "none", "text"), pairs) == 0
    every = Fold(frozenset(texts.ids), frozenset(), "all")
    measured = {
        t: success(rescored(texts, images, pairs, how, "text", temperature=t), pairs) for t in TEMPERATURES
    }
    assert min(measured.values()) < max(measured.values())
    best = [t for t, value in measured.items() if value == max(measured.values())]
    chosen = choose_temperature(texts, images, pairs, how)
    assert chosen == min(best, key=lambda t: abs(np.log(t / 0.05)))
    found = rescored(texts, images, pairs, how, "text", fold=every)
    assert found.attrs["temperature"] == chosen
    assert success(found, pairs) == max(measured.values())


def test_hubs_are_counted() -> None:
    found = rankings({"q1": {"a": 1.0, "b": 0.5}, "q2": {"a": 1.0, "c": 0.5}, "not judged": {"a": 1.0}})
    table = hubness_table({"none": found}, list("abcd"), qrels({"q1": ["a"], "q2": ["c"]}), k=1)
    assert np.isnan(table["temperature"][0])
    assert table.drop(columns="temperature").iloc[0].to_dict() == {
        "rescoring": "none",
        "skewness": pytest.approx(2 / 3**0.5),  # counts 3 0 0 0
        "most": 3,
        "never": 0.75,
        "Success@1": 0.5,
    }


def test_an_unknown_rescoring_and_a_single_pair_are_refused(sides) -> None:
    texts, images, pairs = sides
    with pytest.raises(ValueError, match="unknown rescoring 'softmax'; known: none, centring, csls"):
        rescored(texts, images, pairs, "softmax", "text")
    with pytest.raises(ValueError, match="queries of two pairs or more, found 1"):
        rescored(texts.take(["t0"]), images, pairs, "csls", "text")
