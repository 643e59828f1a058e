"""The sentence beside a figure or a table, made from its numbers.

Those for figures are Markdown, in which labels stay text (`plain`); those for tables, `say_spaces`, `say_published`,
`say_labels` and `say_suspects`, are bare text, which `table` escapes.
"""

import re
from collections.abc import Mapping
from html import escape

import pandas as pd

from mmlab.evaluate.space.modalities import share_space
from mmlab.evaluate.space.separation import separation
from mmlab.items import Vectors

TWO_PEAKS = 2  # Ashman's D above which two groups are two peaks
ONE_SPACE = "Texts and images lie in one space, so every text has a cosine with every image."


def say_spaces(sides: Mapping[str, Vectors]) -> str:
    """Whether a text and an image have a cosine, and what cannot be shown where they have none."""
    if share_space(sides):
        return ONE_SPACE
    text, image = (sides[side].space.model for side in ("text", "image"))
    return (
        f"Texts lie in the space of {text} and images in that of {image}: a text and an image have no cosine. "
        "Their histogram, the modality gap, hubness and suspected wrong pairs need one and are left out. A text finds "
        "an image by the image's captions: another caption of the same photo gives it away, so these figures are "
        "higher than the images alone would earn, and do not compare with those of a joint space."
    )


def say_measures(means: pd.DataFrame, measure: str) -> str:
    """One measure in both directions with its intervals."""
    rows = means[means["measure"] == measure].to_dict("records")
    parts = [f"{r['direction']} {r['value']:.3f} ({r['low']:.3f} to {r['high']:.3f})" for r in rows]
    return f"{measure}: {', '.join(parts)}."


def say_published(beside: pd.DataFrame, model: str, dataset: str) -> str:
    """How many published figures the run comes near, where they are from, and what usually explains a gap."""
    if beside.empty:
        return f"Nothing published is known for {model} on {dataset}."
    near = int(beside["near"].sum())
    said = f"{near} of {len(beside)} figures published by {beside['source'].iloc[0]} lie within 0.5 points."
    if near == len(beside):
        return said
    return f"{said} What usually explains a gap: {beside.loc[~beside['near'], 'reasons'].iloc[0]}."


def say_labels(compared: pd.DataFrame, judgements: int) -> str:
    """How much the judgements by hand change."""
    if compared.empty:
        return "No relevance has been judged by hand yet; judgements made in a panel are counted here."
    moved = int(compared["queries_changed"].max())
    return f"{judgements:,} judgements by hand, which change the scores of up to {moved:,} queries of a direction."


def say_groups(groups: pd.DataFrame, column: str, measure: str) -> str:
    """The worst and the best group of one column, text-to-image."""
    part = groups[(groups["column"] == column) & (groups["direction"] == "text-to-image")]
    part = part.sort_values("value", kind="stable")
    if len(part) < 2:
        return f"The queries have one {plain(column)} or none, so there is nothing to compare."
    ends = [f"*{plain(r['group'])}* with {r['value']:.2f}" for r in part.iloc[[0, -1]].to_dict("records")]
    return f"Worst of {len(part)} groups by {plain(column)} is {ends[0]}, best {ends[1]} ({measure}, text-to-image)."


def say_losses(waterfalls: Mapping[str, pd.DataFrame], k: int) -> str:
    """Per direction what exact search misses and what the later steps change; from `waterfall_changes`."""
    parts = []
    for name, table in waterfalls.items():
        total, missed, *later = table["queries"].tolist()
        lost = sum(-change for change in later if change < 0)
        gained = sum(change for change in later if change > 0)
        parts.append(
            f"{name}: of {total:,} queries exact search misses {-missed:,} ({-missed / total:.1%}), "
            f"later steps lose {lost:,} and gain {gained:,}"
        )
    return f"Within the first {k}, {'; '.join(parts)}."


def say_failed(shares: pd.DataFrame) -> str:
    """The most frequent failure per direction; `shares`: `share_failed` with a column direction."""
    if shares.empty:
        return "No query was missed, so neither side failed."
    parts = []
    for name, part in shares.groupby("direction", sort=False):
        most = part.loc[part["value"].idxmax()]
        parts.append(
            f"{name} misses: most often *{most['failed']}* ({most['queries']:,} of {part['queries'].sum():,})"
        )
    return f"{'; '.join(parts)}."


def say_separation(cosines: pd.DataFrame) -> str:
    """AUC, overlap and bimodality of `pair_cosines`."""
    if cosines.empty:
        return (
            "A text and an image have no cosine here, so right and wrong pairs cannot be told apart by one."
        )
    apart = separation(cosines["positive"], cosines["negative"])
    peaks = "two peaks" if apart.ashman_d > TWO_PEAKS else "one peak"
    return (
        f"A right pair scores above a wrong one in {apart.auc:.1%} of all comparisons (AUC); the histograms share "
        f"{apart.overlap:.1%} of their area; Ashman's D is {apart.ashman_d:.2f}, {peaks} (two if over {TWO_PEAKS})."
    )


def say_suspects(wrong: int, false_negatives: int, judged: pd.DataFrame) -> str:
    """How many are suspected, and where the truth is known how many of them rightly."""
    said = f"{wrong:,} suspected wrong pairs and {false_negatives:,} suspected false negatives."
    for row in judged.to_dict("records"):
        if row["planted"]:
            said += f" Of {row['planted']:,} known {row['list']} {row['recall']:.0%} are listed"
            said += f", and {row['precision']:.0%} of the list are right." if row["listed"] else "."
    return said


def plain(words: str) -> str:
    """A name from outside as Markdown that shows it as it is: no tag, no emphasis, no link, one line."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~-])", r"\\\1", escape(" ".join(str(words)[:80].split()), quote=False))
