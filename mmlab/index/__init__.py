"""Collections of vectors with their payload: Qdrant Edge in a folder by default, a Qdrant server by URL.

Sub-folders, from the ground up: schema, store and engines; over them collections, index and build; then bench.
"""

from mmlab.index.bench.index_sweep import sweep_index
from mmlab.index.bench.search_benchmark import Workload, benchmark_search, compare_layouts, compare_placements
from mmlab.index.build import build_index, open_index, open_store, push
from mmlab.index.collections import download_collection, is_collection
from mmlab.index.engines.edge_folder import StoreTaken
from mmlab.index.index import Index
from mmlab.index.store.engine import NoCollection
from mmlab.index.store.schema import Cluster, Hnsw, Quantization, WrongSchema
from mmlab.index.store.store import Store

__all__ = [
    "Cluster",
    "Hnsw",
    "Index",
    "NoCollection",
    "Quantization",
    "Store",
    "StoreTaken",
    "Workload",
    "WrongSchema",
    "benchmark_search",
    "build_index",
    "compare_layouts",
    "compare_placements",
    "download_collection",
    "is_collection",
    "open_index",
    "open_store",
    "push",
    "sweep_index",
]
