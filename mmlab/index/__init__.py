"""Collections of vectors with their payload: Qdrant Edge in a folder by default, a Qdrant server by URL."""

from mmlab.index.engine import NoCollection
from mmlab.index.judge import judge_search
from mmlab.index.lock import StoreTaken
from mmlab.index.names import collection_name
from mmlab.index.schema import Hnsw, Schema, WrongSchema, schema_for
from mmlab.index.store import Store, open_store

__all__ = [
    "Hnsw",
    "NoCollection",
    "Schema",
    "Store",
    "StoreTaken",
    "WrongSchema",
    "collection_name",
    "judge_search",
    "open_store",
    "schema_for",
]
