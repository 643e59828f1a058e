import pytest
import torch

from mmlab.embed import load_model
from mmlab.embed.models.adapter import pick_device, pick_precision


def test_the_device_must_be_there():
    assert pick_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match=r"expected auto or one of .*cpu, found 'abacus'"):
        pick_device("abacus")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"amx_bf16": True}, "bfloat16"),
        ({"avx512_bf16": True}, "bfloat16"),
        ({"avx2": True}, "float32"),
        ({}, "float32"),
    ],
)
def test_auto_is_bfloat16_where_the_processor_is_made_for_it(found, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    assert pick_precision("auto", torch.device("cpu")) == expected


def test_an_older_torch_that_cannot_be_asked_stays_with_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert pick_precision("auto", torch.device("cpu")) == "float32"


def test_the_space_names_the_precision_that_was_picked(clip_folder, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    model = load_model(str(clip_folder), device="cpu", precision="auto")
    assert model.space.preprocessing == "CLIPImageProcessorPil, 16 tokens, bfloat16"
    assert model.network.dtype == torch.bfloat16


def test_an_unknown_precision():
    with pytest.raises(
        ValueError, match=r"precision: expected one of float32, bfloat16, int8, auto, found 'float8'"
    ):
        pick_precision("float8", torch.device("cpu"))
