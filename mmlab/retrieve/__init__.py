"""query -> hits, many queries -> rankings, and rankings -> rankings: normalise, fuse, calibrate, rescore."""

from mmlab.items.rankings import rank_by_score, rankings_from_scores
from mmlab.retrieve.calibrate import (
    CALIBRATIONS,
    Calibration,
    Isotonic,
    Logistic,
    Temperature,
    calibration_from_dict,
)
from mmlab.retrieve.centring import Centring
from mmlab.retrieve.early import mix_vectors, steer
from mmlab.retrieve.explain import explain_hit, judged_again, nearest_captions, ranks_by_step, ranks_of_query
from mmlab.retrieve.facets import facets, filter_examples, search_examples
from mmlab.retrieve.fitted import (
    Fitted,
    compare_calibrations,
    fit_calibration,
    read_calibrations,
    write_calibrations,
)
from mmlab.retrieve.fold import Fold, fold_queries
from mmlab.retrieve.fuse import FUSIONS, dbsf, fuse, rrf, weighted_sum
from mmlab.retrieve.hubness import (
    RESCORINGS,
    cosines,
    csls,
    inverted_softmax,
    qb_norm,
)
from mmlab.retrieve.hybrid import hybrid, hybrid_examples, hybrid_ways
from mmlab.retrieve.latency import time_answers
from mmlab.retrieve.normalize import NORMALIZERS, compare_normalizers, normalize
from mmlab.retrieve.occlusion import occlude_image, occlude_words
from mmlab.retrieve.pairs import rank_through_pairs
from mmlab.retrieve.rank import rank
from mmlab.retrieve.recipe import Recipe
from mmlab.retrieve.reliability import calibration_error, reliability
from mmlab.retrieve.rerank import contents_of, find_judge, find_matcher, match_by_crops, rerank
from mmlab.retrieve.rescore import TEMPERATURES, choose_temperature, hubness_table, rescored
from mmlab.retrieve.search import Retriever, open_retrievers
from mmlab.retrieve.sentences import (
    say_calibrations,
    say_hubs,
    say_occlusion,
    say_steps,
    say_weights,
    show_weights,
)
from mmlab.retrieve.stepwise import Ranked, rank_directions, rank_in_steps
from mmlab.retrieve.systems import askers, rank_models
from mmlab.retrieve.trials import (
    judge_rescorings,
    measure_gap,
    occurrences,
    try_calibrations,
    try_rescorings,
)
from mmlab.retrieve.weigh import (
    LearnedWeights,
    confidence,
    learn_weights,
    weights_by_confidence,
)
from mmlab.retrieve.weight_trial import WeightTrial, try_model_weights, try_weights, weigh_systems
from mmlab.retrieve.within import rank_within

__all__ = [
    "CALIBRATIONS",
    "FUSIONS",
    "NORMALIZERS",
    "RESCORINGS",
    "TEMPERATURES",
    "Calibration",
    "Centring",
    "Fitted",
    "Fold",
    "Isotonic",
    "LearnedWeights",
    "Logistic",
    "Ranked",
    "Recipe",
    "Retriever",
    "Temperature",
    "WeightTrial",
    "askers",
    "calibration_error",
    "calibration_from_dict",
    "choose_temperature",
    "compare_calibrations",
    "compare_normalizers",
    "confidence",
    "contents_of",
    "cosines",
    "csls",
    "dbsf",
    "explain_hit",
    "facets",
    "filter_examples",
    "find_judge",
    "find_matcher",
    "fit_calibration",
    "fold_queries",
    "fuse",
    "hubness_table",
    "hybrid",
    "hybrid_examples",
    "hybrid_ways",
    "inverted_softmax",
    "judge_rescorings",
    "judged_again",
    "learn_weights",
    "match_by_crops",
    "measure_gap",
    "mix_vectors",
    "nearest_captions",
    "normalize",
    "occlude_image",
    "occlude_words",
    "occurrences",
    "open_retrievers",
    "qb_norm",
    "rank",
    "rank_by_score",
    "rank_directions",
    "rank_in_steps",
    "rank_models",
    "rank_through_pairs",
    "rank_within",
    "rankings_from_scores",
    "ranks_by_step",
    "ranks_of_query",
    "read_calibrations",
    "reliability",
    "rerank",
    "rescored",
    "rrf",
    "say_calibrations",
    "say_hubs",
    "say_occlusion",
    "say_steps",
    "say_weights",
    "search_examples",
    "show_weights",
    "steer",
    "time_answers",
    "try_calibrations",
    "try_model_weights",
    "try_rescorings",
    "try_weights",
    "weigh_systems",
    "weighted_sum",
    "weights_by_confidence",
    "write_calibrations",
]
