"""Where right answers are lost, and which modality failed."""

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import explain_queries, qrels_from_pairs, vectors_by_modality
from mmlab.evaluate.losses import (
    DEFECTS,
    attribute_losses,
    count_causes,
    draw_found,
    failed_modalities,
    failure_shares,
    loss_changes,
    losses_beside,
    losses_by_stage,
    name_causes,
)
from mmlab.evaluate.resampling import mean_intervals
from mmlab.ingest.rules import FINDINGS
from mmlab.items import Space, Vectors

QUERIES = ["kept", "index", "quantized", "fused", "never", "gained", "back"]
QRELS = pd.DataFrame({"query_id": QUERIES, "item_id": "right", "relevance": 1})
ITEMS = pd.DataFrame({"item_id": QUERIES, "pair_id": QUERIES})


def stage(*found: str) -> pd.DataFrame:
    rows = [(query, "right" if query in found else "wrong", 1, 0.9) for query in QUERIES]
    return pd.DataFrame(rows, columns=["query_id", "item_id", "rank", "score"])


STAGES = {
    "exact": stage("kept", "index", "quantized", "fused", "back"),
    "HNSW": stage("kept", "quantized", "fused"),
    "int8": stage("kept", "fused", "never"),
    "fusion": stage("kept", "gained", "back"),
}
OUTCOMES = {
    "kept": "found",
    "index": "lost by HNSW",
    "quantized": "lost by int8",
    "fused": "lost by fusion",
    "never": "never found",  # found in between, not by exact search and not in the end
    "gained": "gained by fusion",
    "back": "found",  # lost by the index and found again
}


def test_each_query_is_attributed_to_the_stage_that_decided() -> None:
    losses = attribute_losses(STAGES, QRELS, k=1)
    assert losses.set_index("query_id")["outcome"].to_dict() == OUTCOMES
    assert losses["HNSW"].tolist() == [True, False, True, True, False, False, False]


def test_the_sums_balance() -> None:
    table = losses_by_stage(attribute_losses(STAGES, QRELS, k=1), ITEMS)
    assert table[["outcome", "queries"]].to_numpy().tolist() == [
        ["found", 2],
        ["lost by HNSW", 1],
        ["lost by int8", 1],
        ["gained by fusion", 1],
        ["lost by fusion", 1],
        ["never found", 1],
    ]
    assert table["queries"].sum() == len(QUERIES)
    assert table["share"].tolist() == pytest.approx([n / len(QUERIES) for n in table["queries"]])
    assert ((table["low"] <= table["share"]) & (table["share"] <= table["high"])).all()


def test_a_query_found_later_than_k_is_not_found_and_one_not_answered_is_lost() -> None:
    second = pd.DataFrame(
        [("kept", "wrong", 1, 0.9), ("kept", "right", 2, 0.8)],
        columns=["query_id", "item_id", "rank", "score"],
    )
    outcomes = attribute_losses({"exact": stage(*QUERIES), "HNSW": second}, QRELS, k=1)["outcome"]
    assert set(outcomes) == {"lost by HNSW"}
    assert (
        attribute_losses({"exact": stage(*QUERIES), "HNSW": second}, QRELS, k=2)["outcome"].tolist()[0]
        == "found"
    )


def test_an_answer_by_exact_search_loses_nothing_later() -> None:
    losses = attribute_losses({"exact": stage(*QUERIES[:2])}, QRELS, k=1)
    assert set(losses["outcome"]) == {"found", "never found"}
    changes = loss_changes(losses)
    assert changes["queries"].sum() == losses["exact"].sum() == 2
    with pytest.raises(ValueError, match="expected one stage or more and k >= 1"):
        attribute_losses({}, QRELS, k=1)


