import json
import os
import re
import shutil

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from mmlab.embed import ModelError, load_for, load_model
from mmlab.embed.models.checkpoint import KNOWN_IDS, find_checkpoint, find_id
from mmlab.items.files import project
from tests.embed.hub import pickled, read_files

B32, L14 = "openai/clip-vit-base-patch32", "openai/clip-vit-large-patch14"


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("ViT-B/32", B32),
        ("ViT-B-32", B32),
        ("vit_b_32", B32),
        ("ViT-B32", B32),
        ("clip-ViT-B-32", B32),
        ("CLIP ViT-B/32", B32),
        ("openai/ViT-B-32", B32),
        ("ViT-B-32/openai", B32),
        ("ViT-B-32-quickgelu", B32),
        ("clip", B32),
        ("clip-vit-base-patch32", B32),
        ("OpenAI/CLIP-ViT-Base-Patch32", B32),
        ("ViT-B/16", "openai/clip-vit-base-patch16"),
        ("ViT-L/14", L14),
        ("ViT-L/14@336px", f"{L14}-336"),
        ("ViT-L-14-336", f"{L14}-336"),
        ("openai/ViT-L/14@336px", f"{L14}-336"),
        ("ViT-H-14", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"),
        ("CLIP-ViT-B-32-laion2B-s34B-b79K", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"),
        ("ViT-B-32/laion2b_s34b_b79k", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"),
        ("siglip", "google/siglip-base-patch16-224"),
        ("google/siglip", "google/siglip-base-patch16-224"),
        ("ViT-B-16-SigLIP", "google/siglip-base-patch16-224"),
        ("siglip2", "google/siglip2-base-patch16-224"),
        ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"),
        ("all-mpnet-base-v2", "sentence-transformers/all-mpnet-base-v2"),
        ("dinov2", "facebook/dinov2-base"),
        ("facebook/dinov2", "facebook/dinov2-base"),
        ("AltCLIP", "BAAI/AltCLIP"),
        ("chinese-clip", "OFA-Sys/chinese-clip-vit-base-patch16"),
        (f"hf-hub:{B32}", B32),
        (f"https://huggingface.co/{B32}", B32),
        (f"https://huggingface.co/{B32}/tree/main", B32),
        ("huggingface.co/own/er", "own/er"),
    ],
)
def test_names_that_people_type_are_told_the_id_to_give(name, id):
    with pytest.raises(
        ModelError, match=rf"^model {re.escape(repr(name))} is no Hugging Face id .*: give {re.escape(id)}$"
    ):
        load_model(name)


@pytest.mark.parametrize(
    "id",
    [
        *sorted(set(KNOWN_IDS.values())),
        "sentence-transformers/clip-ViT-B-32",
        "sentence-transformers/clip-ViT-L-14",
        "facebook/dinov2-large",
        "owner/clip",
        "owner/ViT-B-32",
        "timm/ViT-B-16-SigLIP",
        "patrickjohncyh/fashion-clip",
        "bert-base-uncased",
    ],
)
def test_an_id_stays_as_it_is(id):
    assert (find_id(id), find_checkpoint(id)) == ("", id)


def test_every_id_of_the_readme_is_known():
    readme = (project() / "README.md").read_text(encoding="utf-8")
    table = readme.split("\n## Models\n")[1].split("\n## ")[0]
    rows = [row for row in table.splitlines() if row.startswith("| ") and "`" in row]
    ids = {row.split("`")[1] for row in rows if "cross-encoders" not in row}
    # the short name of this one is that of OpenAI's
    assert ids - {"sentence-transformers/clip-ViT-B-32"} <= set(KNOWN_IDS.values())


def test_a_folder_of_that_name_is_the_model(clip_folder, monkeypatch, tmp_path):
    monkeypatch.setattr("mmlab.embed.models.checkpoint.resolve", lambda name: tmp_path / name)
    shutil.copytree(clip_folder, tmp_path / "ViT-B-32")
    assert find_checkpoint("ViT-B-32") == str(tmp_path / "ViT-B-32")


def test_a_folder_above_a_checkpoint_names_it(clip_folder, tmp_path):
    """As the training of transformers leaves them."""
    for step in (500, 1000):
        shutil.copytree(clip_folder, tmp_path / "run" / f"checkpoint-{step}")
    with pytest.raises(ModelError, match=r"run holds no config.json: give \S+/checkpoint-1000, which does$"):
        load_model(str(tmp_path / "run"))


def test_a_file_is_no_checkpoint(clip_folder):
    with pytest.raises(ModelError, match=r"model.safetensors' is a file: give the folder with its config"):
        load_model(str(clip_folder / "model.safetensors"))


@pytest.fixture
def sentence_clip(clip_folder, tmp_path):
    """A CLIP as sentence-transformers kept it: all in the folder of its only module."""
    folder = tmp_path / "clip-ViT-B-32"
    shutil.copytree(clip_folder, folder / "0_CLIPModel")
    module = {"idx": 0, "name": "0", "path": "0_CLIPModel", "type": "sentence_transformers.models.CLIPModel"}
    (folder / "modules.json").write_text(json.dumps([module]))
    (folder / "config_sentence_transformers.json").write_text("{}")
    return folder


def test_a_clip_of_sentence_transformers_is_a_clip(sentence_clip, models, images):
    model = load_model(str(sentence_clip), device="cpu")
    assert model.space.model == sentence_clip.as_posix()
    np.testing.assert_allclose(model.embed_images(images), models("clip").embed_images(images), atol=1e-6)
    library = SentenceTransformer(str(sentence_clip), device="cpu")
    for given, rows in (
        (["a dog"], model.embed_texts(["a dog"])),
        (images[:2], model.embed_images(images[:2])),
    ):
        np.testing.assert_allclose(rows, library.encode(given, normalize_embeddings=True), atol=1e-5)
    described = [(own.pooling, own.preprocessing) for own in (model.space, models("clip").space)]
    assert described == [("joint projection", "CLIPImageProcessorPil, 16 tokens, float32")] * 2
    assert load_for(model.space, device="cpu").space == model.space


def test_another_weight_in_its_module_is_another_revision(sentence_clip):
    before = load_model(str(sentence_clip), device="cpu").space.revision
    own = sentence_clip / "0_CLIPModel"
    (own / "pytorch_model.bin").write_bytes(pickled((own / "model.safetensors").read_bytes()))
    assert load_model(str(sentence_clip), device="cpu").space.revision == before
    (own / "model.safetensors").unlink()
    assert load_model(str(sentence_clip), device="cpu").space.revision != before


@pytest.mark.parametrize("form", ["safetensors", "a pickle"])
def test_a_clip_of_sentence_transformers_on_the_hub(form, sentence_clip, models, hub):
    files = read_files(sentence_clip)
    weights = files["0_CLIPModel/model.safetensors"]
    if form == "a pickle":
        del files["0_CLIPModel/model.safetensors"]
        files["0_CLIPModel/pytorch_model.bin"] = pickled(weights)
    hub.add("sentence-transformers/clip-ViT-B-32", files)
    model = load_model("sentence-transformers/clip-ViT-B-32", device="cpu")
    np.testing.assert_allclose(model.embed_texts(["dog"]), models("clip").embed_texts(["dog"]), atol=1e-6)
    assert model.modalities == ("text", "image")


def test_modules_that_cannot_be_read(sentence_clip):
    (sentence_clip / "modules.json").write_text('[{"idx": 0}]')
    with pytest.raises(ModelError, match=r"its modules.json cannot be read"):
        load_model(str(sentence_clip), device="cpu")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name are POSIX")
def test_a_file_that_need_not_end_is_named(clip_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(clip_folder, folder)
    os.mkfifo(folder / "notes.json")
    with pytest.raises(
        ModelError, match=r"its notes.json cannot be read \(expected a file, found a folder, a pipe"
    ):
        load_model(str(folder), device="cpu")
    (folder / "notes.json").unlink()
    (folder / "vocab.txt").symlink_to("/dev/zero")
    with pytest.raises(ModelError, match=r"its vocab.txt cannot be read"):
        load_model(str(folder), device="cpu")
