"""(qrels, rankings) -> tables. Knows nothing of engines and models."""

from mmlab.evaluate.comparison import changed_queries, compare_systems
from mmlab.evaluate.exact import exact_rankings, exact_ranks
from mmlab.evaluate.extremes import best_queries, worst_queries
from mmlab.evaluate.false_negatives import suspected_false_negatives
from mmlab.evaluate.geometry import anisotropy, describe_space, effective_dimension, hubness, modality_gap
from mmlab.evaluate.means import mean_by_group, mean_measures
from mmlab.evaluate.measures import MEASURES, score_queries, score_ranks
from mmlab.evaluate.metrics import write_metrics
from mmlab.evaluate.published import beside_published, read_published
from mmlab.evaluate.qrels import merge_qrels, qrels_from_labels, qrels_from_pairs
from mmlab.evaluate.sides import failed_sides
from mmlab.evaluate.similarity import Separation, pair_cosines, separation
from mmlab.evaluate.statistics import bootstrap_intervals, holm, permutation_p, smallest_difference
from mmlab.evaluate.suspects import suspected_poor_texts, suspected_wrong_pairs
from mmlab.evaluate.ties import TIES, right_ranks
from mmlab.evaluate.waterfall import book_losses, loss_waterfall

__all__ = [
    "MEASURES",
    "TIES",
    "Separation",
    "anisotropy",
    "beside_published",
    "best_queries",
    "book_losses",
    "bootstrap_intervals",
    "changed_queries",
    "compare_systems",
    "describe_space",
    "effective_dimension",
    "exact_rankings",
    "exact_ranks",
    "failed_sides",
    "holm",
    "hubness",
    "loss_waterfall",
    "mean_by_group",
    "mean_measures",
    "merge_qrels",
    "modality_gap",
    "pair_cosines",
    "permutation_p",
    "qrels_from_labels",
    "qrels_from_pairs",
    "read_published",
    "right_ranks",
    "score_queries",
    "score_ranks",
    "separation",
    "smallest_difference",
    "suspected_false_negatives",
    "suspected_poor_texts",
    "suspected_wrong_pairs",
    "worst_queries",
    "write_metrics",
]