def test_steps_that_are_not_in_the_answer_are_held_against_what_they_were_made_from() -> None:
    steps = {"exact": stage(*QUERIES[:3]), "index": stage(*QUERIES[1:3]), "fused": stage(*QUERIES)}
    table = losses_beside(steps, {"index": "exact", "fused": "index"}, QRELS, k=1, items=ITEMS)
    columns = ["step", "made_from", "lost", "gained", "queries"]
    assert table[columns].to_numpy().tolist() == [["index", "exact", 1, 0, 7], ["fused", "index", 0, 5, 7]]
    lost = np.array([1, 0, 0, 0, 0, 0, 0], dtype=float)[:, None]  # one of seven queries, each of its own pair
    assert table.loc[0, ["low", "high"]].tolist() == mean_intervals(lost, np.arange(7))[0].tolist()
    assert table.loc[1, "low"] == 0 < table.loc[1, "high"]
    few = losses_beside(steps, {"index": "exact"}, QRELS[1:3], k=1, items=ITEMS)
    assert few[columns].to_numpy().tolist() == [["index", "exact", 0, 0, 2]]
    assert losses_beside(steps, {"index": "exact"}, QRELS.head(0), 1, ITEMS)["queries"].tolist() == [0]


THREE = pd.DataFrame(
    {
        "item_id": ["t1", "t2", "t3", "i1", "i2", "i3"],
        "modality": ["text"] * 3 + ["image"] * 3,
        "pair_id": ["a", "b", "c"] * 2,
        "label": ["mug", "mug", "hat"] * 2,
    }
)
PAIRS_FOUND = {"t1": ["i1", "i3"], "t2": ["i1", "i2"], "t3": ["i1", "i2"]}


def hits_of(found: dict[str, list[str]]) -> pd.DataFrame:
    rows = [(q, i, n, 1 - n / 10) for q, hits in found.items() for n, i in enumerate(hits, 1)]
    return pd.DataFrame(rows, columns=["query_id", "item_id", "rank", "score"])


def explained():
    stages = {"exact": hits_of(PAIRS_FOUND), "index": hits_of({**PAIRS_FOUND, "t1": ["i3", "i2"]})}
    by_modality = {
        "text": Vectors(["t1", "t2", "t3"], np.eye(3), Space("m", "1", "", "", "", 3)),
        "image": Vectors(["i1", "i2", "i3"], np.eye(3), Space("m", "1", "", "", "", 3)),
    }
    return explain_queries(stages, qrels_from_pairs(THREE, "text", "image"), by_modality, THREE, 2)


def test_every_query_has_an_outcome_and_every_miss_is_explained():
    table = explained().set_index("query_id")
    assert table["outcome"].to_dict() == {"t1": "lost by index", "t2": "found", "t3": "never found"}
    assert table["failed"].notna().to_dict() == {"t1": True, "t2": False, "t3": True}


def test_the_changes_go_from_all_queries_to_those_found():
    changes = loss_changes(explained())
    assert changes.to_numpy().tolist() == [
        ["queries", 3],
        ["missed by exact search", -1],
        ["lost by index", -1],
    ]
    assert changes["queries"].sum() == explained()["index"].sum()


def test_the_failures_are_shares_of_the_misses():
    found = pd.DataFrame({"query_id": ["t2", "t4"], "failed": ["text", "neither"]})
    shares = failure_shares(explained(), THREE, found)
    assert shares.set_index("failed")["among_found"].to_dict() == {
        "text": 0.5, "image": 0, "both": 0, "neither": 0.5, "unknown": 0,
    }  # fmt: skip
    assert shares["image_unknown"].tolist() == [0.5] * 5  # t3's image is the only hat
    assert draw_found(explained()) == ["t2"]
    assert shares["failed"].tolist() == ["text", "image", "both", "neither", "unknown"]
    assert shares["value"].sum() == pytest.approx(1)
    assert shares["queries"].sum() == 2
    assert ((shares["low"] <= shares["value"]) & (shares["value"] <= shares["high"])).all()
    nothing = explained().assign(failed=None)
    assert failure_shares(nothing, THREE, found).empty


