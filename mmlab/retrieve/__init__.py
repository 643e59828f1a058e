"""Retrieval: a query -> hits, many queries -> rankings, and rankings -> rankings: fuse, rescore, calibrate, rerank.

These are the names for everyday use. The others are imported from `mmlab.retrieve.scores`, `.query`, `.pipeline` and
`.studies`.
"""

from mmlab.retrieve.pipeline import RetrievalConfig, rank_directions
from mmlab.retrieve.query.rerank import rerank
from mmlab.retrieve.query.retriever import Retriever
from mmlab.retrieve.query.search import search
from mmlab.retrieve.query.spec import Query, SearchResult
from mmlab.retrieve.query.systems import open_retrievers
from mmlab.retrieve.scores.calibrate import CALIBRATIONS
from mmlab.retrieve.scores.fitted_calibration import fit_calibration
from mmlab.retrieve.scores.fuse import FUSIONS, NORMALIZERS, dbsf, fuse, rrf, weighted_sum
from mmlab.retrieve.scores.hubness import RESCORINGS, csls, qb_norm
from mmlab.retrieve.scores.query_split import split_queries

__all__ = [
    "CALIBRATIONS",
    "FUSIONS",
    "NORMALIZERS",
    "RESCORINGS",
    "Query",
    "RetrievalConfig",
    "Retriever",
    "SearchResult",
    "csls",
    "dbsf",
    "fit_calibration",
    "fuse",
    "open_retrievers",
    "qb_norm",
    "rank_directions",
    "rerank",
    "rrf",
    "search",
    "split_queries",
    "weighted_sum",
]
