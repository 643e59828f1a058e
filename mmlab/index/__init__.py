"""Collections of vectors with their payload: Qdrant Edge in a folder by default, a Qdrant server by URL."""

from mmlab.index.bench.faiss import has_faiss, sweep_faiss
from mmlab.index.bench.index_sweep import NotTunable, sweep_index
from mmlab.index.bench.labels import best_of_graphs, name_settings, say_placement
from mmlab.index.bench.latency import summarize_parts, time_parts
from mmlab.index.bench.layout_benchmark import compare_layouts, compare_placements
from mmlab.index.bench.recommend import frontier, recommend
from mmlab.index.bench.search_benchmark import judge_search, search_settings
from mmlab.index.build import build_index, open_index
from mmlab.index.edge.lock import StoreTaken
from mmlab.index.index import EmptyIndex, Index
from mmlab.index.opening import open_store
from mmlab.index.push import PushFailed, push
from mmlab.index.schema.collection_names import collection_name
from mmlab.index.schema.index_settings import BinaryWarning, Cluster, Hnsw, Quantization
from mmlab.index.schema.schema import LAYOUTS, Schema, WrongSchema, describe_fields, schema_for
from mmlab.index.store.engine import NoCollection
from mmlab.index.store.layouts import plan_index
from mmlab.index.store.store import Store

__all__ = [
    "LAYOUTS",
    "BinaryWarning",
    "Cluster",
    "EmptyIndex",
    "Hnsw",
    "Index",
    "NoCollection",
    "NotTunable",
    "PushFailed",
    "Quantization",
    "Schema",
    "Store",
    "StoreTaken",
    "WrongSchema",
    "best_of_graphs",
    "build_index",
    "collection_name",
    "compare_layouts",
    "compare_placements",
    "describe_fields",
    "frontier",
    "has_faiss",
    "judge_search",
    "name_settings",
    "open_index",
    "open_store",
    "plan_index",
    "push",
    "recommend",
    "say_placement",
    "schema_for",
    "search_settings",
    "summarize_parts",
    "sweep_faiss",
    "sweep_index",
    "time_parts",
]
