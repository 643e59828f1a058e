"""Wrong pairs, poor texts and hits above the right answer that mean the same, in small spaces."""

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import (
    qrels_from_pairs,
    suspected_false_negatives,
    suspected_wrong_pairs,
    vectors_by_modality,
)
from mmlab.evaluate.measures.geometry import joint_vectors
from mmlab.evaluate.suspected import (
    KnownFaults,
    _scores_of_wrong_pairs,
    above_threshold,
    expected_false_alarms,
    read_known_faults,
    score_false_negatives,
    score_pairs,
    score_suspects,
    score_wrong_pairs,
)
from mmlab.items import DIRECTIONS, Space, Vectors, exact_search, unit_rows

COUNT, KINDS = 60, 6  # pairs, in kinds that stand at right angles


def space() -> tuple[Vectors, pd.DataFrame]:
    """Each text stands close to its image; texts 0 and 1 are swapped, text 2 points where no image is."""
    rng = np.random.default_rng(0)
    centres = np.eye(KINDS + 1)[np.arange(COUNT) % KINDS]
    images = centres + 0.02 * rng.standard_normal(centres.shape)
    texts = images + 0.02 * rng.standard_normal(centres.shape)
    texts[[0, 1]], texts[2] = texts[[1, 0]], np.eye(KINDS + 1)[KINDS]
    pairs = [f"p{n}" for n in range(COUNT)]
    items = pd.DataFrame(
        {"item_id": [f"{kind} {pair}" for kind in "ti" for pair in pairs], "pair_id": pairs * 2}
    )
    items["modality"] = ["text"] * COUNT + ["image"] * COUNT
    array = unit_rows(np.concatenate([texts, images]))
    return Vectors(items["item_id"], array, Space("model", "1", "", "", "", KINDS + 1)), items


def marked(vectors: Vectors, items: pd.DataFrame, **settings: float) -> pd.DataFrame:
    ranked = suspected_wrong_pairs(vectors, items, **settings)
    return ranked[ranked["suspected"]]


def test_swapped_texts_are_suspected_and_named_with_the_image_that_fits() -> None:
    vectors, items = space()
    table = marked(vectors, items).set_index("text_id")
    assert set(table.index) == {"t p0", "t p1"}
    swapped = table.loc["t p0"]
    images = vectors.take([f"i p{n}" for n in range(1, COUNT)])
    fit = images.array @ vectors.take(["t p0"]).array[0]
    assert (swapped["image_id"], swapped["other_id"]) == ("i p0", images.ids[fit.argmax()])
    assert swapped["other_cosine"] == pytest.approx(fit.max())
    assert swapped["cosine"] == pytest.approx(
        vectors.take(["t p0"]).array[0] @ vectors.take(["i p0"]).array[0]
    )
    assert swapped["score"] < -3.5 < swapped["other_score"]
    assert swapped["reason"] == f"fits its image with {swapped['cosine']:.2f} where neighbours have " \
        f"{swapped['expected']:.2f}, another one with {fit.max():.2f}"  # fmt: skip


def test_all_texts_are_ranked_and_one_that_no_image_fits_is_not_marked() -> None:
    ranked = suspected_wrong_pairs(*space())
    assert len(ranked) == COUNT
    assert ranked["score"].is_monotonic_increasing
    assert set(ranked["text_id"].head(3)) == {"t p0", "t p1", "t p2"}
    nowhere = ranked[ranked["text_id"] == "t p2"].iloc[0]
    assert not nowhere["suspected"]
    assert "no other over" in nowhere["reason"]


def test_a_stricter_threshold_marks_less() -> None:
    vectors, items = space()
    worst = suspected_wrong_pairs(vectors, items)["score"].min()
    assert marked(vectors, items, threshold=worst - 1).empty
    assert len(marked(vectors, items, threshold=-0.5)) > 2
    with pytest.raises(ValueError, match="a robust z below 0, found 3.5"):
        suspected_wrong_pairs(vectors, items, threshold=3.5)


def test_too_few_pairs_to_compare_with_raise_no_suspicion() -> None:
    vectors, items = space()
    few = items[items["pair_id"].isin(["p0", "p1"])]
    assert suspected_wrong_pairs(vectors, few).empty
    assert suspected_wrong_pairs(vectors, items[items["modality"] == "text"]).empty


