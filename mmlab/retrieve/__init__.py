"""query -> hits, many queries -> rankings, and rankings -> rankings: normalise, fuse, calibrate, rescore, diversify."""

from mmlab.retrieve.calibrate import (
    CALIBRATIONS,
    Calibration,
    Isotonic,
    Logistic,
    Temperature,
    calibration_from_dict,
)
from mmlab.retrieve.centring import Centring, modality_gap
from mmlab.retrieve.diversity import diversify
from mmlab.retrieve.early import mix_vectors
from mmlab.retrieve.facets import facets
from mmlab.retrieve.fuse import FUSIONS, dbsf, rrf, weighted_sum
from mmlab.retrieve.hubness import (
    RESCORINGS,
    cosines,
    count_occurrences,
    csls,
    inverted_softmax,
    qb_norm,
    skewness,
)
from mmlab.retrieve.normalize import NORMALIZERS, normalize
from mmlab.retrieve.order import rank_by_score, rankings_from_scores
from mmlab.retrieve.rank import rank
from mmlab.retrieve.reliability import calibration_error, reliability
from mmlab.retrieve.search import Retriever
from mmlab.retrieve.weigh import LearnedWeight, confidence, learn_weight, weights_by_confidence

__all__ = [
    "CALIBRATIONS",
    "FUSIONS",
    "NORMALIZERS",
    "RESCORINGS",
    "Calibration",
    "Centring",
    "Isotonic",
    "LearnedWeight",
    "Logistic",
    "Retriever",
    "Temperature",
    "calibration_error",
    "calibration_from_dict",
    "confidence",
    "cosines",
    "count_occurrences",
    "csls",
    "dbsf",
    "diversify",
    "facets",
    "inverted_softmax",
    "learn_weight",
    "mix_vectors",
    "modality_gap",
    "normalize",
    "qb_norm",
    "rank",
    "rank_by_score",
    "rankings_from_scores",
    "reliability",
    "rrf",
    "skewness",
    "weighted_sum",
    "weights_by_confidence",
]