SPACE = Space("model", "1", "", "", "", 2)
# Mugs stand at 0 and hats at 180 degrees; where a text or an image stands on the wrong one, it is lost.
ROWS = [
    ("fine", 0, 2, "mug"), ("m1", 4, 6, "mug"), ("m2", 8, 10, "mug"),
    ("text", 184, 3, "mug"), ("image", 5, 187, "mug"), ("both", 188, 185, "mug"),
    ("h1", 179, 182, "hat"), ("h2", 181, 183, "hat"), ("h3", 186, 189, "hat"),
    ("alone", 1, 1, None),
]  # fmt: skip


def space(rows: list[tuple] = ROWS) -> tuple[Vectors, pd.DataFrame]:
    table = pd.DataFrame(rows, columns=["pair_id", "t", "i", "label"])
    texts = table.assign(item_id="t " + table["pair_id"], modality="text", angle=table["t"])
    images = table.assign(item_id="i " + table["pair_id"], modality="image", angle=table["i"])
    items = pd.concat([texts, images], ignore_index=True)
    angles = np.radians(items["angle"].to_numpy())
    vectors = Vectors(items["item_id"], np.column_stack([np.cos(angles), np.sin(angles)]), SPACE)
    return vectors, items


def split(vectors: Vectors, items: pd.DataFrame) -> dict[str, Vectors]:
    return vectors_by_modality([vectors], items)


@pytest.mark.parametrize("queries", ["text", "image"])
def test_the_modality_that_stands_among_strangers_failed(queries: str) -> None:
    vectors, items = space()
    gallery = "image" if queries == "text" else "text"
    names = {"fine": "neither", "text": "text", "image": "image", "both": "both", "alone": "unknown"}
    table = failed_modalities(
        split(vectors, items),
        items,
        qrels_from_pairs(items, queries, gallery),
        [f"{queries[0]} {n}" for n in names],
        3,
    )
    assert dict(zip(table["query_id"].str[2:], table["failed"], strict=True)) == names
    assert table["item_id"].tolist() == [f"{gallery[0]} {name}" for name in names]


def test_the_shares_are_the_right_neighbours_of_those_possible() -> None:
    rows = [
        ("a", 0, 0, "mug"),
        ("b", 1, 9, "mug"),
        ("c", 2, 1, "hat"),
        ("d", 3, 2, "hat"),
        ("e", 90, 90, "mug"),
    ]
    vectors, items = space(rows)
    table = failed_modalities(
        split(vectors, items), items, qrels_from_pairs(items, "text", "image"), ["t a"], neighbours=3
    )
    # two other mugs are possible; the texts next to a are b, c, d, the images c, d, b
    assert table[["text_share", "image_share"]].to_numpy().tolist() == [[1 / 2, 1 / 2]]
    nearer = failed_modalities(
        split(vectors, items), items, qrels_from_pairs(items, "text", "image"), ["t a"], neighbours=1
    )
    assert nearer[["text_share", "image_share"]].to_numpy().tolist() == [[1 / 1, 0 / 1]]
    assert nearer["failed"].tolist() == ["image"]


def test_captions_of_one_image_are_judged_without_labels() -> None:
    vectors, items = space([("a", 0, 0, None), ("b", 40, 40, None)])
    more = pd.DataFrame(
        {"item_id": ["t a2", "t b2"], "modality": "text", "pair_id": ["a", "b"], "label": None}
    )
    angles = np.radians([41, 39])  # the second caption of a stands beside those of b
    array = np.concatenate([vectors.array, np.column_stack([np.cos(angles), np.sin(angles)])])
    items = pd.concat([items, more], ignore_index=True)
    vectors = Vectors(items["item_id"], array, SPACE)
    table = failed_modalities(
        split(vectors, items),
        items,
        qrels_from_pairs(items, "text", "image"),
        ["t a2", "t b2"],
        neighbours=1,
    )
    assert table["text_share"].tolist() == [0 / 1, 1 / 1]
    assert table["image_share"].isna().all()
    assert table["failed"].tolist() == ["text", "unknown"]


