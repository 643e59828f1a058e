"""The room of notebook 02: items become vectors of one space, each content embedded once."""

import os

# Read when torch is loaded. Threads that spin while they wait take the core from those that work: one query on a busy
# machine of two cores takes 420 ms then, and 3 ms if they sleep.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from mmlab.embed.embedding import Embedded, VectorCache, embed_items
from mmlab.embed.encode import embed_queries
from mmlab.embed.models import (
    DeferredModel,
    Matcher,
    Model,
    ModelError,
    load_for,
    load_model,
    load_pair_scorer,
)
from mmlab.embed.multi_model import embed_with_models

__all__ = [
    "DeferredModel",
    "Embedded",
    "Matcher",
    "Model",
    "ModelError",
    "VectorCache",
    "embed_items",
    "embed_queries",
    "embed_with_models",
    "load_for",
    "load_model",
    "load_pair_scorer",
]
