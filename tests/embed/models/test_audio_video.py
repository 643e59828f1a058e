import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoFeatureExtractor,
    AutoImageProcessor,
    AutoTokenizer,
    ClapModel,
    PeAudioModel,
    PeAudioVideoConfig,
    XCLIPModel,
)

from mmlab.embed import load_model
from mmlab.embed.models.audio_video import spread_frames

TEXTS = ["a dog barks", "rain", "x"]


def unit(rows):
    return (rows / rows.norm(dim=1, keepdim=True)).numpy()


@torch.no_grad()
def test_claps_vectors_equal_the_librarys_own_calls(models, folders, recordings):
    folder = folders("clap")
    network = ClapModel.from_pretrained(folder).eval()
    tokens = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    prepared = AutoFeatureExtractor.from_pretrained(folder)(
        recordings, sampling_rate=16_000, return_tensors="pt"
    )
    texts, audio = network.get_text_features(**tokens), network.get_audio_features(**prepared)
    np.testing.assert_allclose(models("clap").embed_texts(TEXTS), unit(texts.pooler_output), atol=1e-5)
    np.testing.assert_allclose(models("clap").embed_audio(recordings), unit(audio.pooler_output), atol=1e-5)


def test_clap_reads_the_beginning_of_a_long_recording_every_time(models):
    long = np.random.default_rng(0).normal(size=40_000).astype(np.float32)
    rows = models("clap").embed_audio([long, long, long[:16_000]])
    np.testing.assert_allclose(rows, rows[[2, 2, 2]], atol=1e-6)


@torch.no_grad()
def test_pe_avs_vectors_equal_the_librarys_own_calls(models, folders, recordings):
    folder = folders("pe_audio")
    network = PeAudioModel.from_pretrained(folder).eval()
    tokens = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    outputs = [
        network(**tokens, **extractor([wave], sampling_rate=16_000, return_tensors="pt"))
        for wave in recordings
    ]
    audio = torch.cat([output.audio_embeds for output in outputs])
    np.testing.assert_allclose(models("pe_audio").embed_audio(recordings), unit(audio), atol=1e-5)
    texts = unit(outputs[0].text_audio_embeds)
    np.testing.assert_allclose(models("pe_audio").embed_texts(TEXTS), texts, atol=1e-5)


def test_of_a_whole_pe_av_the_space_of_texts_and_audio_is_used(models, folders, recordings, tmp_path):
    parts = json.loads((folders("pe_audio") / "config.json").read_text())
    config = PeAudioVideoConfig(
        text_config=parts["text_config"], audio_video_config={"audio_config": parts["audio_config"]}
    )
    config.save_pretrained(tmp_path)
    weights = load_file(folders("pe_audio") / "model.safetensors")
    renamed = {
        name if name.startswith("text_model.") else f"audio_model.{name}": weight
        for name, weight in weights.items()
    }
    save_file(renamed, tmp_path / "model.safetensors", metadata={"format": "pt"})
    AutoTokenizer.from_pretrained(folders("pe_audio")).save_pretrained(tmp_path)
    AutoFeatureExtractor.from_pretrained(folders("pe_audio")).save_pretrained(tmp_path)
    whole, model = load_model(str(tmp_path), device="cpu"), models("pe_audio")
    assert whole.modalities == ("text", "audio")
    np.testing.assert_allclose(whole.embed_audio(recordings), model.embed_audio(recordings), atol=1e-6)
    np.testing.assert_allclose(whole.embed_texts(TEXTS), model.embed_texts(TEXTS), atol=1e-6)


@pytest.mark.parametrize("family", ["clap", "pe_audio"])
def test_the_sampling_rate_is_known(family, models):
    assert models(family).sampling_rate == 16_000


@pytest.mark.parametrize("wave", [np.zeros((2, 100)), np.zeros(0), np.array([0.1, np.nan])])
def test_what_is_no_mono_waveform_is_refused(wave, models):
    with pytest.raises(ValueError, match=r"waveform 1: expected finite numbers of shape \(samples,\)"):
        models("clap").embed_audio([np.ones(100), wave])


@torch.no_grad()
def test_x_clips_vectors_equal_the_librarys_own_calls(models, folders, images):
    videos = [images[:3], images[2:]]
    network = XCLIPModel.from_pretrained(folders("xclip")).eval()
    processor = AutoImageProcessor.from_pretrained(folders("xclip"), backend="pil")
    pixels = torch.cat([processor(video, return_tensors="pt")["pixel_values"] for video in videos])
    assert pixels.shape == (2, 3, 3, 32, 32)
    tokens = AutoTokenizer.from_pretrained(folders("xclip"))(TEXTS, padding=True, return_tensors="pt")
    expected = unit(network.get_video_features(pixels).pooler_output)
    np.testing.assert_allclose(models("xclip").embed_videos(videos), expected, atol=1e-5)
    texts = unit(network.get_text_features(**tokens).pooler_output)
    np.testing.assert_allclose(models("xclip").embed_texts(TEXTS), texts, atol=1e-5)
    assert models("xclip").space.preprocessing.startswith("3 frames, ")


def test_frames_are_spread_from_the_first_to_the_last():
    assert spread_frames(list(range(9)), 3) == [0, 4, 8]
    assert spread_frames([0, 1, 2], 3) == [0, 1, 2]
    assert spread_frames([7], 3) == [7, 7, 7]


def test_a_video_without_frames_is_refused(models):
    with pytest.raises(ValueError, match=r"video: expected at least one frame, found none"):
        models("xclip").embed_videos([[Image.new("RGB", (8, 8))], []])
