"""A parameter that holds a secret is refused before it is written anywhere.

papermill writes every parameter into the executed notebook, and a sweep into the names of its runs: passwords, keys
and tokens come from the environment alone.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

KEYS = ("QDRANT_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")  # of the environment
SHORTEST = 6  # characters of a key that is looked for: a shorter one is in many words
USER = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#]*@", re.IGNORECASE)  # a URL with a user's name or password
STORE = re.compile(
    r"^[^\s/]*:[^\s/]*@|^[a-z]+://.*[?#]", re.IGNORECASE
)  # without its scheme, or with a query


def check_secrets(parameters: Mapping[str, Any]) -> None:
    """ValueError for a value that has a name or a password in a URL, or a key of the environment in it.

    The message says which parameter, and repeats nothing of its value.
    """
    for name, value in parameters.items():
        for text in _texts(value):
            _check(name, text)


def _check(name: str, text: str) -> None:
    found = [key for key in KEYS if len(os.environ.get(key, "")) >= SHORTEST and os.environ[key] in text]
    if found:
        raise ValueError(
            f"parameter {name} holds the value of {found[0]}, which belongs into no file: leave it out"
        )
    if USER.search(text) or (name == "store" and STORE.search(text)):
        raise ValueError(
            f"parameter {name} is a URL with a name, a password or a key in it, and parameters are written into "
            "notebooks: give the bare URL, and the key in the environment, QDRANT_API_KEY or HF_TOKEN"
        )


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    entries = (
        value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    )
    return [text for entry in entries for text in _texts(entry)]
