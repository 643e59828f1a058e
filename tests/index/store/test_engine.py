"""What the engine is asked: the schema's settings for those that a caller leaves out, and candidates that follow k."""

import pytest

from mmlab.index import Hnsw, Quantization
from mmlab.index.store.engine import Search
from mmlab.index.store.schema import Schema
from tests.index.pairs import BOTH

SCHEMA = Schema(BOTH, hnsw=Hnsw(ef=70), quantization=Quantization("scalar", rescore=False, oversampling=3.0))


def test_settings_that_are_left_out_are_the_schemas():
    search = Search.from_options(SCHEMA, 5, "", "", ef=None, rescore=None)
    assert (search.ef, search.rescore, search.oversampling) == (70, False, 3.0)
    search = Search.from_options(SCHEMA, 5, "", "", ef=9, rescore=True, oversampling=1.0)
    assert (search.ef, search.rescore, search.oversampling) == (9, True, 1.0)


def test_without_quantization_nothing_is_rescored():
    search = Search.from_options(Schema(BOTH), 5, "name", "image", exact=True)
    assert search == Search(k=5, ef=50, vector="name", part="image", exact=True)


@pytest.mark.parametrize(
    ("k", "candidates"), [(10, 100), (25, 100), (26, 104), (4096, 16_384), (5000, 16_384)]
)
def test_diversity_chooses_from_more_the_deeper_it_goes(k, candidates):
    assert Search.from_options(SCHEMA, k, "", "", diversity=0.5).candidates == candidates
