"""From a name to a working model. Knows names and configs; the adapters know tensors."""

from pathlib import Path
from typing import TYPE_CHECKING

from mmlab.embed.models.checkpoint import find_checkpoint, folder_revision, reading
from mmlab.embed.models.protocol import Model

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

PRECISIONS = ("float32", "bfloat16")


def load_model(model: str, device: str = "auto", precision: str = "float32") -> Model:
    """The model called `model`: "demo", a folder, or a Hugging Face id like "openai/clip-vit-base-patch32".

    `device` is "auto" (an accelerator if there is one), "cpu", "cuda" ...; `precision` is "float32" or
    "bfloat16". A relative folder starts at the project. Code that comes with a checkpoint is never run, and
    weights are read from safetensors only.
    Raises ModelError if there is no such model, if it cannot be read, or if it cannot embed texts and images.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision: expected one of {', '.join(PRECISIONS)}, found {precision!r}")
    from mmlab.embed.models import dual  # brings torch and transformers

    source = find_checkpoint(model)
    config = _read_config(model, source)
    dual.check_kind(model, config)
    local = Path(source).is_dir()
    return dual.DualEncoder(
        *dual.read_parts(model, source, precision),
        name=Path(source).name if local and model != "demo" else model,
        revision=folder_revision(Path(source)) if local else str(config._commit_hash),
        device=device,
    )


def _read_config(model: str, source: str) -> "PreTrainedConfig":
    from transformers import AutoConfig

    advice = (
        "give a folder written by save_pretrained"
        if Path(source).is_dir()
        else "it is no folder of the project, and no model that the Hugging Face hub could be asked for; "
        "check the name and the network, or give 'demo' or a folder"
    )
    with reading(model, "config", advice):
        return AutoConfig.from_pretrained(source, trust_remote_code=False)
