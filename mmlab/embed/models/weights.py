"""The files of a checkpoint, at one commit: which are there, where the weights lie, and which are taken.

The order: safetensors; on the hub, the safetensors of its conversion request, a pull request in which the hub's own bot
offers them to a repository without any; last a pickle of tensors such as pytorch_model.bin, which torch reads with
weights_only=True, so that nothing in it is run. All other parts are read at the commit that the weights are from.
"""

import json
import logging
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from mmlab.embed.models.interface import ModelError

if TYPE_CHECKING:
    from huggingface_hub import HfApi


# The files that say what a checkpoint is: of transformers, sentence-transformers and open_clip.
CONFIG, MODULES, OPEN_CLIP_CONFIG = "config.json", "modules.json", "open_clip_config.json"
CONFIGS = (CONFIG, MODULES, OPEN_CLIP_CONFIG)
# Files beside the weights: settings, vocabularies, templates.
SETTINGS_SUFFIXES = {".json", ".txt", ".model", ".spm", ".codes", ".tiktoken", ".jinja", ".metadata"}
# Files that look like weights, for messages.
WEIGHT_SUFFIXES = {
    ".h5",
    ".msgpack",
    ".gguf",
    ".onnx",
    ".ckpt",
    ".pt",
    ".pth",
    ".npz",
    ".bin",
    ".safetensors",
}


@dataclass(frozen=True)
class Repository:
    """The files of a checkpoint: a folder, or a Hugging Face id at one commit, which fetches what it is asked for."""

    source: str
    commit: str = ""  # "" for a folder
    pinned: bool = False  # whether no other commit will do

    @property
    def folder(self) -> Path:
        """The folder on this machine with the files that were fetched."""
        if not self.commit:
            return Path(self.source)
        return cache_folder(self.source) / "snapshots" / self.commit

    def find(self, name: str, sure: bool = False) -> Path | None:
        """Return the local path of a file, or None where there is none; `name` has / between folders.

        Where the hub cannot be asked whether there is one, and nobody has said that it is not to be, `sure` raises.
        """
        if not self.commit:
            path = self.folder / name
            return path if path.is_file() else None
        return _fetch(self.source, name, self.commit, sure)

    def read_json(self, name: str) -> dict | list:
        """Return the content of a JSON file, {} where there is none; raise ModelError if it cannot be read."""
        path = self.find(name)
        try:
            content = json.loads(path.read_text("utf-8")) if path else {}
        except (ValueError, OSError) as error:
            raise ModelError(f"model {self.source!r}: its {name} cannot be read ({error})") from error
        return content if isinstance(content, dict | list) else {}

    def list_names(self) -> list[str]:
        """Return the names of all files; where the hub cannot be asked, of those that lie in the cache."""
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, HTTPError

        if not self.commit:
            return _list_folder(self.folder)
        try:
            found = HfApi().model_info(self.source, revision=self.commit)
        except HfHubHTTPError:
            raise
        except (HTTPError, OSError):
            return _list_folder(self.folder)
        return sorted(file.rfilename for file in found.siblings or [])

    def list_weights(self) -> str:
        """Return ", found only ..." with the files that look like weights, as a part of a message."""
        try:
            names = [name for name in self.list_names() if PurePosixPath(name).suffix in WEIGHT_SUFFIXES]
        except OSError:
            return ""
        return f", found only {', '.join(names[:4])}" if names else ""

    def fetch_settings(self, folders: Iterable[str]) -> None:
        """Fetch all files of these folders but weights, so that libraries need not ask the hub."""
        if self.commit:
            wanted = [name for name in self.list_names() if PurePosixPath(name).suffix in SETTINGS_SUFFIXES]
            within = {str(PurePosixPath(folder)) for folder in folders}
            for name in wanted:
                if str(PurePosixPath(name).parent) in within:
                    self.find(name)


def find_commit(source: str) -> str:
    """Return the commit of main of a Hugging Face id; the newest in the cache where the hub cannot be asked."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError

    unreached: Exception | None = None
    for name in CONFIGS:
        try:
            # The file lies in .../snapshots/<commit>/<name>.
            # Once the hub could not be asked, the cache is.
            return Path(hf_hub_download(source, name, local_files_only=unreached is not None)).parent.name
        except RemoteEntryNotFoundError:
            continue
        except LocalEntryNotFoundError as error:
            unreached = unreached or error
    if unreached:
        raise unreached
    raise ModelError(
        f"model {source!r}: its repository holds no {', '.join(CONFIGS[:-1])} or {CONFIGS[-1]}"
        f"{Repository(source, 'main').list_weights()}: "
        "give a checkpoint of transformers, sentence-transformers or open_clip"
    )


def join(part: str, name: str) -> str:
    """Return the name of a file inside the folder `part`, "" being the uppermost.

    >>> join("0_CLIPModel", "config.json"), join("", "config.json")
    ('0_CLIPModel/config.json', 'config.json')
    """
    return str(PurePosixPath(part) / name)


def _list_folder(folder: Path) -> list[str]:
    paths = folder.rglob("*") if folder.is_dir() else []
    return sorted(path.relative_to(folder).as_posix() for path in paths if path.is_file())


def cache_folder(source: str) -> Path:
    """Return the folder of a Hugging Face id in the cache."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=source, repo_type="model"))


def _fetch(source: str, name: str, commit: str, sure: bool) -> Path | None:
    from huggingface_hub import hf_hub_download, is_offline_mode, try_to_load_from_cache
    from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError

    cached = try_to_load_from_cache(source, name, revision=commit)
    if cached is not None:
        # Otherwise it is known that the commit has no such file.
        return Path(cached) if isinstance(cached, str) else None
    try:
        return Path(hf_hub_download(source, name, revision=commit))
    except RemoteEntryNotFoundError:
        return None
    except LocalEntryNotFoundError:
        if sure and not is_offline_mode():
            raise
        return None


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
