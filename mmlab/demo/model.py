"""Builds the demo model: a small CLIP with a tokenizer and an image processor of its own, none of it trained.

What is saved is an ordinary `transformers` folder: AutoModel, AutoTokenizer and AutoProcessor load it without
knowing about mmlab.
"""

import json
from collections.abc import Iterable

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer

SIDE = 64  # pixels of an image as the model sees it
LONGEST = 64  # tokens of a text
MERGES = 900
START, END = "<|startoftext|>", "<|endoftext|>"


def build_model(tokenizer: CLIPTokenizer, seed: int) -> CLIPModel:
    """Makes an untrained model for a tokenizer, the same for the same seed."""
    torch.manual_seed(seed)
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "hidden_act": "gelu",
        "max_position_embeddings": LONGEST,
        # With 2 as the end token CLIP would pool at the highest token id instead of at the end of the text.
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        "image_size": SIDE,
        "patch_size": 8,
        "hidden_size": 192,
        "intermediate_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": 3,
        "hidden_act": "gelu",
    }
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=128))


def build_processor(tokenizer: CLIPTokenizer) -> CLIPProcessor:
    """Joins the tokenizer with the image processor."""
    return CLIPProcessor(image_processor=build_image_processor(), tokenizer=tokenizer)


def build_image_processor() -> CLIPImageProcessorPil:
    """Makes the image processor, the one that works with Pillow, so that pixels are the same everywhere."""
    return CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})


def build_tokenizer(captions: Iterable[str]) -> CLIPTokenizer:
    """Learns byte pair merges from captions. Any text can be encoded: every byte is a token."""
    frame = CLIPTokenizer().backend_tokenizer
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer, learner.pre_tokenizer = frame.normalizer, frame.pre_tokenizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + MERGES,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    learner.train_from_iterator(captions, trainer)
    merges = [tuple(pair) for pair in _merges(learner)]
    tokens = [
        START,
        END,
        *alphabet,
        *(byte + "</w>" for byte in alphabet),
        *("".join(pair) for pair in merges),
    ]
    vocab = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=LONGEST)


def _merges(tokenizer: Tokenizer) -> list[list[str]]:
    return json.loads(tokenizer.to_str())["model"]["merges"]
