"""Checkpoints of open_clip read as transformers' CLIP: its config, its tensors under other names, its preprocessing.

That is possible for a plain CLIP, two ViT towers as OpenAI published them, which is what most checkpoints of open_clip
are (LAION, DataComp, DFN, MetaCLIP, BioCLIP). What another tower, pooling or mask would need is named and refused.
"""

import re
from typing import TYPE_CHECKING, Any

from mmlab.embed.models.interface import SUGGESTIONS, ModelError
from mmlab.embed.models.weights import OPEN_CLIP_CONFIG, Repository, Weights

if TYPE_CHECKING:
    import torch
    from transformers import CLIPConfig

# What these fields are where a config does not say so: open_clip's defaults.
VISION_DEFAULTS = {
    "layers": 12,
    "width": 768,
    "head_width": 64,
    "mlp_ratio": 4.0,
    "patch_size": 16,
    "image_size": 224,
}
TEXT_DEFAULTS = {
    "layers": 12,
    "width": 512,
    "heads": 8,
    "mlp_ratio": 4.0,
    "context_length": 77,
    "vocab_size": 49408,
}
POOLED = {"vision": "tok", "text": "argmax"}
# Fields that change no vector: what is dropped in training, where the tokenizer and first weights were found.
WITHOUT_EFFECT = re.compile(
    r"patch_dropout|output_tokens|hf_tokenizer_name|pad_id|eos_id|\w+_pretrained|timm_(pool|proj)|attn_pooler_\w+"
)
# Values that are the default of a field.
NEUTRAL = {
    "pos_embed_type": "learnable",
    "proj_type": "linear",
    "block_type": "default",
    "hf_proj_type": "mlp",
    "hf_pooler_type": "mean_pooler",
}
RENAMED = {
    r"^visual\.conv1\.": "vision_model.embeddings.patch_embedding.",
    r"^visual\.class_embedding$": "vision_model.embeddings.class_embedding",
    r"^visual\.positional_embedding$": "vision_model.embeddings.position_embedding.weight",
    r"^visual\.ln_pre\.": "vision_model.pre_layrnorm.",
    r"^visual\.ln_post\.": "vision_model.post_layernorm.",
    r"^visual\.proj$": "visual_projection.weight",
    r"^visual\.transformer\.resblocks\.": "vision_model.encoder.layers.",
    r"^token_embedding\.": "text_model.embeddings.token_embedding.",
    r"^positional_embedding$": "text_model.embeddings.position_embedding.weight",
    r"^ln_final\.": "text_model.final_layer_norm.",
    r"^text_projection$": "text_projection.weight",
    r"^transformer\.resblocks\.": "text_model.encoder.layers.",
    r"\.ln_([12])\.": r".layer_norm\1.",
    r"\.attn\.": ".self_attn.",
    r"\.mlp\.c_fc\.": ".mlp.fc1.",
    r"\.mlp\.c_proj\.": ".mlp.fc2.",
}
# Matrices that open_clip keeps the other side up.
TRANSPOSED = ("visual.proj", "text_projection")
RESAMPLING = {"bicubic": 3, "bilinear": 2}


def read_open_clip_config(model: str, repository: Repository) -> "CLIPConfig":
    """Return the config of transformers' CLIP; raise ModelError for a network that is no plain CLIP."""
    from transformers import CLIPConfig

    settings = _model_settings(model, repository)
    vision = VISION_DEFAULTS | settings.get("vision_cfg", {})
    text = TEXT_DEFAULTS | settings.get("text_cfg", {})
    unknown = _find_unknown("vision", vision, VISION_DEFAULTS) + _find_unknown("text", text, TEXT_DEFAULTS)
    if unknown or settings.get("multimodal_cfg"):
        found = ", ".join(unknown) or "a text decoder (CoCa)"
        raise ModelError(
            f"model {model!r} is a network of open_clip that transformers' CLIP cannot be ({found}): "
            f"give its version for transformers where there is one, or {SUGGESTIONS['image']}"
        )
    shared = {"hidden_act": "quick_gelu" if settings.get("quick_gelu") else "gelu"}
    return CLIPConfig(
        projection_dim=settings["embed_dim"],
        vision_config=shared | _vision_fields(vision),
        text_config=shared | _text_fields(text),
    )