def irregular() -> tuple[Vectors, pd.DataFrame]:
    """Thirty pairs of one to three captions and one or two images, some of them without a label."""
    rng = np.random.default_rng(6)
    rows = []
    for pair in range(30):
        label = [None, "mug", "hat", "shoe"][rng.integers(4)]
        for kind, count in (("text", pair % 3 + 1), ("image", 2 if pair % 7 == 3 else 1)):
            rows += [(f"{kind[0]}{pair}.{n}", kind, f"p{pair}", label) for n in range(count)]
    items = pd.DataFrame(rows, columns=["item_id", "modality", "pair_id", "label"])
    centre = items.groupby("pair_id", sort=False).ngroup() * 2.4
    angles = centre + rng.normal(0, 1, len(items))
    return Vectors(items["item_id"], np.column_stack([np.cos(angles), np.sin(angles)]), SPACE), items


def plain_share(asked: str, vectors: Vectors, items: pd.DataFrame, neighbours: int) -> float:
    """Right ones among the nearest, over those that could be there, by sorting all others."""
    of = items.set_index("item_id")
    row = dict(zip(vectors.ids, vectors.array, strict=True))
    others = sorted((one for one in vectors.ids if one != asked), key=lambda one: -row[one] @ row[asked])
    right = [
        of.loc[one, "pair_id"] == of.loc[asked, "pair_id"]
        or (pd.notna(of.loc[asked, "label"]) and of.loc[one, "label"] == of.loc[asked, "label"])
        for one in others
    ]
    possible = min(sum(right), neighbours)
    return sum(right[:neighbours]) / possible if possible else np.nan


@pytest.mark.parametrize("queries", ["text", "image"])
@pytest.mark.parametrize(("neighbours", "given"), [(5, {}), (2, {"neighbours": 2}), (1, {"neighbours": 1})])
def test_shares_and_failures_are_those_of_a_plain_loop(queries: str, neighbours: int, given: dict) -> None:
    vectors, items = irregular()
    by_modality = split(vectors, items)
    gallery = "image" if queries == "text" else "text"
    qrels = qrels_from_pairs(items, queries, gallery)
    missed = by_modality[queries].ids[::2].tolist()
    table = failed_modalities(by_modality, items, qrels, missed, **given)
    assert table["query_id"].tolist() == missed
    of = pd.DataFrame(vectors.array @ vectors.array.T, vectors.ids, vectors.ids)
    for row in table.itertuples():
        right = qrels.loc[qrels["query_id"] == row.query_id, "item_id"]
        assert row.item_id == of.loc[row.query_id, right].idxmax()
        text, image = (row.query_id, row.item_id) if queries == "text" else (row.item_id, row.query_id)
        shares = [
            plain_share(one, by_modality[kind], items, neighbours)
            for one, kind in ((text, "text"), (image, "image"))
        ]
        assert [row.text_share, row.image_share] == pytest.approx(shares, nan_ok=True)
        failed = {kind for kind, share in zip(("text", "image"), shares, strict=True) if share < 0.5}
        names = {2: "both", 1: next(iter(failed), ""), 0: "unknown" if np.isnan(shares).any() else "neither"}
        assert row.failed == names[len(failed)]
    assert table["failed"].nunique() >= 4


def test_shares_have_the_intervals_of_their_pairs() -> None:
    items = ITEMS.assign(pair_id=["p", "p", "r", "s", "s", "s", "t"])
    clusters = np.array([0, 0, 1, 2, 2, 2, 3])
    losses = attribute_losses(STAGES, QRELS, k=1)
    table = losses_by_stage(losses, items)
    for row in table.itertuples():
        own = (losses["outcome"] == row.outcome).to_numpy(dtype=float)[:, None]
        assert (row.low, row.high) == pytest.approx(tuple(mean_intervals(own, clusters)[0]))
    missed = losses.assign(failed=["text", None, "image", "both", "unknown", "text", None], image_share=0.5)
    missed.loc[[0, 3], "image_share"] = np.nan
    shares = failure_shares(missed, items, losses.assign(failed="text").head(0))
    assert shares["queries"].tolist() == [2, 1, 1, 0, 1]
    assert shares["value"].tolist() == [2 / 5, 1 / 5, 1 / 5, 0, 1 / 5]
    assert shares["image_unknown"].tolist() == [2 / 5] * 5
    assert shares["among_found"].isna().all()
    for row, kind in zip(shares.itertuples(), ("text", "image", "both", "neither", "unknown"), strict=True):
        kept = missed["failed"].notna()
        own = (missed.loc[kept, "failed"] == kind).to_numpy(dtype=float)[:, None]
        assert (row.low, row.high) == pytest.approx(tuple(mean_intervals(own, clusters[kept])[0]))


