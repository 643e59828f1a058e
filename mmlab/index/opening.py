"""From a folder or a URL to a store."""

import os
import re
from typing import TYPE_CHECKING

from mmlab.index.store.store import Store

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://.*|[^/\\]+:\d+([/?].*)?|:memory:", re.IGNORECASE)


def open_store(
    where: "str | os.PathLike[str] | QdrantClient",
    *,
    wait: float = 10.0,
    timeout: int = 60,
    grpc: bool = True,
) -> Store:
    """Open the store at a folder (Qdrant Edge) or at an http(s):// URL (Qdrant server or cluster).

    A folder need not exist yet; relative ones start at the project folder. `wait`: seconds to wait for another
    process that has it open, before StoreTaken. For a server: `timeout` in seconds, `grpc=False` for REST
    only; its key comes from the environment, QDRANT_API_KEY. A ready QdrantClient is taken as it is. Raises
    ValueError for a text that is neither, such as "localhost:6333", ConnectionError where no server answers.
    """
    if isinstance(where, str) and where.lower().startswith(("http://", "https://")):
        from mmlab.index.server.server_engine import connect

        return Store(connect(where, timeout, grpc))
    if isinstance(where, str | os.PathLike):
        _check_folder(where)
        from mmlab.index.edge.edge_engine import EdgeEngine

        return Store(EdgeEngine(where, wait))
    from mmlab.index.server.server_engine import ServerEngine

    return Store(ServerEngine(where, "a Qdrant client that was handed over"))


def _check_folder(where: "str | os.PathLike[str]") -> None:
    """Raise ValueError for an address that would become a folder of that name."""
    if isinstance(where, str) and ADDRESS.fullmatch(where):
        found = where.rpartition("@")[2].partition("?")[0]  # no secret is repeated
        raise ValueError(
            "a store is a folder, or a Qdrant server by the http(s):// URL of its REST port, as "
            f"http://localhost:6333; found {found!r}"
        )
