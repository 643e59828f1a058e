import json
import os
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer

from mmlab.embed import ModelError, load_model
from tests.embed.hub import pickled, read_files

TEXTS = ["a red shoe", "dog", "the end of this text lies outside of the window", "x, y!"]


@pytest.fixture
def copy(folders, tmp_path):
    return shutil.copytree(folders("bge"), tmp_path / "copy")


@pytest.mark.parametrize("family", ["bert", "mpnet", "bge"])
def test_vectors_equal_the_librarys_own(family, models, folders):
    library = SentenceTransformer(str(folders(family)), device="cpu")
    expected = library.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(models(family).embed_texts(TEXTS), expected, atol=1e-5)


@pytest.fixture(params=["clip_sentences", "vlm"])
def both(request, models, folders):
    """A model of texts and images, and the library's own."""
    return models(request.param), SentenceTransformer(str(folders(request.param)), device="cpu")


def test_texts_and_images_equal_the_librarys_own(both, images):
    model, library = both
    for rows, expected in (
        (model.embed_texts(TEXTS), library.encode_document(TEXTS, normalize_embeddings=True)),
        (model.embed_queries(TEXTS), library.encode_query(TEXTS, normalize_embeddings=True)),
        (model.embed_images(images), library.encode_document(images, normalize_embeddings=True)),
    ):
        np.testing.assert_allclose(rows, expected, atol=1e-5)


def test_images_of_any_shape_that_were_prepared_alone_are_one_batch(both, images):
    model, _ = both
    stacked = model.stack([model.prepare_images([image]) for image in images])
    np.testing.assert_allclose(model.embed_prepared("image", stacked), model.embed_images(images), atol=1e-5)


def test_a_tokenizer_that_pads_on_the_left_gives_the_same_vectors(folders, models, images, tmp_path):
    folder = shutil.copytree(folders("vlm"), tmp_path / "left")
    settings = folder / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"padding_side": "left"}))
    model = load_model(str(folder), device="cpu")
    assert model.pipeline.tokenizer.padding_side == "left"
    stacked = model.stack([model.prepare_images([image]) for image in images])
    np.testing.assert_allclose(
        model.embed_prepared("image", stacked), models("vlm").embed_images(images), atol=1e-5
    )


def test_a_text_is_a_text_even_if_it_is_the_path_of_an_image(both, images, tmp_path):
    model, _ = both
    images[0].save(tmp_path / "a.png")
    path = str(tmp_path / "a.png")
    assert model.prepare_texts([path, "data:image/png;base64,AA"])["input_ids"].shape[0] == 2
    assert np.abs(model.embed_texts([path]) - model.embed_images(images[:1])).max() > 1e-3


def test_a_text_with_the_token_of_an_image_is_a_text(models):
    rows = models("vlm").embed_texts(["a <image> dog", "a   dog"])
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)


def test_an_image_and_a_text_are_one_input(models, folders, images):
    model = models("vlm")
    library = SentenceTransformer(str(folders("vlm")), device="cpu")
    texts = ["in blue", "x", "dog", "3", "a"]
    pairs = [{"image": image, "text": text} for image, text in zip(images, texts, strict=True)]
    found = model.embed_both(texts, images)
    np.testing.assert_allclose(found, library.encode_document(pairs), atol=1e-5)
    asked = model.embed_both(texts, images, as_queries=True)
    np.testing.assert_allclose(asked, library.encode_query(pairs), atol=1e-5)
    for alone in (model.embed_texts(texts), model.embed_images(images)):
        assert (found * alone).sum(axis=1).max() < 0.999


def test_templates_stand_around_the_text_of_both(models, folders, images):
    prompted = load_model(str(folders("vlm")), device="cpu", prompts=["a {}", "{} 2"])
    mean = models("vlm").embed_both(["a x"], images[:1]) + models("vlm").embed_both(["x 2"], images[:1])
    expected = mean / np.linalg.norm(mean)
    np.testing.assert_allclose(prompted.embed_both(["x"], images[:1]), expected, atol=1e-5)


@pytest.mark.parametrize("family", ["clip", "clip_sentences", "mpnet"])
def test_a_model_that_takes_no_image_and_text_as_one_input(family, models, images):
    with pytest.raises(ModelError, match=r"takes no image and text as one input: give a vision-language"):
        models(family).embed_both(["dog"], images[:1])


def test_the_space_of_both_has_the_prompts(models):
    space = models("vlm").space
    assert space.pooling == "lasttoken, normalize"
    assert space.preprocessing == (
        "query prompt 'find', document prompt 'show', LlavaNextImageProcessorPil, 64 tokens, float32"
    )
    assert models("vlm").tells_queries_apart


def test_a_vision_language_model_without_modules_has_no_vectors(folders):
    plain = folders("vlm").with_name("tiny-vlm-plain")
    with pytest.raises(
        ModelError, match=r"is a LlavaNextModel, .*or its folder as sentence-transformers saves"
    ):
        load_model(str(plain), device="cpu")


