"""Cross-encoders of sentence-transformers: they read two contents together and give one score, to rank hits again.

Most read two texts (cross-encoder/ms-marco-MiniLM-L6-v2), some a text and an image (Qwen3-VL-Reranker).
Letters: N pairs.
"""

import re
from typing import Any

import numpy as np
import transformers
from sentence_transformers import CrossEncoder

from mmlab.embed.models.adapter import device_lock
from mmlab.embed.models.checkpoint import Checkpoint
from mmlab.embed.models.interface import ModelError
from mmlab.embed.models.parts import find_window
from mmlab.embed.models.sentence_encoder import read_pipeline

ADVICE = "give a cross-encoder of sentence-transformers such as cross-encoder/ms-marco-MiniLM-L6-v2"
SETTINGS = "config_sentence_transformers.json"
# What the library makes a cross-encoder of, where no modules.json says what it is.
SCORING = ("ForSequenceClassification", "ForCausalLM")
# The library imports and calls what a checkpoint names as its activation, if only it begins with "torch.".
ACTIVATION = re.compile(r"torch\.nn\.(modules\.(activation|linear)\.)?[A-Z]\w*")


class PairScorer:
    """A cross-encoder. name: as it was asked for; reads_images: whether it scores a text with an image."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint, self.name = checkpoint, checkpoint.name
        kind = _find_class(checkpoint)
        self.pipeline: CrossEncoder = read_pipeline(checkpoint, ADVICE, CrossEncoder, kind)
        if self.pipeline.num_labels != 1:
            raise ModelError(
                f"model {checkpoint.requested!r} gives {self.pipeline.num_labels} scores to a pair, expected one that "
                f"tells how well both belong together: {ADVICE}"
            )
        self.reads_images = {"image", "message"} <= set(self.pipeline.modalities)
        network = self.pipeline.transformers_model
        if not self.reads_images and network is not None:
            self.pipeline.max_seq_length = find_window(self.pipeline.tokenizer, network, network.config)

    def match(self, texts: list[Any], others: list[Any]) -> np.ndarray:
        """Return the scores, float32 (N,), of text i with the text, or the RGB image, i; higher is better.

        The scores are those of the library's `predict`. Raises ModelError for an image where the model reads texts.
        """
        if not self.reads_images and not all(isinstance(one, str) for one in [*texts, *others]):
            raise ModelError(
                f"model {self.checkpoint.requested!r} reads texts alone, found an image: ask by a text, or give a "
                "cross-encoder of texts and images"
            )
        with device_lock(self.checkpoint.device):
            pairs = list(zip(texts, others, strict=True))
            return self.pipeline.predict(pairs, show_progress_bar=False).astype(np.float32)


def _find_class(checkpoint: Checkpoint) -> Any:
    """Return the class of transformers that the weights are of; raise ModelError where they score no pairs."""
    repository = checkpoint.weights.repository
    settings = repository.read_json(SETTINGS)
    settings = settings if isinstance(settings, dict) else {}
    _check_activation(checkpoint, settings)
    architecture = next(iter(checkpoint.config.architectures or ()), "")
    if repository.read_json("modules.json"):
        found = settings.get("model_type", "SentenceTransformer")
        scores = found == "CrossEncoder"
    else:
        found, scores = architecture, architecture.endswith(SCORING)
    kind = getattr(transformers, architecture, None)
    if not scores or kind is None:
        raise ModelError(
            f"model {checkpoint.requested!r} is no cross-encoder but a {found or architecture or 'network alone'}, "
            f"which does not score pairs: {ADVICE}"
        )
    return kind


def _check_activation(checkpoint: Checkpoint, settings: dict[str, Any]) -> None:
    """Raise ModelError where the checkpoint names another function of torch to be called, in any of its settings."""
    own = getattr(checkpoint.config, "sentence_transformers", None)
    named = [
        settings.get("activation_fn"),
        own.get("activation_fn") if isinstance(own, dict) else None,
        getattr(checkpoint.config, "sbert_ce_default_activation_function", None),
    ]
    for name in named:
        if name and not ACTIVATION.fullmatch(str(name)):
            raise ModelError(
                f"model {checkpoint.requested!r}: its activation is {name!r}, expected one of torch.nn: {ADVICE}"
            )