def test_every_change_on_the_way_down_is_booked() -> None:
    changes = loss_changes(attribute_losses(STAGES, QRELS, k=1))
    assert changes.to_numpy().tolist() == [
        ["queries", 7], ["missed by exact search", -2], ["lost by HNSW", -1], ["lost by int8", -1],
        ["lost by fusion", -1], ["gained by fusion", 1],
    ]  # fmt: skip
    assert changes["queries"].sum() == 3
    gained = attribute_losses({"exact": stage("kept"), "fused": stage("kept", "index")}, QRELS, k=1)
    table = losses_by_stage(gained, ITEMS)
    assert table["outcome"].tolist() == ["found", "gained by fused", "lost by fused", "never found"]
    assert table["queries"].tolist() == [1, 1, 0, 5]
    assert losses_by_stage(gained.head(0), ITEMS).columns.tolist() == table.columns.tolist()


def test_of_many_found_queries_a_thousand_are_drawn_by_the_seed() -> None:
    found = pd.DataFrame({"query_id": [f"q{n}" for n in range(1005)], "outcome": "found", "exact": True})
    found.loc[[3, 1004], "exact"] = False
    drawn = draw_found(found)
    assert len(set(drawn)) == len(drawn) == 1000
    assert not {"q3", "q1004"} & set(drawn)
    assert drawn == draw_found(found, seed=0)
    assert drawn != draw_found(found, seed=1)
    assert sorted(draw_found(found.head(999))) == sorted(set(found["query_id"].head(999)) - {"q3"})


def test_without_misses_there_is_nothing_to_explain() -> None:
    vectors, items = space()
    table = failed_modalities(split(vectors, items), items, qrels_from_pairs(items, "text", "image"), [])
    assert list(table.columns) == ["query_id", "item_id", "text_share", "image_share", "failed"]
    assert table.empty


def test_at_least_one_neighbour_is_needed() -> None:
    vectors, items = space()
    with pytest.raises(ValueError, match="neighbours: expected a whole number from 1, found 0"):
        failed_modalities(
            split(vectors, items), items, qrels_from_pairs(items, "text", "image"), [], neighbours=0
        )


def test_texts_and_images_may_lie_in_two_spaces() -> None:
    vectors, items = space()
    qrels = qrels_from_pairs(items, "text", "image")
    names = [f"t {name}" for name in ("fine", "text", "image", "both", "alone")]
    joint = failed_modalities(split(vectors, items), items, qrels, names, 3)
    both = split(vectors, items)
    turned = Vectors(both["image"].ids, both["image"].array[:, ::-1], Space("other", "1", "", "", "", 2))
    apart = failed_modalities({**both, "image": turned}, items, qrels, names, 3)
    pd.testing.assert_frame_equal(apart, joint)


def test_a_missed_text_without_a_vector_is_left_out() -> None:
    vectors, items = space()
    lost = pd.DataFrame({"item_id": ["t lost"], "modality": "text", "pair_id": "m1", "label": "mug"})
    items = pd.concat([items, lost], ignore_index=True)
    qrels = qrels_from_pairs(items, "text", "image")
    table = failed_modalities(split(vectors, items), items, qrels, ["t lost", "t both"], 3)
    assert table[["query_id", "item_id", "failed"]].to_numpy().tolist() == [["t both", "i both", "both"]]