def test_images_of_a_folder_with_modules(folders, images, tmp_path):
    """A ViT that sentence-transformers pools."""
    SentenceTransformer(str(folders("vit")), device="cpu").save(str(tmp_path / "vit"))
    model = load_model(str(tmp_path / "vit"), device="cpu")
    assert model.modalities == ("image",)
    library = SentenceTransformer(str(tmp_path / "vit"), device="cpu")
    expected = library.encode(images, normalize_embeddings=True)
    np.testing.assert_allclose(model.embed_images(images), expected, atol=1e-5)
    with pytest.raises(ModelError, match=r"embeds image only, found text"):
        model.embed_texts(["dog"])


def test_modules_that_embed_neither_texts_nor_images(tmp_path):
    import transformers

    from tests.embed.checkpoints import TINY, write

    layers = {"conv_dim": [8, 8], "conv_kernel": [10, 3], "conv_stride": [5, 2], "num_feat_extract_layers": 2}
    config = transformers.Wav2Vec2Config(**TINY | layers, num_conv_pos_embedding_groups=2)
    (tmp_path / "letters.json").write_text('{"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4}')
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(tmp_path / "letters.json"))
    processor = transformers.Wav2Vec2Processor(transformers.Wav2Vec2FeatureExtractor(), tokenizer)
    plain = write(tmp_path / "plain", transformers.Wav2Vec2Model(config), processor)
    SentenceTransformer(str(plain), device="cpu").save(str(tmp_path / "sounds"))
    with pytest.raises(
        ModelError, match=r"sounds' embeds audio.* expected text or image: give a text encoder"
    ):
        load_model(str(tmp_path / "sounds"), device="cpu")


@pytest.mark.skipif(bool(find_spec("torchvision")), reason="it is not missed where it is installed")
def test_a_processor_that_needs_torchvision(folders, tmp_path):
    folder = shutil.copytree(folders("vlm"), tmp_path / "pixels")
    for name in ("processor_config.json", "tokenizer_config.json"):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace("LlavaNextProcessor", "PixtralProcessor"))
    with pytest.raises(
        ModelError, match=r"its tokenizer or modules need torchvision: pip install torchvision"
    ):
        load_model(str(folder), device="cpu")


def test_a_query_stands_behind_the_models_own_prompt(models, folders):
    model = models("bge")
    library = SentenceTransformer(str(folders("bge")), device="cpu")
    np.testing.assert_allclose(model.embed_queries(TEXTS), library.encode_query(TEXTS), atol=1e-5)
    np.testing.assert_allclose(model.embed_queries(["dog"]), model.embed_texts(["find: dog"]), atol=1e-5)
    assert np.abs(model.embed_queries(["dog"]) - model.embed_texts(["dog"])).max() > 1e-3
    assert model.space.prompt == ""
    assert model.space.preprocessing == "BertTokenizer, query prompt 'find: ', 16 tokens, float32"


def test_without_such_a_prompt_a_query_is_a_text(models):
    for family in ("mpnet", "bert", "clip"):
        rows = models(family).embed_queries(TEXTS)
        np.testing.assert_array_equal(rows, models(family).embed_texts(TEXTS))


def test_templates_stand_within_the_models_own_prompt(folders, models):
    prompted = load_model(str(folders("bge")), device="cpu", prompts=["my {}"])
    np.testing.assert_allclose(
        prompted.embed_queries(["dog"]), models("bge").embed_texts(["find: my dog"]), atol=1e-5
    )
    assert prompted.space.prompt == "my {}"


def test_a_prompt_for_documents_is_theirs(copy):
    settings = copy / "config_sentence_transformers.json"
    prompts = {"query": "find: ", "document": "doc: "}
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"prompts": prompts}))
    library = SentenceTransformer(str(copy), device="cpu")
    model = load_model(str(copy), device="cpu")
    np.testing.assert_allclose(model.embed_texts(TEXTS), library.encode_document(TEXTS), atol=1e-5)
    assert "query prompt 'find: ', document prompt 'doc: '" in model.space.preprocessing
    assert model.count_truncated(["x" * 14, "x" * 6]) == 1  # four pieces of the prompt are letters too


def test_the_space_names_the_pooling(models):
    poolings = [models(family).space.pooling for family in ("bert", "mpnet", "bge")]
    assert poolings == ["mean", "mean, normalize", "cls, normalize"]


def test_another_pooling_is_another_revision(copy, models):
    settings = next(copy.glob("1_*/config.json"))
    settings.write_text(settings.read_text().replace('"cls"', '"mean"'))
    model = load_model(str(copy), device="cpu")
    assert model.space.pooling == "mean, normalize"
    assert model.space.revision != models("bge").space.revision


def test_a_module_with_code_of_its_own_is_refused(copy):
    modules = json.loads((copy / "modules.json").read_text())
    modules[1]["type"] = "mine.Pooling"
    (copy / "modules.json").write_text(json.dumps(modules))
    (copy / "mine.py").write_text("raise SystemExit('was run')")
    with pytest.raises(ModelError, match=r"its tokenizer or modules cannot be read .*mine.Pooling"):
        load_model(str(copy), device="cpu")


