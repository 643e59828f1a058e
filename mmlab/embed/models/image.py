"""The adapter for encoders of images alone, such as ViT and DINOv2: with a text encoder they make two spaces."""

from typing import Any

import torch
from transformers import AutoModel

from mmlab.embed.models.adapter import Adapter
from mmlab.embed.models.checkpoint import Checkpoint
from mmlab.embed.models.parts import read_image_processor, read_network


class ImageEncoder(Adapter):
    """`mmlab.embed.Model` for one tower: its pooled output, or its first token where it has no pooler."""

    modalities = ("image",)
    advice = "give an image encoder such as facebook/dinov2-base"

    def __init__(self, checkpoint: Checkpoint) -> None:
        network = read_network(AutoModel, checkpoint, self.advice, spare="pooler")  # classifiers have none
        self.pooled = getattr(network, "pooler", True) is not None
        super().__init__(
            checkpoint,
            network,
            "pooled output" if self.pooled else "first token",
            processor=read_image_processor(checkpoint),
        )

    def project(self, modality: str, inputs: dict[str, Any]) -> torch.Tensor:
        """The pooled output (N, D)."""
        seen = self.network(**inputs)
        return seen.pooler_output.flatten(1) if self.pooled else seen.last_hidden_state[:, 0]
