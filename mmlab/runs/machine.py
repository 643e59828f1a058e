"""What ran: versions of Python and the packages that decide results, the machine, the git commit.

Read from the packages' metadata, without importing them; no environment variable is ever recorded.
"""

import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmlab.items import project

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


def package_versions() -> dict[str, str]:
    """Python's version and the packages', "not installed" where one is missing."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def versions() -> "pd.DataFrame":
    """The same as a table with the columns package and version, for a notebook's last cell."""
    import pandas as pd

    return pd.DataFrame(package_versions().items(), columns=["package", "version"])


def describe_machine() -> dict[str, Any]:
    """What a manifest keeps of the machine: packages, platform and, in a git checkout, the commit."""
    return {"packages": package_versions(), "platform": platform.platform(), "git": git_state(project())}


def git_state(folder: Path) -> dict[str, Any] | None:
    """The checkout's commit and whether files differ from it; None for no checkout or without git."""
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
