"""(qrels, rankings) -> tables. Knows nothing of engines and models."""

from mmlab.evaluate.failures.examples import best_queries, random_queries, worst_queries
from mmlab.evaluate.failures.explained import explain_queries, share_failed
from mmlab.evaluate.failures.false_negatives import alike, suspected_false_negatives
from mmlab.evaluate.failures.known_faults import (
    judge_false_negatives,
    judge_suspects,
    judge_wrong_pairs,
    read_planted,
)
from mmlab.evaluate.failures.losses import book_losses, loss_waterfall, waterfall_changes
from mmlab.evaluate.failures.sides import failed_sides
from mmlab.evaluate.failures.suspected import suspected_poor_texts, suspected_wrong_pairs
from mmlab.evaluate.measures.directions import join_directions, measure_names, score_directions
from mmlab.evaluate.measures.exact import exact_ranks
from mmlab.evaluate.measures.labels import append_labels, labels_between, read_labels
from mmlab.evaluate.measures.qrels import merge_qrels, qrels_from_labels, qrels_from_pairs
from mmlab.evaluate.measures.ranks import TIES, mark_relevant, right_ranks
from mmlab.evaluate.measures.scoring import MEASURES, score_queries, score_ranks
from mmlab.evaluate.metrics import write_metrics
from mmlab.evaluate.protocol import protocol_card, show_card, split_hash
from mmlab.evaluate.published import benchmark_of, beside_published, read_published
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
from mmlab.evaluate.space.geometry import (
    anisotropy,
    describe_space,
    effective_dimension,
    hubness,
    modality_gap,
)
from mmlab.evaluate.space.matched import compare_spaces, matched_cosines, say_matched
from mmlab.evaluate.space.modalities import joint_vectors, share_space, vectors_by_modality
from mmlab.evaluate.space.separation import Separation, cosines_between, pair_cosines, separation
from mmlab.evaluate.statistics.comparison import changed_queries, compare_systems
from mmlab.evaluate.statistics.labelled import compare_labels
from mmlab.evaluate.statistics.means import mean_by_group, mean_by_groups, mean_measures
from mmlab.evaluate.statistics.resampling import bootstrap_intervals, holm, permutation_p, smallest_difference

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
    "mark_relevant",
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
