"""The values that a parameter can have, where these are few: written once, for every room and the command line.

The rooms keep the functions behind the names; a test holds their registries against these.
"""

import difflib
from typing import Any

OPTIONS = {
    "source": (
        "auto", "csv", "tsv", "excel", "json", "jsonl", "parquet", "webdataset", "lists", "coco", "karpathy", "flickr",
        "sidecar", "images", "huggingface",
    ),
    "precision": ("float32", "bfloat16", "auto"),
    "layout": ("unified", "separate", "named"),
    "quantization": ("none", "scalar", "product", "binary", "turbo"),  # with a size as in product-32
    "fusion": ("none", "weighted_sum", "rrf", "dbsf"),
    "siblings": ("leave_out", "keep"),
    "rescoring": ("none", "centring", "csls", "inverted_softmax", "qb_norm"),
    "calibration": ("none", "temperature", "logistic", "isotonic"),
}  # fmt: skip


def check_option(name: str, value: Any) -> None:
    """Raise ValueError, listing the known values, unless the parameter `name` can have this value.

    >>> check_option("layout", "named")
    """
    known = OPTIONS.get(name)
    kind = str(value).partition("-")[0] if name == "quantization" else value
    if known is None or kind in known:
        return
    close = difflib.get_close_matches(str(value), known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise ValueError(f"parameter {name}: expected one of {', '.join(known)}, found {value!r}{hint}")
