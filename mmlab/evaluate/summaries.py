"""The figures of a run in one file, `metrics.json`, and each table in one sentence.

Sentences beside figures are Markdown, in which labels stay text (`escape_markdown`). Those of `summarize_spaces`,
`summarize_published`, `summarize_labels` and `summarize_suspects` stand beside tables and are bare text.
"""

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmlab.evaluate.measures.geometry import separation, share_space
from mmlab.evaluate.measures.partial import JUDGED, JUDGED_CUTOFF, JUDGED_ENOUGH, PARTIAL_MEASURES
from mmlab.evaluate.resampling import MIN_GROUP_PAIRS
from mmlab.items import Vectors, replacing
from mmlab.items.sentences import count, listed, measure_with_interval, of_100, of_100_interval

BY_CHANCE = 0.025  # of groups that are no worse, so many lie below the mean by more than their interval
NOTHING_JUDGED = "No query has a known right answer here, so there is nothing to evaluate."
MIN_TWO_PEAKS = 2  # Ashman's D above which two groups are two peaks
MAX_NAME_CHARS = 80
# what is found, by which siblings of the query, and what is measured where they are kept
SIBLINGS = {
    "text-to-image": ("images", "captions", "a caption finds another caption of its image"),
    "image-to-text": ("texts", "images", "an image finds another image of its texts"),
}
# what the steps of a ranking are called in sentences
STEP_NAMES = {"exact": "exact search", "index": "the index", "quantized": "its quantized copies"}
# what of a pair stands among wrong neighbours
FAILED_WORDS = {
    "text": "the *text*",
    "image": "the *image*",
    "both": "*both* text and image",
    "neither": "*neither* text nor image",
    "unknown": "what is *unknown*",
}
ONE_SPACE = "Texts and images lie in one space, so every text has a cosine with every image."


