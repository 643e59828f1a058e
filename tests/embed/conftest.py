"""Tiny checkpoints with random weights, written once per session: nothing is downloaded."""

import pytest

TINY = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
WINDOW = 16


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Leave the other cores to others; sums in one order."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory):
    """A CLIP as save_pretrained leaves it, with a byte-level tokenizer that knows every text."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor

    tokenizer = byte_tokenizer()
    torch.manual_seed(7)
    text = TINY | {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": WINDOW,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = TINY | {"image_size": 32, "patch_size": 8}
    folder = tmp_path_factory.mktemp("models") / "tiny-clip"
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)).save_pretrained(folder)
    pixels = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(image_processor=pixels, tokenizer=tokenizer).save_pretrained(folder)
    return folder


def byte_tokenizer():
    """CLIP's tokenizer without merges: a token per byte, start and end."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    alphabet = sorted(ByteLevel.alphabet())
    tokens = [*alphabet, *(letter + "</w>" for letter in alphabet), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=WINDOW)


@pytest.fixture(scope="session")
def siglip_folder(tmp_path_factory):
    """A SigLIP, which sees every text padded to its whole window."""
    import torch
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel

    tokenizer = byte_tokenizer()
    torch.manual_seed(7)
    text = TINY | {"vocab_size": len(tokenizer), "max_position_embeddings": WINDOW, "projection_size": 32}
    vision = TINY | {"image_size": 32, "patch_size": 8}
    folder = tmp_path_factory.mktemp("models") / "tiny-siglip"
    SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory):
    """A text encoder, which cannot embed images."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    BertModel(BertConfig(vocab_size=50, **TINY)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def model(clip_folder):
    from mmlab.embed import load_model

    return load_model(str(clip_folder), device="cpu")


@pytest.fixture(scope="session")
def pictures():
    """Five pictures of different sizes, noise from a seed."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(5)
    sizes = ((40, 30), (64, 64), (20, 70), (33, 90), (128, 50))
    return [Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]


@pytest.fixture
def items(pictures, tmp_path):
    """Five images with two texts each; the last two pairs share one text."""
    import hashlib

    import pandas as pd

    from mmlab.items import ITEM_COLUMNS, file_hash, item_id

    def row(modality, pair, content, **fields):
        known = {"item_id": item_id(modality, pair, content), "modality": modality, "pair_id": pair}
        return known | {"content": content, "origin": "caption" if modality == "text" else "image"} | fields

    rows = []
    for number, picture in enumerate(pictures):
        path = tmp_path / f"{number}.png"
        picture.save(path)
        rows.append(row("image", path.name, file_hash(path), image=str(path)))
        for text in (f"picture numbered {number}", "one" * (number + 1) if number < 4 else "one" * 4):
            rows.append(row("text", path.name, hashlib.sha256(text.encode()).hexdigest(), text=text))
    return pd.DataFrame(rows, columns=list(ITEM_COLUMNS))
