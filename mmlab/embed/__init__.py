"""Room of notebook 02: items become vectors of one space, each content embedded once."""

from mmlab.embed.benchmark import sweep_batches
from mmlab.embed.cache import VectorCache
from mmlab.embed.embedding import Embedded, embed_items
from mmlab.embed.models import Matcher, Model, ModelError, load_for, load_model
from mmlab.embed.multi_model import (
    cosines_to_float32,
    describe_rows,
    describe_spaces,
    describe_work,
    embed_with_models,
)

__all__ = [
    "Embedded",
    "Matcher",
    "Model",
    "ModelError",
    "VectorCache",
    "cosines_to_float32",
    "describe_rows",
    "describe_spaces",
    "describe_work",
    "embed_items",
    "embed_with_models",
    "load_for",
    "load_model",
    "sweep_batches",
]
