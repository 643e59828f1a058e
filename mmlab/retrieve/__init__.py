"""query -> hits, many queries -> rankings, and rankings -> rankings: normalise, fuse, calibrate, rescore."""

from mmlab.retrieve.pipeline import rank_directions
from mmlab.retrieve.query.rerank import rerank
from mmlab.retrieve.query.retriever import Retriever, open_retrievers
from mmlab.retrieve.scores.calibrate import CALIBRATIONS
from mmlab.retrieve.scores.fitted_calibration import fit_calibration
from mmlab.retrieve.scores.fuse import FUSIONS, dbsf, fuse, rrf, weighted_sum
from mmlab.retrieve.scores.hubness import RESCORINGS, csls, qb_norm
from mmlab.retrieve.scores.normalize import NORMALIZERS

__all__ = [
    "CALIBRATIONS",
    "FUSIONS",
    "NORMALIZERS",
    "RESCORINGS",
    "Retriever",
    "csls",
    "dbsf",
    "fit_calibration",
    "fuse",
    "open_retrievers",
    "qb_norm",
    "rank_directions",
    "rerank",
    "rrf",
    "weighted_sum",
]
