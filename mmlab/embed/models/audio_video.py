"""The adapters for texts and audio: CLAP for sounds and music, PE-AV for sounds, speech and music.

CLAP (Wu et al. 2023) hears ten seconds; PE-AV (Meta 2025) hears a recording whole. Of a PE-AV checkpoint
the space of texts and audio is used. Letters: N inputs, D dimensions.
"""

from typing import Any

import numpy as np
import torch
from transformers import ClapModel, PeAudioModel

from mmlab.embed.models.adapter import Adapter
from mmlab.embed.models.checkpoint import Checkpoint
from mmlab.embed.models.parts import read_feature_extractor, read_network, read_tokenizer
from mmlab.embed.models.reader import TextReader, token_window


class AudioEncoder(Adapter):
    """`mmlab.embed.Model` for texts and audio; `sampling_rate` is what its waveforms must have, in Hz."""

    modalities = ("text", "audio")
    advice = "give a model that embeds texts and audio, such as CLAP"

    def __init__(self, checkpoint: Checkpoint, network: Any) -> None:
        text_config = network.config.text_config
        tokenizer = read_tokenizer(checkpoint, text_config.vocab_size)
        reader = TextReader(tokenizer, token_window(tokenizer, network, text_config), checkpoint.prompts)
        extractor = read_feature_extractor(checkpoint)
        self.sampling_rate: int = extractor.sampling_rate
        super().__init__(checkpoint, network, "joint projection", reader, extractor)

    def _extract(self, waveforms: list[np.ndarray]) -> dict[str, Any]:
        return dict(self.processor(waveforms, sampling_rate=self.sampling_rate, return_tensors="pt"))


class Clap(AudioEncoder):
    """CLAP: the projections of both towers. A recording longer than the window (ten seconds) loses its end.

    The library takes a random piece of a longer one and, for fused checkpoints, marks a random one of the
    batch as longer: the same recording would get another vector every time.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint, read_network(ClapModel, checkpoint, self.advice))

    def prepare_audio(self, waveforms: list[np.ndarray]) -> dict[str, Any]:
        """Spectrograms on the CPU, of waveforms as `embed_audio` takes them."""
        longest = self.processor.nb_max_samples
        prepared = self._extract([wave[:longest] for wave in check_waveforms(waveforms)])
        return prepared | {"is_longer": torch.zeros_like(prepared["is_longer"])}

    def project(self, modality: str, inputs: dict[str, Any]) -> torch.Tensor:
        """The joint projection (N, D)."""
        network = self.network
        features = network.get_text_features if modality == "text" else network.get_audio_features
        return features(**inputs).pooler_output


class PeAudio(AudioEncoder):
    """PE-AV: the heads for texts and for audio. One recording at a time, for padding would leak into it."""

    advice = "give a PE-AV such as facebook/pe-av-large, or CLAP"

    def __init__(self, checkpoint: Checkpoint) -> None:
        config = getattr(checkpoint.config, "audio_video_config", None)
        options = {"config": checkpoint.config.audio_config} if config else {}
        network = read_network(PeAudioModel, checkpoint, self.advice, **options)
        _hear_in_float32(network.audio_encoder.embedder)
        super().__init__(checkpoint, network)

    def prepare_audio(self, waveforms: list[np.ndarray]) -> dict[str, Any]:
        """Padded waveforms and their masks on the CPU, of waveforms as `embed_audio` takes them."""
        return self._extract(check_waveforms(waveforms))

    def on_device(self, prepared: dict[str, Any]) -> dict[str, Any]:
        """The same on the model's device, waveforms in float32 whatever the precision."""
        moved = super().on_device(prepared)
        if "input_values" in prepared:
            moved["input_values"] = prepared["input_values"].to(self.network.device)
        return moved

    def project(self, modality: str, inputs: dict[str, Any]) -> torch.Tensor:
        """The joint projection (N, D)."""
        if modality == "text":
            read = self.network.text_model(**inputs, output_hidden_states=True)
            return self.network.text_audio_head(read.hidden_states[-1][:, 0])
        lengths = inputs["padding_mask"].sum(dim=1).tolist()
        heard = zip(inputs["input_values"], inputs["padding_mask"], lengths, strict=True)
        return torch.cat(
            [
                self.network.get_audio_embeds(wave[None, :, :length], mask[None, :length])
                for wave, mask, length in heard
            ]
        )


def _hear_in_float32(embedder: torch.nn.Module) -> None:
    """The codec of PE-AV computes in float32 in every precision, the layers behind it in their own.

    Samples keep 8 bits in bfloat16, and on some processors its short convolutions in bfloat16 are far off: cosines of
    0.4 to 0.7 to float32 were seen.
    """
    embedder.dac_encoder.float()
    embedder.bottleneck.float()
    embedder.data_proj.register_forward_pre_hook(
        lambda layer, given: tuple(value.to(layer.weight.dtype) for value in given)
    )


def check_waveforms(waveforms: list[np.ndarray]) -> list[np.ndarray]:
    """The waveforms as float32; ValueError unless each is mono, finite and not empty."""
    arrays = [np.asarray(wave, dtype=np.float32) for wave in waveforms]
    for place, wave in enumerate(arrays):
        if wave.ndim != 1 or not wave.size or not np.isfinite(wave).all():
            raise ValueError(
                f"waveform {place}: expected finite numbers of shape (samples,), found shape {wave.shape} "
                "or numbers that are not finite: average the channels, and leave out what is silent or broken"
            )
    return arrays
