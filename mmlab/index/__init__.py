"""Collections of vectors with their payload: Qdrant Edge in a folder by default, a Qdrant server by URL."""

from mmlab.index.building import build_index, open_index
from mmlab.index.costs import compare_layouts, compare_placements
from mmlab.index.engine import NoCollection
from mmlab.index.faiss import has_faiss, sweep_faiss
from mmlab.index.index import EmptyIndex, Index
from mmlab.index.judge import judge_search, search_settings
from mmlab.index.latency import summarize_parts, time_parts
from mmlab.index.layouts import plan_index
from mmlab.index.lock import StoreTaken
from mmlab.index.names import collection_name
from mmlab.index.opening import open_store
from mmlab.index.push import PushFailed, push
from mmlab.index.recommend import frontier, recommend
from mmlab.index.schema import LAYOUTS, Schema, WrongSchema, describe_fields, schema_for
from mmlab.index.settings import BinaryWarning, Cluster, Hnsw, Quantization
from mmlab.index.store import Store
from mmlab.index.sweep import NotTunable, sweep_index
from mmlab.index.wording import best_of_graphs, name_settings, say_placement

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
