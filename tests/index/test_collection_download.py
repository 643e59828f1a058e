"""A Qdrant collection that is read out of a server into Parquet: its points, its errors, and going on after one."""

from pathlib import Path
from uuid import UUID

import grpc
import pyarrow as pa
import pytest
from pyarrow.parquet import read_table

from mmlab.index import collections, download_collection, is_collection
from mmlab.index.engines import server_connection
from mmlab.index.engines.server_connection import ServerError
from tests.index.qdrant_grpc import Refusal
from tests.index.qdrant_server import Node, qdrant_server

pytestmark = pytest.mark.filterwarnings("ignore:Local mode performs exact")


def holding(cluster, name: str, count: int = 25, **vectors) -> str:
    """The URL of a collection of so many points, each with its number as payload."""
    from qdrant_client import QdrantClient, models

    config = vectors or {"": 2}
    sizes = {own: models.VectorParams(size=size, distance="Dot") for own, size in config.items()}
    client = QdrantClient(url=cluster.url, check_compatibility=False)
    threshold = models.OptimizersConfigDiff(indexing_threshold=20_000)
    client.create_collection(name, sizes.get("", sizes), optimizers_config=threshold)
    points = [
        models.PointStruct(
            id=str(UUID(int=i + 1)), payload={"number": i, "words": ["a", "b"], "text": f"text {i}"},
            vector=[3.0, 4.0 + i] if "" in config else {own: [float(i)] * size for own, size in config.items()},
        )
        for i in range(count)
    ]  # fmt: skip
    client.upsert(name, points)
    return f"{cluster.url}/collections/{name}"


@pytest.fixture(scope="module")
def server():
    with qdrant_server() as cluster:
        yield cluster


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(collections, "POINTS_PER_PAGE", 4)
    monkeypatch.setattr(collections, "PAGES_PER_PART", 2)


def read_parts(folder: Path) -> pa.Table:
    return pa.concat_tables([read_table(path) for path in sorted(folder.glob("*.parquet"))])


def test_a_collection_is_read_out_whole(server, small_pages, tmp_path):
    url = holding(server, "whole")
    table = read_parts(download_collection(url, tmp_path))
    assert table.column("number").to_pylist() == list(range(25))
    assert table.column("words")[0].as_py() == '["a", "b"]'
    assert table.column("vector").type == pa.list_(pa.float32(), 2)
    assert table.column("vector").to_pylist()[:2] == [[3.0, 4.0], [3.0, 5.0]]
    assert len(list(tmp_path.glob("*.parquet"))) == 4  # 8 points in each
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.parquet")}
    download_collection(url, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.parquet")} == before


def test_vectors_that_have_names_are_columns_of_their_own(server, tmp_path):
    table = read_parts(download_collection(holding(server, "named", 3, image=2, text=3), tmp_path))
    assert table.column("image_vector").to_pylist() == [[0, 0], [1, 1], [2, 2]]
    assert table.column("text_vector")[2].as_py() == [2, 2, 2]
    assert table.column("text")[1].as_py() == "text 1"


def test_a_look_reads_the_first_page_only(server, small_pages, tmp_path):
    url = holding(server, "look")
    asked = len(server.bodies("scroll"))
    assert len(read_parts(download_collection(url, tmp_path, most=1))) == 4
    assert len(server.bodies("scroll")) == asked + 1


def test_what_a_server_gave_before_it_stopped_stays_and_is_not_asked_for_again(
    server, small_pages, tmp_path, monkeypatch
):
    url = holding(server, "stopped")
    monkeypatch.setattr(server_connection, "MAX_RETRY_SECONDS", 0.1)
    scroll, pages = Node.scroll, []

    def stop_after_three(self, name, body, consistency):
        pages.append(body)
        if len(pages) > 3:
            raise Refusal(grpc.StatusCode.UNAVAILABLE, "Service unavailable: the node restarts")
        return scroll(self, name, body, consistency)

    with monkeypatch.context() as stopping:
        stopping.setattr(Node, "scroll", stop_after_three)
        with pytest.raises(ServerError, match="could not do it now .*8 points are read and stay"):
            download_collection(url, tmp_path)
    asked = len(server.bodies("scroll"))
    table = read_parts(download_collection(url, tmp_path))
    assert table.column("number").to_pylist() == list(range(25))
    assert len(server.bodies("scroll")) == asked + 5  # of 17 points, by fours


def test_an_unknown_collection_and_a_refused_key_are_said_in_one_sentence(server, tmp_path, monkeypatch):
    url = holding(server, "here")
    with pytest.raises(ValueError, match=f"{server.url}.* has no collection 'none'.*'here'"):
        download_collection(url.replace("/here", "/none"), tmp_path)
    monkeypatch.setattr(server, "key", "secret-key")
    with pytest.raises(PermissionError, match="refuses the key: set QDRANT_API_KEY in the environment"):
        download_collection(url, tmp_path)
    monkeypatch.setenv("QDRANT_API_KEY", "secret-key")
    download_collection(url, tmp_path)
    assert not any("secret-key" in path.read_bytes().decode("latin-1") for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("dataset", "known"),
    [
        ("http://localhost:6333/collections/photos", True),
        ("HTTPS://qdrant.example.org/behind/collections/photos/", True),
        ("http://localhost:6333", False),
        ("http://localhost:6333/collections/a/points", False),
        ("data/collections/photos", False),
    ],
)
def test_the_url_of_a_collection_is_told_from_others(dataset, known):
    assert is_collection(dataset) is known
