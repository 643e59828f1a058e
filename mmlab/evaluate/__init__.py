"""(qrels, rankings) -> tables. Knows nothing of engines and models."""

from mmlab.evaluate.comparison import changed_queries, compare_systems
from mmlab.evaluate.exact import exact_ranks
from mmlab.evaluate.extremes import best_queries, random_queries, worst_queries
from mmlab.evaluate.failures import explain_queries, share_failed
from mmlab.evaluate.false_negatives import alike, suspected_false_negatives
from mmlab.evaluate.geometry import anisotropy, describe_space, effective_dimension, hubness, modality_gap
from mmlab.evaluate.labelled import compare_labels
from mmlab.evaluate.labels import append_labels, labels_between, read_labels
from mmlab.evaluate.matched import compare_spaces, matched_cosines, say_matched
from mmlab.evaluate.means import mean_by_group, mean_by_groups, mean_measures
from mmlab.evaluate.measures import MEASURES, score_queries, score_ranks
from mmlab.evaluate.metrics import write_metrics
from mmlab.evaluate.planted import judge_false_negatives, judge_suspects, judge_wrong_pairs, read_planted
from mmlab.evaluate.protocol import protocol_card, show_card, split_hash
from mmlab.evaluate.published import benchmark_of, beside_published, read_published
from mmlab.evaluate.qrels import merge_qrels, qrels_from_labels, qrels_from_pairs
from mmlab.evaluate.scoring import join_directions, measure_names, score_directions
from mmlab.evaluate.sentences import (
    say_failed,
    say_groups,
    say_labels,
    say_losses,
    say_measures,
    say_published,
    say_separation,
    say_spaces,
    say_suspects,
)
from mmlab.evaluate.sides import failed_sides
from mmlab.evaluate.similarity import Separation, cosines_between, pair_cosines, separation
from mmlab.evaluate.spaces import joint_vectors, share_space, vectors_by_modality
from mmlab.evaluate.statistics import bootstrap_intervals, holm, permutation_p, smallest_difference
from mmlab.evaluate.suspects import suspected_poor_texts, suspected_wrong_pairs
from mmlab.evaluate.ties import TIES, right_ranks
from mmlab.evaluate.waterfall import book_losses, loss_waterfall, waterfall_changes

__all__ = [
    "MEASURES",
    "TIES",
    "Separation",
    "alike",
    "anisotropy",
    "append_labels",
    "benchmark_of",
    "beside_published",
    "best_queries",
    "book_losses",
    "bootstrap_intervals",
    "changed_queries",
    "compare_labels",
    "compare_spaces",
    "compare_systems",
    "cosines_between",
    "describe_space",
    "effective_dimension",
    "exact_ranks",
    "explain_queries",
    "failed_sides",
    "holm",
    "hubness",
    "join_directions",
    "joint_vectors",
    "judge_false_negatives",
    "judge_suspects",
    "judge_wrong_pairs",
    "labels_between",
    "loss_waterfall",
    "matched_cosines",
    "mean_by_group",
    "mean_by_groups",
    "mean_measures",
    "measure_names",
    "merge_qrels",
    "modality_gap",
    "pair_cosines",
    "permutation_p",
    "protocol_card",
    "qrels_from_labels",
    "qrels_from_pairs",
    "random_queries",
    "read_labels",
    "read_planted",
    "read_published",
    "right_ranks",
    "say_failed",
    "say_groups",
    "say_labels",
    "say_losses",
    "say_matched",
    "say_measures",
    "say_published",
    "say_separation",
    "say_spaces",
    "say_suspects",
    "score_directions",
    "score_queries",
    "score_ranks",
    "separation",
    "share_failed",
    "share_space",
    "show_card",
    "smallest_difference",
    "split_hash",
    "suspected_false_negatives",
    "suspected_poor_texts",
    "suspected_wrong_pairs",
    "vectors_by_modality",
    "waterfall_changes",
    "worst_queries",
    "write_metrics",
]
