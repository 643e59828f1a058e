"""The files of a checkpoint, in a folder or on the hub at one commit, and which commit that is."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mmlab.embed.models.interface import ModelError

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
