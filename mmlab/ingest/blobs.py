"""Images that came from elsewhere (the network, a Parquet cell), kept as files named by their content."""

import hashlib
from pathlib import Path

from mmlab.items import replacing


class Blobs:
    """A folder of files named by the sha256 of their bytes: the same bytes are kept once, for all runs."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def put(self, data: bytes) -> Path:
        """Keep the bytes and return the file's absolute path; after a return a kill loses nothing."""
        name = hashlib.sha256(data).hexdigest()
        path = self.folder.resolve() / name[:2] / name
        if not path.is_file() or path.stat().st_size != len(data):
            with replacing(path) as temporary:
                temporary.write_bytes(data)
        return path

    def __repr__(self) -> str:
        return f"Blobs({str(self.folder)!r})"
