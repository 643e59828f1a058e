"""What holds on a CUDA device: the vectors of the CPU, real ends of its memory, figures of a sweep."""

import numpy as np
import pandas as pd
import pytest
import torch

from mmlab.embed import embed_items, load_model
from mmlab.embed.multi_model import sweep_batches
from tests.embed.models.test_contract import KINDS, embed, every_family, inputs  # noqa: F401

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

MEBIBYTE = 2**20


@pytest.fixture
def room():
    """Lets this process have so many bytes of the device beyond what it has now; all of it again in the end."""

    def leave(spare):
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + spare) / total)

    yield leave
    torch.cuda.set_per_process_memory_fraction(1.0)


def texts(items, times):
    """The texts of the items so many times, each with a number of its own."""
    many = pd.concat([items[items["modality"] == "text"]] * times, ignore_index=True)
    numbers = range(len(many))
    return many.assign(
        text=[f"{text} {number}" for number, text in zip(numbers, many["text"], strict=True)],
        content=[f"{number:064x}" for number in numbers],
        item_id=[f"00000000-0000-0000-0000-{number:012x}" for number in numbers],
    )


@every_family
def test_vectors_are_those_of_the_cpu(family, models, folders, inputs):  # noqa: F811
    on_cpu, on_cuda = models(family), load_model(str(folders(family)), device="cuda")
    assert on_cuda.device.startswith("cuda")
    assert on_cuda.space == on_cpu.space
    for kind in KINDS[family]:
        rows = embed(on_cuda, kind, inputs[kind])
        assert rows.dtype == np.float32
        np.testing.assert_allclose(rows, embed(on_cpu, kind, inputs[kind]), atol=2e-3, err_msg=kind)


def test_the_device_is_found_and_takes_bfloat16_by_itself(folders):
    found = load_model(str(folders("clip")), precision="auto")
    assert found.device.startswith("cuda")
    assert "bfloat16" in found.space.preprocessing


def test_a_batch_that_the_device_cannot_hold_goes_in_halves(clip_folder, items, room):
    many = texts(items, 2_000)
    model = load_model(str(clip_folder), device="cuda")
    small = embed_items(many, model, batch_size=64, progress=False)
    room(48 * MEBIBYTE)
    large = embed_items(many, model, batch_size=8_192, progress=False)
    assert small.counts["halved"].tolist() == [0]
    assert large.counts["halved"].iloc[0] > 0
    assert large.skipped.empty
    np.testing.assert_allclose(large.vectors.array, small.vectors.array, atol=1e-4)


def test_a_sweep_tells_the_memory_of_the_device(clip_folder, items):
    swept = sweep_batches(texts(items, 20), str(clip_folder), [8], ["float32"], rounds=1, device="cuda")
    assert swept["memory_mb"].between(0.001, 1_000).all()
    assert swept["cosine_least"].iloc[0] > 0.9999
