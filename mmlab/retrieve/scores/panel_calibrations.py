"""The calibrations that a panel offers: every kind, fitted for both directions of one system, on queries set apart."""

from collections.abc import Mapping

import pandas as pd

from mmlab.retrieve.scores.calibrate import CALIBRATIONS, Calibration
from mmlab.retrieve.scores.fitted_calibration import fit_calibration
from mmlab.retrieve.scores.query_split import fold_queries


def fit_calibrations(
    rankings: Mapping[str, pd.DataFrame],
    items: pd.DataFrame,
    qrels: Mapping[str, pd.DataFrame],
    seed: int = 0,
) -> dict[str, dict[str, Calibration]]:
    """Every kind of calibration by direction, {"temperature": {"text-to-image": ...}}, fitted on `rankings`.

    `rankings`, `qrels`: by direction, of one system: its calibrations hold for no other. Fitted on the fitting queries
    of `fold_queries` only. A direction that cannot be fitted is left out.
    """
    fitted: dict[str, dict] = {}
    for direction, ranked in rankings.items():
        for kind in CALIBRATIONS:
            try:
                fold = fold_queries(items, ranked["query_id"].unique(), seed)
                one = fit_calibration(kind, ranked, qrels[direction], fold)
            except ValueError:  # too few queries, or none that is wrong
                continue
            fitted.setdefault(kind, {})[direction] = one
    return fitted