def test_a_module_outside_of_the_folder_is_refused(copy):
    modules = json.loads((copy / "modules.json").read_text())
    modules[1]["path"] = "../elsewhere"
    (copy / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ModelError, match=r"its tokenizer or modules cannot be read"):
        load_model(str(copy), device="cpu")


@pytest.fixture
def dense(folders, tmp_path):
    """A text encoder whose last module has weights of its own."""
    from sentence_transformers.base.modules import Dense

    torch.manual_seed(3)
    pipeline = SentenceTransformer(str(folders("mpnet")), device="cpu")
    pipeline.append(Dense(32, 20))
    pipeline.save(str(tmp_path / "dense"))
    return tmp_path / "dense"


@pytest.mark.parametrize("on", ["a folder", "the hub"])
def test_a_module_whose_weights_are_a_pickle_of_tensors_is_read(dense, hub, on):
    own = next(dense.glob("*_Dense"))
    whole = load_model(str(dense), device="cpu")
    (own / "pytorch_model.bin").write_bytes(pickled((own / "model.safetensors").read_bytes()))
    (own / "model.safetensors").unlink()
    hub.add("owner/dense", read_files(dense))
    model = load_model(str(dense) if on == "a folder" else "owner/dense", device="cpu")
    np.testing.assert_allclose(model.embed_texts(TEXTS), whole.embed_texts(TEXTS), atol=1e-6)
    assert model.space.revision not in ("", whole.space.revision)


def test_code_in_the_pickle_of_a_module_is_not_run(dense, tmp_path):
    own = next(dense.glob("*_Dense"))
    (own / "model.safetensors").unlink()
    torch.save({"x": MakesAFolder(str(tmp_path / "was-run"))}, own / "pytorch_model.bin")
    with pytest.raises(
        ModelError, match=r"a pickle of more than tensors, which may be code; none of it was run"
    ):
        load_model(str(dense), device="cpu")
    assert not (tmp_path / "was-run").exists()


class MakesAFolder:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_another_pickle_of_a_module_is_another_revision(dense):
    own = next(dense.glob("*_Dense"))
    revisions = []
    for added in (0, 1):
        tensors = {name: tensor + added for name, tensor in load_file(own / "model.safetensors").items()}
        torch.save(tensors, own / "pytorch_model.bin")
        revisions.append(load_model(str(dense), device="cpu").space.revision)
    assert revisions[0] == revisions[1]  # not read beside safetensors
    (own / "model.safetensors").unlink()
    assert load_model(str(dense), device="cpu").space.revision != revisions[0]


def test_a_folder_whose_transformer_lies_in_its_first_module(folders, models, tmp_path):
    """As older versions of the library saved it."""
    whole = shutil.copytree(folders("mpnet"), tmp_path / "whole")
    inside = whole / "0_Transformer"
    inside.mkdir()
    kept = ("modules.json", "config_sentence_transformers.json")
    for path in [path for path in whole.iterdir() if path.is_file() and path.name not in kept]:
        path.rename(inside / path.name)
    modules = json.loads((whole / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (whole / "modules.json").write_text(json.dumps(modules))
    model = load_model(str(whole), device="cpu")
    np.testing.assert_allclose(model.embed_texts(TEXTS), models("mpnet").embed_texts(TEXTS), atol=1e-6)
    assert model.space.pooling == "mean, normalize"


def test_modules_that_cannot_be_read(copy):
    (copy / "modules.json").write_text("[")
    with pytest.raises(ModelError, match=r"its modules.json cannot be read"):
        load_model(str(copy), device="cpu")


def test_weights_that_lack_a_part(copy):
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    name = "encoder.layer.1.output.dense.weight"
    del weights[name]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"its weights lack 1 tensors, first {name}"):
        load_model(str(copy), device="cpu")


def test_a_pooler_that_no_vector_passes_may_be_missing(copy, models):
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if not name.startswith("pooler.")}
    assert len(kept) == len(weights) - 2
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    rows = load_model(str(copy), device="cpu").embed_texts(TEXTS)
    np.testing.assert_allclose(rows, models("bge").embed_texts(TEXTS), atol=1e-6)


def test_a_tokenizer_that_is_missing(copy):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copy / name).unlink()
    with pytest.raises(ModelError, match=r"its tokenizer"):
        load_model(str(copy), device="cpu")


def test_modules_without_a_transformer_are_refused(copy):
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(copy)
    static = SentenceTransformer(
        modules=[StaticEmbedding(tokenizer.backend_tokenizer, embedding_dim=8)], device="cpu"
    )
    static.save(str(copy / "static"))
    modules = json.loads((copy / "static" / "modules.json").read_text())
    (copy / "modules.json").write_text(json.dumps([modules[0] | {"path": "static"}]))
    with pytest.raises(ModelError, match=r"copy': none of its modules is a transformer: give a text encoder"):
        load_model(str(copy), device="cpu")
