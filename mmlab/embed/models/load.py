"""From a name to a working model. Knows names and configs; the adapters know tensors."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from mmlab.embed.models.checkpoint import Checkpoint, find_checkpoint, find_revision, reading
from mmlab.embed.models.model import INSTEAD, Model, ModelError
from mmlab.embed.models.prompts import check_prompts, undescribe
from mmlab.items import Space

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

# The family of a config, by its model_type or else by what its class can do -> module and adapter.
FAMILIES = {
    "blip": ("blip", "Blip"),
    "blip-2": ("blip2", "Blip2"),
    "clap": ("audio_video", "Clap"),
    "pe_audio": ("audio_video", "PeAudio"),
    "pe_audio_video": ("audio_video", "PeAudio"),
    "xclip": ("video", "VideoEncoder"),
    "texts and images": ("vision", "DualEncoder"),
    "texts": ("sentence_encoder", "TextEncoder"),
    "images": ("image", "ImageEncoder"),
}
READS = {"input_ids": "texts", "pixel_values": "images"}
IMAGEBIND = (
    "is an ImageBind, which is not on PyPI, not in transformers, and not free for commercial use (CC BY-NC-SA 4.0): "
    "give laion/clap-htsat-unfused for audio, microsoft/xclip-base-patch32 for video, "
    "or facebook/pe-av-large (PE-AV) for audio beside text"
)


def load_model(
    model: str, device: str = "auto", precision: str = "float32", prompts: Sequence[str] = ()
) -> Model:
    """The model called `model`: "demo", a folder, or a Hugging Face id like "openai/clip-vit-base-patch32".

    `device` is "auto" (an accelerator if there is one), "cpu", "cuda" ...; `precision` is "float32",
    "bfloat16", or "auto": bfloat16 where the hardware is made for it. Each text is put into each of the
    `prompts`, like "a photo of {}", and has the mean of their vectors; an encoder of images alone has no use
    for them. A relative folder starts at the project. Code that comes with a checkpoint is never run, and
    weights are read from safetensors only.
    Raises ModelError if there is no such model, or if it cannot be read, and ValueError for the rest.
    """
    templates = check_prompts(prompts)
    if "imagebind" in Path(model).name.lower():
        raise ModelError(f"model {model!r} {IMAGEBIND}")
    from mmlab.embed.models.device import pick_device, pick_precision  # brings torch

    place = pick_device(device)
    numbers = pick_precision(precision, place)
    source = find_checkpoint(model)
    config, revision = _read_config(model, source)
    module, adapter = FAMILIES[_family(model, config)]
    checkpoint = Checkpoint(
        asked=model,
        source=source,
        revision=revision,
        config=config,
        device=place,
        precision=numbers,
        prompts=templates,
    )
    return getattr(import_module(f"mmlab.embed.models.{module}"), adapter)(checkpoint)


def load_for(space: Space, device: str = "auto") -> Model:
    """The model that made the vectors of this space: the same one, with the same prompts and precision.

    Raises ModelError if it is gone, or if it has become another one since: the message says in what.
    """
    precision = space.preprocessing.rsplit(", ", 1)[-1]
    model = load_model(space.model, device, precision, undescribe(space.prompt))
    then, now = space.to_dict(), model.space.to_dict()
    changed = [f"{name} was {then[name]!r} and is {now[name]!r}" for name in then if then[name] != now[name]]
    if changed:
        raise ModelError(
            f"model {space.model!r} has changed since it made these vectors: {'; '.join(changed)}; "
            "run 02_embed again, or bring back the model as it was"
        )
    return model


def _family(model: str, config: "PreTrainedConfig") -> str:
    from transformers import MODEL_MAPPING

    if config.model_type in FAMILIES:
        return config.model_type
    kind = MODEL_MAPPING.get(type(config), None)
    kind = kind[0] if isinstance(kind, tuple | list) else kind
    if hasattr(kind, "get_text_features") and hasattr(kind, "get_image_features"):
        return "texts and images"
    read = READS.get(getattr(kind, "main_input_name", ""), "")
    # A model that writes about images begins with tokens too, but is no encoder.
    if read and not (read == "texts" and hasattr(config, "vision_config")):
        return read
    found = kind.__name__ if kind else config.model_type
    raise ModelError(
        f"model {model!r} is a {found}, which is no encoder that is known here: give {INSTEAD['image']}"
    )


def _read_config(model: str, source: str) -> "tuple[PreTrainedConfig, str]":
    from transformers import AutoConfig, PreTrainedConfig

    advice = (
        "give a folder written by save_pretrained"
        if Path(source).is_dir()
        else "it is no folder of the project, and no model that the Hugging Face hub could be asked for; "
        "check the name and the network, or give 'demo' or a folder"
    )
    with reading(model, "config", advice):
        revision = find_revision(source)
        pinned = {} if Path(source).is_dir() else {"revision": revision}
        if PreTrainedConfig.get_config_dict(source, **pinned)[0].get("model_type") == "imagebind":
            raise ModelError(f"model {model!r} {IMAGEBIND}")
        return AutoConfig.from_pretrained(source, trust_remote_code=False, **pinned), revision
