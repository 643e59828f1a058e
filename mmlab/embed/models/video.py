"""The adapter for texts and videos: X-CLIP (Ni et al. 2022), a CLIP that looks at a few frames together.

The library's own scores bend each text towards each video. A vector cannot, so a text has the vector
that it has before that. Letters: N inputs, F frames, C channels, D dimensions.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import XCLIPModel

from mmlab.embed.models.adapter import Adapter
from mmlab.embed.models.checkpoint import Checkpoint
from mmlab.embed.models.parts import read_image_processor, read_network, read_tokenizer
from mmlab.embed.models.reader import TextReader, token_window

if TYPE_CHECKING:
    from PIL.Image import Image


class VideoEncoder(Adapter):
    """`mmlab.embed.Model` for texts and videos; `frames` of a video are looked at, evenly spread."""

    modalities = ("text", "video")
    advice = "give a model that embeds texts and videos, such as microsoft/xclip-base-patch32"

    def __init__(self, checkpoint: Checkpoint) -> None:
        network = read_network(XCLIPModel, checkpoint, self.advice)
        text_config = network.config.text_config
        tokenizer = read_tokenizer(checkpoint, text_config.vocab_size)
        reader = TextReader(tokenizer, token_window(tokenizer, network, text_config), checkpoint.prompts)
        self.frames: int = network.config.vision_config.num_frames
        super().__init__(checkpoint, network, "joint projection", reader, read_image_processor(checkpoint))

    def describe_preprocessing(self) -> str:
        """With the number of frames."""
        return f"{self.frames} frames, {super().describe_preprocessing()}"

    def prepare_videos(self, videos: "list[list[Image]]") -> dict[str, Any]:
        """Pixels (N, F, C, height, width) on the CPU; ValueError if a video has no frame."""
        chosen = [frame for video in videos for frame in spread(video, self.frames)]
        pixels = self.processor(chosen, return_tensors="pt")["pixel_values"]
        return {"pixel_values": pixels.reshape(len(videos), self.frames, *pixels.shape[-3:])}

    def project(self, modality: str, inputs: dict[str, Any]) -> torch.Tensor:
        """The joint projection (N, D)."""
        network = self.network
        features = network.get_text_features if modality == "text" else network.get_video_features
        return features(**inputs).pooler_output


def spread(frames: "list[Image]", count: int) -> "list[Image]":
    """So many of the frames from first to last at even distances; of fewer frames some are repeated."""
    if not frames:
        raise ValueError(
            "video: expected at least one frame, found none: see whether the file could be decoded"
        )
    return [frames[place] for place in np.linspace(0, len(frames) - 1, count).round().astype(int)]
