"""The adapter for BLIP image-text retrieval: a contrastive space, and a head that judges a pair for reranking.

Li et al. 2022, "BLIP": the vectors are projections of the two towers' first tokens.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import BlipForImageTextRetrieval

from mmlab.embed.models.adapter import Adapter
from mmlab.embed.models.checkpoint import Checkpoint
from mmlab.embed.models.parts import read_image_processor, read_network, read_tokenizer
from mmlab.embed.models.reader import TextReader, token_window

if TYPE_CHECKING:
    from PIL.Image import Image


class Blip(Adapter):
    """`mmlab.embed.Model` and `mmlab.embed.Matcher` for BlipForImageTextRetrieval."""

    advice = "give a BLIP for image-text retrieval such as Salesforce/blip-itm-base-coco"

    def __init__(self, checkpoint: Checkpoint) -> None:
        network = read_network(BlipForImageTextRetrieval, checkpoint, self.advice)
        text_config = network.config.text_config
        tokenizer = read_tokenizer(checkpoint, text_config.vocab_size)
        reader = TextReader(tokenizer, token_window(tokenizer, network, text_config), checkpoint.prompts)
        super().__init__(
            checkpoint, network, "contrastive projection", reader, read_image_processor(checkpoint)
        )

    def project(self, modality: str, inputs: dict[str, Any]) -> torch.Tensor:
        """The contrastive projection (N, D)."""
        if modality == "image":
            return self.network.vision_proj(self._see(inputs)[:, 0])
        return self.network.text_proj(self._read(inputs)[:, 0])

    @torch.inference_mode()
    def match(self, texts: list[str], images: "list[Image]") -> np.ndarray:
        """Probabilities in [0, 1], float32 (N,), that text i, as it is, belongs to image i: the matching head."""
        tokens = self.on_device(TextReader(self.reader.tokenizer, self.window).read(texts))
        seen = self._see(self.on_device(self.prepare_images(images)))
        context = {
            "encoder_hidden_states": seen,
            "encoder_attention_mask": torch.ones(seen.shape[:2], dtype=torch.long, device=seen.device),
        }
        scores = self.network.itm_head(self._read(tokens, **context)[:, 0])
        return scores.float().softmax(dim=1)[:, 1].cpu().numpy()

    def _see(self, inputs: dict[str, Any]) -> torch.Tensor:
        return self.network.vision_model(pixel_values=inputs["pixel_values"]).last_hidden_state

    def _read(self, tokens: dict[str, Any], **context: torch.Tensor) -> torch.Tensor:
        # Without token types, which some tokenizers add and BLIP does not know.
        read = {name: tokens[name] for name in ("input_ids", "attention_mask")}
        return self.network.text_encoder(**read, **context).last_hidden_state
