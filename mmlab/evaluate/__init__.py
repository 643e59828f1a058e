"""(qrels, rankings) -> tables. Knows nothing of engines and models."""

from mmlab.evaluate.extremes import best_queries, worst_queries
from mmlab.evaluate.means import mean_by_group, mean_measures
from mmlab.evaluate.measures import MEASURES, score_queries
from mmlab.evaluate.metrics import write_metrics
from mmlab.evaluate.qrels import qrels_from_pairs
from mmlab.evaluate.similarity import Separation, pair_cosines, separation
from mmlab.evaluate.statistics import bootstrap_intervals

__all__ = [
    "MEASURES",
    "Separation",
    "best_queries",
    "bootstrap_intervals",
    "mean_by_group",
    "mean_measures",
    "pair_cosines",
    "qrels_from_pairs",
    "score_queries",
    "separation",
    "worst_queries",
    "write_metrics",
]
