"""Checkpoints of open_clip: a CLIP's tensors under their other names give the vectors of that CLIP."""

import io
import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save

from mmlab.embed import ModelError, load_for, load_model
from tests.embed.hub import read_files

TEXTS = ["a red shoe", "dog", "the end of this text lies outside of the window", "x, y!"]
PLAIN = {
    "embed_dim": 24,
    "quick_gelu": True,
    "vision_cfg": {
        "image_size": 32,
        "layers": 2,
        "width": 32,
        "head_width": 16,
        "mlp_ratio": 2.0,
        "patch_size": 8,
    },
    "text_cfg": {
        "context_length": 16,
        "vocab_size": 514,
        "width": 32,
        "heads": 2,
        "layers": 2,
        "mlp_ratio": 2.0,
    },
}
# The parts of a block, as open_clip and as transformers call them.
BLOCK = {
    "ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
}  # fmt: skip
WHOLE = {
    "logit_scale": "logit_scale",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    **{f"visual.ln_pre.{kind}": f"vision_model.pre_layrnorm.{kind}" for kind in ("weight", "bias")},
    **{f"visual.ln_post.{kind}": f"vision_model.post_layernorm.{kind}" for kind in ("weight", "bias")},
    **{f"ln_final.{kind}": f"text_model.final_layer_norm.{kind}" for kind in ("weight", "bias")},
}


