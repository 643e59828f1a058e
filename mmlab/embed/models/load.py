"""From a name to a loaded model: this file knows names and configs, the adapters know tensors."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmlab.embed.models.checkpoint import (
    Checkpoint,
    find_checkpoint,
    hash_folder,
    module_folders,
    suggest_id,
    unreadable_as_model_error,
)
from mmlab.embed.models.interface import (
    SUGGESTIONS,
    Model,
    ModelError,
    check_prompts,
    parse_pooling,
    parse_prompts,
)
from mmlab.embed.models.open_clip import read_open_clip_config
from mmlab.embed.models.weights import (
    CONFIG,
    MODULES,
    OPEN_CLIP_CONFIG,
    Repository,
    Weights,
    choose_weights,
    find_commit,
    join,
    missing_weights,
)
from mmlab.items import Space
from mmlab.items.parameter_table import check_values

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from mmlab.embed.models.sentence_encoder import PairScorer

# The family of a config, by its model_type, else "modules" beside a modules.json, else by what its class embeds ->
# module and adapter. A module is imported when a model of the family is loaded: torch, transformers and
# sentence-transformers take seconds.
FAMILIES = {
    "blip": ("blip", "Blip"),
    "blip-2": ("blip", "Blip2"),
    "clap": ("dual_encoders", "Clap"),
    "pe_audio": ("dual_encoders", "PeAudio"),
    "pe_audio_video": ("dual_encoders", "PeAudio"),
    "xclip": ("dual_encoders", "VideoEncoder"),
    "colpali": ("late", "PageEncoder"),
    "colqwen2": ("late", "PageEncoder"),
    "colmodernvbert": ("late", "PageEncoder"),
    "weighted terms": ("late", "TermEncoder"),
    "token vectors": ("late", "TokenEncoder"),
    # sentence-transformers gives them other images, or texts longer than the window
    "siglip2": ("dual_encoders", "DualEncoder"),
    "altclip": ("dual_encoders", "DualEncoder"),
    "modules": ("sentence_encoder", "SentenceEncoder"),
    "texts and images": ("dual_encoders", "DualEncoder"),
    "texts": ("sentence_encoder", "SentenceEncoder"),
    "images": ("dual_encoders", "ImageEncoder"),
}
# What a checkpoint of sentence-transformers (or of PyLate, ColBERT) embeds, by the name of its model type.
LIBRARY_KINDS = {
    "SparseEncoder": "weighted terms",
    "MultiVectorEncoder": "token vectors",
    "ColBERT": "token vectors",
    "HF_ColBERT": "token vectors",
}
# What a class embeds, by the name of its first input.
FIRST_INPUTS = {"input_ids": "texts", "pixel_values": "images"}
IMAGEBIND = (
    "is an ImageBind, which is not on PyPI, not in transformers, and not free for commercial use (CC BY-NC-SA 4.0): "
    "give laion/clap-htsat-unfused for audio, microsoft/xclip-base-patch32 for video, "
    "or facebook/pe-av-large (PE-AV) for audio beside text"
)
ASK_AGAIN = "check the network (HF_HUB_OFFLINE=1 reads what lies in the cache), or fetch the checkpoint again"
ASK_HUB = (
    "there is no such folder in the project, and the Hugging Face hub could not be asked for this id; "
    "check the name and the network, or give 'demo' or a folder"
)


def load_model(
    model: str,
    device: str = "auto",
    precision: str = "float32",
    prompts: Sequence[str] = (),
    pool_tokens: int = 1,
    truncate_dim: int = 0,
) -> Model:
    """Load a model by its name: "demo", a folder, or a Hugging Face id like "openai/clip-vit-base-patch32".

    model: a relative folder is relative to the project.
    device: "auto" (an accelerator if there is one), "cpu", "cuda" ...
    precision: "float32", "bfloat16", "int8" (on the CPU, with the extra [openvino]), or "auto": bfloat16 where the
    hardware computes faster in it. Whether int8 is near enough is judged on items: `embed_with_models` does so.
    prompts: templates like "a photo of {}". Each text is put into each of them, and has the mean of their vectors;
    an encoder of images alone, one of weighted terms and one of token vectors ignore them.
    pool_tokens: about how many token rows of an item become one, by clusters, in late interaction.
    truncate_dim: how many first dimensions of a vector are kept, as unit rows again; 0 for all, and a model that has
    fewer gives all. Models that were trained for it (Matryoshka) lose little.

    Code that comes with a checkpoint is never run. Weights are safetensors, or else tensors in a pickle, which torch
    reads with weights_only=True; a line says so where they are not the safetensors that lie beside the config.
    Raises ModelError if there is no such model or it cannot be read, ValueError for other wrong arguments.
    """
    check_values(pool_tokens=pool_tokens, truncate_dim=truncate_dim)
    return _load(model, device, precision, check_prompts(prompts), "", pool_tokens, truncate_dim)


def load_for(space: Space, device: str = "auto") -> Model:
    """Load the model that made the vectors of this space, with the same prompts, precision and dimensions.

    A Hugging Face id is read at the commit of the space, whatever main is by now.
    Raises ModelError if the model is gone or has changed since; the message says what differs.
    """
    precision = space.preprocessing.rsplit(", ", 1)[-1]
    prompts, pool_tokens = parse_prompts(space.prompt), parse_pooling(space.pooling)
    kept = (space.revision, pool_tokens, space.truncate_dim)
    model = _load(space.model, device, precision, prompts, *kept)
    then, now = space.to_dict(), model.space.to_dict()
    changed = [f"{name} was {then[name]!r} and is {now[name]!r}" for name in then if then[name] != now[name]]
    if changed:
        raise ModelError(
            f"model {space.model!r} has changed since it made these vectors: {'; '.join(changed)}; "
            "run 02_embed again, or restore the model as it was"
        )
    return model


def load_pair_scorer(model: str, device: str = "auto") -> "PairScorer":
    """Load a cross-encoder of sentence-transformers, by its folder or Hugging Face id, to rank hits again.

    Weights are found and read as `load_model` does, and code that comes with a checkpoint is never run. Raises
    ModelError if there is no such model, if it cannot be read, and for one that embeds instead of scoring pairs.
    """
    from mmlab.embed.models.adapter import pick_device
    from mmlab.embed.models.sentence_encoder import PairScorer

    picked, source = pick_device(device), find_checkpoint(model)
    main = _find_repository(model, source, "")
    part = _find_part(main)
    config, weights = _read_config(model, main, part), _choose_weights(model, main, part)
    if not weights:
        raise missing_weights(model, main)
    return PairScorer(Checkpoint(model, source, weights.revision, config, weights, picked, "float32"))


class DeferredModel:
    """The model of a space, loaded when anything but its space is asked of it, or in the background by `load_soon`."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self._lock = threading.Lock()
        self._model: Model | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked by copy and pickle, which need no model
            raise AttributeError(name)
        return getattr(self.load(), name)

    def load_soon(self) -> None:
        """Load the model in a thread, so that the first question need not wait for it; errors come with that."""
        threading.Thread(target=self._try, daemon=True).start()

    def _try(self) -> None:
        with suppress(Exception):  # the first question raises it where a person sees it
            self.load()

    def load(self) -> Model:
        """Return the model, loaded now where it is not yet; raise what `load_for` raises."""
        with self._lock:
            if self._model is None:
                self._model = load_for(self.space)
            return self._model


