"""The parts of a checkpoint, read by transformers: safetensors only, no code of the checkpoint, nothing missing."""

from typing import Any

import torch
from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer

from mmlab.embed.models.checkpoint import Checkpoint, reading
from mmlab.embed.models.model import ModelError

BESIDE = "save them beside the weights with save_pretrained"


def read_network(kind: Any, checkpoint: Checkpoint, advice: str, spare: str = "", **options: Any) -> Any:
    """The network of this class on the CPU; attention as transformers chooses it, SDPA where the family has it.

    Raises ModelError if a tensor is missing. Only the part called `spare` may be: it is None then.
    """
    with reading(checkpoint.asked, "weights", "expected a model.safetensors that fits the config"):
        network, found = kind.from_pretrained(
            checkpoint.source,
            dtype=getattr(torch, checkpoint.precision),
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **checkpoint.pinned,
            **options,
        )
    missing = sorted(found["missing_keys"])
    if missing and spare and all(name.startswith(f"{spare}.") for name in missing):
        setattr(network, spare, None)
    elif missing:
        raise ModelError(
            f"model {checkpoint.asked!r}: its weights lack {len(missing)} tensors, first {missing[0]}: {advice}"
        )
    return network


def read_tokenizer(checkpoint: Checkpoint, expected: int) -> Any:
    """The tokenizer; ModelError unless it knows about as many tokens as the model has vectors for."""
    with reading(checkpoint.asked, "tokenizer or image processor", BESIDE):
        tokenizer = AutoTokenizer.from_pretrained(
            checkpoint.source, trust_remote_code=False, **checkpoint.pinned
        )
    check_vocabulary(checkpoint, tokenizer, expected)
    return tokenizer


def read_image_processor(checkpoint: Checkpoint) -> Any:
    """The image processor."""
    with reading(checkpoint.asked, "tokenizer or image processor", BESIDE):
        # The Pillow processor everywhere: where torchvision is installed the pixels would differ else.
        return AutoImageProcessor.from_pretrained(
            checkpoint.source, backend="pil", trust_remote_code=False, **checkpoint.pinned
        )


def read_feature_extractor(checkpoint: Checkpoint) -> Any:
    """What turns waveforms into tensors."""
    with reading(checkpoint.asked, "tokenizer or feature extractor", BESIDE):
        return AutoFeatureExtractor.from_pretrained(
            checkpoint.source, trust_remote_code=False, **checkpoint.pinned
        )


def check_vocabulary(checkpoint: Checkpoint, tokenizer: Any, expected: int) -> None:
    """Raise ModelError if the tokenizer knows less than half of the expected tokens."""
    # Without its vocabulary file a tokenizer loads all the same, knows nothing, and texts get one vector.
    if len(tokenizer) < expected / 2:
        raise ModelError(
            f"model {checkpoint.asked!r}: its tokenizer knows {len(tokenizer)} tokens, "
            f"expected about {expected}: save the tokenizer beside the weights with save_pretrained"
        )
