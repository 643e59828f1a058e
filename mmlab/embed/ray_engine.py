"""Embedding on Ray: shards of items go to the workers of a cluster, and their vectors come back to one place.

Ray Data moves the shards as Arrow tables, starts one model for each actor and gives the shard of a worker that is lost
to another. The extra [ray] brings it. What a worker does with a shard is what happens on one machine: `encode_items`.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from mmlab.embed.embedding import EMBEDDED_COLUMNS, pack_row, unpack_row
from mmlab.embed.encode import (
    MAX_WORKERS,
    EncodedBatch,
    encode_items,
    estimate_tokens,
    longest_first,
)
from mmlab.embed.models import Model, ModelError, load_for
from mmlab.embed.models.interface import empty_rows
from mmlab.items import Space
from mmlab.items.files import find_project
from mmlab.items.workers import GO_ON, UNSEEN, RayCluster, WorkerError, check_seen, failures_named, ray

# Batches of each thread of a worker in a shard.
BATCHES_PER_SHARD = 4
# Shards that an actor has before it: the next one is there when it has done one.
SHARDS_AT_ONCE = 2
RESULT = pa.schema(
    [
        ("position", pa.int64()),
        ("vector", pa.large_binary()),
        ("failure", pa.string()),
        ("halved", pa.int64()),
        ("node", pa.string()),
        ("problem", pa.string()),
    ]
)


class ActorSize(NamedTuple):
    """What each actor holds of its node, and how many there are in the cluster."""

    actors: int
    cpus: int
    gpus: int


class RayEngine(RayCluster):
    """A cluster that embeds, see `RayCluster`; each node needs the model too, and the extras that it needs."""

    def encode(
        self, rows: pd.DataFrame, model: Model, batch_size: int, as_queries: bool = False
    ) -> Iterator[EncodedBatch]:
        """Do what `encode_items` does on the cluster; yield each shard as one batch when it is done, in any order.

        Raises WorkerError where a worker cannot load the model or read an image that can be read here, and what
        `RayCluster.map` raises.
        """
        if rows.empty:
            return
        with failures_named():
            self.join()
            size = size_actors(ray().nodes(), needs_cpu=model.space.preprocessing.endswith(", int8"))
            shards = cut_shards(rows, size, batch_size)
            results = _start(shards, model.space, size, batch_size, as_queries)
            for result in results.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                yield read_result(result, rows, model.space)


def size_actors(nodes: Sequence[dict[str, Any]], needs_cpu: bool = False) -> ActorSize:
    """Return how large an actor is, so that it fits onto each node that has what it needs, and how many there are.

    nodes: as `ray.nodes` lists them. An actor has one GPU and its share of the CPUs where there are GPUs and the model
    can use them, else as many CPUs as the smallest node, at most MAX_WORKERS: each is a thread beside the same model.

    >>> nodes = [{"Alive": True, "Resources": {"CPU": cpus}} for cpus in (4.0, 2.0, 0.0)]
    >>> size_actors(nodes)
    ActorSize(actors=3, cpus=2, gpus=0)
    >>> size_actors([{"Alive": True, "Resources": {"CPU": 32.0, "GPU": 2.0}}])
    ActorSize(actors=2, cpus=8, gpus=1)
    """
    resources = [node["Resources"] for node in nodes if node["Alive"]]
    gpus = [one for one in resources if one.get("GPU", 0) >= 1 and one.get("CPU", 0) >= 1]
    if gpus and not needs_cpu:
        share = min(int(one["CPU"] // one["GPU"]) for one in gpus)
        cpus = min(max(1, share), MAX_WORKERS)
        return ActorSize(sum(int(min(one["GPU"], one["CPU"] // cpus)) for one in gpus), cpus, 1)
    have = [int(one["CPU"]) for one in resources if one.get("CPU", 0) >= 1]
    if not have:
        raise RuntimeError("no node of the cluster has a CPU")
    cpus = min(*have, MAX_WORKERS)
    return ActorSize(sum(own // cpus for own in have), cpus, 0)


def cut_shards(rows: pd.DataFrame, size: ActorSize, batch_size: int) -> list[pa.Table]:
    """Return the rows of one modality as tables of EMBEDDED_COLUMNS and their position, texts of like lengths together.

    A shard is small enough for every actor to have one.
    """
    order: Sequence[int] = range(len(rows))
    if rows["modality"].iloc[0] == "text":
        texts = rows["text"].tolist()
        order = longest_first(estimate_tokens(texts), texts)
    table = pa.Table.from_pandas(rows[EMBEDDED_COLUMNS].iloc[order], preserve_index=False)
    table = table.append_column("position", pa.array(order, pa.int64()))
    count = min(BATCHES_PER_SHARD * batch_size * size.cpus, -(-len(rows) // size.actors))
    return [table.slice(start, count).combine_chunks() for start in range(0, len(rows), count)]


def _start(shards: list[pa.Table], space: Space, size: ActorSize, batch_size: int, as_queries: bool) -> Any:
    """Return a dataset of Ray of what the workers make of the shards, with the columns of RESULT; nothing has begun."""
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    given = ray().data.from_arrow(shards)
    given.context.enable_progress_bars = False
    pool = ray().data.ActorPoolStrategy(size=size.actors, max_tasks_in_flight_per_actor=SHARDS_AT_ONCE)
    return given.map_batches(
        ShardEncoder,
        fn_constructor_args=(space, str(find_project() or Path.cwd()), size, batch_size, as_queries),
        batch_size=None,
        batch_format="pyarrow",
        compute=pool,
        num_cpus=size.cpus,
        num_gpus=size.gpus,
    )


class ShardEncoder:
    """One model on a worker, loaded for its first shard; what keeps it from embedding comes back as a problem."""

    def __init__(
        self, space: Space, project: str, size: ActorSize, batch_size: int, as_queries: bool
    ) -> None:
        self.space, self.size = space, size
        self.batch_size, self.as_queries = batch_size, as_queries
        self.model: Model | None = None
        # Relative folders of models start there.
        with suppress(OSError):
            os.chdir(project)

    def __call__(self, shard: pa.Table) -> pa.Table:
        """Return a row for each row of the shard, or one row with the problem."""
        return self.embed(shard, str(ray().util.get_node_ip_address()))

    def embed(self, shard: pa.Table, node: str) -> pa.Table:
        """Do so under the name of the node."""
        try:
            self.model = self.model or load_for(self.space, "cuda" if self.size.gpus else "cpu")
            rows = shard.to_pandas()
            batches = list(
                encode_items(rows, self.model, self.batch_size, self.as_queries, workers=self.size.cpus)
            )
        except ModelError as error:
            return write_result([], np.empty(0, dtype=int), node, str(error))
        return write_result(batches, rows["position"].to_numpy(), node)


def write_result(
    batches: Iterable[EncodedBatch], positions: np.ndarray, node: str, problem: str | None = None
) -> pa.Table:
    """Return a table of RESULT: the batches of a shard, whose rows have these positions (N,), or a problem."""
    rows: list[dict[str, Any]] = []
    for batch in batches:
        done = zip(batch.positions, batch.vectors, strict=True)
        rows += [{"position": positions[at], "vector": pack_row(row)} for at, row in done]
        rows += [{"position": positions[at], "failure": why} for at, why in batch.failures.items()]
        rows[-1]["halved"] = batch.halved
    if problem is not None:
        rows = [{"problem": problem}]
    return pa.Table.from_pylist([row | {"node": node} for row in rows], RESULT)


def read_result(result: pa.Table, rows: pd.DataFrame, space: Space) -> EncodedBatch:
    """Return what `write_result` wrote as one batch.

    Raises WorkerError for a problem, and for an image that the worker could not read though this machine can.
    """
    table = result.to_pylist()
    for row in table:
        if row["problem"] is not None:
            raise WorkerError(
                f"engine ray: worker {row['node']}: {row['problem']}. Put the model at the same place on each node, or "
                f"give its Hugging Face id. {GO_ON}"
            )
    failures = {row["position"]: row["failure"] for row in table if row["failure"] is not None}
    done = [row for row in table if row["failure"] is None]
    node = table[0]["node"] if table else ""
    check_seen([rows["image"].iloc[at] for at, why in failures.items() if why in UNSEEN], node)
    vectors = empty_rows(space, len(done))
    for place, row in enumerate(done):
        vectors[place] = unpack_row(row["vector"], space)
    return EncodedBatch(
        [row["position"] for row in done], vectors, failures, sum(row["halved"] or 0 for row in table)
    )
