import json
import shutil

import pytest
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    BertTokenizerFast,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipProcessor,
    CLIPConfig,
    CLIPModel,
)

from mmlab.ingest import Rules, ingest_items
from mmlab.ingest.findings_cache import FindingsCache
from mmlab.ingest.texts.captioner import DECODING, write_captions

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "a",
    "red",
    "blue",
    "green",
    "dog",
    "cat",
    "mug",
    "sits",
    "##s",
]
BEGIN = len(WORDS)  # BLIP begins with a token that its tokenizer does not know
SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Matrices this small gain nothing from threads, and lose much where other tests want the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def blip(tmp_path_factory):
    """A BLIP of random weights that speaks nine words, saved as any checkpoint is."""
    folder = tmp_path_factory.mktemp("blip")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"))
    text = {"vocab_size": len(WORDS) + 2, "encoder_hidden_size": 16, "max_position_embeddings": 64}
    tokens = {"bos_token_id": BEGIN, "eos_token_id": 2, "pad_token_id": 0, "sep_token_id": 3}
    config = BlipConfig(
        text_config=SMALL | text | tokens,
        vision_config=SMALL | {"image_size": 32, "patch_size": 8},
        projection_dim=16,
        initializer_range=0.8,
    )
    config.text_config.initializer_range = config.vision_config.initializer_range = 0.8
    torch.manual_seed(7)
    BlipForConditionalGeneration(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        '{"image_processor_type": "BlipImageProcessor", "size": {"height": 32, "width": 32}}'
    )
    images = AutoImageProcessor.from_pretrained(folder, backend="pil")
    BlipProcessor(images, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Nine images of noise, of different sizes, by content."""
    folder = tmp_path_factory.mktemp("images")
    noise = torch.Generator().manual_seed(0)
    for number in range(9):
        pixels = torch.randint(0, 256, (40 + number, 60 - number, 3), generator=noise, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).resize((90, 70 + number)).save(folder / f"{number}.png")
    return {f"content{number}": str(folder / f"{number}.png") for number in range(9)}


def captions(images, model, cache=None, **options):
    return write_captions(images, str(model), cache, device="cpu", progress=False, **options)


def test_a_caption_is_what_the_library_itself_writes(blip, images):
    processor = BlipProcessor.from_pretrained(blip, backend="pil")
    network = BlipForConditionalGeneration.from_pretrained(blip).eval()
    expected = []
    for path in images.values():
        inputs = processor(images=Image.open(path), return_tensors="pt")
        tokens = network.generate(**inputs, **DECODING)[0]
        expected.append(processor.decode(tokens, skip_special_tokens=True).strip())
    written = captions(images, blip)
    assert written["text"].tolist() == expected
    assert len(set(expected)) > 1
    assert written.index.tolist() == list(images)
    assert written["reason"].isna().all()


def test_the_attention_is_ours_whatever_a_checkpoint_names(blip, images, tmp_path):
    folder = shutil.copytree(blip, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    for part in (config, config["text_config"], config["vision_config"]):
        part["attn_implementation"] = "somebody/kernels"
    (folder / "config.json").write_text(json.dumps(config))
    assert captions(images, folder).equals(captions(images, blip))


def test_the_batch_does_not_matter(blip, images):
    alone = captions(images, blip, batch_size=1)
    assert captions(images, blip, batch_size=8).equals(alone)
    assert captions(images, blip, batch_size=100).equals(alone)


def test_what_was_written_is_kept_and_loads_no_model(blip, images, tmp_path, monkeypatch):
    with FindingsCache(tmp_path / "cache.sqlite") as cache:
        first = captions(images, blip, cache)

        def refuse(*_, **__):
            raise AssertionError("the model was loaded")

        monkeypatch.setattr(BlipForConditionalGeneration, "from_pretrained", refuse)
        assert captions(images, blip, cache).equals(first)
        with pytest.raises(ValueError, match="the model was loaded"):
            captions(images | {"new": images["content0"]}, blip, cache)


def test_another_model_writes_anew(blip, images, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(blip, other)
    network = BlipForConditionalGeneration.from_pretrained(other)
    with torch.no_grad():
        network.text_decoder.cls.predictions.bias[WORDS.index("mug")] = 1000
    network.save_pretrained(other)
    with FindingsCache(tmp_path / "cache.sqlite") as cache:
        captions(images, blip, cache)
        again = captions(images, other, cache)["text"]
    assert again.tolist() == [" ".join(["mug"] * DECODING["max_new_tokens"])] * 9  # it ends all the same


def test_an_image_that_cannot_be_opened_costs_itself_only(blip, images, tmp_path):
    mixed = {"bad": str(tmp_path / "none.png"), "good": images["content0"]}
    with FindingsCache(tmp_path / "cache.sqlite") as cache:
        written = captions(mixed, blip, cache)
        assert captions(mixed, blip, cache).equals(written)
    assert written["reason"].fillna("-").tolist() == ["missing file", "-"]
    assert written.loc["bad", "text"] == "" != written.loc["good", "text"]


def test_no_images_need_no_model(tmp_path):
    assert captions({}, tmp_path / "none").shape == (0, 2)


def without(folder, *names):
    for name in names:
        (folder / name).unlink()


def pickled(folder):
    network = BlipForConditionalGeneration.from_pretrained(folder)
    without(folder, "model.safetensors")
    torch.save(network.state_dict(), folder / "pytorch_model.bin")


def clip(folder):
    sizes = {"text_config": SMALL, "vision_config": SMALL | {"image_size": 32, "patch_size": 8}}
    CLIPModel(CLIPConfig(**sizes)).save_pretrained(folder)


def half(folder):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("text_decoder")}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: without(folder, "config.json"), "holds no config.json: expected a BLIP"),
        (lambda folder: (folder / "config.json").write_text("{"), "its config cannot be used"),
        (clip, "is a clip model: expected a BLIP"),
        (pickled, "its weights cannot be used .*safetensors"),
        (half, "its weights lack .* first text_decoder"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 99), "its weights cannot be used"),
        (
            lambda folder: [path.unlink() for path in folder.glob("*process*")],
            "its tokenizer or image processor cannot be used",
        ),
        (
            lambda folder: [path.unlink() for path in (*folder.glob("token*"), *folder.glob("vocab*"))],
            "its tokenizer ",
        ),
    ],
    ids=["no config", "bad config", "clip", "pickled", "half", "damaged", "no processor", "no tokenizer"],
)
def test_what_is_no_captioning_model_is_refused(blip, images, tmp_path, spoil, message):
    folder = tmp_path / "model"
    shutil.copytree(blip, folder)
    spoil(folder)
    with pytest.raises(ValueError, match=message):
        captions(images, folder)


def test_a_folder_that_is_not_there_is_refused(images, tmp_path):
    with pytest.raises(ValueError, match="there is no folder .*: expected a BLIP"):
        captions(images, tmp_path / "none")


def test_a_device_that_is_not_there_is_refused(blip, images):
    with pytest.raises(ValueError, match="its device cannot be used"):
        write_captions(images, str(blip), None, device="no such device", progress=False)


def test_ingest_gives_captions_to_images_without_text(blip, images, tmp_path):
    """Only where it is asked for, and only to those that have no text of their own."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in images.values():
        shutil.copy(path, folder)
    (folder / "0.txt").write_text("a caption of five words")
    silent = ingest_items(folder, rules=Rules(ocr=False), progress=False).items
    spoken = ingest_items(folder, rules=Rules(ocr=False, captioner=str(blip)), progress=False).items
    assert silent["origin"].value_counts().to_dict() == {"image": 9, "caption": 1}
    said = spoken[spoken["origin"] == "generated"].set_index("pair_id")["text"]
    expected = captions(images, blip)["text"].set_axis([f"{number}.png" for number in range(9)])[1:]
    assert said.to_dict() == expected[expected != ""].to_dict()
    assert len(said) > 1
    assert set(spoken["origin"]) == {"image", "caption", "generated"}
