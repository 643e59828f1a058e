"""What holds for the model of every family."""

import json
import pickle
import shutil

import numpy as np
import pytest

from mmlab.embed import ModelError, load_for, load_model

DUAL = ("clip", "old_clip", "metaclip2", "siglip", "siglip2", "altclip", "chinese_clip", "align")
KINDS = {
    **dict.fromkeys((*DUAL, "blip", "blip2", "clip_sentences", "vlm"), ("text", "image")),
    **dict.fromkeys(("bert", "mpnet", "bge"), ("text",)),
    **dict.fromkeys(("vit", "dinov2"), ("image",)),
    **dict.fromkeys(("clap", "pe_audio"), ("text", "audio")),
    "xclip": ("text", "video"),
}
READERS = sorted(family for family, kinds in KINDS.items() if "text" in kinds)
TEXTS = ["a red shoe", "dog", "x", "the end of this text lies outside of the window" * 3, "three 3"]
every_family = pytest.mark.parametrize("family", sorted(KINDS))
every_reader = pytest.mark.parametrize("family", READERS)


@pytest.fixture(scope="session")
def inputs(images, recordings, videos):
    return {"text": TEXTS, "image": images, "audio": recordings, "video": videos}


def embed(model, kind, given):
    whole = {"text": "embed_texts", "image": "embed_images", "audio": "embed_audio", "video": "embed_videos"}
    return getattr(model, whole[kind])(given)


def prepare(model, kind, given):
    half = {"text": "texts", "image": "images", "audio": "audio", "video": "videos"}[kind]
    return getattr(model, f"prepare_{half}")(given)


@every_family
def test_rows_are_unit_float32_in_one_space(family, models, inputs):
    model = models(family)
    assert model.modalities == KINDS[family]
    for kind in model.modalities:
        rows = embed(model, kind, inputs[kind])
        assert rows.dtype == np.float32
        assert rows.shape == (5, model.space.dimension)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
        assert np.abs(rows - rows[0]).max(axis=1)[1:].min() > 1e-4  # other inputs have other vectors


@every_family
def test_a_vector_depends_on_its_input_alone(family, models, inputs):
    model = models(family)
    for kind in model.modalities:
        together = embed(model, kind, inputs[kind])
        np.testing.assert_allclose(embed(model, kind, inputs[kind][::-1])[::-1], together, atol=1e-5)
        for place, single in enumerate(inputs[kind]):
            np.testing.assert_allclose(embed(model, kind, [single])[0], together[place], atol=1e-5)


@every_family
def test_prepared_inputs_make_the_same_vectors_even_after_a_pickle(family, models, inputs):
    model = models(family)
    for kind in model.modalities:
        prepared = pickle.loads(pickle.dumps(prepare(model, kind, inputs[kind])))  # noqa: S301
        assert {value.device.type for value in prepared.values() if hasattr(value, "device")} == {"cpu"}
        for _ in range(2):  # the prepared inputs are not used up
            rows = model.embed_prepared(kind, prepared)
            np.testing.assert_array_equal(rows, embed(model, kind, inputs[kind]))


@every_reader
def test_a_text_longer_than_the_window_is_truncated_and_counted(family, models):
    model = models(family)
    assert model.tokenizer.window == (64 if family in ("align", "vlm") else 16)
    assert model.count_truncated(TEXTS) == 1
    assert model.count_truncated([]) == 0
    lengths = [model.count_truncated(["xy" * letters]) for letters in range(1, 40)]
    assert lengths == sorted(lengths)
    fits = "xy" * lengths.index(1)  # as many pairs of letters as fit
    rows = model.embed_texts([fits + "xyxyaa", fits + "xyxybb", fits[:-1] + "z"])
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)
    assert np.abs(rows[0] - rows[2]).max() > 1e-4


@every_family
def test_the_model_of_a_space_is_found_again_unless_its_weights_have_changed(
    family, models, folders, tmp_path
):
    from safetensors.torch import load_file, save_file

    assert load_for(models(family).space, device="cpu").space == models(family).space
    copy = shutil.copytree(folders(family), tmp_path / "copy")
    space = load_model(str(copy), device="cpu").space
    assert space.revision == models(family).space.revision
    weights = load_file(copy / "model.safetensors")
    name = next(name for name, weight in weights.items() if weight.is_floating_point())
    save_file(weights | {name: weights[name] + 1}, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        ModelError,
        match=rf"copy' has changed since it made these vectors: revision was '{space.revision}' and",
    ):
        load_for(space, device="cpu")


@every_family
def test_bfloat16_is_near_and_another_space(family, models, folders, inputs):
    model, half = models(family), load_model(str(folders(family)), device="cpu", precision="bfloat16")
    assert half.space.preprocessing == model.space.preprocessing.replace("float32", "bfloat16")
    assert half.space.key != model.space.key
    for kind in model.modalities:
        rows = embed(half, kind, inputs[kind])
        assert rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
        assert (rows * embed(model, kind, inputs[kind])).sum(axis=1).min() > 0.99


@every_reader
def test_prompts_are_averaged_and_make_another_space(family, models, folders):
    model = models(family)
    prompts = ("a {}", "{} 2")
    prompted = load_model(str(folders(family)), device="cpu", prompts=prompts)
    mean = model.embed_texts(["a dog", "a x"]) + model.embed_texts(["dog 2", "x 2"])
    expected = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    np.testing.assert_allclose(prompted.embed_texts(["dog", "x"]), expected, atol=1e-5)
    assert prompted.space.prompt == '["a {}", "{} 2"]'
    assert prompted.space.key != model.space.key
    longest = next(letters for letters in range(80) if model.count_truncated(["x" * letters]))
    assert prompted.count_truncated(["x" * (longest - 1), "dog"]) == 1  # fits, but for its prompt


@every_family
def test_what_a_model_does_not_embed_is_refused(family, models, inputs):
    model = models(family)
    for kind in set(inputs) - set(model.modalities):
        known = " and ".join(model.modalities)
        with pytest.raises(
            ModelError, match=rf"{model.space.model} embeds {known} only, found {kind}: give "
        ):
            embed(model, kind, inputs[kind])
        with pytest.raises(ModelError, match=rf"only, found {kind}"):
            model.embed_prepared(kind, {})


@every_family
def test_attention_is_sdpa_where_the_family_has_it(family, models):
    parts = [part for part in models(family).network.modules() if hasattr(part, "_supports_sdpa")]
    for part in parts:
        if part._supports_sdpa:
            assert part.config._attn_implementation == "sdpa"
    assert parts


# what `transformers` would fetch from the hub and run
KERNELS = "somebody/kernels"


@pytest.mark.parametrize("family", ["clip", "mpnet", "blip2", "clip_sentences", "vlm"])
def test_the_attention_is_ours_whatever_a_checkpoint_names(family, folders, models, inputs, tmp_path):
    folder = shutil.copytree(folders(family), tmp_path / "model")
    for file in folder.rglob("config.json"):
        config = json.loads(file.read_text())
        parts = [one for one in config.values() if isinstance(one, dict) and "model_type" in one]
        for part in [config, *parts] if "model_type" in config else []:
            part |= dict.fromkeys(("attn_implementation", "_attn_implementation"), KERNELS)
        file.write_text(json.dumps(config))
    model = load_model(str(folder), device="cpu")
    found = {
        part.config._attn_implementation
        for part in model.network.modules()
        if hasattr(part, "_supports_sdpa")
    }
    assert found <= {"sdpa", "eager"}
    kind = model.modalities[0]
    assert np.array_equal(embed(model, kind, inputs[kind]), embed(models(family), kind, inputs[kind]))
