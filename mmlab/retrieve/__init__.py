"""query -> hits, and many queries -> rankings."""

from mmlab.retrieve.facets import facets
from mmlab.retrieve.rank import rank
from mmlab.retrieve.search import Retriever

__all__ = ["Retriever", "facets", "rank"]
