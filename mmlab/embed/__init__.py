"""Room of notebook 02: items become vectors of one space, each content embedded once."""

from mmlab.embed.cache import VectorCache
from mmlab.embed.embedding import Embedded, embed_items
from mmlab.embed.models import Matcher, Model, ModelError, load_for, load_model

__all__ = [
    "Embedded",
    "Matcher",
    "Model",
    "ModelError",
    "VectorCache",
    "embed_items",
    "load_for",
    "load_model",
]
