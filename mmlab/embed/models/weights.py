"""Where the weights of a checkpoint lie, and which are taken.

The order: safetensors; on the hub, the safetensors of its conversion request, a pull request in which the hub's own bot
offers them to a repository without any; last a pickle of tensors such as pytorch_model.bin, which torch reads with
weights_only=True, so that nothing in it is run. All other parts are read at the commit that the weights are from.
"""

import json
import logging
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from mmlab.embed.models.interface import ModelError
from mmlab.embed.models.repository import CONFIG, Repository, cache_folder, join

if TYPE_CHECKING:
    from huggingface_hub import HfApi

SAFETENSORS = ("model.safetensors", "model.safetensors.index.json")
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
OPEN_CLIP_SAFETENSORS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
OPEN_CLIP_PICKLES = ("open_clip_pytorch_model.bin", "open_clip_pytorch_model.pth")
# What the hub's bot calls its pull requests; only the bot's own are taken.
CONVERSION_TITLE, CONVERSION_AUTHOR = "Adding `safetensors` variant of this model", "SFconvertbot"
# How a file begins that Git has cloned without LFS.
GIT_LFS = b"version https://git-lfs"
# The hub's answers where a repository takes no pull requests.
DISCUSSIONS_OFF = {401, 403, 404, 410}

CONVERSION_TAKEN = "model %r: main has no safetensors; took those of the hub's conversion request, commit %s"
PICKLE_TAKEN = "model %r: there are no safetensors; took %s, read with weights_only=True"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Weights:
    """Weights on this machine: a file, or the index of several, in the repository where all other parts are read."""

    repository: Repository
    path: Path

    @property
    def pickled(self) -> bool:
        """Whether they are a pickle."""
        return self.path.name.removesuffix(".index.json").endswith((".bin", ".pth"))

    @property
    def of_open_clip(self) -> bool:
        """Whether the tensors have open_clip's names."""
        return self.path.name in OPEN_CLIP_SAFETENSORS + OPEN_CLIP_PICKLES

    @property
    def files(self) -> list[Path]:
        """The files with tensors: one, or all that the index names."""
        if not self.path.name.endswith(".index.json"):
            return [self.path]
        return [self.path.parent / name for name in _shard_names(self.repository, self.path)]

    @property
    def revision(self) -> str:
        """The commit, and which weights where they are a pickle: other tensors may lie beside it."""
        commit = self.repository.commit
        return f"{commit}:{self.path.name}" if commit and self.pickled else commit


def choose_weights(main: Repository, part: str, open_clip: bool = False) -> Weights | None:
    """Return the weights in the folder `part` of the repository by the order above, None if there are none.

    Says in one line which were taken where that is not the safetensors of main.
    """
    safetensors, pickles = (OPEN_CLIP_SAFETENSORS, OPEN_CLIP_PICKLES) if open_clip else (SAFETENSORS, PICKLES)
    found = find_weights(main, part, safetensors)
    if found:
        return found
    # The bot converts only what transformers reads from the uppermost folder.
    conversion = find_conversion(main) if main.commit and not (main.pinned or part or open_clip) else None
    found = find_weights(conversion, part, safetensors) if conversion else None
    if found:
        log.warning(CONVERSION_TAKEN, main.source, found.repository.commit[:12])
        return found
    found = find_weights(main, part, pickles)
    if found:
        log.warning(PICKLE_TAKEN, main.source, found.path.name)
    return found


def find_weights(repository: Repository, part: str, names: tuple[str, ...]) -> Weights | None:
    """Return the first of these names that is in the folder `part`, with all its shards; None if none is."""
    for name in names:
        # Not to choose otherwise than with the network.
        path = repository.find(join(part, name), sure=True)
        if path is None:
            continue
        missing = [
            file for file in _shard_names(repository, path) if repository.find(join(part, file)) is None
        ]
        if missing:
            raise ModelError(
                f"model {repository.source!r}: {name} names {missing[0]}, which is not there: "
                "fetch the checkpoint again"
            )
        return Weights(repository, path)
    return None