def write_metrics(
    path: str | Path, means: pd.DataFrame, protocol: pd.DataFrame, **tables: pd.DataFrame
) -> Path:
    """Write tables as JSON, a list of rows each; what is NaN or missing becomes null.

    measures: `means` (direction, measure, value, low, high, queries); protocol: `protocol_card`; further `tables`
    under their names, as losses and space.
    """
    named = {"measures": means, "protocol": protocol, **tables}
    records = {name: [_plain_row(row) for row in table.to_dict("records")] for name, table in named.items()}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(records, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return Path(path)


def _plain_row(row: Mapping[Any, Any]) -> dict[Any, Any]:
    return {name: None if pd.isna(value) else value for name, value in row.items()}


def summarize_spaces(by_modality: Mapping[str, Vectors]) -> str:
    """Say whether a text and an image have a cosine, and what is left out where they have none."""
    if share_space(by_modality):
        return ONE_SPACE
    text, image = (by_modality[modality].space.model for modality in ("text", "image"))
    return (
        f"Texts lie in the space of {text} and images in that of {image}: a text and an image have no cosine. "
        "Their histogram, the modality gap, hubness and suspected wrong pairs need one and are left out. A text finds "
        "an image by the image's captions, so these figures do not compare with those of a joint space."
    )


def summarize_siblings(
    through_pairs: Mapping[str, Sequence[str]], answering: Mapping[str, Sequence[str]], kept: bool
) -> str:
    """Say what siblings of the queries mean for figures.

    through_pairs: the models that need them, by direction; answering: those whose answers count.

    Siblings are the other texts, or the other images, of a query's own pair. Nothing is said where no model needs them.

    >>> summarize_siblings({}, {}, kept=True)
    ''
    """
    parts = []
    for direction, models in through_pairs.items():
        names, others = (" + ".join(map(escape_markdown, some)) for some in (models, answering[direction]))
        found, siblings, measured = SIBLINGS[direction]
        parts.append(
            f"Siblings are kept: {direction} by {names} measures whether {measured}, so these figures compare neither "
            "with published ones nor with those of a joint space."
            if kept
            else f"{direction}: {names} finds {found} through {siblings} of their pair alone, and those of the query's "
            f"own pair are left out, so that it could find wrong {found} only: it has no vote here, unlike for "
            f"questions of your own, and {others} answers."
        )
    return " ".join(parts)


def summarize_separation(cosines: pd.DataFrame) -> str:
    """Give AUC, overlap and bimodality of `pair_cosines`."""
    if cosines.empty:
        return "A text and an image have no cosine here, so cosines cannot tell right pairs from wrong ones."
    apart = separation(cosines["positive"], cosines["negative"])
    peaks = "two peaks" if apart.ashman_d > MIN_TWO_PEAKS else "one peak"
    return (
        f"Of {len(cosines):,} right pairs and as many wrong ones, a right pair scores above a wrong one in "
        f"{apart.auc:.1%} of all comparisons (AUC); their densities share {apart.overlap:.1%} of their area; "
        f"Ashman's D is {apart.ashman_d:.2f}, {peaks} (two if over {MIN_TWO_PEAKS})."
    )


def summarize_space_comparison(compared: pd.DataFrame) -> str:
    """Give AUC and mean cosines of each space of `compare_spaces`."""
    names = _model_names(compared["space"].tolist())
    return " ".join(
        f"By {name} a matched pair ({row['compared']}) has a higher cosine than a mismatched one in {row['AUC']:.1%} "
        f"of all comparisons (AUC): {row['matched mean']:z.2f} against {row['mismatched mean']:z.2f} in the mean."
        if row["pairs"]
        else f"By {name} no two items of a pair can be compared."
        for name, row in zip(names, compared.to_dict("records"), strict=True)
    )


def _model_names(keys: Sequence[str]) -> list[str]:
    """Return the names of the models of spaces: their keys without the hash, unless two would be called alike."""
    short = [key.rpartition("-")[0] or key for key in keys]
    return [name if short.count(name) == 1 else key for name, key in zip(short, keys, strict=True)]


def summarize_measures(means: pd.DataFrame, measure: str) -> str:
    """Give one measure in both directions with its intervals; `means`: `mean_measures` with a column direction."""
    rows = means[means["measure"] == measure].to_dict("records")
    if not rows:
        return NOTHING_JUDGED
    parts = [f"{r['direction']} {measure_with_interval(r['value'], r['low'], r['high'])}" for r in rows]
    return f"{measure}: {', '.join(parts)}."


def summarize_published(compared: pd.DataFrame, model: str, dataset: str) -> str:
    """Say how many figures of `compare_with_published` are near, whose they are, and what usually explains a gap."""
    if compared.empty:
        return f"Nothing published is known for {model} on {dataset}."
    near = int(compared["near"].sum())
    source = compared["source"].iloc[0]
    summary = f"{near} of {len(compared)} figures published by {source} lie within 0.5 points."
    if near == len(compared):
        return summary
    return f"{summary} What usually explains a gap: {compared.loc[~compared['near'], 'reasons'].iloc[0]}."


def summarize_labels(effect: pd.DataFrame, judgements: int) -> str:
    """Say how much the judgements by hand change; `effect`: `label_effect`."""
    if effect.empty:
        return "No relevance has been judged by hand yet; judgements made in a panel are counted here."
    changed = int(effect.loc[~effect["measure"].isin(PARTIAL_MEASURES), "queries_changed"].max())
    return f"{judgements:,} judgements by hand, which change the scores of up to {changed:,} queries of a direction."


def summarize_judged(effect: pd.DataFrame, unjudged: int) -> str:
    """Say how many of the first ten hits are judged, and warn where it is fewer than 80 of 100.

    `effect`: `label_effect` of each direction. `unjudged`: how many hits there are to judge.
    """
    rows = effect[(effect["measure"] == JUDGED) & effect["with"].notna()].to_dict("records")
    if not rows:
        return ""
    parts = [
        f"{row['direction']} {of_100_interval(row['with'], row['with_low'], row['with_high'])}, "
        f"{count(row['queries'], 'query')}"
        for row in rows
    ]
    found = f"first {JUDGED_CUTOFF} hits that are judged, of queries judged by hand: {'; '.join(parts)}."
    if min(row["with"] for row in rows) >= JUDGED_ENOUGH:
        return f"The {found}"
    return (
        f"**Too few hits are judged** to trust the figures with judgements (expected {of_100(JUDGED_ENOUGH)} or more): "
        f"the {found} `evaluation.unjudged()` lists {count(unjudged, 'hit')} to judge next."
    )


def summarize_groups(groups: pd.DataFrame, column: str, measure: str) -> str:
    """Say how many groups of one column lie below the mean, text-to-image, and name the lowest.

    `groups`: `mean_by_groups`. A group whose interval holds the mean is no finding. Groups of few pairs are counted,
    not named, unless there are no others.
    """
    part = groups[(groups["column"] == column) & (groups["direction"] == "text-to-image")]
    few = int(part["few"].sum())
    part = part[~part["few"]] if len(part) - few >= 2 else part
    part = part.sort_values("value", kind="stable")
    name = escape_markdown(column)
    if len(part) < 2:
        return f"The queries have one {name} or none, so there is nothing to compare."
    mean = float(np.average(part["value"], weights=part["queries"]))
    below, lowest = int((part["high"] < mean).sum()), part.iloc[0]
    worst = f"*{escape_markdown(lowest['group'])}* with {measure_with_interval(*lowest[['value', 'low', 'high']])}"
    chance = round(BY_CHANCE * len(part))
    summary = (
        f"Of {len(part)} groups by {name} {below or 'none'} {'lies' if below < 2 else 'lie'} below the mean of "
        f"{mean:.3f} by more than the interval{f' ({chance} would by chance)' if below and chance else ''}; the lowest "
        f"is {worst} ({measure}, text-to-image)."
    )
    return (
        f"{summary} {count(few, 'group')} of fewer than {MIN_GROUP_PAIRS} pairs say little."
        if few
        else summary
    )


def summarize_gallery_sizes(sizes: pd.DataFrame, measure: str) -> str:
    """Give a measure in the smallest and the largest gallery; `sizes`: direction, size, value, by rising size.

    >>> sizes = pd.DataFrame({"direction": "text-to-image", "size": [10, 2000], "value": [0.9, 0.5]})
    >>> summarize_gallery_sizes(sizes, "Success@1")
    'Success@1: text-to-image 0.900 among 10 items, 0.500 among 2,000 items.'
    """
    parts = []
    for direction, part in sizes.groupby("direction", sort=False):
        ends = part.iloc[[0, -1]].drop_duplicates("size").to_dict("records")
        words = ", ".join("{value:.3f} among {size:,} items".format_map(end) for end in ends)
        parts.append(f"{direction} {words}")
    return f"{measure}: {'; '.join(parts)}."


def summarize_splits(splits: pd.DataFrame, measure: str, not_ranked: Sequence[str] = ()) -> str:
    """Give a measure by split, each against its own items, then in galleries of one size; say which were not ranked.

    `splits`: direction, split, gallery, value, low, high, size, same_size.
    """
    parts = []
    for direction, part in splits.groupby("direction", sort=False):
        rows = part.to_dict("records")
        own = ", ".join(
            f"{escape_markdown(row['split'])} {row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f}; "
            f"{row['gallery']:,} items)"
            for row in rows
        )
        sizes = ", ".join(f"{escape_markdown(row['split'])} {row['same_size']:.3f}" for row in rows)
        parts.append(f"{direction} {own}; among {rows[0]['size']:,} items {sizes}")
    left = f" Too large to rank beside: {', '.join(map(escape_markdown, not_ranked))}." if not_ranked else ""
    apart = (
        splits["low"].groupby(splits["direction"]).max() > splits["high"].groupby(splits["direction"]).min()
    )
    alike = "" if apart.any() else " No two splits differ by more than their intervals."
    return f"{measure} by split, each against its own items: {'. '.join(parts)}.{alike}{left}"


def summarize_losses(causes: pd.DataFrame, queries: Mapping[str, int], k: int) -> str:
    """Say per direction how many queries are missed, and by which causes; `causes`: `count_causes` of each direction.

    `queries`: how many were asked in each direction.
    """
    parts = []
    for direction, total in queries.items():
        own = causes[causes["direction"] == direction] if len(causes) else causes
        missed = int(own["missed"].sum()) if len(own) else 0
        named = ", ".join(f"{row['cause']} {row['missed']:,}" for row in own.to_dict("records"))
        share = f" ({missed / total:.1%}): {named}" if missed else ""
        if total:
            parts.append(f"{direction} {missed:,} of {total:,} queries{share}")
    if not parts:
        return NOTHING_JUDGED
    return f"Without a right answer among the first {k}: {'; '.join(parts)}. {_kinds(causes)}".strip()


def _kinds(causes: pd.DataFrame) -> str:
    """Say how many of the misses come from the data, and how many are the model's."""
    of_kind = causes.groupby("kind")["missed"].sum() if len(causes) else pd.Series(dtype=int)
    own, data, missed = int(of_kind.get("model", 0)), int(of_kind.get("data", 0)), int(of_kind.sum())
    if not data:
        return ""
    rest = f"{own or 'none'} {'are' if own > 1 else 'is'} put down to the model"
    whole = (
        f"All {count(missed, 'miss')} come" if data == missed else f"Of {count(missed, 'miss')} {data:,} come"
    )
    return f"{whole} from the data; {rest}."


def summarize_failures(shares: pd.DataFrame) -> str:
    """Name the most frequent failure per direction; `shares`: `failure_shares` with a column direction.

    Beside it stands how often queries that were found look the same, and for how many the image cannot be judged.
    """
    if shares.empty:
        return "No query was missed, so neither modality failed."
    parts = []
    for direction, part in shares.groupby("direction", sort=False):
        first, misses = part.loc[part["value"].idxmax()], part["queries"].sum()
        usual = "" if pd.isna(first["among_found"]) else f"; of the found {first['among_found']:.0%}"
        words = (
            f"{direction}: {first['queries']:,} of {count(misses, 'miss')} stand among wrong neighbours by "
            f"{FAILED_WORDS.get(first['failed'], first['failed'])} ({first['value']:.0%}{usual})"
        )
        if first["image_unknown"] > 0:
            words += f", {first['image_unknown']:.0%} with an image that has no pair or label to be judged by"
        parts.append(words)
    return f"{'; '.join(parts)}."


def summarize_steps_beside(beside: Mapping[str, pd.DataFrame], queries: Mapping[str, int]) -> str:
    """Say what steps would lose that are not in the answer; `beside`: direction -> rows of `losses_beside`.

    `queries`: how many there are in each direction. Where a step was asked fewer, its loss has an interval.
    """
    rows = [(direction, row) for direction, table in beside.items() for row in table.to_dict("records")]
    drawn = {
        direction: f"{row['queries']:,} of {queries[direction]:,} queries of {direction}"
        for direction, row in rows
        if row["queries"] < queries[direction]
    }
    asked = f" (asked {listed(list(drawn.values()))}, drawn by pair)" if drawn else ""
    parts = [
        f"{direction} {row['step']} loses {row['lost']:,}{_interval(row) if drawn else ''} and gains "
        f"{row['gained']:,} of {row['made_from']}"
        for direction, row in rows
        if row["lost"] or row["gained"]
    ]
    if parts:
        return f"Not in the answer{asked}: {'; '.join(parts)}."
    steps = dict.fromkeys(STEP_NAMES.get(row["step"], row["step"]) for _, row in rows)
    none = f"Not in the answer, and no right answer would be lost by {listed(list(steps))}{asked}"
    most = f"; with 95% confidence at most {max(row['high'] for _, row in rows):.2%}" if drawn else ""
    return f"{none}{most}." if rows else ""


def summarize_gain(compared: Mapping[str, pd.DataFrame]) -> str:
    """Say what ranking again changed; `compared`: direction -> rows of `compare_systems`, the step before first.

    >>> found = {"difference": 0.05, "difference_low": 0.01, "difference_high": 0.09}
    >>> summarize_gain({"text-to-image": pd.DataFrame([{"baseline": "fused", "measure": "RR", **found}])})
    'Ranking again, against fused, in points with paired 95% intervals: text-to-image RR +5.0 (+1.0 to +9.0).'
    """
    parts = [
        f"{direction} {row['measure']} {100 * row['difference']:+.1f} "
        f"({100 * row['difference_low']:+.1f} to {100 * row['difference_high']:+.1f})"
        for direction, table in compared.items()
        for row in table.to_dict("records")
    ]
    before = dict.fromkeys(
        STEP_NAMES.get(n, str(n)) for table in compared.values() for n in table["baseline"]
    )
    against = f"Ranking again, against {listed(list(before))}, in points with paired 95% intervals"
    return f"{against}: {', '.join(parts)}." if parts else ""


def _interval(row: Mapping[str, Any]) -> str:
    return f" ({row['lost'] / row['queries']:.2%}, {row['low']:.2%} to {row['high']:.2%})"


def summarize_suspects(wrong: pd.DataFrame, false_negatives: int, scored: pd.DataFrame) -> str:
    """Say how many are suspected, and where faults are known (`score_suspects`) how many of them rightly.

    `wrong`: `suspected_wrong_pairs`, of whose worst tenth the expected share of false alarms is given.
    """
    suspected = int(wrong["suspected"].sum()) if len(wrong) else 0
    summary = (
        f"{suspected:,} suspected wrong pairs of {len(wrong):,} read, of all splits, and {false_negatives:,} "
    )
    summary += "suspected false negatives of the queries judged."
    tenth = -(-len(wrong) // 10)
    chance = wrong["false_alarms"].iloc[tenth - 1] if tenth else np.nan
    if pd.notna(chance):
        summary += f" Of the {tenth:,} texts that fit their image worst, {chance:.0%} are expected to be false alarms"
        summary += " (by the scores of texts with images drawn at random)."
    for row in scored.to_dict("records"):
        if row["known"]:
            summary += f" Of {row['known']:,} known {row['list']} {row['recall']:.0%} are listed"
            summary += f", and {row['precision']:.0%} of the list are right." if row["listed"] else "."
    return summary


def escape_markdown(name: str, most: int = MAX_NAME_CHARS) -> str:
    """Return a name from outside as Markdown that shows it as it is: no tag, no emphasis, no link, one line."""
    line = escape(" ".join(str(name)[:most].split()), quote=False)
    return re.sub(r"([\\`*_{}\[\]()#+!|~-])", r"\\\1", line)