def read_open_clip_preprocessing(model: str, repository: Repository, side: int) -> dict[str, Any]:
    """Return the settings with which CLIP's image processor makes of an image what open_clip does.

    side: width and height of what the network reads, in pixels. Raises ModelError for a resizing that CLIP's has not.
    """
    settings = _read_config(repository).get("preprocess_cfg") or {}
    mode = settings.get("resize_mode", "shortest")
    if mode not in ("shortest", "squash"):
        raise ModelError(
            f"model {model!r}: its images are resized by {mode!r}, expected shortest or squash: "
            f"give {SUGGESTIONS['image']}"
        )
    square = {"height": side, "width": side}
    return {
        "size": {"shortest_edge": side} if mode == "shortest" else square,
        "crop_size": square,
        "do_center_crop": mode == "shortest",
        "resample": RESAMPLING.get(settings.get("interpolation", "bicubic"), RESAMPLING["bicubic"]),
        **{f"image_{name}": settings[name] for name in ("mean", "std") if name in settings},
    }


def read_open_clip_tensors(weights: Weights) -> "dict[str, torch.Tensor]":
    """Return the tensors under the names of transformers' CLIP."""
    import torch
    from safetensors.torch import load_file

    if weights.pickled:
        tensors = torch.load(weights.path, map_location="cpu", weights_only=True)
        # A checkpoint of open_clip's training holds them under this name.
        tensors = tensors.get("state_dict", tensors)
    else:
        tensors = load_file(weights.path)
    return dict(
        renamed
        for name, tensor in tensors.items()
        for renamed in _rename(re.sub(r"^(module\.)?(text\.)?", "", name), tensor)
    )


def _rename(name: str, tensor: "torch.Tensor") -> "list[tuple[str, torch.Tensor]]":
    """Return the tensor under its other name, or the three that attention keeps in one."""
    if name in TRANSPOSED:
        tensor = tensor.T.contiguous()
    for pattern, replacement in RENAMED.items():
        name = re.sub(pattern, replacement, name)
    joined = re.fullmatch(r"(.*)\.in_proj_(weight|bias)", name)
    if not joined:
        return [(name, tensor)]
    return [
        (f"{joined[1]}.{part}_proj.{joined[2]}", own)
        for part, own in zip("qkv", tensor.chunk(3), strict=True)
    ]


def _read_config(repository: Repository) -> dict[str, Any]:
    content = repository.read_json(OPEN_CLIP_CONFIG)
    return content if isinstance(content, dict) else {}


def _model_settings(model: str, repository: Repository) -> dict[str, Any]:
    content = _read_config(repository)
    settings = content.get("model_cfg", content)
    towers = (
        [settings.get(name, {}) for name in ("vision_cfg", "text_cfg")]
        if isinstance(settings, dict)
        else [None]
    )
    if not all(isinstance(tower, dict) for tower in towers) or not isinstance(settings.get("embed_dim"), int):
        raise ModelError(
            f"model {model!r}: its {OPEN_CLIP_CONFIG} cannot be read: expected model_cfg with embed_dim and two towers"
        )
    return settings


def _find_unknown(tower: str, settings: dict[str, Any], known: dict[str, Any]) -> list[str]:
    """Return what a tower has that a plain CLIP has not, such as "vision timm_model_name"."""
    neutral = NEUTRAL | {"pool_type": POOLED[tower]}
    unknown = [
        name
        for name, value in settings.items()
        if value and name not in {*known, "norm_kwargs"} and neutral.get(name) != value
        if not WITHOUT_EFFECT.fullmatch(name)
    ]
    if not isinstance(settings["layers"], int):
        unknown.append("layers of a ResNet")
    if not isinstance(settings.get("image_size", 0), int):
        unknown.append("image_size of two numbers")
    return [f"{tower} {name}" for name in unknown]


def _vision_fields(tower: dict[str, Any]) -> dict[str, Any]:
    return {
        "num_attention_heads": tower["width"] // tower["head_width"],
        "image_size": tower["image_size"],
        "patch_size": tower["patch_size"],
        **_tower_fields(tower),
    }


def _text_fields(tower: dict[str, Any]) -> dict[str, Any]:
    return {
        "num_attention_heads": tower["heads"],
        "max_position_embeddings": tower["context_length"],
        "vocab_size": tower["vocab_size"],
        # With this number transformers pools at the highest token, as open_clip does.
        "eos_token_id": 2,
        **_tower_fields(tower),
    }


def _tower_fields(tower: dict[str, Any]) -> dict[str, Any]:
    return {
        "hidden_size": tower["width"],
        "num_hidden_layers": tower["layers"],
        "intermediate_size": int(tower["width"] * tower["mlp_ratio"]),
        "layer_norm_eps": (tower.get("norm_kwargs") or {}).get("eps", 1e-5),
    }
