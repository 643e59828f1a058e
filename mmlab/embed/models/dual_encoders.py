"""The adapters for plain encoders of transformers: dual encoders of texts with images, audio or videos; images alone.

For images these are CLIP and OpenCLIP checkpoints, MetaCLIP 2, SigLIP, SigLIP 2 (also NaFlex), AltCLIP, Chinese-CLIP,
ALIGN: all that have get_text_features and get_image_features. CLAP (Wu et al. 2023) reads ten seconds of sound or
music. PE-AV (Meta 2025) reads a whole recording; of its checkpoint the space of texts and audio is used. X-CLIP (Ni et
al. 2022) is a CLIP that reads a few frames together; the library's own scores change each text for each video, which a
vector cannot, so a text has the vector before that. The classes of transformers are read where one is used.
Letters: N inputs, F frames, C channels, D dimensions.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers

from mmlab.embed.models.adapter import (
    Adapter,
    read_feature_extractor,
    read_image_processor,
    read_network,
    read_tokenizer,
)
from mmlab.embed.models.checkpoint import Checkpoint
from mmlab.embed.models.interface import Inputs

if TYPE_CHECKING:
    from PIL.Image import Image

# Families that saw every text padded to the whole window in training.
TRAINED_PADDED = {"siglip", "siglip2"}
# Tokens of a text in training, for families that have more positions than that.
TRAINED_WINDOW = {"align": 64}


class DualEncoder(Adapter):
    """Two towers with one space: the projected features, which texts and images share, not the towers' output."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        network = read_network(transformers.AutoModel, checkpoint, self.advice)
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
        network = read_network(transformers.AutoModel, checkpoint, self.advice, optional="pooler")
        self.pooled = getattr(network, "pooler", True) is not None
        pooling = "pooled output" if self.pooled else "first token"
        super().__init__(checkpoint, network, pooling, processor=read_image_processor(checkpoint))

    def project(self, modality: str, inputs: Inputs) -> torch.Tensor:
        """Return the pooled output, or the first token (N, D)."""
        output = self.network(**inputs)
        return output.pooler_output.flatten(1) if self.pooled else output.last_hidden_state[:, 0]


class AudioEncoder(Adapter):
    """An encoder of texts and audio; its waveforms must have `sampling_rate` samples a second, in Hz."""

    modalities = ("text", "audio")
    advice = "give a model that embeds texts and audio, such as CLAP"

    def __init__(self, checkpoint: Checkpoint, network: Any) -> None:
        tokenizer = read_tokenizer(checkpoint, network, network.config.text_config)
        extractor = read_feature_extractor(checkpoint)
        self.sampling_rate: int = extractor.sampling_rate
        super().__init__(checkpoint, network, "joint projection", tokenizer, extractor)

    def _extract(self, waveforms: list[np.ndarray]) -> Inputs:
        return dict(self.processor(waveforms, sampling_rate=self.sampling_rate, return_tensors="pt"))


class Clap(AudioEncoder):
    """CLAP: the projections of both towers. A recording longer than the window (ten seconds) loses its end.

    The library takes a random part of a longer recording and, for fused checkpoints, marks a random one of the
    batch as longer: the same recording would have another vector every time.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint, read_network(transformers.ClapModel, checkpoint, self.advice))

    def prepare_audio(self, waveforms: list[np.ndarray]) -> Inputs:
        """Return spectrograms on the CPU, of waveforms as `embed_audio` takes them."""
        window = self.processor.nb_max_samples
        prepared = self._extract([wave[:window] for wave in check_waveforms(waveforms)])
        return prepared | {"is_longer": torch.zeros_like(prepared["is_longer"])}

    def project(self, modality: str, inputs: Inputs) -> torch.Tensor:
        """Return the joint projection (N, D)."""
        network = self.network
        features = network.get_text_features if modality == "text" else network.get_audio_features
        return features(**inputs).pooler_output


class PeAudio(AudioEncoder):
    """PE-AV: the heads for texts and for audio. Recordings go one at a time, for padding would change them."""

    advice = "give a PE-AV such as facebook/pe-av-large, or CLAP"

    def __init__(self, checkpoint: Checkpoint) -> None:
        config = getattr(checkpoint.config, "audio_video_config", None)
        options = {"config": checkpoint.config.audio_config} if config else {}
        network = read_network(transformers.PeAudioModel, checkpoint, self.advice, **options)
        _keep_codec_in_float32(network.audio_encoder.embedder)
        super().__init__(checkpoint, network)

    def prepare_audio(self, waveforms: list[np.ndarray]) -> Inputs:
        """Return padded waveforms and their masks on the CPU, of waveforms as `embed_audio` takes them."""
        return self._extract(check_waveforms(waveforms))

    def to_device(self, prepared: Inputs) -> Inputs:
        """Return the inputs on the model's device, waveforms in float32 whatever the precision."""
        moved = super().to_device(prepared)
        if "input_values" in prepared:
            moved["input_values"] = prepared["input_values"].to(self.network.device)
        return moved

    def project(self, modality: str, inputs: Inputs) -> torch.Tensor:
        """Return the joint projection (N, D)."""
        if modality == "text":
            output = self.network.text_model(**inputs, output_hidden_states=True)
            return self.network.text_audio_head(output.hidden_states[-1][:, 0])
        lengths = inputs["padding_mask"].sum(dim=1).tolist()
        recordings = zip(inputs["input_values"], inputs["padding_mask"], lengths, strict=True)
        return torch.cat(
            [
                self.network.get_audio_embeds(wave[None, :, :length], mask[None, :length])
                for wave, mask, length in recordings
            ]
        )


