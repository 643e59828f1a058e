"""Evaluation: (qrels, rankings) -> tables of measures, intervals and failures; it knows no engines and no models.

These are the names for everyday use. The others are imported from `mmlab.evaluate.measures`, `.resampling`,
`.losses`, `.suspected`, `.protocol` and `.summaries`.
"""

from mmlab.evaluate.losses import explain_queries
from mmlab.evaluate.measures.geometry import modality_gap, vectors_by_modality
from mmlab.evaluate.measures.qrels import (
    mark_relevant,
    merge_qrels,
    qrels_from_labels,
    qrels_from_pairs,
    read_labels,
)
from mmlab.evaluate.measures.scoring import MEASURES, measure_names, score_directions, score_queries
from mmlab.evaluate.paired_comparison import changed_queries, compare_systems
from mmlab.evaluate.resampling import mean_by_groups, mean_measures
from mmlab.evaluate.suspected import suspected_false_negatives, suspected_wrong_pairs

__all__ = [
    "MEASURES",
    "changed_queries",
    "compare_systems",
    "explain_queries",
    "mark_relevant",
    "mean_by_groups",
    "mean_measures",
    "measure_names",
    "merge_qrels",
    "modality_gap",
    "qrels_from_labels",
    "qrels_from_pairs",
    "read_labels",
    "score_directions",
    "score_queries",
    "suspected_false_negatives",
    "suspected_wrong_pairs",
    "vectors_by_modality",
]