def _load(
    model: str,
    device: str,
    precision: str,
    prompts: tuple[str, ...],
    revision: str = "",
    pool_tokens: int = 1,
    truncate_dim: int = 0,
) -> Model:
    """Load a model, a Hugging Face id at the commit of this revision, "" for that of main."""
    if "imagebind" in Path(model).name.lower():
        raise ModelError(f"model {model!r} {IMAGEBIND}")
    # Imported here because it loads torch.
    from mmlab.embed.models.adapter import INT8, pick_device, pick_precision

    picked = pick_device("cpu" if device == "auto" and precision == INT8 else device)
    picked_precision = pick_precision(precision, picked)
    source = find_checkpoint(model)
    config, weights = _open(model, _find_repository(model, source, revision))
    own_revision = weights.revision or hash_folder(Path(source), weights)
    settings = (picked, picked_precision, prompts, pool_tokens, truncate_dim)
    checkpoint = Checkpoint(model, source, own_revision, config, weights, *settings)
    module, adapter = FAMILIES[_find_family(model, config, weights.repository, weights.of_open_clip)]
    return getattr(import_module(f"mmlab.embed.models.{module}"), adapter)(checkpoint)


def _find_repository(model: str, source: str, revision: str) -> Repository:
    if Path(source).is_dir():
        return Repository(source)
    with unreadable_as_model_error(model, "config", ASK_HUB + suggest_id(model)):
        return Repository(source, revision.partition(":")[0] or find_commit(source), pinned=bool(revision))


