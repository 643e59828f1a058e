import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from huggingface_hub import constants

from mmlab.embed import ModelError, load_for, load_model


@pytest.fixture
def copy(clip_folder, tmp_path):
    """A checkpoint of one's own to spoil."""
    return shutil.copytree(clip_folder, tmp_path / "copy")


def test_the_space_names_the_model_and_its_files(model, clip_folder, copy):
    assert model.space.model == clip_folder.as_posix()
    assert model.space.key.startswith("tiny-clip-")
    assert model.space.pooling == "joint projection"
    assert model.space.preprocessing == "CLIPImageProcessorPil, 16 tokens, float32"
    assert load_model(str(copy), device="cpu").space.revision == model.space.revision


def test_another_weight_is_another_revision(model, copy):
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    weights["text_projection.weight"] += 1
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert load_model(str(copy), device="cpu").space.revision != model.space.revision


def test_loading_prints_nothing(clip_folder, capfd):
    load_model(str(clip_folder), device="cpu")
    assert capfd.readouterr() == ("", "")


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(
        ModelError, match=r"there is no folder .*nowhere: give 'demo', a folder or a Hugging Face id"
    ):
        load_model(str(tmp_path / "nowhere"))


def test_a_folder_that_is_no_checkpoint(tmp_path):
    with pytest.raises(ModelError, match=r"holds no config.json: give a folder written by save_pretrained"):
        load_model(str(tmp_path))


def test_an_id_that_the_hub_cannot_be_asked_for(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        ModelError, match=r"'owner/name': its config cannot be read .*check the name and the network"
    ):
        load_model("owner/name")


@pytest.mark.parametrize(
    "config",
    [
        "{",
        "[]",
        "{}",
        '{"model_type": "unheard-of"}',
        '{"model_type": "clip", "text_config": {"hidden_size": "x"}}',
    ],
)
def test_a_config_that_cannot_be_read(copy, config):
    (copy / "config.json").write_text(config)
    with pytest.raises(ModelError, match=r"its config cannot be read \(.+\): give a folder"):
        load_model(str(copy))


def test_code_of_a_checkpoint_is_not_run(copy):
    config = {"model_type": "its-own", "auto_map": {"AutoConfig": "code.Config"}}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "code.py").write_text("raise SystemExit('was run')")
    with pytest.raises(ModelError, match=r"its config cannot be read .*custom code"):
        load_model(str(copy))


@pytest.mark.parametrize("name", ["facebook/imagebind-huge", "models/ImageBind", "renamed"])
def test_imagebind_is_refused_and_other_models_are_named(name, tmp_path):
    folder = tmp_path / "renamed"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "imagebind"}')
    with pytest.raises(
        ModelError, match=r"is an ImageBind.*CC BY-NC-SA 4.0.*clap.* for audio, .*xclip.* for video"
    ):
        load_model(str(folder) if name == "renamed" else name)


def test_a_model_that_is_no_encoder(tmp_path):
    from transformers import LlavaConfig

    LlavaConfig().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"is a LlavaModel, which is not a known kind of encoder: give "):
        load_model(str(tmp_path))


def test_a_blip_that_writes_captions_has_no_space(tmp_path):
    from transformers import BlipConfig, BlipForConditionalGeneration

    tiny = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
    vision = tiny | {"image_size": 16, "patch_size": 8}
    text = tiny | {"vocab_size": 9, "encoder_hidden_size": 16}
    writer = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision))
    writer.save_pretrained(tmp_path)
    with pytest.raises(
        ModelError, match=r"its weights lack \d+ tensors, .* give a BLIP for image-text retrieval"
    ):
        load_model(str(tmp_path))


def test_weights_that_are_not_finite(copy):
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    weights["visual_projection.weight"] *= float("nan")
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"copy' in float32: 1 of 1 vectors are zero or not finite"):
        load_model(str(copy), device="cpu")


def test_weights_that_are_missing(copy):
    (copy / "model.safetensors").rename(copy / "tf_model.h5")
    with pytest.raises(
        ModelError,
        match=r"its weights cannot be read: expected model.safetensors or pytorch_model.bin, .*found only tf_model.h5",
    ):
        load_model(str(copy))


