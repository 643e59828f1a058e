"""Names of a sweep's runs: the file's name, then each parameter with its value, as far as a name can hold them."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

LONGEST = 60  # characters


def name_runs(stem: str, varied: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name for each set of parameters; one that is too long or not the only one ends in digits of a hash."""
    plain = [_plain(stem, values) for values in varied]
    often = Counter(name[:LONGEST] for name in plain)
    return [
        name if len(name) <= LONGEST and often[name] == 1 else f"{name[: LONGEST - 9]}-{_digest(values)}"
        for name, values in zip(plain, varied, strict=True)
    ]


def _plain(stem: str, values: Mapping[str, Any]) -> str:
    parts = [stem, *(f"{name}-{_text(value)}" for name, value in values.items())]
    slugs = [re.sub(r"[^a-z0-9._]+", "-", part.lower()).strip("-.") for part in parts]
    slugs[0] = slugs[0] or "sweep"
    return "-".join(slug for slug in slugs if slug)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "-".join(map(_text, value))
    return json.dumps(value) if isinstance(value, bool) else str(value).rsplit("/", 1)[-1]


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]