def _open(model: str, main: Repository) -> "tuple[PreTrainedConfig, Weights]":
    """Return the config and the weights; all other parts lie beside them then."""
    part = _find_part(main)
    of_open_clip = main.find(OPEN_CLIP_CONFIG) is not None
    if not of_open_clip or "model_type" in main.read_json(join(part, CONFIG)):
        config = _read_config(model, main, part)
        # Before the weights are fetched.
        _find_family(model, config, main)
        weights = _choose_weights(model, main, part)
        if weights:
            return config, weights
    if of_open_clip:
        config = read_open_clip_config(model, main)
        weights = _choose_weights(model, main, "", open_clip=True)
        if weights:
            return config, weights
    raise missing_weights(model, main)


def _choose_weights(model: str, main: Repository, part: str, open_clip: bool = False) -> Weights | None:
    with unreadable_as_model_error(model, "weights", ASK_AGAIN):
        weights = choose_weights(main, part, open_clip)
        if weights:
            weights.repository.fetch_settings(module_folders(weights.repository))
        return weights


def _find_part(main: Repository) -> str:
    """Return "", or the folder of the first module where only that has a config, such as "0_CLIPModel"."""
    if main.find(CONFIG):
        return ""
    return next((part for part in module_folders(main)[1:] if main.find(join(part, CONFIG))), "")


def _read_config(model: str, main: Repository, part: str) -> "PreTrainedConfig":
    transformers = _transformers()
    advice = ASK_HUB if main.commit else "give a folder written by save_pretrained"
    with unreadable_as_model_error(model, "config", advice):
        folder = main.folder / part
        if transformers.PreTrainedConfig.get_config_dict(folder)[0].get("model_type") == "imagebind":
            raise ModelError(f"model {model!r} {IMAGEBIND}")
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
        config._attn_implementation = None  # of all parts: a checkpoint may name code on the hub
        return config


def _transformers() -> Any:
    import transformers

    return transformers


def _find_family(
    model: str, config: "PreTrainedConfig", repository: Repository, of_open_clip: bool = False
) -> str:
    settings = repository.read_json("config_sentence_transformers.json") or {}
    named = [
        settings.get("model_type") if isinstance(settings, dict) else None,
        *(config.architectures or ()),
    ]
    if kinds := [LIBRARY_KINDS[name] for name in named if name in LIBRARY_KINDS]:
        return kinds[0]
    if config.model_type in FAMILIES:
        return config.model_type
    if repository.find(MODULES) and not of_open_clip:
        return "modules"
    mapped = _transformers().MODEL_MAPPING.get(type(config), None)
    kind = mapped[0] if isinstance(mapped, tuple | list) else mapped
    if hasattr(kind, "get_text_features") and hasattr(kind, "get_image_features"):
        return "texts and images"
    embedded = FIRST_INPUTS.get(getattr(kind, "main_input_name", ""), "")
    # A model that writes about images begins with tokens too, but is no encoder.
    if embedded and not (embedded == "texts" and hasattr(config, "vision_config")):
        return embedded
    found = kind.__name__ if kind else config.model_type
    saved = ", or its folder as sentence-transformers saves it" if hasattr(config, "vision_config") else ""
    raise ModelError(
        f"model {model!r} is a {found}, which is not a known kind of encoder: give {SUGGESTIONS['image']}{saved}"
    )
