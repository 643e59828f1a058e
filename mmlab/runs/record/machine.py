"""Describe what ran: versions of Python and the packages that decide results, the platform, the git commit.

Versions are read from the metadata of the packages, without importing them. No environment variable is recorded.
"""

import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from mmlab.items.files import project

if TYPE_CHECKING:
    import pandas as pd

PACKAGES = (
    "mmlab",
    "torch",
    "transformers",
    "qdrant-edge-py",
    "qdrant-client",
    "numpy",
    "pandas",
    "scikit-learn",
    "umap-learn",
    "matplotlib",
    "papermill",
)


class GitState(TypedDict):
    """The commit of a checkout, and whether files differ from it."""

    commit: str
    dirty: bool


class Environment(TypedDict):
    """What a manifest keeps of the machine that ran a step."""

    packages: dict[str, str]
    platform: str
    git: GitState | None


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of `PACKAGES`, "not installed" where one is missing."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def versions() -> "pd.DataFrame":
    """Return the versions of Python and the main packages as a table with the columns package and version.

    It is what the last cell of a notebook shows.

    >>> list(versions().columns)
    ['package', 'version']
    """
    import pandas as pd

    return pd.DataFrame(package_versions().items(), columns=["package", "version"])


def describe_machine() -> Environment:
    """Return the versions, the platform and, in a git checkout, the commit."""
    return {"packages": package_versions(), "platform": platform.platform(), "git": git_state(project())}


def git_state(folder: Path) -> GitState | None:
    """Return the commit of a checkout and whether files differ from it; None without a checkout or without git."""
    if not (folder / ".git").exists() or not shutil.which("git"):
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain"))} if commit else None


def _git(folder: Path, *arguments: str) -> str:
    command = [shutil.which("git") or "git", "-C", str(folder), *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return answer.stdout.strip() if answer.returncode == 0 else ""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
