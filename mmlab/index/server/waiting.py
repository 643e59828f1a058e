"""Waits until a server has built its graphs, showing how far it is."""

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

POLL = 0.5  # seconds between two looks
STALLED = (
    3_600.0  # seconds without any change that are waited: a large segment comes into the graph all at once
)
BAR = "{desc}: {n_fmt} vectors in the graph, {elapsed}{postfix}"


def wait_for_graphs(client: "QdrantClient", name: str, progress: bool) -> None:
    """Return when the server has nothing left to do, seen twice: it starts a moment after an upsert.

    Raises RuntimeError where the server cannot build, TimeoutError where nothing has changed for `STALLED` seconds.
    """
    from tqdm.auto import tqdm

    calm, seen, since = 0, None, time.monotonic()
    with tqdm(desc=f"build {name}", bar_format=BAR, unit_scale=True, disable=not progress) as bar:
        while calm < 2:
            found = _look(client, name)
            bar.n = found.indexed_vectors_count or 0
            bar.set_postfix_str(found.status.value)
            now = (found.status, bar.n, found.segments_count)
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > STALLED:
                raise TimeoutError(_told(name, found))
            calm = calm + 1 if found.status == "green" else 0
            time.sleep(POLL if calm < 2 else 0)


def _look(client: "QdrantClient", name: str) -> Any:
    """What the server says of the collection; one that waits for an update since it was started is woken."""
    from qdrant_client import models

    found = client.get_collection(name)
    if found.status == "red":
        raise RuntimeError(f"the server cannot build {name!r}: {found.optimizer_status}")
    if found.status == "grey":
        client.update_collection(name, optimizers_config=models.OptimizersConfigDiff())
    return found


def _told(name: str, found: Any) -> str:
    return (
        f"the graphs of {name!r} were waited for: the server is at {found.status.value!r} with "
        f"{found.indexed_vectors_count or 0:,} vectors in the graph of {found.points_count or 0:,} points, and nothing "
        f"has changed for {STALLED:,.4g} s. It goes on without us: look into its log, build again later"
    )
