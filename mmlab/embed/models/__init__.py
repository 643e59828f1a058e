"""Models behind one interface: one adapter per family, chosen from the checkpoint's own config."""

from mmlab.embed.models.interface import Matcher, Model, ModelError
from mmlab.embed.models.load import DeferredModel, load_for, load_model, load_pair_scorer

__all__ = ["DeferredModel", "Matcher", "Model", "ModelError", "load_for", "load_model", "load_pair_scorer"]
