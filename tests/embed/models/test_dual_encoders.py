import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from transformers import (
    AutoFeatureExtractor,
    AutoImageProcessor,
    AutoModel,
    AutoTokenizer,
    ClapModel,
    CLIPModel,
    PeAudioModel,
    PeAudioVideoConfig,
    XCLIPModel,
)

from mmlab.embed import load_model
from mmlab.embed.models.dual_encoders import spread_frames

TEXTS = ["a red shoe", "dog", "the end of this text lies outside of the window", "größe 🐕"]
DUAL = ["clip", "old_clip", "metaclip2", "siglip", "siglip2", "altclip", "chinese_clip", "align"]
every_dual = pytest.mark.parametrize("family", DUAL)


def unit(rows):
    return (rows / rows.norm(dim=1, keepdim=True)).numpy()


@every_dual
@torch.no_grad()
def test_text_vectors_equal_the_librarys_own_calls(family, models, folders):
    padding = "max_length" if family.startswith("siglip") else True
    longest = 64 if family == "align" else 16
    tokenizer = AutoTokenizer.from_pretrained(folders(family))
    tokens = tokenizer(TEXTS, padding=padding, truncation=True, max_length=longest, return_tensors="pt")
    network = AutoModel.from_pretrained(folders(family)).eval()
    expected = unit(network.get_text_features(**tokens).pooler_output)
    np.testing.assert_allclose(models(family).embed_texts(TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize("family", [family for family in DUAL if family not in ("siglip2", "altclip")])
def test_vectors_equal_those_of_sentence_transformers(family, models, folders, images):
    library = SentenceTransformer(str(folders(family)), device="cpu")
    for rows, given in (
        (models(family).embed_texts(TEXTS), TEXTS),
        (models(family).embed_images(images), images),
    ):
        np.testing.assert_allclose(rows, library.encode(given, normalize_embeddings=True), atol=1e-5)


@every_dual
@torch.no_grad()
def test_image_vectors_equal_the_librarys_own_calls(family, models, folders, images):
    processor = AutoImageProcessor.from_pretrained(folders(family), backend="pil")
    network = AutoModel.from_pretrained(folders(family)).eval()
    features = network.get_image_features(**processor(images, return_tensors="pt"))
    expected = unit(features.pooler_output)
    np.testing.assert_allclose(models(family).embed_images(images), expected, atol=1e-5)


@pytest.mark.parametrize("family", ["clip", "metaclip2", "siglip", "siglip2", "chinese_clip", "align"])
@torch.no_grad()
def test_their_products_are_the_similarities_of_the_model_itself(family, models, folders, images):
    model, network = models(family), AutoModel.from_pretrained(folders(family)).eval()
    output = network(**model.prepare_texts(TEXTS), **model.prepare_images(images))
    logits = output.logits_per_image - getattr(network, "logit_bias", 0)
    scale = network.temperature.reciprocal() if family == "align" else network.logit_scale.exp()
    products = model.embed_images(images) @ model.embed_texts(TEXTS).T
    np.testing.assert_allclose(products, (logits / scale).numpy(), atol=1e-5)


@torch.no_grad()
def test_the_joint_projection_is_what_is_compared_and_not_the_towers_output(model, clip_folder, images):
    network = CLIPModel.from_pretrained(clip_folder)
    texts = network.text_model(**model.prepare_texts(TEXTS)).pooler_output
    tower = network.vision_model(**model.prepare_images(images)).pooler_output
    np.testing.assert_allclose(model.embed_texts(TEXTS), unit(network.text_projection(texts)), atol=1e-5)
    expected = unit(network.visual_projection(tower))
    np.testing.assert_allclose(model.embed_images(images), expected, atol=1e-5)


def test_an_end_token_called_2_pools_at_the_highest_token(models):
    text = models("old_clip")
    ids = text.prepare_texts(["dog"])["input_ids"][0]
    assert text.network.config.text_config.eos_token_id == 2
    assert ids.argmax() == len(ids) - 1
    last = text.network.text_model(ids[None]).last_hidden_state[:, -1]
    expected = unit(text.network.text_projection(last).detach())
    np.testing.assert_allclose(text.embed_texts(["dog"]), expected, atol=1e-5)


def test_siglip_sees_texts_padded_to_the_window(models):
    for family in ("siglip", "siglip2"):
        assert models(family).prepare_texts(["dog"])["input_ids"].shape == (1, 16)


def test_siglip_reads_neither_capitals_nor_punctuation(models):
    rows = models("siglip").embed_texts(["A red, shoe!", "a red shoe"])
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)


def test_siglip2_reads_no_capitals(models):
    rows = models("siglip2").embed_texts(["A Red shoe", "a red shoe"])
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)


def test_naflex_keeps_the_shape_of_an_image(models, images):
    prepared = models("siglip2").prepare_images(images)
    assert set(prepared) == {"pixel_values", "pixel_attention_mask", "spatial_shapes"}
    wide, high = (
        models("siglip2")
        .prepare_images([Image.new("RGB", (64, 16)), Image.new("RGB", (16, 64))])["spatial_shapes"]
        .tolist()
    )
    assert wide == high[::-1]
    assert wide[0] < wide[1]


def test_positions_behind_the_padding_token_are_no_window(models, folders):
    """AltCLIP's tokenizer here sets no window: 18 positions, two of them never used."""
    assert AutoTokenizer.from_pretrained(folders("altclip")).model_max_length > 1000
    assert models("altclip").tokenizer.window == 16


