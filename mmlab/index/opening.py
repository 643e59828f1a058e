"""From a folder or a URL to a store."""

import os
from typing import TYPE_CHECKING

from mmlab.index.store import Store

if TYPE_CHECKING:
    from qdrant_client import QdrantClient


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
    only; its key comes from the environment, QDRANT_API_KEY. A ready QdrantClient is taken as it is.
    """
    if isinstance(where, str) and where.startswith(("http://", "https://")):
        from mmlab.index.server import connect

        return Store(connect(where, timeout, grpc))
    if isinstance(where, str | os.PathLike):
        from mmlab.index.edge import EdgeEngine

        return Store(EdgeEngine(where, wait))
    from mmlab.index.server import ServerEngine

    return Store(ServerEngine(where, "a Qdrant client that was handed over"))