MARKED = pd.DataFrame(
    {
        "item_id": ["swapped", "printed", "brief", "brief2", "plain", "lost", "image"],
        "origin": ["caption", "ocr", "caption", "caption", "caption", "caption", "image"],
        "flags": [None, None, "short text, near duplicate", "short text", None, "short text", None],
    }
)
WRONG = pd.DataFrame({"text_id": ["swapped", "plain"], "suspected": [True, False]})


def caused(outcomes: dict[str, str]) -> dict[str, str | None]:
    """The cause of each query; those that are lost by the index were found by exact search."""
    explained = pd.DataFrame({"query_id": list(outcomes), "outcome": outcomes.values()})
    explained["exact"] = explained["outcome"] != "never found"
    explained["index"] = explained["outcome"] == "found"
    qrels = pd.DataFrame({"query_id": list(outcomes), "item_id": "image", "relevance": 1})
    found = name_causes(explained, qrels, MARKED, WRONG)
    return found.set_index("query_id")["cause"].astype(object).where(lambda one: one.notna(), None).to_dict()


def test_a_miss_is_put_down_to_its_data_to_the_step_that_lost_it_or_to_the_model() -> None:
    never = "never found"
    found = caused(
        {"swapped": never, "printed": never, "brief": never, "plain": "found", "lost": "lost by index"}
    )
    assert found == {
        "swapped": "suspected wrong pair",
        "printed": "printed text",
        "brief": "short text",
        "plain": None,
        "lost": "lost by index",  # exact search finds it: its text is short, and that is no reason
    }
    assert caused({"swapped": never, "plain": never})["plain"] == "the model"
    assert set(DEFECTS) <= set(FINDINGS)


def test_a_mark_is_no_cause_where_queries_without_one_are_missed_nearly_as_often() -> None:
    """Of the short texts one half is missed, and so is half of the others; then none of the others."""
    outcomes = {"brief": "never found", "brief2": "found", "plain": "never found", "lost": "found"}
    other = MARKED.assign(flags=MARKED["flags"].where(MARKED["item_id"] != "lost"))
    for missed, cause in (("never found", "the model"), ("found", "short text")):
        explained = pd.DataFrame({"query_id": list(outcomes), "outcome": [*outcomes.values()]})
        explained.loc[2, "outcome"] = missed
        explained["exact"] = explained["outcome"] == "found"
        qrels = pd.DataFrame({"query_id": list(outcomes), "item_id": "image", "relevance": 1})
        assert name_causes(explained, qrels, other, WRONG)["cause"].tolist()[0] == cause


def test_an_image_is_missed_for_its_texts_where_all_of_them_are_marked() -> None:
    explained = pd.DataFrame({"query_id": ["image"], "outcome": ["never found"], "exact": [False]})
    for texts, cause in ((["swapped", "brief"], "suspected wrong pair"), (["swapped", "plain"], "the model")):
        qrels = pd.DataFrame({"query_id": "image", "item_id": texts, "relevance": 1})
        named = name_causes(explained, qrels, MARKED, WRONG)
        assert named["cause"].tolist() == [cause]
        counted = count_causes(named, k=5).drop(columns="marked").to_numpy().tolist()
        assert counted == [[cause, "model" if cause == "the model" else "data", 1, 1, 5]]


def test_causes_are_on_the_way_down_and_the_sums_balance() -> None:
    losses = attribute_losses(STAGES, QRELS, k=1)
    named = losses.assign(cause=["", "lost by HNSW", "lost by int8", "lost by fusion", "the model", "", ""])
    changes = loss_changes(named.replace({"cause": {"": None}}))
    assert changes.to_numpy().tolist() == [
        ["queries", 7], ["the model", -1], ["missed by exact search", -1], ["lost by HNSW", -1],
        ["lost by int8", -1], ["lost by fusion", -1], ["gained by fusion", 1],
    ]  # fmt: skip
    assert changes["queries"].sum() == 3
