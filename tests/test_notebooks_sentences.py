"""Real weights through the notebooks: all-MiniLM-L6-v2 on captions of photos."""

import pytest

from mmlab.items.files import file_hash
from tests.bench.sentences import PHOTOS, find_minilm, score_captions

pytestmark = pytest.mark.slow


def test_the_weights_are_those_that_were_published():
    assert file_hash(find_minilm() / "model.safetensors").startswith("53aa5117")


@pytest.mark.skipif(not PHOTOS.exists(), reason="the captions of the 1,000 photos are not on this machine")
def test_a_caption_finds_another_caption_of_its_photo():
    """Of 40 photos; of all, `make bench ONLY=minilm` gives the known .600, .828 and .896.

    The figures here are those of numpy on the vectors of sentence-transformers; a tie counts against.
    """
    scores = score_captions(find_minilm(), photos=40)
    assert scores.loc["captions"].to_list() == pytest.approx([0.910, 0.970, 0.985], abs=0.002)
    assert scores.loc["photos"].to_list() == pytest.approx([0.910, 0.990, 1.000], abs=0.002)