def test_a_pickle_without_tensors(copy):
    (copy / "model.safetensors").unlink()
    torch.save({}, copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"its weights lack 78 tensors, first logit_scale"):
        load_model(str(copy))


def test_weights_that_are_damaged(copy):
    (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"its weights cannot be read"):
        load_model(str(copy))


def test_weights_that_lack_a_part(copy):
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"its weights lack 1 tensors, first visual_projection.weight"):
        load_model(str(copy))


def test_a_config_of_another_size_than_the_weights(copy):
    config = json.loads((copy / "config.json").read_text())
    config["projection_dim"] = 20
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"its weights cannot be read"):
        load_model(str(copy))


def test_an_image_processor_that_is_missing(copy):
    (copy / "processor_config.json").unlink()
    with pytest.raises(
        ModelError, match=r"its tokenizer or image processor cannot be read .*save them beside"
    ):
        load_model(str(copy))


def test_a_vocabulary_that_is_missing(copy):
    (copy / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"its tokenizer knows \d+ tokens, expected about 514"):
        load_model(str(copy))


@pytest.mark.parametrize("family", ["clip", "bge"])
def test_an_id_is_read_from_the_hubs_cache(family, folders, models, tmp_path, monkeypatch):
    commit = "0123456789" * 4
    stored = tmp_path / "models--owner--name"
    shutil.copytree(folders(family), stored / "snapshots" / commit)
    (stored / "refs").mkdir()
    (stored / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    model = load_model("owner/name", device="cpu")
    assert (model.space.model, model.space.revision) == ("owner/name", commit)
    assert (model.embed_texts(["a dog"]) == models(family).embed_texts(["a dog"])).all()


@pytest.mark.parametrize("prompts", [(), ("a photo of {}",), ("a {}", "the {}, seen")])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["clip", "bge"])
def test_the_model_of_a_space_has_its_prompts_and_precision(family, precision, prompts, folders):
    made = load_model(str(folders(family)), "cpu", precision, prompts)
    again = load_for(made.space, device="cpu")
    assert again.space == made.space
    assert (again.embed_texts(["dog"]) == made.embed_texts(["dog"])).all()
    assert (again.embed_queries(["dog"]) == made.embed_queries(["dog"])).all()


@pytest.mark.parametrize("family", ["clip", "bge", "vlm", "vit"])
def test_truncated_vectors_are_the_first_dimensions_as_unit_rows(family, models, folders, images):
    whole = models(family)
    model = load_model(str(folders(family)), device="cpu", truncate_dim=8)
    kind, embed = ("image", "embed_images") if family == "vit" else ("text", "embed_texts")
    given = images if kind == "image" else ["dog", "a red shoe"]
    first = getattr(whole, embed)(given)[:, :8]
    expected = first / np.linalg.norm(first, axis=1, keepdims=True)
    np.testing.assert_allclose(getattr(model, embed)(given), expected, atol=1e-6)
    assert model.space.dimension == 8
    assert model.space.pooling == f"{whole.space.pooling}, first 8 dimensions"
    again = load_for(model.space, device="cpu")
    assert again.space == model.space
    np.testing.assert_array_equal(getattr(again, embed)(given), getattr(model, embed)(given))


def test_a_model_of_no_more_dimensions_gives_all(model, clip_folder):
    for number in (0, 24, 512):
        assert load_model(str(clip_folder), device="cpu", truncate_dim=number).space == model.space


def test_a_folder_of_the_project_is_named_from_there():
    space = load_model("./mmlab/demo/../demo/checkpoint", device="cpu").space
    assert space.model == "mmlab/demo/checkpoint"
    assert load_for(space, device="cpu").space == space


def test_the_model_of_a_space_may_be_gone(copy):
    space = load_model(str(copy), device="cpu").space
    shutil.rmtree(copy)
    with pytest.raises(ModelError, match=r"there is no folder .*copy: give 'demo', a folder or a"):
        load_for(space, device="cpu")


def test_the_error_names_what_has_changed_since_the_vectors(model, copy):
    space = replace(load_model(str(copy), device="cpu").space, dimension=9, pooling="mean")
    with pytest.raises(
        ModelError,
        match=r"pooling was 'mean' and is 'joint projection'; dimension was 9 and is 24; run 02_embed again",
    ):
        load_for(space, device="cpu")
