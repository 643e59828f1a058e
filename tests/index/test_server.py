"""What only a server can get wrong: no answer, secrets in the URL, collections that somebody else made."""

import socket
import time
from dataclasses import replace

import pytest
from qdrant_client import QdrantClient, models

from mmlab.index import Quantization, Schema, WrongSchema, open_store
from mmlab.items import Space

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect")
SPACE = Space("mmlab/toy", "1", "projected", "", "none", 3)


def test_a_server_that_does_not_answer_is_named():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(
            ConnectionError, match=rf"server at http://127.0.0.1:{port} \(REST\) does not answer"
        ):
            open_store(f"http://127.0.0.1:{port}", timeout=2, grpc=False)


def test_a_server_that_takes_a_call_and_says_nothing_is_not_waited_for():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        with pytest.raises(ConnectionError, match="does not answer.*is it running"):
            open_store(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=1, grpc=False)
        assert time.monotonic() - started < 15


def test_schema_settings_reach_the_collection():
    """The local mode keeps what it was given of the vectors, and ignores the rest."""
    client = QdrantClient(":memory:")
    named = {"toy-image": SPACE, "other-text": replace(SPACE, dimension=2)}
    schema = Schema(SPACE, {"label": "keyword"}, "named", named=named, modalities=("image", "text"))
    store = open_store(client)
    store.create("demo", schema)
    vectors = client.get_collection("demo").config.params.vectors
    assert {name: params.size for name, params in vectors.items()} == {"toy-image": 3, "other-text": 2}
    assert store.schema("demo") == schema
    assert store.ignores_settings


@pytest.mark.parametrize("name", ["scalar", "product-32", "binary", "turbo-2"])
def test_every_quantization_is_in_the_words_of_the_client(name):
    from mmlab.index.server_terms import config_of

    schema = Schema(SPACE, quantization=Quantization.named(name))
    told = config_of(schema)["quantization_config"].model_dump(exclude_none=True)
    ram = {"always_ram": True}
    assert (
        told
        == {
            "scalar": {"scalar": {"type": "int8", **ram}},
            "product-32": {"product": {"compression": "x32", **ram}},
            "binary": {"binary": ram},
            "turbo-2": {"turbo": {"bits": "bits2", **ram}},
        }[name]
    )


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
