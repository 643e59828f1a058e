"""The parts of a checkpoint as transformers reads them, without code of the checkpoint.

Letters: N texts, P prompts (1 without any), T tokens.
"""

from threading import Lock
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoFeatureExtractor,
    AutoImageProcessor,
    AutoTokenizer,
    CLIPImageProcessorPil,
    CLIPModel,
)

from mmlab.embed.models.checkpoint import Checkpoint, unreadable_as_model_error
from mmlab.embed.models.interface import Inputs, ModelError, fill_prompts
from mmlab.embed.models.open_clip import read_open_clip_preprocessing, read_open_clip_tensors
from mmlab.embed.models.weights import check_weights

SAVE_PARTS = "save them beside the weights with save_pretrained"
# SDPA where a family has it, else its plain attention: a config may name code on the hub instead
OUR_ATTENTION = {"attn_implementation": None}
SAVE_CLIP_TOKENIZER = (
    "open_clip keeps CLIP's tokenizer in its own package: once, save it beside the weights with "
    "transformers.AutoTokenizer.from_pretrained('openai/clip-vit-base-patch32').save_pretrained(folder)"
)


class TextTokenizer:
    """A tokenizer with the model's window and prompts; several threads may use it.

    window: the most tokens that the model reads. padding: "longest", or "max_length" for a model that was trained on
    texts padded to the whole window.
    """

    def __init__(
        self, tokenizer: Any, window: int, prompts: tuple[str, ...] = (), padding: str = "longest"
    ) -> None:
        self.tokenizer, self.window, self.prompts, self.padding = tokenizer, window, prompts, padding
        # Truncation and padding are settings of the tokenizer, and counting needs other ones.
        self.lock = Lock()

    def tokenize(self, texts: list[str], prompted: bool = True) -> Inputs:
        """Return input_ids (N x P, T), int64 on the CPU, and attention_mask where the model was trained with one.

        A text longer than the window loses its end. Without `prompted`, the texts stand alone (N, T).
        """
        filled = fill_prompts(texts, self.prompts if prompted else ())
        with self.lock:
            tokens = self.tokenizer(
                filled, padding=self.padding, truncation=True, max_length=self.window, return_tensors="pt"
            )
        return dict(tokens)

    def count_truncated(self, texts: list[str]) -> int:
        """Count the texts that have more tokens than the window within any of their prompts."""
        filled = fill_prompts(texts, self.prompts)
        # An ASCII letter is one token at most, beside start, end and a leading space: most texts surely fit.
        doubtful = [
            position
            for position, text in enumerate(filled)
            if not text.isascii() or len(text) + 3 > self.window
        ]
        if not doubtful:
            return 0
        lengths = self._count_tokens([filled[position] for position in doubtful])
        longer = [
            position for position, length in zip(doubtful, lengths, strict=True) if length > self.window
        ]
        return len(np.unique(np.array(longer, dtype=int) // max(len(self.prompts), 1)))

    def _count_tokens(self, texts: list[str]) -> list[int]:
        """Count the tokens of each whole text, with its start and end."""
        with self.lock:
            if not self.tokenizer.is_fast:
                return [len(ids) for ids in self.tokenizer(texts, verbose=False)["input_ids"]]
            backend = self.tokenizer.backend_tokenizer
            # The next `tokenize` sets both again.
            backend.no_truncation()
            backend.no_padding()
            return [len(found.ids) for found in backend.encode_batch_fast(texts)]


def read_network(kind: Any, checkpoint: Checkpoint, advice: str, optional: str = "", **options: Any) -> Any:
    """Return the network of class `kind` on the CPU, with SDPA attention where the family has it.

    Raises ModelError if a tensor is missing. Only the part called `optional` may be missing: it is None then.
    """
    with unreadable_as_model_error(checkpoint.requested, "weights", "expected weights that fit the config"):
        network, found = _read_tensors(kind, checkpoint, {"config": checkpoint.config} | options)
    missing = sorted(found["missing_keys"])
    if missing and optional and all(name.startswith(f"{optional}.") for name in missing):
        setattr(network, optional, None)
    elif missing:
        raise ModelError(
            f"model {checkpoint.requested!r}: its weights lack {len(missing)} tensors, first {missing[0]}: {advice}"
        )
    return network


def _read_tensors(kind: Any, checkpoint: Checkpoint, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the network and what from_pretrained says about it; the weights lie on this machine."""
    weights = checkpoint.weights
    check_weights(checkpoint.requested, weights)
    options |= {"dtype": checkpoint.dtype, "output_loading_info": True, **OUR_ATTENTION}
    if weights.of_open_clip:
        open_clip: Any = CLIPModel
        return open_clip.from_pretrained(None, state_dict=read_open_clip_tensors(weights), **options)
    return kind.from_pretrained(
        checkpoint.folder, use_safetensors=not weights.pickled, trust_remote_code=False, **options
    )


def read_tokenizer(
    checkpoint: Checkpoint,
    network: Any,
    text_config: Any,
    max_window: int | None = None,
    padding: str = "longest",
) -> TextTokenizer:
    """Return the tokenizer with the window of the network, at most `max_window` tokens.

    Raises ModelError unless it knows about as many tokens as `text_config` says.
    """
    advice = SAVE_CLIP_TOKENIZER if checkpoint.weights.of_open_clip else SAVE_PARTS
    with unreadable_as_model_error(checkpoint.requested, "tokenizer or image processor", advice):
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder, trust_remote_code=False)
    check_vocabulary(checkpoint, tokenizer, text_config.vocab_size)
    window = find_window(tokenizer, network, text_config)
    return TextTokenizer(tokenizer, min(window, max_window or window), checkpoint.prompts, padding)


def read_image_processor(checkpoint: Checkpoint) -> Any:
    """Return the image processor."""
    with unreadable_as_model_error(checkpoint.requested, "tokenizer or image processor", SAVE_PARTS):
        if checkpoint.weights.of_open_clip:
            side = checkpoint.config.vision_config.image_size
            repository = checkpoint.weights.repository
            return CLIPImageProcessorPil(
                **read_open_clip_preprocessing(checkpoint.requested, repository, side)
            )
        # The one based on Pillow everywhere: where torchvision is installed, the pixels would differ otherwise.
        return AutoImageProcessor.from_pretrained(checkpoint.folder, backend="pil", trust_remote_code=False)


def read_feature_extractor(checkpoint: Checkpoint) -> Any:
    """Return the feature extractor, which turns waveforms into tensors."""
    with unreadable_as_model_error(checkpoint.requested, "tokenizer or feature extractor", SAVE_PARTS):
        return AutoFeatureExtractor.from_pretrained(checkpoint.folder, trust_remote_code=False)


def check_vocabulary(checkpoint: Checkpoint, tokenizer: Any, expected: int) -> None:
    """Raise ModelError if the tokenizer knows less than half of the expected number of tokens.

    Without its vocabulary file a tokenizer loads all the same, and every text becomes the same vector.
    """
    if len(tokenizer) < expected / 2:
        raise ModelError(
            f"model {checkpoint.requested!r}: its tokenizer knows {len(tokenizer)} tokens, "
            f"expected about {expected}: save the tokenizer beside the weights with save_pretrained"
        )


def find_window(tokenizer: Any, network: torch.nn.Module, text_config: Any) -> int:
    """Return how many tokens the model reads: what the tokenizer says, and no more than there are positions."""
    positions = getattr(text_config, "max_position_embeddings", None)
    for name, part in network.named_modules():
        # RoBERTa and its relatives count positions from the number of the padding token on.
        if name.endswith("position_embeddings") and getattr(part, "padding_idx", None) is not None:
            positions = part.num_embeddings - part.padding_idx - 1
    return min(tokenizer.model_max_length, positions or tokenizer.model_max_length)