def test_false_alarms_are_what_wrong_pairs_do_not_explain() -> None:
    """100 scores, of which 40 are wrong: uniform from -10 to 0, as the surely wrong ones are; the rest is over 0."""
    wrong, right = -np.linspace(9.875, 0.125, 40), np.linspace(1, 5, 60)
    shares = expected_false_alarms(np.r_[wrong, right], -np.linspace(10, 0.01, 1000))
    assert np.isnan(shares[:19]).all()  # too short a list to say
    assert shares[19:40].max() < 0.03
    assert shares[40:] == pytest.approx(1 - 40 / np.arange(41, 101), abs=0.03)
    assert expected_false_alarms(np.arange(5.0), np.arange(5.0)).tolist() == [1] * 5
    assert expected_false_alarms(np.empty(0), np.empty(0)).tolist() == []


def plain_false_alarms(scores: np.ndarray, wrong_scores: np.ndarray) -> list[float]:
    """The same in loops: the largest number of wrong pairs that no list of 20 or more speaks against."""
    share = [np.mean(wrong_scores <= score) for score in scores]
    lists = [(n, f) for n, f in enumerate(share, start=1) if n >= 20 and f >= 0.02]
    wrong = min(n / f for n, f in lists)
    right = [1 - min(wrong * f / n, 1) for n, f in enumerate(share, start=1)]
    return [np.nan if n < 20 else min(right[n - 1 :]) for n in range(1, len(scores) + 1)]


