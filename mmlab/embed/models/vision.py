"""The adapter for the dual encoders of transformers: all that have get_text_features and get_image_features.

CLIP and OpenCLIP checkpoints, MetaCLIP 2, SigLIP, SigLIP 2 (also NaFlex), AltCLIP, Chinese-CLIP, ALIGN.
Its vectors are the projected features, which texts and images share, not the towers' own pooled output.
"""

from typing import Any

import torch
from transformers import AutoModel

from mmlab.embed.models.adapter import Adapter
from mmlab.embed.models.checkpoint import Checkpoint
from mmlab.embed.models.parts import read_image_processor, read_network, read_tokenizer
from mmlab.embed.models.reader import TextReader, token_window

TRAINED_PADDED = {"siglip", "siglip2"}  # saw every text padded to the whole window
TRAINED_SHORT = {"align": 64}  # tokens in training, where there are more positions than that


class DualEncoder(Adapter):
    """Two towers that meet in one space: `mmlab.embed.Model` for the CLIP family."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        network = read_network(AutoModel, checkpoint, self.advice)
        text_config = getattr(network.config, "text_config", network.config)
        tokenizer = read_tokenizer(checkpoint, text_config.vocab_size)
        window, family = token_window(tokenizer, network, text_config), network.config.model_type
        reader = TextReader(
            tokenizer,
            min(window, TRAINED_SHORT.get(family, window)),
            checkpoint.prompts,
            "max_length" if family in TRAINED_PADDED else "longest",
        )
        super().__init__(checkpoint, network, "joint projection", reader, read_image_processor(checkpoint))

    def project(self, modality: str, inputs: dict[str, Any]) -> torch.Tensor:
        """The joint projection (N, D)."""
        network = self.network
        features = network.get_text_features if modality == "text" else network.get_image_features
        return features(**inputs).pooler_output