def rename(tensors, layers=2):
    """The tensors of transformers' CLIP as open_clip names and keeps them."""
    renamed = {name: tensors[theirs] for name, theirs in WHOLE.items()}
    renamed["visual.proj"] = tensors["visual_projection.weight"].T.contiguous()
    renamed["text_projection"] = tensors["text_projection.weight"].T.contiguous()
    for tower, prefix in (("vision_model", "visual."), ("text_model", "")):
        for layer in range(layers):
            ours, theirs = f"{prefix}transformer.resblocks.{layer}", f"{tower}.encoder.layers.{layer}"
            for kind in ("weight", "bias"):
                for own, other in BLOCK.items():
                    renamed[f"{ours}.{own}.{kind}"] = tensors[f"{theirs}.{other}.{kind}"]
                parts = [tensors[f"{theirs}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
                renamed[f"{ours}.attn.in_proj_{kind}"] = torch.cat(parts)
    assert len(renamed) == len(tensors) - 2 * 2 * layers * 2  # three of a block become one
    return renamed


def pickled(content):
    written = io.BytesIO()
    torch.save(content, written)
    return written.getvalue()


@pytest.fixture(scope="module")
def source(folders):
    """A CLIP that pools at the highest token, as open_clip's does: its tensors and the files of its tokenizer."""
    files = read_files(folders("old_clip"))
    tokenizer = {name: content for name, content in files.items() if name.startswith("tokenizer")}
    return rename(load_file(folders("old_clip") / "model.safetensors")), tokenizer


@pytest.fixture
def files(source):
    tensors, tokenizer = source
    config = {"model_cfg": PLAIN, "preprocess_cfg": {"resize_mode": "shortest", "interpolation": "bicubic"}}
    return tokenizer | {
        "open_clip_config.json": json.dumps(config).encode(),
        "open_clip_model.safetensors": save(tensors),
    }


def write(folder, files):
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return str(folder)


def changed(files, **parts):
    config = json.loads(files["open_clip_config.json"])
    for part, fields in parts.items():
        config["model_cfg"][part] = config["model_cfg"].get(part, {}) | fields
    return files | {"open_clip_config.json": json.dumps(config).encode()}


def assert_same(model, other, images):
    np.testing.assert_allclose(model.embed_texts(TEXTS), other.embed_texts(TEXTS), atol=1e-6)
    np.testing.assert_allclose(model.embed_images(images), other.embed_images(images), atol=1e-6)


def test_its_vectors_are_those_of_the_clip(files, models, images, tmp_path):
    model = load_model(write(tmp_path / "own", files), device="cpu")
    assert_same(model, models("old_clip"), images)
    assert model.space.pooling == "joint projection"
    assert model.space.preprocessing == "CLIPImageProcessorPil, 16 tokens, float32"
    assert load_for(model.space, device="cpu").space == model.space


@pytest.mark.parametrize("form", ["plain", "of training", "in parallel", "with a text tower of its own"])
def test_a_pickle_of_open_clip(form, source, files, models, images, tmp_path, logged):
    tensors = {
        "plain": source[0],
        "of training": {"epoch": 3, "state_dict": source[0]},
        "in parallel": {"state_dict": {f"module.{name}": tensor for name, tensor in source[0].items()}},
        "with a text tower of its own": {
            name if re.match("visual|logit", name) else f"text.{name}": tensor
            for name, tensor in source[0].items()
        },
    }[form]
    del files["open_clip_model.safetensors"]
    own = write(tmp_path / "own", files | {"open_clip_pytorch_model.bin": pickled(tensors)})
    assert_same(load_model(own, device="cpu"), models("old_clip"), images)
    assert "took open_clip_pytorch_model.bin, read with weights_only=True" in "".join(logged)


def test_on_the_hub(files, models, images, hub):
    hub.add("owner/open", files | {"README.md": b"x"})
    model = load_model("owner/open", device="cpu")
    assert_same(model, models("old_clip"), images)
    assert model.space.revision == "a" * 40


def test_beside_a_config_of_transformers_its_own_weights_are_taken_first(
    files, folders, models, images, tmp_path
):
    other = read_files(folders("clip"))
    both = load_model(write(tmp_path / "both", files | other), device="cpu")
    assert_same(both, models("clip"), images)
    del other["model.safetensors"]
    assert_same(load_model(write(tmp_path / "one", files | other), device="cpu"), models("old_clip"), images)
    nameless = other | {"config.json": b'{"architecture": "vit"}'}
    assert_same(
        load_model(write(tmp_path / "no", files | nameless), device="cpu"), models("old_clip"), images
    )


def test_without_quick_gelu_the_vectors_are_others(files, models, tmp_path):
    config = json.loads(files["open_clip_config.json"])
    del config["model_cfg"]["quick_gelu"]
    files |= {"open_clip_config.json": json.dumps(config).encode()}
    model = load_model(write(tmp_path / "own", files), device="cpu")
    assert (
        0.99 < (model.embed_texts(TEXTS) * models("old_clip").embed_texts(TEXTS)).sum(axis=1).min() < 0.99999
    )


def test_images_are_squashed_where_it_says_so(files, images, tmp_path):
    config = json.loads(files["open_clip_config.json"])
    config["preprocess_cfg"] = {
        "resize_mode": "squash",
        "interpolation": "bilinear",
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
    }
    files |= {"open_clip_config.json": json.dumps(config).encode()}
    model = load_model(write(tmp_path / "own", files), device="cpu")
    pixels = model.prepare_images(images[:1])["pixel_values"][0].permute(1, 2, 0).numpy()
    expected = np.asarray(images[0].resize((32, 32), 2), dtype=np.float32) / 127.5 - 1
    np.testing.assert_allclose(pixels, expected, atol=1e-6)


def test_in_bfloat16(files, models, tmp_path):
    model = load_model(write(tmp_path / "own", files), "cpu", "bfloat16")
    assert (model.embed_texts(TEXTS) * models("old_clip").embed_texts(TEXTS)).sum(axis=1).min() > 0.99


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ({"vision_cfg": {"timm_model_name": "vit_base_patch16_siglip_224"}}, "vision timm_model_name"),
        ({"vision_cfg": {"layers": [3, 4, 6, 3]}}, "vision layers of a ResNet"),
        ({"vision_cfg": {"image_size": [224, 336]}}, "vision image_size of two numbers"),
        ({"vision_cfg": {"pool_type": "avg", "no_ln_pre": True}}, "vision pool_type, vision no_ln_pre"),
        ({"text_cfg": {"hf_model_name": "roberta-base"}}, "text hf_model_name"),
        ({"text_cfg": {"no_causal_mask": True, "pool_type": "last"}}, "text no_causal_mask, text pool_type"),
        ({"multimodal_cfg": {"width": 32}}, "a text decoder \\(CoCa\\)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_network_is_named(parts, found, files, tmp_path):
    own = write(tmp_path / "own", changed(files, **parts))
    with pytest.raises(
        ModelError,
        match=rf"is a network of open_clip that transformers' CLIP cannot be \({found}\): give its version",
    ):
        load_model(own, device="cpu")


def test_fields_that_change_no_vector_are_no_hindrance(files, models, images, tmp_path):
    fields = {"patch_dropout": 0.5, "timm_model_name": None, "ls_init_value": None, "pool_type": "tok"}
    text = {"hf_tokenizer_name": "owner/name", "pool_type": "argmax", "norm_kwargs": {"eps": 1e-5}}
    own = write(tmp_path / "own", changed(files, vision_cfg=fields, text_cfg=text))
    assert_same(load_model(own, device="cpu"), models("old_clip"), images)


@pytest.mark.parametrize(
    "config", [b"{", b"[]", b"{}", b'{"model_cfg": {"embed_dim": 2, "vision_cfg": [1]}}']
)
def test_a_config_that_cannot_be_read(config, files, tmp_path):
    own = write(tmp_path / "own", files | {"open_clip_config.json": config})
    with pytest.raises(ModelError, match=r"its open_clip_config.json cannot be read"):
        load_model(own, device="cpu")


def test_a_tokenizer_that_is_missing(files, tmp_path):
    own = write(
        tmp_path / "own", {name: content for name, content in files.items() if name.startswith("open")}
    )
    with pytest.raises(ModelError, match=r"once, save it beside the weights with transformers.AutoTokenizer"):
        load_model(own, device="cpu")


def test_weights_that_lack_a_part(source, files, tmp_path):
    tensors = {name: tensor for name, tensor in source[0].items() if name != "visual.proj"}
    own = write(tmp_path / "own", files | {"open_clip_model.safetensors": save(tensors)})
    with pytest.raises(ModelError, match=r"its weights lack 1 tensors, first visual_projection.weight"):
        load_model(own, device="cpu")


def test_weights_that_are_missing(files, tmp_path):
    del files["open_clip_model.safetensors"]
    with pytest.raises(ModelError, match=r"its weights cannot be read: expected "):
        load_model(write(tmp_path / "own", files), device="cpu")
