"""Embedding on Ray: what a worker gets and gives back, and whole runs on a cluster of two nodes (marked `ray`)."""

import os
import shutil
import socket
import sys
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mmlab.embed import VectorCache, embed_items, embed_with_models, load_model
from mmlab.embed.encode import EncodedBatch, encode_items
from mmlab.embed.ray_engine import (
    ActorSize,
    RayEngine,
    ShardEncoder,
    cut_shards,
    read_result,
    size_actors,
    write_result,
)
from mmlab.items import ITEM_COLUMNS
from mmlab.items.files import file_hash
from mmlab.items.workers import WorkerError

SIDE, IMAGES = (
    2000,
    40,
)  # pixels; they take a tenth of a second each to decode, so that there is something to interrupt


def node(alive=True, **resources):
    return {"Alive": alive, "Resources": resources}


def test_an_actor_fits_onto_each_node():
    assert size_actors([node(CPU=1.0), node(CPU=1.0)]) == ActorSize(2, 1, 0)
    assert size_actors([node(CPU=16.0), node(alive=False, CPU=1.0)]) == ActorSize(2, 8, 0)
    assert size_actors([node(CPU=4.0), node(CPU=32.0, GPU=4.0)]) == ActorSize(4, 8, 1)
    assert size_actors([node(CPU=4.0), node(CPU=32.0, GPU=4.0)], needs_cpu=True) == ActorSize(9, 4, 0)
    assert size_actors([node(CPU=2.0, GPU=4.0)]) == ActorSize(2, 1, 1)  # each has a CPU too
    with pytest.raises(RuntimeError, match=r"no node of the cluster has a CPU"):
        size_actors([node(CPU=0.0)])


def test_shards_hold_each_row_once_and_texts_of_like_lengths(items):
    texts = items[items["modality"] == "text"]
    shards = cut_shards(texts, ActorSize(2, 1, 0), batch_size=1)
    assert [len(shard) for shard in shards] == [4, 4, 2]  # four batches of one
    assert sorted(position for shard in shards for position in shard["position"].to_pylist()) == list(
        range(10)
    )
    assert shards[0]["text"].to_pylist() == [f"image with number {number}" for number in range(4)]
    assert [len(shard) for shard in cut_shards(texts, ActorSize(4, 8, 0), batch_size=32)] == [3, 3, 3, 1]


@pytest.mark.parametrize("family", ["clip", "splade", "colbert"])
def test_a_shard_comes_back_as_it_was_embedded(family, items, models):
    model = models(family)
    texts = items[items["modality"] == "text"]
    shard = cut_shards(texts, ActorSize(1, 1, 0), batch_size=32)[0]
    encoder = ShardEncoder(model.space, os.getcwd(), ActorSize(1, 1, 0), 4, False)
    encoder.model = model
    found = read_result(encoder.embed(shard, "a"), texts, model.space)
    assert sorted(found.positions) == list(range(10))
    for position, vector in zip(found.positions, found.vectors, strict=True):
        alone = model.embed_texts([texts["text"].iloc[position]])[0]
        np.testing.assert_allclose(vector, alone, atol=1e-5)


def test_failures_come_back_with_their_reasons(items, model, tmp_path):
    images = items[items["modality"] == "image"]
    (tmp_path / "1.png").write_bytes((tmp_path / "0.png").read_bytes())
    (tmp_path / "3.png").unlink()
    batches = list(encode_items(images, model, batch_size=2))
    found = read_result(write_result(batches, np.arange(5), "a"), images, model.space)
    assert found.failures == {1: "changed file", 3: "missing file"}
    assert sorted(found.positions) == [0, 2, 4]
    assert found.halved == 0
    failed = write_result([EncodedBatch([], np.zeros((0, 4)), {0: "out of memory"}, 3)], np.array([7]), "a")
    assert read_result(failed, images, model.space)[2:] == ({7: "out of memory"}, 3)


def test_an_image_that_a_worker_cannot_read_and_this_machine_can_is_an_error(items, model, tmp_path):
    images = items[items["modality"] == "image"]
    for reason in ("missing file", "unreadable file"):
        batch = EncodedBatch([], np.zeros((0, 4)), {2: reason}, 0)
        with pytest.raises(
            WorkerError, match=r"worker 10.0.0.7 cannot read .*2.png, which can be read here: put"
        ):
            read_result(write_result([batch], np.arange(5), "10.0.0.7"), images, model.space)


def test_a_problem_of_a_worker_is_one_error(items, model):
    result = write_result([], np.arange(0), "10.0.0.7", problem="there is no such model")
    with pytest.raises(
        WorkerError, match=r"worker 10.0.0.7: there is no such model\. Put the model .* run this again"
    ):
        read_result(result, items, model.space)


