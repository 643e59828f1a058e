"""From texts to token tensors: prompts filled in, cut at the window, padded as the family was trained.

Letters: N texts, P prompts (1 without any), T tokens.
"""

from threading import Lock
from typing import Any

import numpy as np
import torch

from mmlab.embed.models.prompts import fill_in


class TextReader:
    """A tokenizer with its window; may be used by several threads."""

    def __init__(
        self, tokenizer: Any, window: int, prompts: tuple[str, ...] = (), padding: str = "longest"
    ) -> None:
        self.tokenizer, self.window, self.prompts, self.padding = tokenizer, window, prompts, padding
        self.lock = Lock()  # cutting and padding are settings of the tokenizer, and counting needs others

    def read(self, texts: list[str]) -> dict[str, Any]:
        """input_ids (N x P, T) and, where the model was trained with one, attention_mask; int64 on the CPU."""
        filled = fill_in(texts, self.prompts)
        with self.lock:
            tokens = self.tokenizer(
                filled, padding=self.padding, truncation=True, max_length=self.window, return_tensors="pt"
            )
        return dict(tokens)

    def count_cut(self, texts: list[str]) -> int:
        """How many of the texts have more tokens than the window, within any of their prompts."""
        filled = fill_in(texts, self.prompts)
        # An ASCII letter is one token at most, beside start, end and a leading space: most need no look.
        doubtful = [
            place for place, text in enumerate(filled) if not text.isascii() or len(text) + 3 > self.window
        ]
        if not doubtful:
            return 0
        lengths = self._count_tokens([filled[place] for place in doubtful])
        longer = [place for place, length in zip(doubtful, lengths, strict=True) if length > self.window]
        return len(np.unique(np.array(longer, dtype=int) // max(len(self.prompts), 1)))

    def _count_tokens(self, texts: list[str]) -> list[int]:
        """Of each text with its start and end, uncut."""
        with self.lock:
            if not self.tokenizer.is_fast:
                return [len(ids) for ids in self.tokenizer(texts, verbose=False)["input_ids"]]
            backend = self.tokenizer.backend_tokenizer
            backend.no_truncation()
            backend.no_padding()  # the next read sets both again
            return [len(found.ids) for found in backend.encode_batch_fast(texts)]


def token_window(tokenizer: Any, network: torch.nn.Module, text_config: Any) -> int:
    """How many tokens the model reads: what the tokenizer says, and no more than there are positions."""
    positions = getattr(text_config, "max_position_embeddings", None)
    for name, part in network.named_modules():
        # RoBERTa and its kin begin to count behind the number of the padding token.
        if name.endswith("position_embeddings") and getattr(part, "padding_idx", None) is not None:
            positions = part.num_embeddings - part.padding_idx - 1
    return min(tokenizer.model_max_length, positions or tokenizer.model_max_length)