@pytest.mark.parametrize("seed", range(4))
def test_false_alarms_are_those_of_a_plain_loop_also_where_scores_are_equal(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = np.sort(np.r_[rng.normal(-6, 2, 15), rng.normal(0, 1, 90)].round(1))
    wrong_scores = rng.normal(-5, 2 + seed, 400).round(1)
    found = expected_false_alarms(scores, wrong_scores)
    assert found == pytest.approx(np.array(plain_false_alarms(scores, wrong_scores)), nan_ok=True)


def test_a_list_that_few_surely_wrong_pairs_reach_tells_nothing() -> None:
    """Of 100 wrong pairs 2 score as low as the first 20 of 21, or only 1 does."""
    scores = np.r_[np.arange(-20.0, 0.0), 10]
    two, one = np.r_[-30.0, -25.0, np.full(98, 5.0)], np.r_[-30.0, np.full(99, 5.0)]
    # 21 wrong ones at most, for at 10 all wrong ones are counted: 2 % of them are expected among 20
    assert expected_false_alarms(scores, two)[[19, 20]] == pytest.approx([0, 0])
    assert expected_false_alarms(scores, one)[[19, 20]] == pytest.approx([0, 0])
    assert expected_false_alarms(scores[:20], one).tolist() == [1] * 20
    assert expected_false_alarms(scores[:20], two)[19] == 0
    assert expected_false_alarms(scores[:19], two).tolist() == [1] * 19


def photos_with_swapped_texts(share: float) -> tuple[Vectors, pd.DataFrame, set[str]]:
    """300 images with one to four texts each that are near them as a small CLIP's are, some of them swapped."""
    rng = np.random.default_rng(5)
    owner = np.repeat(np.arange(300), rng.integers(1, 5, 300))
    images = unit_rows(
        rng.standard_normal((300, 32)) + 2 * rng.standard_normal((20, 32))[np.arange(300) % 20]
    )
    texts = unit_rows(images[owner] + 1.2 * unit_rows(rng.standard_normal((len(owner), 32))))
    drawn = rng.permutation(len(owner))[: int(share * len(owner))]
    told = owner.copy()
    told[drawn] = owner[np.roll(drawn, 1)]
    ids = [f"i{n}" for n in range(300)] + [f"t{n}" for n in range(len(owner))]
    items = pd.DataFrame({"item_id": ids, "pair_id": [f"p{n}" for n in (*range(300), *told)]})
    items["modality"] = ["image"] * 300 + ["text"] * len(owner)
    vectors = Vectors(ids, np.concatenate([images, texts]), Space("model", "1", "", "", "", 32))
    return vectors, items, {f"t{n}" for n in np.flatnonzero(told != owner)}


def test_most_swapped_texts_are_among_the_worst_tenth_and_false_alarms_are_about_right() -> None:
    vectors, items, swapped = photos_with_swapped_texts(0.05)
    ranked = suspected_wrong_pairs(vectors, items)
    wrong = ranked["text_id"].isin(swapped)
    tenth = len(ranked) // 10
    assert wrong.head(tenth).sum() >= 0.75 * len(swapped)
    assert ranked["false_alarms"].dropna().is_monotonic_increasing
    assert ranked["false_alarms"][tenth - 1] == pytest.approx(1 - wrong.head(tenth).mean(), abs=0.15)
    clean = suspected_wrong_pairs(*photos_with_swapped_texts(0)[:2])
    assert clean["false_alarms"][len(clean) // 10] > 0.7
    assert not clean["suspected"].any()


def reference(vectors: Vectors, items: pd.DataFrame) -> pd.DataFrame:
    """The same scores in plain loops, as the module's docstring describes them."""
    row = dict(zip(vectors.ids, vectors.array.astype(float), strict=True))
    own = items.set_index("item_id")["pair_id"]
    image = items[items["modality"] == "image"].set_index("pair_id")["item_id"]
    texts = items.loc[items["modality"] == "text", "item_id"].tolist()
    cosine = {text: row[text] @ row[image[own[text]]] for text in texts}
    of_image = {
        one: np.median([cosine[text] for text in texts if own[text] == pair]) for pair, one in image.items()
    }
    least = np.median(np.abs(np.array(list(cosine.values())) - np.median(list(cosine.values()))))
    rows = []
    for text in texts:
        near = []
        for one, values in ((text, cosine), (image[own[text]], of_image)):
            others = sorted(
                (other for other in values if own[other] != own[one]), key=lambda o: -row[o] @ row[one]
            )
            near += [values[other] for other in others[:10]]
        middle = np.median(near)
        spread = 1.4826 * max(np.median(np.abs(np.array(near) - middle)), least)
        other = max((one for one in of_image if own[one] != own[text]), key=lambda one: row[one] @ row[text])
        fit = row[other] @ row[text]
        scores = (cosine[text] - middle) / spread, (fit - middle) / spread
        rows.append((text, middle, scores[0], other, scores[1]))
    return pd.DataFrame(rows, columns=["text_id", "expected", "score", "other_id", "other_score"])


def random_pairs(count: int = 40) -> tuple[Vectors, pd.DataFrame]:
    """Images in a few directions with one to three texts each, some texts of which are far off."""
    rng = np.random.default_rng(3)
    owner = np.repeat(np.arange(count), rng.integers(1, 4, count))
    images = unit_rows(np.eye(5)[np.arange(count) % 5] + 0.3 * rng.standard_normal((count, 5)))
    texts = unit_rows(
        images[owner]
        + rng.choice([0.1, 0.3, 1.0], len(owner))[:, None] * rng.standard_normal((len(owner), 5))
    )
    ids = [f"i{n}" for n in range(count)] + [f"t{n}" for n in range(len(owner))]
    items = pd.DataFrame({"item_id": ids, "pair_id": [f"p{n}" for n in (*range(count), *owner)]})
    items["modality"] = ["image"] * count + ["text"] * len(owner)
    return Vectors(ids, np.concatenate([images, texts]), Space("model", "1", "", "", "", 5)), items


def test_the_scores_are_those_of_a_plain_loop() -> None:
    vectors, items = random_pairs()
    found, expected = score_pairs(vectors, items), reference(vectors, items)
    assert found["text_id"].tolist() == expected["text_id"].tolist()
    assert found["other_id"].tolist() == expected["other_id"].tolist()
    for column in ("expected", "score", "other_score"):
        assert found[column].to_numpy() == pytest.approx(expected[column].to_numpy(), rel=1e-3, abs=1e-4)


def test_another_image_has_to_take_away_three_quarters_of_the_misfit() -> None:
    vectors, items = random_pairs()
    pairs, threshold = score_pairs(vectors, items), -1.0
    low = pairs[pairs["score"] < threshold]
    left = low["other_score"] / low["score"]
    assert ((left > 0.25) & (left < 0.5)).any()  # these fit another image only half as much better
    assert set(marked(vectors, items, threshold=threshold)["text_id"]) == set(low.loc[left < 0.25, "text_id"])


def test_three_neighbours_are_needed_for_a_score() -> None:
    vectors, _ = random_pairs()
    ids = ["i0", "t0", "i1", "t1", "t2"]
    kinds = ["image", "text", "image", "text", "text"]
    items = pd.DataFrame({"item_id": ids, "modality": kinds, "pair_id": list("aabbb")})
    scores = score_pairs(vectors, items).set_index("text_id")["score"]
    # a's neighbours are two texts and an image, those of b's texts a text and an image
    assert scores.notna().to_dict() == {
        "t0": True,
        "t1": False,
        "t2": False,
    }


def test_surely_wrong_pairs_are_drawn_from_all_images_of_other_pairs() -> None:
    """All wrong pairs are scored in a loop; those that were drawn are some of them."""
    vectors, items = random_pairs(30)
    pairs = score_pairs(vectors, items).dropna(subset=["score"])
    found = _scores_of_wrong_pairs(vectors, items, pairs)
    own = items.set_index("item_id")["pair_id"]
    images = items.loc[items["modality"] == "image", "item_id"]
    possible = []
    for row in pairs.itertuples():
        spread = (row.cosine - row.expected) / row.score
        text = vectors.take([row.text_id]).array[0]
        others = [image for image in images if own[image] != own[row.text_id]]
        possible += [(vectors.take([image]).array[0] @ text - row.expected) / spread for image in others]
    assert len(possible) == 29 * len(pairs)
    assert 4.5 * len(pairs) < len(found) < 5 * len(pairs)  # five a text, without its own image
    assert np.abs(found[:, None] - np.array(possible)).min(axis=1).max() < 1e-3
    assert np.mean(found) == pytest.approx(np.mean(possible), abs=0.25 * float(np.std(possible)))
    assert found.tolist() == _scores_of_wrong_pairs(vectors, items, pairs, seed=0).tolist()
    assert found.tolist() != _scores_of_wrong_pairs(vectors, items, pairs, seed=1).tolist()


SPACE = Space("model", "1", "", "", "", 2)
ITEMS = pd.DataFrame(
    [
        ("t a", "text", "a", "a red mug"), ("t b", "text", "b", "one red mug"), ("t c", "text", "c", "a hat"),
        ("t b2", "text", "b", "drinkware"), ("i a", "image", "a", None), ("i b", "image", "b", None),
        ("i c", "image", "c", None), ("i d", "image", "d", None),
    ],
    columns=["item_id", "modality", "pair_id", "text"],
)  # fmt: skip
NEAR = (0.8 + 0.6 * 1j) ** 0.25  # a quarter of the angle between (1, 0) and (0.8, 0.6)
ANGLES = {"t a": 1, "t b": NEAR, "t c": 1j, "t b2": 0.8 + 0.6j, "i a": 1, "i b": 1, "i c": 1, "i d": 1}
CAPTIONS = Vectors(list(ANGLES), np.array([[z.real, z.imag] for z in map(complex, ANGLES.values())]), SPACE)


def rankings(query: str, *found: str) -> pd.DataFrame:
    rows = [(query, item, n + 1, 1 - n / 10) for n, item in enumerate(found)]
    return pd.DataFrame(rows, columns=["query_id", "item_id", "rank", "score"])


def suspected(ranked: pd.DataFrame, queries: str, gallery: str, **settings: float) -> pd.DataFrame:
    return suspected_false_negatives(
        CAPTIONS, ITEMS, ranked, qrels_from_pairs(ITEMS, queries, gallery), **settings
    )


def test_an_image_above_the_right_one_whose_caption_is_nearly_the_same_is_listed() -> None:
    (row,) = suspected(rankings("t a", "i c", "i b", "i d", "i a"), "text", "image").to_dict("records")
    assert (row["query_id"], row["item_id"], row["rank"]) == ("t a", "i b", 2)
    assert row["score"] == pytest.approx(NEAR.real)  # of its captions the one that is more alike
    assert (row["query_text"], row["item_text"]) == ("a red mug", "one red mug")
    assert row["reason"] == f"at rank 2, above the right answer; cosine of the captions {NEAR.real:.2f}"


def test_what_stands_under_the_right_one_or_too_deep_is_not_suspected() -> None:
    assert suspected(rankings("t a", "i a", "i b"), "text", "image").empty
    assert suspected(rankings("t a", "i c", "i b", "i a"), "text", "image", max_rank=1).empty
    assert suspected(rankings("t a", "i b", "i a"), "text", "image", threshold=0.999).empty


def test_the_deepest_rank_and_the_least_cosine_count_still() -> None:
    ranked = rankings("t a", "i c", "i b", "i a")
    assert suspected(ranked, "text", "image", max_rank=2)["item_id"].tolist() == ["i b"]
    (score,) = suspected(ranked, "text", "image")["score"]
    assert suspected(ranked, "text", "image", threshold=score)["item_id"].tolist() == ["i b"]
    fillers = [f"x{n}" for n in range(10)]
    for place, listed in ((10, ["i b"]), (11, [])):  # the tenth rank is looked at unless another is given
        deep = rankings("t a", *fillers[: place - 1], "i b")
        assert suspected(deep, "text", "image")["item_id"].tolist() == listed
    found = suspected(ranked, "text", "image", threshold=0.0)
    assert found["item_id"].tolist() == ["i b", "i c"]  # the closest captions first
    assert above_threshold(found, score)["item_id"].tolist() == ["i b"]
    assert found["rank"].tolist() == [2, 1]


def test_several_queries_keep_their_own_hits_whatever_the_block(monkeypatch) -> None:
    ranked = pd.concat(
        [rankings("t a", "i b", "i c"), rankings("t b2", "i a", "i c"), rankings("t c", "i b")]
    )
    whole = suspected(ranked, "text", "image", threshold=-1.0)
    of_pair = {"i a": ["t a"], "i b": ["t b", "t b2"], "i c": ["t c"]}
    at = {
        name: np.array([z.real, z.imag])
        for name, z in zip(ANGLES, map(complex, ANGLES.values()), strict=True)
    }
    expected = {
        (query, item): max(at[query] @ at[text] for text in of_pair[item])
        for query, item in (("t a", "i b"), ("t a", "i c"), ("t b2", "i a"), ("t b2", "i c"), ("t c", "i b"))
    }
    found = dict(zip(zip(whole["query_id"], whole["item_id"], strict=True), whole["score"], strict=True))
    assert found == pytest.approx(expected, abs=1e-6)
    assert whole["score"].is_monotonic_decreasing
    for pairs in (1, 2):
        monkeypatch.setattr("mmlab.items.vector_files.ROWS_PER_BLOCK", pairs)
        pd.testing.assert_frame_equal(suspected(ranked, "text", "image", threshold=-1.0), whole)


def test_it_is_listed_too_where_the_right_one_was_not_ranked_at_all() -> None:
    assert suspected(rankings("t a", "i b"), "text", "image")["item_id"].tolist() == ["i b"]


def test_for_an_image_its_captions_speak() -> None:
    assert suspected(rankings("i a", "t c", "t b", "t a"), "image", "text")["item_id"].tolist() == ["t b"]


def test_the_vectors_of_the_texts_are_enough() -> None:
    ranked, qrels = rankings("t a", "i c", "i b", "i a"), qrels_from_pairs(ITEMS, "text", "image")
    texts = CAPTIONS.take([name for name in ANGLES if name.startswith("t")])
    alone = suspected_false_negatives(texts, ITEMS, ranked, qrels)
    assert alone["item_id"].tolist() == ["i b"]
    pd.testing.assert_frame_equal(alone, suspected_false_negatives(CAPTIONS, ITEMS, ranked, qrels))


@pytest.fixture
def dataset(tmp_path):
    """Four images: a and b have each other's captions, c shows what d shows."""
    shown = {"category": ["mug", "hat", "cap", "cap"], "colour": "red", "pattern": "plain"}
    truth = pd.DataFrame({"image": list("abcd"), **shown, "background": "wall", "companion": ""})
    truth.to_csv(tmp_path / "truth.csv", index=False)
    faults = pd.DataFrame(
        {"fault": ["swapped captions", "swapped captions", "html tags"], "image": list("abc")}
    )
    faults.to_csv(tmp_path / "faults.csv", index=False)
    texts = pd.DataFrame({"item_id": [f"t{n}" for n in "abcd"], "modality": "text", "pair_id": list("abcd")})
    images = texts.assign(item_id=[f"i{n}" for n in "abcd"], modality="image")
    images["image"] = [str(tmp_path / name) for name in "abcd"]
    return pd.concat([texts, images], ignore_index=True)


def test_the_faults_are_read_from_beside_the_images(dataset):
    faults = read_known_faults(dataset)
    assert faults.wrong_texts == {"ta", "tb"}
    assert faults.product["c"] == faults.product["d"] != faults.product["a"]


def test_precision_and_recall_of_wrong_pairs(dataset):
    ranked = pd.DataFrame({"text_id": ["ta", "tc", "tb"], "suspected": [True, True, False]})
    found = score_wrong_pairs(ranked, read_known_faults(dataset))
    assert found.to_numpy().tolist() == [["wrong pairs", 2, 1, 2, 1 / 2, 1 / 2]]


def test_an_empty_list_has_no_precision_and_no_known_fault_no_recall(dataset):
    ranked = pd.DataFrame({"text_id": ["ta", "tc"], "suspected": [False, False]})
    (row,) = score_wrong_pairs(ranked, read_known_faults(dataset)).to_dict("records")
    assert (row["listed"], row["right"], row["known"], row["recall"]) == (0, 0, 2, 0)
    assert np.isnan(row["precision"])
    sound = KnownFaults(frozenset(), read_known_faults(dataset).product)
    (row,) = score_wrong_pairs(ranked.assign(suspected=True), sound).to_dict("records")
    assert (row["listed"], row["known"], row["precision"]) == (2, 0, 0)
    assert np.isnan(row["recall"])


def test_a_false_negative_shows_the_same_product(dataset):
    listed = pd.DataFrame({"query_id": ["tc", "ta"], "item_id": ["id", "ib"]})
    possible = pd.DataFrame({"query_id": ["tc", "td", "ta"], "item_id": ["id", "ic", "ib"]})
    found = score_false_negatives(listed, possible, dataset, read_known_faults(dataset))
    assert found.to_numpy().tolist() == [["false negatives", 2, 1, 2, 1 / 2, 1 / 2]]


def test_a_dataset_without_known_faults_has_none(dataset, tmp_path):
    (tmp_path / "truth.csv").write_text("image,what\n")
    assert read_known_faults(dataset) is None
    (tmp_path / "truth.csv").unlink()
    assert read_known_faults(dataset) is None
    assert read_known_faults(dataset[dataset["modality"] == "text"]) is None
    assert read_known_faults(dataset.assign(image="elsewhere.jpg")) is None


def test_the_lists_of_the_demo_catalogue_are_scored(collection):
    items = collection.items
    both = vectors_by_modality([collection.vectors], items)
    rankings = exact_search(both["text"], both["image"], 10)
    qrels = qrels_from_pairs(items, *DIRECTIONS["text-to-image"])
    scores = suspected_wrong_pairs(joint_vectors(collection.vectors, both), items)
    wrong = scores.assign(suspected=np.arange(len(scores)) < 5)  # without OCR's texts none may be
    above = suspected_false_negatives(both["text"], items, rankings, qrels, threshold=-1.0)
    closer = suspected_false_negatives(both["text"], items, rankings, qrels)
    pd.testing.assert_frame_equal(above_threshold(above), closer)
    scored = score_suspects(wrong, above, items)
    assert scored.index.tolist() == [0, 1]
    scored = scored.set_index("list")
    assert scored.loc["wrong pairs", "listed"] == 5
    assert scored.loc["false negatives", "listed"] == len(closer)
    unknown = score_suspects(wrong, above, items.assign(image="x"))
    assert unknown.columns.tolist() == ["list", "listed", "right", "known", "precision", "recall"]
    assert unknown.empty


def test_of_many_texts_those_that_fit_worst_are_listed(collection, monkeypatch):
    every = suspected_wrong_pairs(collection.vectors, collection.items)
    monkeypatch.setattr("mmlab.evaluate.suspected.MAX_LISTED", 10)
    listed = suspected_wrong_pairs(collection.vectors, collection.items)
    columns = ["text_id", "image_id", "score", "other_id", "other_score", "suspected"]
    pd.testing.assert_frame_equal(listed[columns], every[columns].head(10))
