"""The adapters for plain encoders of transformers: dual encoders of texts and images, and encoders of images alone.

Dual encoders are CLIP and OpenCLIP checkpoints, MetaCLIP 2, SigLIP, SigLIP 2 (also NaFlex), AltCLIP, Chinese-CLIP,
ALIGN: all that have get_text_features and get_image_features. Letters: N inputs, D dimensions.
"""

import torch
from transformers import AutoModel

from mmlab.embed.models.adapter import Adapter
from mmlab.embed.models.checkpoint import Checkpoint
from mmlab.embed.models.interface import Inputs
from mmlab.embed.models.parts import read_image_processor, read_network, read_tokenizer

# Families that saw every text padded to the whole window in training.
TRAINED_PADDED = {"siglip", "siglip2"}
# Tokens of a text in training, for families that have more positions than that.
TRAINED_WINDOW = {"align": 64}


class DualEncoder(Adapter):
    """Two towers with one space: the projected features, which texts and images share, not the towers' output."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        network = read_network(AutoModel, checkpoint, self.advice)
        family = network.config.model_type
        tokenizer = read_tokenizer(
            checkpoint,
            network,
            getattr(network.config, "text_config", network.config),
            TRAINED_WINDOW.get(family),
            "max_length" if family in TRAINED_PADDED else "longest",
        )
        super().__init__(checkpoint, network, "joint projection", tokenizer, read_image_processor(checkpoint))

    def project(self, modality: str, inputs: Inputs) -> torch.Tensor:
        """Return the joint projection (N, D)."""
        network = self.network
        features = network.get_text_features if modality == "text" else network.get_image_features
        return features(**inputs).pooler_output


class ImageEncoder(Adapter):
    """One tower such as ViT or DINOv2: its pooled output, or its first token where it has no pooler."""

    modalities = ("image",)
    advice = "give an image encoder such as facebook/dinov2-base"

    def __init__(self, checkpoint: Checkpoint) -> None:
        # Classifiers have no pooler.
        network = read_network(AutoModel, checkpoint, self.advice, optional="pooler")
        self.pooled = getattr(network, "pooler", True) is not None
        pooling = "pooled output" if self.pooled else "first token"
        super().__init__(checkpoint, network, pooling, processor=read_image_processor(checkpoint))

    def project(self, modality: str, inputs: Inputs) -> torch.Tensor:
        """Return the pooled output, or the first token (N, D)."""
        output = self.network(**inputs)
        return output.pooler_output.flatten(1) if self.pooled else output.last_hidden_state[:, 0]
