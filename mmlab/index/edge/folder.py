"""The files of a store in a folder: `<store>/<collection>/schema.json` and the engine's `shard/` beside it.

The schema is written last and removed first: a collection is there exactly if its schema is, whenever a kill
comes.
"""

import json
import shutil
from pathlib import Path

from mmlab.index.schema.schema import Schema, WrongSchema
from mmlab.index.store.engine import NoCollection
from mmlab.items import replacing


class CollectionFolder:
    """One collection's files, whether it is there or not."""

    def __init__(self, store: Path, name: str) -> None:
        self.name, self.path = name, store / name
        self.shard, self.file = self.path / "shard", self.path / "schema.json"

    def read(self) -> Schema:
        """The schema; NoCollection where there is none, WrongSchema where it cannot be read."""
        try:
            return Schema.from_dict(json.loads(self.file.read_text()), self.name)
        except (FileNotFoundError, NotADirectoryError):
            raise NoCollection(self.name, names(self.path.parent)) from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise WrongSchema(
                f"{self.file} is damaged ({error}); drop the collection and build it again"
            ) from error

    def write(self, schema: Schema) -> None:
        """Store the schema: from now on the collection is there."""
        with replacing(self.file) as temporary:
            temporary.write_text(json.dumps(schema.to_dict(), indent=1))

    def clear(self) -> None:
        """Remove the collection, or what a killed create or drop left; nothing that mmlab did not make."""
        if not self.path.exists():
            return
        foreign = [entry.name for entry in self.path.iterdir() if not self._made(entry)]
        if foreign:
            raise FileExistsError(
                f"{self.path} is no collection: it holds {min(foreign)!r}; use another name"
            )
        self.file.unlink(missing_ok=True)
        shutil.rmtree(self.path)

    def disk_bytes(self) -> int:
        """Bytes on disk, by blocks where the system tells: the write-ahead log is a sparse file of 64 MB."""
        sizes = (file.stat() for file in self.path.rglob("*") if file.is_file())
        return sum(512 * size.st_blocks if hasattr(size, "st_blocks") else size.st_size for size in sizes)

    def _made(self, entry: Path) -> bool:
        unfinished = entry.name.startswith(".schema.") and entry.suffix == ".json"
        return unfinished or entry in (self.shard, self.file)


def names(store: Path) -> list[str]:
    """The names of the collections in a store's folder, sorted."""
    return sorted(file.parent.name for file in store.glob("*/schema.json"))
