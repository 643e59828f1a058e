"""metrics.json, and sentences that say what the numbers say, in which outside names stay text."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import qrels_from_pairs, score_queries
from mmlab.evaluate.summaries import (
    escape_markdown,
    summarize_failures,
    summarize_gallery_sizes,
    summarize_groups,
    summarize_judged,
    summarize_labels,
    summarize_losses,
    summarize_measures,
    summarize_published,
    summarize_separation,
    summarize_siblings,
    summarize_space_comparison,
    summarize_spaces,
    summarize_splits,
    summarize_steps_beside,
    summarize_suspects,
    write_metrics,
)
from mmlab.items import Space, Vectors, unit_rows
from tests.conftest import find_shared

VECTORS = find_shared("vectors/flickr8k-test.npz")


def test_metrics_are_plain_json(tmp_path: Path) -> None:
    means = pd.DataFrame([{"direction": "text-to-image", "measure": "RR", "value": 0.5, "queries": 2}])
    protocol = pd.DataFrame([{"direction": "text-to-image", "gallery": np.int64(7)}])
    written = json.loads(write_metrics(tmp_path / "metrics.json", means, protocol).read_text())
    assert written == {
        "measures": [{"direction": "text-to-image", "measure": "RR", "value": 0.5, "queries": 2}],
        "protocol": [{"direction": "text-to-image", "gallery": 7}],
    }


def test_what_is_not_known_is_null_and_more_tables_stand_beside(tmp_path: Path) -> None:
    means = pd.DataFrame([{"measure": "RR", "value": float("nan")}])
    space = pd.DataFrame([{"measure": "hubness", "value": np.float32(0.5)}])
    written = json.loads(
        write_metrics(tmp_path / "metrics.json", means, means.head(0), space=space).read_text()
    )
    assert written["measures"] == [{"measure": "RR", "value": None}]
    assert written["protocol"] == []
    assert written["space"] == [{"measure": "hubness", "value": 0.5}]


@pytest.mark.skipif(not VECTORS.exists(), reason="the vectors of the 1,000 photos are not on this machine")
def test_the_published_success_of_the_photo_vectors_is_reproduced() -> None:
    parts = np.load(VECTORS, allow_pickle=False)
    images, texts = (unit_rows(parts[name].astype("f4")) for name in ("image_vectors", "caption_vectors"))
    image_ids = np.array([f"i{n}" for n in range(len(images))])
    text_ids = np.array([f"t{n}" for n in range(len(texts))])
    items = pd.DataFrame(
        {
            "item_id": np.r_[image_ids, text_ids],
            "modality": ["image"] * len(images) + ["text"] * len(texts),
            "pair_id": np.r_[image_ids, image_ids[parts["caption_image"]]],
        }
    )
    scores = texts @ images.T
    order = np.argsort(-scores, axis=1)[:, :10]
    rankings = pd.DataFrame(
        {
            "query_id": np.repeat(text_ids, 10),
            "item_id": image_ids[order].ravel(),
            "rank": np.tile(np.arange(1, 11), len(texts)),
            "score": np.take_along_axis(scores, order, axis=1).ravel(),
        }
    )
    success = [f"Success@{k}" for k in (1, 5, 10)]
    means = score_queries(rankings, qrels_from_pairs(items, "text", "image"), success)[success].mean()
    assert means.round(3).tolist() == [0.176, 0.427, 0.559]


def frame(rows, columns):
    return pd.DataFrame(rows, columns=columns.split())


def test_measures_come_with_their_intervals():
    means = frame([("text-to-image", "RR", 0.5, 0.4, 0.6)], "direction measure value low high")
    assert summarize_measures(means, "RR") == "RR: text-to-image 0.500 (0.400 to 0.600)."


def test_published_figures_are_counted_and_a_gap_explained():
    columns = "near source reasons"
    assert (
        summarize_published(frame([], columns), "demo", "mine")
        == "Nothing published is known for demo on mine."
    )
    near = frame([(True, "a paper", "")], columns)
    assert summarize_published(near, "m", "d") == "1 of 1 figures published by a paper lie within 0.5 points."
    far = frame([(True, "a paper", ""), (False, "a paper", "another prompt")], columns)
    assert summarize_published(far, "m", "d").endswith("1 of 2 figures published by a paper lie within 0.5 points."
                                                 " What usually explains a gap: another prompt.")  # fmt: skip


def with_intervals(groups):
    """Every interval reaches 0.1 to both sides, and every group has 10 queries."""
    return groups.assign(low=groups["value"] - 0.1, high=groups["value"] + 0.1, queries=10)


def test_groups_below_the_mean_are_counted_where_their_interval_does_not_hold_it():
    rows = [("text-to-image", "label", "mug", 0.9), ("text-to-image", "label", "a<b>*c*", 0.1)]
    groups = with_intervals(frame(rows, "direction column group value")).assign(few=False)
    summary = summarize_groups(groups, "label", "R@1")
    assert summary == (
        "Of 2 groups by label 1 lies below the mean of 0.500 by more than the interval; the lowest is "
        r"*a&lt;b&gt;\*c\** with 0.100 (0.000 to 0.200) (R@1, text-to-image)."
    )
    assert "nothing to compare" in summarize_groups(groups.head(1), "label", "R@1")
    small = groups.head(1).assign(group="tiny", value=0.0, few=True)
    with_small = summarize_groups(pd.concat([groups, small]), "label", "R@1")
    assert with_small == f"{summary} 1 group of fewer than 10 pairs say little."
    alike = summarize_groups(groups.assign(high=0.95), "label", "R@1")
    assert alike.startswith(
        "Of 2 groups by label none lies below the mean of 0.500 by more than the interval;"
    )
    many = pd.concat([groups.tail(1)] * 41 + [groups.head(1)])
    assert "42 lie below the mean of 0.119 by more than the interval (1 would by chance)" in summarize_groups(
        many.assign(high=0.11), "label", "R@1"
    )


def test_the_smallest_and_the_largest_gallery_are_named_and_one_size_once():
    both = [("text-to-image", 10, 0.9), ("text-to-image", 20, 0.7), ("text-to-image", 40, 0.5)]
    sizes = pd.DataFrame([*both, ("image-to-text", 3, 1.0)], columns=["direction", "size", "value"])
    assert summarize_gallery_sizes(sizes, "Success@1") == (
        "Success@1: text-to-image 0.900 among 10 items, 0.500 among 40 items; image-to-text 1.000 among 3 items."
    )


def causes(*rows):
    return frame(rows, "direction cause kind missed")


def test_misses_are_given_with_their_causes_and_the_models_share():
    found = causes(
        ("text-to-image", "suspected wrong pair", "data", 3),
        ("text-to-image", "the model", "model", 1),
        ("image-to-text", "lost by index", "index", 1),
    )
    assert summarize_losses(found, {"text-to-image": 2000, "image-to-text": 10, "none": 0}, 10) == (
        "Without a right answer among the first 10: text-to-image 4 of 2,000 queries (0.2%): suspected wrong pair 3, "
        "the model 1; image-to-text 1 of 10 queries (10.0%): lost by index 1. Of 5 misses 3 come from the data; 1 "
        "is put down to the model."
    )
    assert summarize_losses(found.head(1), {"text-to-image": 4}, 1).endswith(
        "All 3 misses come from the data; none is put down to the model."
    )
    assert summarize_losses(found.head(0), {"text-to-image": 4}, 1) == (
        "Without a right answer among the first 1: text-to-image 0 of 4 queries."
    )


def test_the_most_frequent_failure_is_named():
    rows = [("text-to-image", "text", 0.75, 3, 0.5, 0), ("text-to-image", "image", 0.25, 1, 0.1, 0)]
    shares = frame(rows, "direction failed value queries among_found image_unknown")
    first = "text-to-image: 3 of 4 misses stand among wrong neighbours by the *text* (75%; of the found 50%)"
    assert summarize_failures(shares) == f"{first}."
    unknown = summarize_failures(shares.assign(image_unknown=0.25))
    assert unknown == f"{first}, 25% with an image that has no pair or label to be judged by."
    assert "No query was missed" in summarize_failures(shares.head(0))


def test_separation_gives_auc_overlap_and_peaks():
    apart = pd.DataFrame({"positive": [0.8, 0.9], "negative": [0.1, 0.2]})
    d = np.sqrt(2) * 0.7 / np.sqrt(2 * 0.05**2)
    assert (
        f"100.0% of all comparisons (AUC); their densities share 0.0% of their area; Ashman's D is {d:.2f}, two"
        in (summarize_separation(apart))
    )
    assert "one peak" in summarize_separation(apart.assign(negative=apart["positive"]))
    assert "no cosine" in summarize_separation(apart.head(0))


def test_suspects_are_held_against_what_is_known():
    columns = "list listed right known precision recall"
    wrong = pd.DataFrame({"suspected": [True] * 4 + [False] * 16, "false_alarms": np.arange(20) / 20})
    summary = summarize_suspects(wrong, 0, frame([("wrong pairs", 4, 3, 6, 0.75, 0.5)], columns))
    assert "Of the 2 texts that fit their image worst, 5% are expected to be false alarms" in summary
    assert summary.endswith("Of 6 known wrong pairs 50% are listed, and 75% of the list are right.")
    nothing = frame([("false negatives", 0, 0, 0, np.nan, np.nan)], columns)
    none = "0 suspected wrong pairs of 0 read, of all splits, and 0 suspected false negatives of the queries judged."
    assert summarize_suspects(wrong.head(0), 0, nothing) == none


def test_labels_by_hand_say_how_much_they_change():
    compared = frame([("RR", 2), ("AP", 5)], "measure queries_changed")
    assert "7 judgements by hand, which change the scores of up to 5 queries" in summarize_labels(compared, 7)
    assert "No relevance" in summarize_labels(compared.head(0), 0)
    partial = frame(
        [("RR", 2), ("Judged@10", 9)], "measure queries_changed"
    )  # which changes with any judgement
    assert "up to 2 queries" in summarize_labels(partial, 7)


def test_too_few_judged_hits_are_a_warning():
    columns = "direction measure with with_low with_high queries"
    rows = [
        ("text-to-image", "RR", 0.1, 0.0, 0.2, 90),
        ("text-to-image", "Judged@10", 0.8, 0.7, 0.9, 12),
        ("image-to-text", "Judged@10", 1.0, 0.9, 1.0, 1),
    ]
    enough = summarize_judged(frame(rows, columns), 5)
    assert enough == (
        "The first 10 hits that are judged, of queries judged by hand: text-to-image 80 of 100 (70 to 90), 12 queries; "
        "image-to-text 100 of 100 (90 to 100), 1 query."
    )
    rows[1] = ("text-to-image", "Judged@10", 0.79, 0.7, 0.9, 12)
    warning = summarize_judged(frame(rows, columns), 1234)
    assert warning.startswith(
        "**Too few hits are judged** to trust the figures with judgements (expected 80 of 100"
    )
    assert warning.endswith("`evaluation.unjudged()` lists 1,234 hits to judge next.")
    assert summarize_judged(frame(rows, columns).head(0), 0) == ""


def test_a_name_from_outside_stays_text():
    assert escape_markdown("<b>x</b>\n# _y_ [z](u)") == r"&lt;b&gt;x&lt;/b&gt; \# \_y\_ \[z\]\(u\)"
    assert len(escape_markdown("a" * 500)) == 80


def test_whether_texts_and_images_share_a_space_is_named():
    one, other = (Space(name, "1", "", "", "", 2) for name in ("bge", "dino"))
    texts = Vectors(["t"], [[1, 0]], one)
    assert "one space" in summarize_spaces({"text": texts, "image": Vectors(["i"], [[1, 0]], one)})
    summary = summarize_spaces({"text": texts, "image": Vectors(["i"], [[1, 0]], other)})
    assert "space of bge and images in that of dino" in summary
    assert "do not compare with those of a joint space" in summary


def test_what_siblings_mean_is_said_where_a_model_needs_them():
    needed = {"text-to-image": ["owner/mpnet"], "image-to-text": ["dino"]}
    answering = {"text-to-image": ["clip"], "image-to-text": ["clip"]}
    kept = summarize_siblings(needed, answering, kept=True)
    assert (
        "text-to-image by owner/mpnet measures whether a caption finds another caption of its image" in kept
    )
    assert "image-to-text by dino measures whether an image finds another image of its texts" in kept
    left_out = summarize_siblings({"text-to-image": ["a", "b"]}, answering, kept=False)
    assert left_out.startswith("text-to-image: a + b finds images through captions of their pair alone")
    assert "it has no vote here, unlike for questions of your own, and clip answers." in left_out
    assert summarize_siblings({}, {}, kept=True) == summarize_siblings({}, {}, kept=False) == ""


def test_spaces_are_compared_by_their_matched_pairs():
    rows = [
        ("clip-1", "texts with images", 4, 0.9, 0.325, 15 / 16),
        ("dino-1", "not comparable", 0, None, None, None),
    ]
    table = pd.DataFrame(
        rows, columns=["space", "compared", "pairs", "matched mean", "mismatched mean", "AUC"]
    )
    assert summarize_space_comparison(table) == (
        "By clip a matched pair (texts with images) has a higher cosine than a mismatched one in 93.8% of all "
        "comparisons (AUC): 0.90 against 0.33 in the mean. By dino no two items of a pair can be compared."
    )
    twice = table.assign(space=["clip-1", "clip-2"], pairs=4, AUC=1.0).fillna(0.0)
    assert "By clip-2 a matched" in summarize_space_comparison(twice)  # two prompts of one model


def test_nothing_to_say_is_said():
    means = frame([("text-to-image", "RR", 0.5, 0.4, 0.6)], "direction measure value low high")
    nothing = "No query has a known right answer here, so there is nothing to evaluate."
    assert summarize_measures(means, "AP") == nothing
    assert summarize_losses(pd.DataFrame(), {"text-to-image": 0}, 5) == nothing
    assert summarize_losses(pd.DataFrame(), {}, 5) == nothing
    assert summarize_steps_beside({}, {}) == summarize_steps_beside({"x": pd.DataFrame()}, {"x": 0}) == ""
    assert summarize_failures(pd.DataFrame()) == "No query was missed, so neither modality failed."


def test_both_directions_stand_in_one_sentence():
    columns = "direction measure value low high"
    rows = [("text-to-image", "RR", 0.5, 0.4, 0.6), ("image-to-text", "RR", 1, 0.9, 1), ("x", "AP", 0, 0, 0)]
    assert summarize_measures(frame(rows, columns), "RR") == (
        "RR: text-to-image 0.500 (0.400 to 0.600), image-to-text 1.000 (0.900 to 1.000)."
    )
    rows = [("index", "exact", 1200, 3, 4000, 0.2, 0.4), ("fused", "index", 0, 7, 4000, 0.0, 0.01)]
    beside, both = (
        frame(rows, "step made_from lost gained queries low high"),
        ("text-to-image", "image-to-text"),
    )
    assert summarize_steps_beside({"text-to-image": beside}, {"text-to-image": 4000}) == (
        "Not in the answer: text-to-image index loses 1,200 and gains 3 of exact; "
        "text-to-image fused loses 0 and gains 7 of index."
    )
    nothing = beside.assign(lost=0, gained=0)
    alike = dict(zip(both, (nothing, nothing.head(1)), strict=True))
    assert summarize_steps_beside(alike, dict.fromkeys(both, 4000)) == (
        "Not in the answer, and no right answer would be lost by the index and fused."
    )
    assert summarize_steps_beside({"text-to-image": beside}, {"text-to-image": 9000}) == (
        "Not in the answer (asked 4,000 of 9,000 queries of text-to-image, drawn by pair): text-to-image index loses "
        "1,200 (30.00%, 20.00% to 40.00%) and gains 3 of exact; text-to-image fused loses 0 (0.00%, 0.00% to 1.00%) "
        "and gains 7 of index."
    )
    assert summarize_steps_beside(alike, {"text-to-image": 9000, "image-to-text": 4000}) == (
        "Not in the answer, and no right answer would be lost by the index and fused (asked 4,000 of 9,000 queries of "
        "text-to-image, drawn by pair); with 95% confidence at most 40.00%."
    )
    columns = "direction failed value queries among_found image_unknown"
    rows = [
        ("text-to-image", "text", 0.25, 1000, np.nan, 0), ("text-to-image", "both", 0.75, 3000, np.nan, 0),
        ("image-to-text", "image", 1.0, 2, 0.125, 0.5),
    ]  # fmt: skip
    assert summarize_failures(frame(rows, columns)) == (
        "text-to-image: 3,000 of 4,000 misses stand among wrong neighbours by *both* text and image (75%); "
        "image-to-text: 2 of 2 misses stand among wrong neighbours by the *image* (100%; of the found 12%), 50% with "
        "an image that has no pair or label to be judged by."
    )


def test_groups_of_other_columns_and_directions_are_left_out_and_small_ones_named_only_alone():
    rows = [
        ("text-to-image", "label", "mug", 0.9, False), ("text-to-image", "label", "hat", 0.1, True),
        ("text-to-image", "label", "cap", 0.4, False), ("image-to-text", "label", "pan", 0.0, False),
        ("text-to-image", "split", "test", 0.0, False),
    ]  # fmt: skip
    groups = with_intervals(frame(rows, "direction column group value few"))
    assert summarize_groups(groups, "label", "RR") == (
        "Of 2 groups by label 1 lies below the mean of 0.650 by more than the interval; the lowest is *cap* with "
        "0.400 (0.300 to 0.500) (RR, text-to-image). 1 group of fewer than 10 pairs say little."
    )
    assert "the lowest is *hat* with 0.100" in summarize_groups(groups.iloc[:2], "label", "RR")
    alone = "The queries have one split or none, so there is nothing to compare."
    assert summarize_groups(groups, "split", "RR") == summarize_groups(groups.head(0), "split", "RR") == alone


@pytest.mark.parametrize(("count", "tenth"), [(20, 2), (21, 3), (29, 3), (30, 3)])
def test_the_worst_tenth_is_rounded_up(count, tenth):
    wrong = pd.DataFrame(
        {"suspected": [True] * 3 + [False] * (count - 3), "false_alarms": np.arange(count) / 100}
    )
    plain = f"3 suspected wrong pairs of {count} read, of all splits, "
    plain += "and 1,234 suspected false negatives of the queries judged."
    assert summarize_suspects(wrong, 1234, pd.DataFrame()) == (
        f"{plain} Of the {tenth} texts that fit their image worst, {tenth - 1}% are expected to be false alarms "
        "(by the scores of texts with images drawn at random)."
    )
    unknown = wrong.assign(false_alarms=np.nan)
    assert summarize_suspects(unknown, 1234, pd.DataFrame()) == plain
    columns = "list listed right known precision recall"
    scored = frame([("wrong pairs", 0, 0, 1200, np.nan, 0.0)], columns)
    assert summarize_suspects(pd.DataFrame(), 1, scored.head(0)).startswith("0 suspected wrong pairs")
    assert summarize_suspects(unknown, 1234, scored) == f"{plain} Of 1,200 known wrong pairs 0% are listed."


def test_peaks_are_two_where_ashmans_d_is_over_two():
    """Variance 0.01 and 0.01: D is the distance of the means over 0.1."""
    cosines = pd.DataFrame({"positive": [0.4, 0.6] * 600})
    for distance, peaks in ((0.199, "one peak"), (0.201, "two peaks")):
        summary = summarize_separation(cosines.assign(negative=cosines["positive"] - distance))
        assert summary.startswith(
            "Of 1,200 right pairs and as many wrong ones, a right pair scores above a wrong one in"
        )
        assert summary.endswith(f"Ashman's D is {10 * distance:.2f}, {peaks} (two if over 2).")


def test_names_are_cut_to_eighty_letters_and_judgements_counted_at_most():
    assert escape_markdown("a" * 79 + "*b") == "a" * 79 + r"\*"
    assert escape_markdown("abc", most=2) == "ab"
    assert escape_markdown("'\"&") == "'\"&amp;"
    compared = frame([("RR", 2000), ("AP", 5)], "measure queries_changed")
    assert summarize_labels(compared, 1200) == (
        "1,200 judgements by hand, which change the scores of up to 2,000 queries of a direction."
    )


def test_splits_are_given_with_their_galleries_and_in_one_size():
    rows = [
        ("text-to-image", "test", 200, 0.9, 0.8, 0.95, 100, 0.93),
        ("text-to-image", "*train*", 100, 0.7, 0.6, 0.8, 100, 0.7),
    ]
    table = pd.DataFrame(
        rows, columns=["direction", "split", "gallery", "value", "low", "high", "size", "same_size"]
    )
    assert summarize_splits(table, "Success@1", ["huge"]) == (
        "Success@1 by split, each against its own items: text-to-image test 0.900 (0.800 to 0.950; 200 items), "
        "\\*train\\* 0.700 (0.600 to 0.800; 100 items); among 100 items test 0.930, \\*train\\* 0.700. "
        "No two splits differ by more than their intervals. Too large to rank beside: huge."
    )
    apart = summarize_splits(table.assign(low=[0.85, 0.6]), "Success@1")
    assert "No two splits differ" not in apart