def test_one_bright_pixel_changes_the_vector(model):
    dark = Image.new("RGB", (32, 32))
    lit = dark.copy()
    lit.putpixel((3, 4), (255, 255, 255))
    assert not np.allclose(model.embed_images([dark]), model.embed_images([lit]), atol=1e-6)


def test_threads_may_read_and_count_at_once(model):
    from concurrent.futures import ThreadPoolExecutor

    expected = model.prepare_texts(TEXTS)["input_ids"]
    with ThreadPoolExecutor(8) as threads:
        read = [threads.submit(model.prepare_texts, TEXTS) for _ in range(100)]
        counted = [threads.submit(model.count_truncated, TEXTS) for _ in range(100)]
        assert all(torch.equal(future.result()["input_ids"], expected) for future in read)
        assert {future.result() for future in counted} == {1}


@pytest.mark.parametrize("family", ["vit", "dinov2"])
@torch.no_grad()
def test_vectors_of_an_image_encoder_equal_the_librarys_own_calls(family, models, folders, images):
    pixels = AutoImageProcessor.from_pretrained(folders(family), backend="pil")(images, return_tensors="pt")
    expected = unit(AutoModel.from_pretrained(folders(family)).eval()(**pixels).pooler_output)
    np.testing.assert_allclose(models(family).embed_images(images), expected, atol=1e-5)
    assert models(family).space.pooling == "pooled output"


@torch.no_grad()
def test_without_a_pooler_it_is_the_first_token(folders, images, tmp_path):
    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(folders("vit"), tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if not name.startswith("pooler.")}
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    model = load_model(str(copy), device="cpu")
    output = AutoModel.from_pretrained(folders("vit")).eval()(**model.prepare_images(images))
    np.testing.assert_allclose(model.embed_images(images), unit(output.last_hidden_state[:, 0]), atol=1e-5)
    assert model.space.pooling == "first token"


def test_an_image_encoder_ignores_prompts(folders, models):
    assert load_model(str(folders("vit")), device="cpu", prompts=["a {}"]).space == models("vit").space


CAPTIONS = ["a dog barks", "rain", "x"]


@torch.no_grad()
def test_claps_vectors_equal_the_librarys_own_calls(models, folders, recordings):
    folder = folders("clap")
    network = ClapModel.from_pretrained(folder).eval()
    tokens = AutoTokenizer.from_pretrained(folder)(CAPTIONS, padding=True, return_tensors="pt")
    prepared = AutoFeatureExtractor.from_pretrained(folder)(
        recordings, sampling_rate=16_000, return_tensors="pt"
    )
    texts, audio = network.get_text_features(**tokens), network.get_audio_features(**prepared)
    np.testing.assert_allclose(models("clap").embed_texts(CAPTIONS), unit(texts.pooler_output), atol=1e-5)
    np.testing.assert_allclose(models("clap").embed_audio(recordings), unit(audio.pooler_output), atol=1e-5)


def test_clap_reads_the_beginning_of_a_long_recording_every_time(models):
    long = np.random.default_rng(0).normal(size=40_000).astype(np.float32)
    rows = models("clap").embed_audio([long, long, long[:16_000]])
    np.testing.assert_allclose(rows, rows[[2, 2, 2]], atol=1e-6)


@torch.no_grad()
def test_pe_avs_vectors_equal_the_librarys_own_calls(models, folders, recordings):
    folder = folders("pe_audio")
    network = PeAudioModel.from_pretrained(folder).eval()
    tokens = AutoTokenizer.from_pretrained(folder)(CAPTIONS, padding=True, return_tensors="pt")
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    outputs = [
        network(**tokens, **extractor([wave], sampling_rate=16_000, return_tensors="pt"))
        for wave in recordings
    ]
    audio = torch.cat([output.audio_embeds for output in outputs])
    np.testing.assert_allclose(models("pe_audio").embed_audio(recordings), unit(audio), atol=1e-5)
    texts = unit(outputs[0].text_audio_embeds)
    np.testing.assert_allclose(models("pe_audio").embed_texts(CAPTIONS), texts, atol=1e-5)


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
    np.testing.assert_allclose(whole.embed_texts(CAPTIONS), model.embed_texts(CAPTIONS), atol=1e-6)


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
    tokens = AutoTokenizer.from_pretrained(folders("xclip"))(CAPTIONS, padding=True, return_tensors="pt")
    expected = unit(network.get_video_features(pixels).pooler_output)
    np.testing.assert_allclose(models("xclip").embed_videos(videos), expected, atol=1e-5)
    texts = unit(network.get_text_features(**tokens).pooler_output)
    np.testing.assert_allclose(models("xclip").embed_texts(CAPTIONS), texts, atol=1e-5)
    assert models("xclip").space.preprocessing.startswith("3 frames, ")


def test_frames_are_spread_from_the_first_to_the_last():
    assert spread_frames(list(range(9)), 3) == [0, 4, 8]
    assert spread_frames([0, 1, 2], 3) == [0, 1, 2]
    assert spread_frames([7], 3) == [7, 7, 7]


def test_a_video_without_frames_is_refused(models):
    with pytest.raises(ValueError, match=r"video: expected at least one frame, found none"):
        models("xclip").embed_videos([[Image.new("RGB", (8, 8))], []])