def find_conversion(main: Repository) -> Repository | None:
    """Return the hub's conversion request at its own commit; None where there is none for this commit of main.

    Where the hub cannot be asked, a request that lies in the cache is taken.
    """
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    api = HfApi()
    try:
        for reference in _conversion_references(api, main.source):
            commits = [commit.commit_id for commit in api.list_repo_commits(main.source, revision=reference)]
            if main.commit in commits[1:]:
                # Asked for by its reference, so that the cache knows it by that when the hub cannot be asked.
                path = Path(hf_hub_download(main.source, CONFIG, revision=reference))
                return Repository(main.source, path.parent.name) if path.parent.name == commits[0] else None
    except HfHubHTTPError as error:
        if error.response.status_code in DISCUSSIONS_OFF:
            return None
        raise
    except (HTTPError, OSError):
        return next(_cached_conversions(main.source), None)
    return None


def missing_weights(model: str, repository: Repository) -> ModelError:
    """Return the error for a checkpoint without weights that can be read."""
    return ModelError(
        f"model {model!r}: its weights cannot be read: expected {SAFETENSORS[0]} or {PICKLES[0]}, whole or in shards"
        f"{repository.list_weights()}: save them with save_pretrained, or give another checkpoint"
    )


def check_weights(model: str, weights: Weights) -> None:
    """Raise ModelError for a file that Git LFS has not fetched, and a pickle that unpacks to more than its own size."""
    for file in weights.files:
        with open(file, "rb") as opened:
            if opened.read(len(GIT_LFS)) == GIT_LFS:
                raise ModelError(
                    f"model {model!r}: its {file.name} is a pointer of Git LFS, not the weights: "
                    "run git lfs pull in its folder"
                )
        if weights.pickled and zipfile.is_zipfile(file):
            _check_archive(model, file)


def _check_archive(model: str, file: Path) -> None:
    size = file.stat().st_size
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    # Torch never compresses.
    if unpacked > size:
        raise ModelError(
            f"model {model!r}: its weights cannot be read: {file.name} has {size:,} bytes and would unpack to "
            f"{unpacked:,}, which no file written by torch does: fetch it again, from where you trust"
        )


def _shard_names(repository: Repository, path: Path) -> list[str]:
    """Return the names of the files that an index names, [] for a file that is no index."""
    if not path.name.endswith(".index.json"):
        return []
    try:
        names = sorted(set(json.loads(path.read_text("utf-8"))["weight_map"].values()))
        outside = [name for name in names if PurePosixPath(name).name != name]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelError(
            f"model {repository.source!r}: its {path.name} cannot be read ({error!r})"
        ) from error
    if outside:
        raise ModelError(
            f"model {repository.source!r}: its {path.name} names {outside[0]!r}, which is no file beside it"
        )
    return names


def _conversion_references(api: "HfApi", source: str) -> Iterator[str]:
    for request in api.get_repo_discussions(source, discussion_type="pull_request", discussion_status="open"):
        known = (request.title, request.author, request.status, request.is_pull_request)
        if known == (CONVERSION_TITLE, CONVERSION_AUTHOR, "open", True) and request.git_reference:
            yield request.git_reference


def _cached_conversions(source: str) -> Iterator[Repository]:
    """Yield the pull requests in the cache that have safetensors, the newest first."""
    folder = cache_folder(source)
    numbers = [path for path in (folder / "refs" / "refs" / "pr").glob("*") if path.name.isdecimal()]
    for path in sorted(numbers, key=lambda path: int(path.name), reverse=True):
        snapshot = folder / "snapshots" / path.read_text("utf-8").strip()
        # Transformers alone fetches nothing but the weights at such a commit.
        if (snapshot / CONFIG).is_file() and any((snapshot / name).is_file() for name in SAFETENSORS):
            yield Repository(source, snapshot.name)
