import shutil

import numpy as np
import pytest
import torch
from transformers import AutoImageProcessor, AutoModel

from mmlab.embed import load_model


def unit(rows):
    return (rows / rows.norm(dim=1, keepdim=True)).numpy()


@pytest.mark.parametrize("family", ["vit", "dinov2"])
@torch.no_grad()
def test_vectors_equal_the_librarys_own_calls(family, models, folders, images):
    pixels = AutoImageProcessor.from_pretrained(folders(family), backend="pil")(images, return_tensors="pt")
    expected = unit(AutoModel.from_pretrained(folders(family)).eval()(**pixels).pooler_output)
    np.testing.assert_allclose(models(family).embed_images(images), expected, atol=1e-5)
    assert models(family).space.pooling == "pooled output"


@torch.no_grad()
def test_without_a_pooler_it_is_the_first_token(folders, images, tmp_path):
    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(folders("vit"), tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if not name.startswith("pooler.")}
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    model = load_model(str(copy), device="cpu")
    seen = AutoModel.from_pretrained(folders("vit")).eval()(**model.prepare_images(images))
    np.testing.assert_allclose(model.embed_images(images), unit(seen.last_hidden_state[:, 0]), atol=1e-5)
    assert model.space.pooling == "first token"


def test_prompts_are_for_texts(folders, models):
    assert load_model(str(folders("vit")), device="cpu", prompts=["a {}"]).space == models("vit").space