def test_without_the_extra_a_line_says_what_to_install(items, clip_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "mmlab\[ray\]" here and on each node'):
        embed_with_models(items, [str(clip_folder)], engine="ray", progress=False)
    with pytest.raises(ValueError, match=r"engine: expected one of local, ray, found 'spark'"):
        embed_with_models(items, [str(clip_folder)], engine="spark", progress=False)


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_an_address_where_nothing_listens_is_an_error_at_once(address, items, clip_folder, monkeypatch):
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", address.format(free.getsockname()[1]))
        with pytest.raises(
            ConnectionError, match=r"no cluster can be joined at RAY_ADDRESS=.*refused.*\. Check that"
        ):
            embed_with_models(items, [str(clip_folder)], engine="ray", progress=False)


class Recording(ShardEncoder):
    """The encoder of a worker, that writes down which node began with which shard, by its first content."""

    def __call__(self, shard: pa.Table) -> pa.Table:
        import ray

        own = ray.get_runtime_context().get_node_id()
        name = f"{shard['content'][0].as_py()}-{own}-{time.monotonic_ns()}"
        open(f"{os.environ['RECORDS']}/{name}", "x").close()
        return super().__call__(shard)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Large images, one of which is gone and one changed since, and texts."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("photos")
    rows = []
    for number in range(IMAGES):
        path = folder / f"{number}.png"
        Image.linear_gradient("L").rotate(9 * number).resize((SIDE, SIDE)).save(path, compress_level=1)
        rows.append({"modality": "image", "image": str(path), "content": file_hash(path)})
    rows += [
        {"modality": "text", "text": f"a photo {'x' * number}", "content": f"{number:064}"}
        for number in range(9)
    ]
    (folder / "3.png").unlink()
    (folder / "5.png").write_bytes((folder / "4.png").read_bytes())
    for number, row in enumerate(rows):
        row |= {"item_id": f"id {number}", "pair_id": f"pair {number}"}
    return pd.DataFrame(rows, columns=list(ITEM_COLUMNS))


@pytest.fixture(scope="module")
def local(photos, model):
    return embed_items(photos, model, batch_size=1, progress=False)


def check_same(found, local):
    assert found.vectors.ids.tolist() == local.vectors.ids.tolist()
    np.testing.assert_allclose(found.vectors.array, local.vectors.array, atol=1e-6)
    pd.testing.assert_frame_equal(found.skipped, local.skipped)
    counts = ["modality", "side", "items", "embedded", "cached", "failed", "truncated", "halved"]
    pd.testing.assert_frame_equal(found.counts[counts], local.counts[counts])


@pytest.mark.ray
def test_a_worker_without_the_model_is_one_clear_error(cluster, items, clip_folder, tmp_path):
    folder = shutil.copytree(clip_folder, tmp_path / "clip")
    model = load_model(str(folder), device="cpu")
    shutil.rmtree(folder)
    with (
        RayEngine() as engine,
        pytest.raises(
            WorkerError, match=r"engine ray: worker [\d.]+: .*clip.*\. Put the model at the same place"
        ),
    ):
        embed_items(items, model, progress=False, encode=engine.encode)


@pytest.mark.ray
def test_what_was_interrupted_goes_on_where_it_stopped(cluster, photos, local, model, tmp_path):
    def interrupted(*arguments):
        for number, batch in enumerate(engine.encode(*arguments)):
            if number == 2:
                raise KeyboardInterrupt
            yield batch

    with RayEngine() as engine:
        with pytest.raises(KeyboardInterrupt):
            embed_items(photos, model, tmp_path / "cache", 1, progress=False, encode=interrupted)
        with VectorCache(tmp_path / "cache") as cache:
            kept = cache.knows(photos["content"].to_numpy(), model.space).sum()
        found = embed_items(photos, model, tmp_path / "cache", 1, progress=False, encode=engine.encode)
    assert (
        4 <= kept <= 8
    )  # two shards of four images, which may hold one that is gone and one that has changed
    images = found.counts.set_index("modality").loc["image"]
    assert images[["embedded", "cached", "failed"]].tolist() == [IMAGES - 2 - kept, kept, 2]
    np.testing.assert_allclose(found.vectors.array, local.vectors.array, atol=1e-6)


@pytest.mark.ray
def test_a_node_that_is_lost_in_the_middle_changes_nothing(
    cluster, records, photos, local, model, tmp_path, monkeypatch
):
    monkeypatch.setattr("mmlab.embed.ray_engine.ShardEncoder", Recording)
    second = next(one for one in cluster.list_all_nodes() if not one.is_head())
    yielded, lost, kept = [], set(), set()

    def begun():
        """Each beginning of a shard: its first content, and the node."""
        names = [path.name.split("-")[:2] for path in records.iterdir()]
        return pd.DataFrame(names, columns=["content", "node"])

    def losing(rows, *arguments):
        for batch in engine.encode(rows, *arguments):
            yield batch
            yielded.extend(rows["content"].iloc[[*batch.positions, *batch.failures]])
            own = begun()
            on_second = own.loc[own["node"] == second.node_id, "content"]
            if len(on_second) and not lost and len(own) > 3:
                cluster.remove_node(second, allow_graceful=False)
                lost.update(on_second)
                kept.update(yielded)

    with RayEngine() as engine:
        found = embed_items(photos, model, tmp_path / "cache", 1, progress=False, encode=losing)
    check_same(found, local)
    shards = begun()["content"]
    again = set(shards[shards.duplicated()])
    assert lost
    assert again <= lost - kept  # only shards of the lost node that had not come back were done again
    assert sorted(yielded) == sorted(photos["content"])
    with RayEngine() as engine:
        second_time = embed_items(photos, model, tmp_path / "cache", 1, progress=False, encode=engine.encode)
    assert second_time.counts["embedded"].tolist() == [0, 0]
    np.testing.assert_array_equal(second_time.vectors.array, found.vectors.array)


@pytest.mark.ray
def test_without_an_address_a_cluster_is_started_and_ended(photos, local, clip_folder, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="the extra [ray] is not installed")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    models = [str(clip_folder)]
    found = embed_with_models(photos, models, cache=tmp_path / "cache", progress=False, engine="ray")[0]
    assert not ray.is_initialized()
    np.testing.assert_allclose(found.vectors.array, local.vectors.array, atol=1e-5)
    pd.testing.assert_frame_equal(found.skipped, local.skipped)
