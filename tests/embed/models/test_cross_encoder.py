"""Cross-encoders score pairs as the library's own `predict` does; what scores no pairs is refused."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder
from transformers import RobertaConfig, RobertaForSequenceClassification

from mmlab.embed import ModelError, load_pair_scorer
from tests.embed.checkpoints import (
    cross_encoder,
    multimodal_cross_encoder,
    roberta_tokenizer,
    text_config,
    write,
)
from tests.embed.hub import pickled, read_files
from tests.embed.models.test_sentence_encoder import MakesAFolder

QUERIES = ["a red shoe", "dog", "a red shoe"]
TEXTS = ["a shoe", "the end of this text lies outside of the window of thirty-two pieces", "x, y!"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A cross-encoder as transformers saves it, without modules.json."""
    torch.manual_seed(11)
    return cross_encoder(tmp_path_factory.mktemp("cross") / "plain")


@pytest.fixture(scope="module")
def saved(plain):
    """The same one as sentence-transformers saves it."""
    folder = plain.with_name("saved")
    CrossEncoder(str(plain), device="cpu").save(str(folder))
    return folder


@pytest.fixture(scope="module")
def multimodal(tmp_path_factory):
    torch.manual_seed(12)
    return multimodal_cross_encoder(tmp_path_factory.mktemp("cross") / "multimodal")


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


@pytest.mark.parametrize("which", ["plain", "saved", "multimodal"])
def test_two_texts_are_scored_as_the_library_predicts(which, request):
    folder = str(request.getfixturevalue(which))
    expected = CrossEncoder(folder, device="cpu").predict(list(zip(QUERIES, TEXTS, strict=True)))
    scores = load_pair_scorer(folder, "cpu").match(QUERIES, TEXTS)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert np.ptp(scores) > 1e-3


def test_a_text_and_an_image_are_scored_as_the_library_predicts(multimodal, images):
    expected = CrossEncoder(str(multimodal), device="cpu").predict(list(zip(QUERIES, images, strict=False)))
    scorer = load_pair_scorer(str(multimodal), "cpu")
    assert scorer.reads_images
    np.testing.assert_allclose(scorer.match(QUERIES, images[:3]), expected, atol=1e-5)


def test_a_model_of_texts_reads_no_images(saved, images):
    scorer = load_pair_scorer(str(saved), "cpu")
    assert not scorer.reads_images
    with pytest.raises(ModelError, match=r"reads texts alone, found an image: ask by a text, or give"):
        scorer.match(["dog"], images[:1])


@pytest.mark.parametrize("family", ["bert", "bge", "clip"])
def test_a_model_that_embeds_is_refused(family, folders):
    kind = {"bert": "BertModel", "bge": "SentenceTransformer", "clip": "CLIPModel"}[family]
    with pytest.raises(
        ModelError, match=rf"is no cross-encoder but a {kind}, which does not score pairs: give"
    ):
        load_pair_scorer(str(folders(family)), "cpu")


def test_a_text_longer_than_there_are_positions_loses_its_end(tmp_path):
    tokenizer = roberta_tokenizer()  # which names no window
    config = RobertaConfig(**text_config(tokenizer, max_position_embeddings=34), num_labels=1)
    folder = write(tmp_path / "roberta", RobertaForSequenceClassification(config), tokenizer)
    scorer = load_pair_scorer(str(folder), "cpu")
    # 32 positions hold the dog, its frame of four tokens, and 25 of these letters
    assert scorer.match(["dog"], ["x" * 200]) == pytest.approx(scorer.match(["dog"], ["x" * 25]), abs=1e-6)
    assert scorer.match(["dog"], ["x" * 25]) != pytest.approx(scorer.match(["dog"], ["x" * 24]), abs=1e-6)


def test_there_is_no_such_model(tmp_path):
    with pytest.raises(ModelError, match="there is no folder"):
        load_pair_scorer(str(tmp_path / "none"), "cpu")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        load_pair_scorer(str(tmp_path / "empty"), "cpu")
    with pytest.raises(ModelError, match="could not be asked for this id"):
        load_pair_scorer("nobody/nothing", "cpu")


def test_several_scores_for_a_pair_are_refused(tmp_path):
    with pytest.raises(ModelError, match="gives 3 scores to a pair, expected one"):
        load_pair_scorer(str(cross_encoder(tmp_path / "nli", labels=3)), "cpu")


def test_weights_without_the_head_are_refused(copy):
    weights = load_file(copy / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if not name.startswith("classifier.")}
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"its weights lack 2 tensors, first classifier\.bias"):
        load_pair_scorer(str(copy), "cpu")


def test_code_in_a_pickle_is_not_run(copy, tmp_path):
    (copy / "model.safetensors").unlink()
    torch.save({"x": MakesAFolder(str(tmp_path / "was-run"))}, copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"a pickle of more than tensors, which may be code"):
        load_pair_scorer(str(copy), "cpu")
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("name", ["torch.hub.list", "torch.nn.init.eye_", "os.getcwd"])
def test_only_an_activation_of_torch_is_called(copy, name):
    settings = copy / "config_sentence_transformers.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"activation_fn": name}))
    with pytest.raises(ModelError, match=rf"its activation is '{name}', expected one of torch\.nn"):
        load_pair_scorer(str(copy), "cpu")


def test_a_module_with_code_of_its_own_is_refused(copy):
    modules = json.loads((copy / "modules.json").read_text())
    modules[0]["type"] = "mine.Scorer"
    (copy / "modules.json").write_text(json.dumps(modules))
    (copy / "mine.py").write_text("raise SystemExit('was run')")
    with pytest.raises(ModelError, match=r"its tokenizer or modules cannot be read .*mine.Scorer"):
        load_pair_scorer(str(copy), "cpu")


def test_one_of_the_hub_is_read_with_a_pickle_of_tensors_too(plain, hub, tmp_path):
    folder = shutil.copytree(plain, tmp_path / "pickled")
    (folder / "pytorch_model.bin").write_bytes(pickled((folder / "model.safetensors").read_bytes()))
    (folder / "model.safetensors").unlink()
    hub.add("owner/cross", read_files(folder))
    scorer = load_pair_scorer("owner/cross", "cpu")
    assert scorer.name == "owner/cross"
    expected = load_pair_scorer(str(plain), "cpu").match(QUERIES, TEXTS)
    np.testing.assert_allclose(scorer.match(QUERIES, TEXTS), expected, atol=1e-6)
