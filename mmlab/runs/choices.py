"""The values that a parameter can have, where it has but a few: a wrong one is refused before anything runs.

The rooms that know them are not asked, since asking loads torch or the store; a test holds these names against theirs.
"""

import difflib
from typing import Any

CHOICES = {
    "source": (
        "auto", "csv", "tsv", "jsonl", "parquet", "coco", "karpathy", "flickr", "sidecar", "images", "huggingface",
    ),
    "precision": ("float32", "bfloat16", "auto"),
    "layout": ("unified", "separate", "named"),
    "quantization": ("none", "scalar", "product", "binary", "turbo"),  # with a size as in product-32
    "fusion": ("none", "weighted_sum", "rrf", "dbsf"),
    "rescoring": ("none", "centring", "csls", "inverted_softmax", "qb_norm"),
    "calibration": ("none", "temperature", "logistic", "isotonic"),
}  # fmt: skip


def check_choice(name: str, value: Any) -> None:
    """ValueError for a value that the parameter cannot have, with those that it can."""
    known = CHOICES.get(name)
    kind = str(value).partition("-")[0] if name == "quantization" else value
    if known is None or kind in known:
        return
    close = difflib.get_close_matches(str(value), known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise ValueError(f"parameter {name}: {hint}one of {', '.join(known)}; found {value!r}")
