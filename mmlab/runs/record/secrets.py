"""Refuse a parameter that holds a secret before it is written anywhere.

papermill writes every parameter into the executed notebook, and a sweep into the names of its runs. Passwords, keys
and tokens come from the environment alone.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

SECRET_VARIABLES = ("QDRANT_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
# a shorter value occurs in many words
MIN_SECRET_CHARS = 6
# a URL with the name or the password of a user
URL_WITH_USER = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#]*@", re.IGNORECASE)
# the same without a scheme, or a URL with a query
STORE_WITH_KEY = re.compile(r"^[^\s/]*:[^\s/]*@|^[a-z]+://.*[?#]", re.IGNORECASE)


def check_secrets(parameters: Mapping[str, Any]) -> None:
    """Raise ValueError if a value is a URL with a user or a password, or contains a key of the environment.

    The message names the parameter and repeats nothing of its value.
    """
    for name, value in parameters.items():
        for text in _texts(value):
            _check(name, text)


def _check(name: str, text: str) -> None:
    for variable in SECRET_VARIABLES:
        secret = os.environ.get(variable, "")
        if len(secret) >= MIN_SECRET_CHARS and secret in text:
            raise ValueError(
                f"parameter {name} contains the value of {variable}, which must not be written to a file: leave it out"
            )
    if URL_WITH_USER.search(text) or (name == "store" and STORE_WITH_KEY.search(text)):
        raise ValueError(
            f"parameter {name} is a URL with a name, a password or a key in it, and parameters are written into "
            "notebooks: give the bare URL, and put the key into the environment, as QDRANT_API_KEY or HF_TOKEN"
        )


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return _texts(list(value.values()))
    return [text for entry in value for text in _texts(entry)] if isinstance(value, list | tuple) else []
