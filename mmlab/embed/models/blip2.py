"""The adapter for BLIP-2 image-text retrieval (Li et al. 2023): a Q-Former that looks at an image with Q queries.

An image has Q vectors there, and the paper's similarity to a text is the largest of Q. A space has one vector
per image, so it is the mean of the Q unit vectors, made unit again. The exact similarity needs both
inputs at hand: for reranking, `match` gives the still better judgement of the matching head.
Letters: N inputs, T tokens, Q queries, H hidden, D dimensions.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import normalize
from transformers import Blip2ForImageTextRetrieval

from mmlab.embed.models.adapter import Adapter
from mmlab.embed.models.checkpoint import Checkpoint
from mmlab.embed.models.parts import read_image_processor, read_network, read_tokenizer
from mmlab.embed.models.reader import TextReader, token_window

if TYPE_CHECKING:
    from PIL.Image import Image


class Blip2(Adapter):
    """`mmlab.embed.Model` and `mmlab.embed.Matcher` for Blip2ForImageTextRetrieval."""

    advice = "give a BLIP-2 for image-text retrieval such as Salesforce/blip2-itm-vit-g"

    def __init__(self, checkpoint: Checkpoint) -> None:
        network = read_network(Blip2ForImageTextRetrieval, checkpoint, self.advice)
        text_config = network.config.qformer_config
        tokenizer = read_tokenizer(checkpoint, text_config.vocab_size)
        reader = TextReader(tokenizer, token_window(tokenizer, network, text_config), checkpoint.prompts)
        pooling = f"mean of {network.config.num_query_tokens} unit query projections"
        super().__init__(checkpoint, network, pooling, reader, read_image_processor(checkpoint))

    def project(self, modality: str, inputs: dict[str, Any]) -> torch.Tensor:
        """The contrastive projection (N, D) of texts, the mean over the queries of that of images."""
        network = self.network
        if modality == "image":
            looked = network.qformer(query_embeds=self._queries(inputs), **self._see(inputs))
            projected = network.vision_projection(looked.last_hidden_state.to(self.dtype))
            return normalize(projected.float(), dim=-1).mean(dim=1)
        read = network.qformer(
            query_embeds=network.embeddings(input_ids=inputs["input_ids"]),
            query_length=0,
            attention_mask=inputs["attention_mask"],
        )
        return network.text_projection(read.last_hidden_state[:, 0].to(self.dtype))

    @torch.inference_mode()
    def match(self, texts: list[str], images: "list[Image]") -> np.ndarray:
        """Probabilities in [0, 1], float32 (N,), that text i, as it is, belongs to image i: the matching head."""
        tokens = self.on_device(TextReader(self.reader.tokenizer, self.window).read(texts))
        pixels, network = self.on_device(self.prepare_images(images)), self.network
        queries, mask = self._queries(pixels), tokens["attention_mask"]
        both = network.qformer(
            query_embeds=network.embeddings(input_ids=tokens["input_ids"], query_embeds=queries),
            query_length=queries.shape[1],
            attention_mask=torch.cat([mask.new_ones(queries.shape[:2]), mask], dim=1),
            **self._see(pixels),
        )
        judged = network.itm_head(both.last_hidden_state[:, : queries.shape[1]].to(self.dtype))
        return judged.float().mean(dim=1).softmax(dim=1)[:, 1].cpu().numpy()

    def _queries(self, inputs: dict[str, Any]) -> torch.Tensor:
        return self.network.query_tokens.expand(len(inputs["pixel_values"]), -1, -1)

    def _see(self, inputs: dict[str, Any]) -> dict[str, torch.Tensor]:
        seen = self.network.vision_model(pixel_values=inputs["pixel_values"]).last_hidden_state
        mask = torch.ones(seen.shape[:2], dtype=torch.long, device=seen.device)
        return {"encoder_hidden_states": seen, "encoder_attention_mask": mask}
