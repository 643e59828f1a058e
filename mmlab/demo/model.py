"""Build the demo model: a small CLIP with its own tokenizer and image processor, not trained yet.

Saved, it is an ordinary `transformers` folder that AutoModel, AutoTokenizer and AutoProcessor load without mmlab.
"""

import json
from collections.abc import Iterable

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer

INPUT_SIDE = 64  # pixels of an image that the model receives
MAX_TOKENS = 64  # of a text
MERGES = 900  # byte pairs
START, END = "<|startoftext|>", "<|endoftext|>"


def build_model(tokenizer: CLIPTokenizer, seed: int) -> CLIPModel:
    """Return an untrained model for a tokenizer; the same seed gives the same weights."""
    torch.manual_seed(seed)
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "hidden_act": "gelu",
        "max_position_embeddings": MAX_TOKENS,
        # Not 2: with 2 as end token transformers pools at the highest token id, not at the end of the text.
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        "image_size": INPUT_SIDE,
        "patch_size": 8,
        "hidden_size": 192,
        "intermediate_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": 3,
        "hidden_act": "gelu",
    }
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=128))


def build_processor(tokenizer: CLIPTokenizer) -> CLIPProcessor:
    """Join the tokenizer with the image processor."""
    return CLIPProcessor(image_processor=build_image_processor(), tokenizer=tokenizer)


def build_image_processor() -> CLIPImageProcessorPil:
    """Return the image processor that works with Pillow, so that pixels are the same on every machine."""
    return CLIPImageProcessorPil(
        size={"shortest_edge": INPUT_SIDE}, crop_size={"height": INPUT_SIDE, "width": INPUT_SIDE}
    )


def build_tokenizer(captions: Iterable[str]) -> CLIPTokenizer:
    """Learn byte pair merges from captions. Every byte is a token, so any text can be encoded."""
    original = CLIPTokenizer().backend_tokenizer
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer, learner.pre_tokenizer = original.normalizer, original.pre_tokenizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + MERGES,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    learner.train_from_iterator(captions, trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    merged = ("".join(pair) for pair in merges)
    tokens = dict.fromkeys([START, END, *alphabet, *(byte + "</w>" for byte in alphabet), *merged])
    vocab = {token: number for number, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=MAX_TOKENS)  # type: ignore[arg-type]  # pairs, as BPE takes them
