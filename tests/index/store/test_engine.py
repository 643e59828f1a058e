"""What the engine is asked: the schema's settings where a caller gives none, and candidates that follow k."""

import pytest

from mmlab.index import Hnsw, Quantization, Schema
from mmlab.index.store.asking import search_for
from tests.index.pairs import BOTH

SCHEMA = Schema(BOTH, hnsw=Hnsw(ef=70), quantization=Quantization("scalar", rescore=False, oversampling=3.0))


def test_what_is_not_asked_for_is_the_schemas():
    told = search_for(SCHEMA, BOTH, None, k=5, rescore=None, oversampling=None)
    assert (told.ef, told.rescore, told.oversampling) == (70, False, 3.0)
    told = search_for(SCHEMA, BOTH, None, k=5, ef=9, rescore=True, oversampling=1.0)
    assert (told.ef, told.rescore, told.oversampling) == (9, True, 1.0)


@pytest.mark.parametrize(
    ("k", "candidates"), [(10, 100), (25, 100), (26, 104), (4096, 16_384), (5000, 16_384)]
)
def test_diversity_chooses_from_more_the_deeper_it_goes(k, candidates):
    assert search_for(SCHEMA, BOTH, None, k=k, diversity=0.5).candidates == candidates
