"""Settings and searches in the terms of qdrant_client."""

import pytest

from mmlab.index import Quantization
from mmlab.index.engines.server_convert import to_config, to_requests
from mmlab.index.schema.schema import Schema
from mmlab.index.store.engine import Search
from mmlab.items import Space

SPACE = Space("mmlab/toy", "1", "projected", "", "none", 3)


@pytest.mark.parametrize("name", ["scalar", "product-32", "binary", "turbo-2"])
def test_every_quantization_is_in_the_words_of_the_client(name):
    schema = Schema(SPACE, quantization=Quantization.from_name(name))
    found = to_config(schema)["quantization_config"].model_dump(exclude_none=True)
    ram = {"always_ram": True}
    assert (
        found
        == {
            "scalar": {"scalar": {"type": "int8", **ram}},
            "product-32": {"product": {"compression": "x32", **ram}},
            "binary": {"binary": ram},
            "turbo-2": {"turbo": {"bits": "bits2", **ram}},
        }[name]
    )


@pytest.mark.parametrize(
    ("options", "ignored"),
    [({}, False), ({"quantized": False}, True), ({"exact": True}, True)],
)
def test_quantized_copies_are_ignored_if_asked_and_by_exact_search(options, ignored):
    search = Search(k=3, ef=9, rescore=True, oversampling=2.0, **options)
    params = to_requests(search, None)([1.0, 0.0, 0.0]).params
    assert params.quantization.ignore is ignored
    assert (params.quantization.rescore, params.quantization.oversampling) == (True, 2.0)
    assert (params.hnsw_ef, params.exact) == (9, options.get("exact", False))
