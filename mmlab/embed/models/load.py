"""From a name to a loaded model: this file knows names and configs, the adapters know tensors."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from mmlab.embed.models.checkpoint import (
    Checkpoint,
    find_checkpoint,
    find_revision,
    unreadable_as_model_error,
)
from mmlab.embed.models.interface import SUGGESTIONS, Model, ModelError
from mmlab.embed.models.prompts import check_prompts, parse_prompts
from mmlab.items import Space

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

# The family of a config, by its model_type or else by what its class embeds -> module and adapter. A module is imported
# when a model of the family is loaded: torch, transformers and sentence-transformers take seconds.
FAMILIES = {
    "blip": ("blip", "Blip"),
    "blip-2": ("blip", "Blip2"),
    "clap": ("audio_video", "Clap"),
    "pe_audio": ("audio_video", "PeAudio"),
    "pe_audio_video": ("audio_video", "PeAudio"),
    "xclip": ("audio_video", "VideoEncoder"),
    "texts and images": ("vision", "DualEncoder"),
    "texts": ("sentence_encoder", "SentenceEncoder"),
    "images": ("vision", "ImageEncoder"),
}
# What a class embeds, by the name of its first input.
FIRST_INPUTS = {"input_ids": "texts", "pixel_values": "images"}
IMAGEBIND = (
    "is an ImageBind, which is not on PyPI, not in transformers, and not free for commercial use (CC BY-NC-SA 4.0): "
    "give laion/clap-htsat-unfused for audio, microsoft/xclip-base-patch32 for video, "
    "or facebook/pe-av-large (PE-AV) for audio beside text"
)


def load_model(
    model: str, device: str = "auto", precision: str = "float32", prompts: Sequence[str] = ()
) -> Model:
    """Load a model by its name: "demo", a folder, or a Hugging Face id like "openai/clip-vit-base-patch32".

    model: a relative folder is relative to the project.
    device: "auto" (an accelerator if there is one), "cpu", "cuda" ...
    precision: "float32", "bfloat16", or "auto": bfloat16 where the hardware computes faster in it.
    prompts: templates like "a photo of {}". Each text is put into each of them, and has the mean of their vectors;
    an encoder of images alone ignores them.

    Code that comes with a checkpoint is never run, and weights are read from safetensors only.
    Raises ModelError if there is no such model or it cannot be read, ValueError for other wrong arguments.
    """
    templates = check_prompts(prompts)
    if "imagebind" in Path(model).name.lower():
        raise ModelError(f"model {model!r} {IMAGEBIND}")
    # Imported here because it loads torch.
    from mmlab.embed.models.device import pick_device, pick_precision

    picked = pick_device(device)
    picked_precision = pick_precision(precision, picked)
    source = find_checkpoint(model)
    config, revision = _read_config(model, source)
    module, adapter = FAMILIES[_find_family(model, config)]
    checkpoint = Checkpoint(model, source, revision, config, picked, picked_precision, templates)
    return getattr(import_module(f"mmlab.embed.models.{module}"), adapter)(checkpoint)


def load_for(space: Space, device: str = "auto") -> Model:
    """Load the model that made the vectors of this space, with the same prompts and precision.

    Raises ModelError if the model is gone or has changed since; the message says what differs.
    """
    precision = space.preprocessing.rsplit(", ", 1)[-1]
    model = load_model(space.model, device, precision, parse_prompts(space.prompt))
    then, now = space.to_dict(), model.space.to_dict()
    changed = [f"{name} was {then[name]!r} and is {now[name]!r}" for name in then if then[name] != now[name]]
    if changed:
        raise ModelError(
            f"model {space.model!r} has changed since it made these vectors: {'; '.join(changed)}; "
            "run 02_embed again, or restore the model as it was"
        )
    return model


def _find_family(model: str, config: "PreTrainedConfig") -> str:
    from transformers import MODEL_MAPPING

    if config.model_type in FAMILIES:
        return config.model_type
    mapped = MODEL_MAPPING.get(type(config), None)
    kind = mapped[0] if isinstance(mapped, tuple | list) else mapped
    if hasattr(kind, "get_text_features") and hasattr(kind, "get_image_features"):
        return "texts and images"
    embedded = FIRST_INPUTS.get(getattr(kind, "main_input_name", ""), "")
    # A model that writes about images begins with tokens too, but is no encoder.
    if embedded and not (embedded == "texts" and hasattr(config, "vision_config")):
        return embedded
    found = kind.__name__ if kind else config.model_type
    raise ModelError(
        f"model {model!r} is a {found}, which is not a known kind of encoder: give {SUGGESTIONS['image']}"
    )


def _read_config(model: str, source: str) -> "tuple[PreTrainedConfig, str]":
    """Return the config and the revision."""
    from transformers import AutoConfig, PreTrainedConfig

    advice = (
        "give a folder written by save_pretrained"
        if Path(source).is_dir()
        else "there is no such folder in the project, and the Hugging Face hub could not be asked for this id; "
        "check the name and the network, or give 'demo' or a folder"
    )
    with unreadable_as_model_error(model, "config", advice):
        revision = find_revision(source)
        pinned = {} if Path(source).is_dir() else {"revision": revision}
        if PreTrainedConfig.get_config_dict(source, **pinned)[0].get("model_type") == "imagebind":
            raise ModelError(f"model {model!r} {IMAGEBIND}")
        return AutoConfig.from_pretrained(source, trust_remote_code=False, **pinned), revision
