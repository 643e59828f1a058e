"""Where things lie. One rule: a relative path in a parameter starts at the project folder."""

import os
from pathlib import Path

import mmlab


def project() -> Path:
    """Return the folder that holds `notebooks/` and the `mmlab` package."""
    return Path(mmlab.__file__).resolve().parents[1]


def data() -> Path:
    """Return the folder for everything made: `$MMLAB_DATA`, or `data/` in the project folder.

    >>> data().is_absolute()
    True
    """
    return Path(os.environ.get("MMLAB_DATA") or project() / "data").expanduser().resolve()


def resolve(path: str | Path) -> Path:
    """Return an absolute path: `~` expanded, relative paths taken from the project folder, not from the kernel's."""
    return (project() / Path(path).expanduser()).resolve()
