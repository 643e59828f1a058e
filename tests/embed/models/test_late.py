"""Sparse encoders and late interaction: the vectors are the library's own, and the space says their kind."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import MultiVectorEncoder, SparseEncoder
from sentence_transformers.multi_vector_encoder.modules import HierarchicalTokenPooling

from mmlab.embed import ModelError, load_for, load_model

TEXTS = ["a red shoe", "dog", "x, y", "the end of this text lies outside of the window" * 3]
IDS = ["a", "b", "c", "d"]
SPARSE = ("splade", "inference_free")
KINDS = {
    "colpali": "ColPaliForRetrieval",
    "colqwen2": "ColQwen2ForRetrieval",
    "colmodernvbert": "ColModernVBertForRetrieval",
}
PAGES = (*KINDS, "page_modules")
LATE = ("colbert", *PAGES)
every_family = pytest.mark.parametrize("family", SPARSE + LATE)


@pytest.fixture
def copy(folders, tmp_path):
    return lambda family: shutil.copytree(folders(family), tmp_path / "copy")


def token_rows(found):
    """The rows of each item of TokenVectors."""
    return [np.array(rows) for rows in found.rows(np.arange(len(found)))]


def check_same_rows(found, expected):
    assert len(found) == len(expected)
    for mine, own in zip(token_rows(found), expected, strict=True):
        np.testing.assert_allclose(mine, np.asarray(own), atol=1e-5)


@pytest.mark.parametrize("family", SPARSE)
def test_terms_and_weights_equal_the_librarys_own(family, models, folders):
    library, model = SparseEncoder(str(folders(family)), device="cpu"), models(family)
    pairs = (
        (model.embed_items("text", IDS, TEXTS), library.encode_document(TEXTS)),
        (model.ask(IDS, TEXTS), library.encode_query(TEXTS)),
    )
    for found, expected in pairs:
        dense = np.zeros((4, model.space.dimension))
        for row, (terms, weights) in enumerate(found.rows(np.arange(4))):
            dense[row, terms] = weights
            assert terms == sorted(terms)
        np.testing.assert_allclose(dense, expected.to_dense().numpy(), atol=1e-5)


def test_the_tokens_of_texts_equal_the_librarys_own(models, folders):
    library, model = MultiVectorEncoder(str(folders("colbert")), device="cpu"), models("colbert")
    found = model.embed_items("text", IDS, TEXTS)
    check_same_rows(found, library.encode_document(TEXTS))
    check_same_rows(model.ask(IDS, TEXTS), library.encode_query(TEXTS))
    # start, prompt, the letters a, r, e, d, s, h, o, e and end; without its comma "x, y" has two letters
    assert np.diff(found.offsets).tolist()[:3] == [3 + 8, 3 + 3, 3 + 2]
    assert np.diff(model.ask(IDS, TEXTS).offsets).tolist() == [8] * 4


@pytest.mark.parametrize("family", KINDS)
def test_the_parts_of_pages_equal_transformers_own(family, models, folders, images):
    import transformers

    network = getattr(transformers, KINDS[family]).from_pretrained(folders(family)).eval()
    processor = transformers.AutoProcessor.from_pretrained(folders(family))
    model = models(family)
    queries = ["a red shoe", "dog"]
    for found, inputs in (
        (model.embed_items("image", list("abcde"), images), processor.process_images(images)),
        (model.ask(IDS[:2], queries), processor.process_queries(queries)),
    ):
        with torch.inference_mode():
            rows = network(**inputs).embeddings
        check_same_rows(
            found, [row[kept.bool()] for row, kept in zip(rows, inputs["attention_mask"], strict=True)]
        )


def test_a_page_retriever_saved_by_sentence_transformers(models, folders, images):
    library, model = MultiVectorEncoder(str(folders("page_modules")), device="cpu"), models("page_modules")
    found = model.embed_items("image", list("abcde"), images)
    check_same_rows(found, library.encode_document(images))
    check_same_rows(model.ask(IDS[:2], TEXTS[:2]), library.encode_query(TEXTS[:2]))
    # squares of 16 pixels of 40 x 30, 64 x 64, 20 x 70, 33 x 90 and 128 x 50, resized to such squares
    assert np.diff(found.offsets).tolist()[:2] == [2 * 2, 4 * 4]


@every_family
def test_the_space_says_the_kind_and_the_model_is_found_again(family, models, folders):
    model = models(family)
    assert model.space.kind == ("sparse" if family in SPARSE else "late")
    assert model.space.dimension == (89 if family in SPARSE else 24)  # of the vocabulary, of a row
    assert model.modalities == (("text", "image") if family in PAGES else ("text",))
    assert load_for(model.space, device="cpu").space == model.space
    ignored = {"prompts": ["a {}", "{} b"], "truncate_dim": 8}  # for dense models
    assert load_model(str(folders(family)), device="cpu", **ignored).space == model.space


@every_family
def test_a_vector_depends_on_its_input_alone(family, models, images):
    model = models(family)
    given = {"text": TEXTS, "image": images}
    for kind in model.modalities:
        ids = list("abcde")[: len(given[kind])]
        together = model.embed_items(kind, ids, given[kind])
        for place, one in enumerate(given[kind]):
            alone = model.embed_items(kind, ["x"], [one])
            for part in together.parts:
                mine = getattr(together.at(np.array([place]), np.array(["x"])), part)
                np.testing.assert_allclose(mine, getattr(alone, part), atol=1e-5)


@every_family
def test_prepared_inputs_can_be_pickled_and_are_not_used_up(family, models, images):
    model = models(family)
    for kind in model.modalities:
        made = model.prepare_texts(TEXTS) if kind == "text" else model.prepare_images(images)
        prepared = pickle.loads(pickle.dumps(made))  # noqa: S301
        first, again = (model.embed_prepared(kind, prepared) for _ in range(2))
        for one, other in zip(first, again, strict=True):
            np.testing.assert_array_equal(one, other)


def test_pooled_tokens_are_the_librarys_own_and_make_another_space(models, folders):
    library = MultiVectorEncoder(str(folders("colbert")), device="cpu")
    pooled, model = load_model(str(folders("colbert")), device="cpu", pool_tokens=2), models("colbert")
    found = pooled.embed_items("text", IDS, TEXTS)
    check_same_rows(found, library.encode_document(TEXTS, token_pooling=HierarchicalTokenPooling(2)))
    # of n rows the first stays and the others become half
    whole = np.diff(model.embed_items("text", IDS, TEXTS).offsets)
    assert np.diff(found.offsets).tolist() == (1 + (whole - 1) // 2).tolist()
    check_same_rows(pooled.ask(IDS, TEXTS), token_rows(model.ask(IDS, TEXTS)))
    assert pooled.space.pooling == "token vectors, pooled by 2"
    assert pooled.space.key != model.space.key
    assert load_for(pooled.space, device="cpu").space == pooled.space
    with pytest.raises(ValueError, match=r"pool_tokens: expected a whole number from 1 to 16, found 0"):
        load_model(str(folders("colbert")), pool_tokens=0)


def test_only_the_images_of_a_page_retriever_are_pooled(models, folders, images):
    pooled = load_model(str(folders("colpali")), device="cpu", pool_tokens=4)
    found = pooled.embed_items("image", list("abcde"), images)
    assert np.diff(found.offsets).tolist() == [36 // 4] * 5  # 16 parts of the image, and its prompt
    check_same_rows(pooled.ask(IDS, TEXTS), token_rows(models("colpali").ask(IDS, TEXTS)))


def test_texts_whose_logits_would_take_too_much_memory_go_through_in_parts(models, monkeypatch):
    model = models("splade")
    whole = model.embed_items("text", IDS, TEXTS)
    monkeypatch.setattr("mmlab.embed.models.late.MAX_LOGITS", 89 * 16 * 3)  # three texts of 16 tokens
    parts = model.embed_items("text", IDS, TEXTS)
    np.testing.assert_array_equal(parts.offsets, whole.offsets)
    np.testing.assert_allclose(parts.weights, whole.weights, atol=1e-5)


def test_a_sparse_autoencoder_keeps_the_strongest_of_its_dimensions(folders, tmp_path):
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder

    torch.manual_seed(3)
    modules = [
        Transformer(str(folders("bert"))),
        Pooling(32, "mean"),
        SparseAutoEncoder(32, hidden_dim=64, k=7),
    ]
    SparseEncoder(modules=modules, device="cpu").save(str(tmp_path / "csr"))
    library, model = (
        SparseEncoder(str(tmp_path / "csr"), device="cpu"),
        load_model(str(tmp_path / "csr"), device="cpu"),
    )
    found = model.embed_items("text", IDS, TEXTS)
    assert model.space.dimension == 64
    assert np.diff(found.offsets).max() == 7
    expected = library.encode_document(TEXTS).to_dense().numpy()
    for row, (terms, weights) in enumerate(found.rows(np.arange(4))):
        np.testing.assert_allclose(expected[row, terms], weights, atol=1e-5)
        assert np.count_nonzero(expected[row]) == len(terms)


@every_family
def test_longer_texts_are_truncated_and_counted(family, models):
    model = models(family)
    assert model.count_truncated(TEXTS) == 1
    assert model.count_truncated([]) == 0
    rows = model.embed_items("text", IDS[:2], ["x " * 50, "x " * 51])
    np.testing.assert_array_equal(*(np.frombuffer(rows.part_bytes(row), np.uint8) for row in (0, 1)))


def test_a_query_is_as_long_as_its_masks(models):
    model = models("colbert")  # start, prompt, end: room for five letters
    assert [model.count_truncated(["x" * letters], as_queries=True) for letters in (5, 6)] == [0, 1]
    assert [model.count_truncated(["x" * letters]) for letters in (11, 12)] == [0, 1]


@every_family
def test_bfloat16_is_another_space_and_int8_is_refused(family, models, folders):
    half = load_model(str(folders(family)), device="cpu", precision="bfloat16")
    assert half.space.key != models(family).space.key
    assert len(half.embed_items("text", IDS, TEXTS)) == 4
    with pytest.raises(
        ModelError, match=r"sparse or late-interaction model, which int8 is not made for: give"
    ):
        load_model(str(folders(family)), device="cpu", precision="int8")


@every_family
def test_what_a_model_does_not_embed_is_refused(family, models, images):
    model = models(family)
    with pytest.raises(ModelError, match=r"only, found audio: give"):
        model.embed_items("audio", ["a"], [np.zeros(9)])
    if family not in PAGES:
        with pytest.raises(ModelError, match=r"embeds text only, found image: give"):
            model.embed_items("image", ["a"], images[:1])


@every_family
def test_weights_that_lack_a_part_are_refused(family, copy):
    folder = copy(family)
    file = next(
        path
        for path in (folder / "model.safetensors", *folder.glob("document_0*/*.safetensors"))
        if path.exists()
    )
    weights = load_file(file)
    name = next(
        name
        for name in weights
        if name.endswith(("output.dense.weight", "mlp.down_proj.weight", "mlp.Wo.weight"))
    )
    del weights[name]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"its weights lack 1 tensors, first "):
        load_model(str(folder), device="cpu")


def test_weights_that_are_not_finite_are_refused(copy):
    for family, name in (("splade", "cls.predictions.bias"), ("colbert", "embeddings.LayerNorm.bias")):
        folder = copy(family)
        weights = load_file(folder / "model.safetensors")
        save_file(
            weights | {name: weights[name] * np.nan}, folder / "model.safetensors", metadata={"format": "pt"}
        )
        with pytest.raises(ModelError, match=r"not finite"):
            load_model(str(folder), device="cpu")
        shutil.rmtree(folder)


def test_code_beside_the_weights_is_never_run(copy):
    folder = copy("colbert")
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "mine.Dense"
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "mine.py").write_text("raise SystemExit('was run')")
    with pytest.raises(ModelError, match=r"its tokenizer or modules cannot be read .*mine.Dense"):
        load_model(str(folder), device="cpu")


def test_a_folder_of_pylate(copy, models):
    """PyLate saved a transformer and a projection; masking and unit rows were in its code."""
    folder = copy("colbert")
    modules = json.loads((folder / "modules.json").read_text())[:2]
    modules[1]["type"] = "pylate.models.Dense.Dense"
    (folder / "modules.json").write_text(json.dumps(modules))
    settings = folder / "config_sentence_transformers.json"
    prefixes = {"query_prefix": "q ", "document_prefix": "d ", "query_length": 8, "skiplist_words": [","]}
    settings.write_text(json.dumps({"model_type": "ColBERT", "prompts": {}} | prefixes))
    model = load_model(str(folder), device="cpu")
    check_same_rows(model.ask(IDS, TEXTS), token_rows(models("colbert").ask(IDS, TEXTS)))
    assert model.space.kind == "late"


def test_a_folder_of_stanfords_colbert(tmp_path, folders):
    """The projection lies beside the tensors of BERT; artifact.metadata says how long a text may be."""
    folder = shutil.copytree(folders("bert"), tmp_path / "colbert")
    weights = {f"bert.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    weights["linear.weight"] = torch.ones(6, 32).tril()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text()) | {"architectures": ["HF_ColBERT"]}
    (folder / "config.json").write_text(json.dumps(config))
    metadata = {"query_token_id": "[MASK]", "doc_token_id": "[UNK]", "query_maxlen": 7, "doc_maxlen": 12}
    (folder / "artifact.metadata").write_text(json.dumps(metadata))
    model = load_model(str(folder), device="cpu")
    assert (model.space.kind, model.space.dimension) == ("late", 6)
    assert np.diff(model.ask(IDS, TEXTS).offsets).tolist() == [7] * 4
    assert np.diff(model.embed_items("text", IDS, TEXTS).offsets).max() == 12
    (folder / "artifact.metadata").write_text(json.dumps(metadata | {"doc_maxlen": 9}))
    assert load_model(str(folder), device="cpu").space.revision != model.space.revision