class VideoEncoder(Adapter):
    """X-CLIP: an encoder of texts and videos; it reads `frames` frames of a video, evenly spread."""

    modalities = ("text", "video")
    advice = "give a model that embeds texts and videos, such as microsoft/xclip-base-patch32"

    def __init__(self, checkpoint: Checkpoint) -> None:
        network = read_network(transformers.XCLIPModel, checkpoint, self.advice)
        tokenizer = read_tokenizer(checkpoint, network, network.config.text_config)
        self.frames: int = network.config.vision_config.num_frames
        super().__init__(checkpoint, network, "joint projection", tokenizer, read_image_processor(checkpoint))

    def describe_preprocessing(self) -> str:
        """Return the preprocessing of the space, with the number of frames."""
        return f"{self.frames} frames, {super().describe_preprocessing()}"

    def prepare_videos(self, videos: "list[list[Image]]") -> Inputs:
        """Return pixels (N, F, C, height, width) on the CPU; raise ValueError if a video has no frame."""
        chosen = [frame for video in videos for frame in spread_frames(video, self.frames)]
        pixels = self.processor(chosen, return_tensors="pt")["pixel_values"]
        return {"pixel_values": pixels.reshape(len(videos), self.frames, *pixels.shape[-3:])}

    def project(self, modality: str, inputs: Inputs) -> torch.Tensor:
        """Return the joint projection (N, D)."""
        network = self.network
        features = network.get_text_features if modality == "text" else network.get_video_features
        return features(**inputs).pooler_output


def check_waveforms(waveforms: list[np.ndarray]) -> list[np.ndarray]:
    """Return the waveforms as float32; raise ValueError unless each is mono, finite and not empty."""
    arrays = [np.asarray(wave, dtype=np.float32) for wave in waveforms]
    for position, wave in enumerate(arrays):
        if wave.ndim != 1 or not wave.size or not np.isfinite(wave).all():
            raise ValueError(
                f"waveform {position}: expected finite numbers of shape (samples,), found shape {wave.shape} "
                "or numbers that are not finite: average the channels, and leave out what is silent or broken"
            )
    return arrays


def spread_frames(frames: "list[Image]", count: int) -> "list[Image]":
    """Return `count` frames from the first to the last at even distances; of fewer frames some are repeated.

    >>> spread_frames(["a", "b", "c", "d", "e"], 3)
    ['a', 'c', 'e']
    """
    if not frames:
        raise ValueError(
            "video: expected at least one frame, found none: check whether the file can be decoded"
        )
    return [frames[position] for position in np.linspace(0, len(frames) - 1, count).round().astype(int)]


def _keep_codec_in_float32(embedder: Any) -> None:
    """Let the codec of PE-AV compute in float32 in every precision, and the layers behind it in their own.

    Samples keep 8 bits in bfloat16, and on some processors short convolutions in bfloat16 are far off: cosines of
    0.4 to 0.7 to float32 were seen.
    """
    embedder.dac_encoder.float()
    embedder.bottleneck.float()
    embedder.data_proj.register_forward_pre_hook(
        lambda layer, given: tuple(value.to(layer.weight.dtype) for value in given)
    )
