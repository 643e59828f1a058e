"""Sentences made from the numbers of the tables, as a notebook puts them below its figures."""

from collections.abc import Mapping

import pandas as pd

from mmlab.retrieve.pipeline import Ranked
from mmlab.retrieve.scores.fitted_calibration import Fitted
from mmlab.retrieve.studies.weight_study import WeightTrial


def say_hubs(table: pd.DataFrame, gap: pd.DataFrame) -> str:
    """The skewness before, the rescoring that lowers it most in each direction, and the modality gap."""
    if table.empty:
        return "No model here has a joint space of texts and images: no gap to close, nothing to rescore."
    parts = []
    for direction, part in table.groupby("direction", sort=False):
        before, least = part.iloc[0], part.loc[part["skewness"].idxmin()]
        moved = least["Success@1"] - before["Success@1"]
        told = f"**{direction}**: the skewness of the 10-occurrence is {before['skewness']:.2f}, "
        lowered = (
            f"least with {least['rescoring']}: {least['skewness']:.2f}, where Success@1 moves by {moved:+.3f}"
        )
        parts.append(
            told + (lowered if least["skewness"] < before["skewness"] else "and no rescoring lowers it")
        )
    before, after = gap["modality gap"]
    closed = f"The modality gap is {before:.2f}, after centring {after:.2f}."
    return (
        f"{closed} {'. '.join(parts)}. Success@1 is of queries that nothing was chosen on. Above 1 a few hubs come up "
        "again and again; near 0 there are none."
    )


def say_calibrations(table: pd.DataFrame, says: Mapping[str, str]) -> str:
    """The calibration of the least error in each direction, and what it was fitted and judged on."""
    parts = []
    for direction, how in says.items():
        own = table[table["direction"] == direction]
        if len(own):
            best = own.loc[own["ece"].idxmin()]
            how = f"{best['calibration']} has the least expected calibration error, {best['ece']:.3f} ({how})"
        parts.append(f"**{direction}**: {how}.")
    return " ".join(parts) or "Nothing to calibrate: these models have no joint space of texts and images."


def show_weights(compared: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The comparison of each trial's systems with equal shares, its columns that fit a page; no rows without any."""
    columns = ["of", "system", "value", "low", "high", "difference", "difference_low", "difference_high"]
    tables = [table.assign(of=name) for name, table in compared.items()]
    return pd.concat(tables or [pd.DataFrame(columns=columns)]).filter([*columns, "p_holm", "queries"])


def say_weights(trials: Mapping[str, WeightTrial], compared: Mapping[str, pd.DataFrame]) -> str:
    """What the learned weights of each trial are worth on the queries that they were not learned on."""
    told = {name: _say_trial(trial, compared.get(name)) for name, trial in trials.items()}
    return " ".join(f"{name[0].upper()}{name[1:]}: {words}" for name, words in told.items())


def _say_trial(trial: WeightTrial, compared: pd.DataFrame | None) -> str:
    if compared is None or compared.empty:
        return f"no weight was learned: {trial.says}."
    if len(set(trial.weights.values())) == 1:
        return f"the learned weights are equal shares; {trial.says}."
    learned = compared[compared["system"].str.startswith("learned")].iloc[0]
    low, high = learned["difference_low"], learned["difference_high"]
    sure = "which the interval does not tell from 0" if low <= 0 <= high else "and the interval excludes 0"
    told = ", ".join(f"{name} {weight:.2g}" for name, weight in trial.weights.items())
    return (
        f"the learned weights are {told}; against equal shares they change the mean reciprocal rank by "
        f"{learned['difference']:+.3f} (95 % {low:+.3f} to {high:+.3f}), {sure}; {trial.says}."
    )


def say_occlusion(cells: pd.DataFrame, words: pd.DataFrame) -> str:
    """The cell and the word that the match rests on most."""
    cell, word = (table.loc[table["drop"].idxmax()] for table in (cells, words))
    return (
        f"The query and its first hit have a cosine of {words.attrs['cosine']:.3f}. What matters most: covering row "
        f"{cell['row']:.0f}, column {cell['column']:.0f} of the image lowers it by {cell['drop']:.3f}, "
        f"leaving out “{word['word']}” by {word['drop']:.3f}."
    )


def say_steps(ranked: Mapping[str, Ranked]) -> str:
    """Which steps ran in each direction, with which weights, and how a calibration was fitted."""
    parts = []
    for direction, found in ranked.items():
        told = f"**{direction}**: {', then '.join(found.steps)}"
        kind = found.calibration.calibration.kind if isinstance(found.calibration, Fitted) else ""
        weights = " + ".join(f"{weight:.2g} {name}" for name, weight in found.weights.items())
        details = [part for part in (weights, kind, found.fold.says if found.fold else "") if part]
        parts.append(f"{told} ({', '.join(details)})" if details else told)
    return "; ".join(parts) + "."
