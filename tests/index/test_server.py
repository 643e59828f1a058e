"""What only a server can get wrong: no answer, secrets in the URL, collections that somebody else made."""

import socket

import pytest
from qdrant_client import QdrantClient, models

from mmlab.index import WrongSchema, open_store


def test_a_server_that_does_not_answer_is_named():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(
            ConnectionError, match=rf"server at http://127.0.0.1:{port} \(REST\) does not answer"
        ):
            open_store(f"http://127.0.0.1:{port}", timeout=2, grpc=False)


@pytest.mark.parametrize("url", ["http://me:secret@localhost:6333", "https://localhost:6333?api-key=secret"])
def test_secrets_in_the_url_are_refused_and_not_repeated(url):
    with pytest.raises(ValueError, match="into the environment as QDRANT_API_KEY") as refused:
        open_store(url)
    assert "secret@" not in str(refused.value)


def test_a_collection_that_somebody_else_made_is_not_read():
    client = QdrantClient(":memory:")
    client.create_collection("theirs", models.VectorParams(size=2, distance=models.Distance.COSINE))
    store = open_store(client)
    assert store.collections() == ["theirs"]
    with pytest.raises(WrongSchema, match="'theirs' has no schema: it was not made by mmlab"):
        store.count("theirs")
