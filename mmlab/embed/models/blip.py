"""The adapters for image-text retrieval with BLIP and BLIP-2: a contrastive space, and a matching head for reranking.

BLIP (Li et al. 2022): the vectors are projections of the two towers' first tokens. BLIP-2 (Li et al. 2023): a Q-Former
turns an image into Q vectors, and the paper's similarity to a text is the largest of Q. A space has one vector per
image, so here it is the mean of the Q unit vectors, scaled to unit length. `match` is more exact than both.
Letters: N inputs, Q queries, D dimensions.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import normalize
from transformers import Blip2ForImageTextRetrieval, BlipForImageTextRetrieval

from mmlab.embed.models.adapter import (
    Adapter,
    TextTokenizer,
    device_lock,
    read_image_processor,
    read_network,
    read_tokenizer,
)
from mmlab.embed.models.checkpoint import Checkpoint
from mmlab.embed.models.interface import Inputs

if TYPE_CHECKING:
    from PIL.Image import Image


class MatchingAdapter(Adapter):
    """`mmlab.embed.Model` and `mmlab.embed.Matcher` in one."""

    tokenizer: TextTokenizer

    @abstractmethod
    def match_prepared(self, tokens: Inputs, pixels: Inputs) -> torch.Tensor:
        """Return the matching head's probabilities (N,) for prepared pairs on the model's device."""

    @torch.inference_mode()
    def match(self, texts: list[str], images: "list[Image]") -> np.ndarray:
        """Return the probabilities in [0, 1], float32 (N,), that text i, without prompts, belongs to image i."""
        tokens, pixels = self.tokenizer.tokenize(texts, prompted=False), self.prepare_images(images)
        with device_lock(self.checkpoint.device):
            return self.match_prepared(self.to_device(tokens), self.to_device(pixels)).cpu().numpy()


class Blip(MatchingAdapter):
    """The adapter for BlipForImageTextRetrieval."""

    advice = "give a BLIP for image-text retrieval such as Salesforce/blip-itm-base-coco"

    def __init__(self, checkpoint: Checkpoint) -> None:
        network = read_network(BlipForImageTextRetrieval, checkpoint, self.advice)
        tokenizer = read_tokenizer(checkpoint, network, network.config.text_config)
        processor = read_image_processor(checkpoint)
        super().__init__(checkpoint, network, "contrastive projection", tokenizer, processor)

    def project(self, modality: str, inputs: Inputs) -> torch.Tensor:
        """Return the contrastive projection (N, D)."""
        if modality == "image":
            return self.network.vision_proj(self._encode_images(inputs)[:, 0])
        return self.network.text_proj(self._encode_texts(inputs)[:, 0])

    def match_prepared(self, tokens: Inputs, pixels: Inputs) -> torch.Tensor:
        """Return the matching head's probabilities (N,)."""
        patches = self._encode_images(pixels)
        context = {
            "encoder_hidden_states": patches,
            "encoder_attention_mask": torch.ones(patches.shape[:2], dtype=torch.long, device=patches.device),
        }
        scores = self.network.itm_head(self._encode_texts(tokens, **context)[:, 0])
        return scores.float().softmax(dim=1)[:, 1]

    def _encode_images(self, inputs: Inputs) -> torch.Tensor:
        return self.network.vision_model(pixel_values=inputs["pixel_values"]).last_hidden_state

    def _encode_texts(self, tokens: Inputs, **context: Any) -> torch.Tensor:
        # Without token types, which some tokenizers add and BLIP does not know.
        known = {name: tokens[name] for name in ("input_ids", "attention_mask")}
        return self.network.text_encoder(**known, **context).last_hidden_state


class Blip2(MatchingAdapter):
    """The adapter for Blip2ForImageTextRetrieval."""

    advice = "give a BLIP-2 for image-text retrieval such as Salesforce/blip2-itm-vit-g"

    def __init__(self, checkpoint: Checkpoint) -> None:
        network = read_network(Blip2ForImageTextRetrieval, checkpoint, self.advice)
        tokenizer = read_tokenizer(checkpoint, network, network.config.qformer_config)
        pooling = f"mean of {network.config.num_query_tokens} unit query projections"
        super().__init__(checkpoint, network, pooling, tokenizer, read_image_processor(checkpoint))

    def project(self, modality: str, inputs: Inputs) -> torch.Tensor:
        """Return the contrastive projection (N, D) of texts, or the mean of the queries' projections of images."""
        network = self.network
        if modality == "image":
            output = network.qformer(query_embeds=self._queries(inputs), **self._encode_images(inputs))
            projected = network.vision_projection(output.last_hidden_state.to(self.dtype))
            return normalize(projected.float(), dim=-1).mean(dim=1)
        output = network.qformer(
            query_embeds=network.embeddings(input_ids=inputs["input_ids"]),
            query_length=0,
            attention_mask=inputs["attention_mask"],
        )
        return network.text_projection(output.last_hidden_state[:, 0].to(self.dtype))

    def match_prepared(self, tokens: Inputs, pixels: Inputs) -> torch.Tensor:
        """Return the matching head's probabilities (N,), the mean over the queries."""
        network, queries, mask = self.network, self._queries(pixels), tokens["attention_mask"]
        output = network.qformer(
            query_embeds=network.embeddings(input_ids=tokens["input_ids"], query_embeds=queries),
            query_length=queries.shape[1],
            attention_mask=torch.cat([mask.new_ones(queries.shape[:2]), mask], dim=1),
            **self._encode_images(pixels),
        )
        scores = network.itm_head(output.last_hidden_state[:, : queries.shape[1]].to(self.dtype))
        return scores.float().mean(dim=1).softmax(dim=1)[:, 1]

    def _queries(self, inputs: Inputs) -> torch.Tensor:
        return self.network.query_tokens.expand(len(inputs["pixel_values"]), -1, -1)

    def _encode_images(self, inputs: Inputs) -> dict[str, torch.Tensor]:
        patches = self.network.vision_model(pixel_values=inputs["pixel_values"]).last_hidden_state
        mask = torch.ones(patches.shape[:2], dtype=torch.long, device=patches.device)
        return {"encoder_hidden_states": patches, "encoder_attention_mask": mask}
