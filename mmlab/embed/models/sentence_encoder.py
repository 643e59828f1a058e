"""The adapter for text encoders, through sentence-transformers: MPNet, MiniLM, BGE and the like.

Pooling, normalisation and prompts are the library's reading of modules.json and
config_sentence_transformers.json; a checkpoint without them is pooled as the library does by default.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel

from mmlab.embed.models.adapter import Adapter
from mmlab.embed.models.checkpoint import Checkpoint, check_safe, reading
from mmlab.embed.models.parts import BESIDE, check_vocabulary, read_network
from mmlab.embed.models.prompts import fill_in
from mmlab.embed.models.reader import TextReader, token_window

SAFE_FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]  # no pickles, no code
DOCUMENT_PROMPTS = ("document", "passage", "corpus")  # the library looks for them in this order


class TextEncoder(Adapter):
    """`mmlab.embed.Model` for texts alone, with a prompt of its own for queries where the model has one."""

    modalities = ("text",)
    advice = "give a text encoder such as sentence-transformers/all-mpnet-base-v2"

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.sentences = read_sentences(checkpoint, self.advice)
        own = self.sentences.prompts
        self.query_prompt = own.get("query") or ""
        self.document_prompt = next((own[name] for name in DOCUMENT_PROMPTS if own.get(name)), "")
        network, tokenizer = self.sentences.transformers_model, self.sentences.tokenizer
        self.sentences.max_seq_length = token_window(tokenizer, network, network.config)
        # To count with: sentences are prepared by the library.
        whole = tuple(self.document_prompt + template for template in checkpoint.prompts or ("{}",))
        reader = TextReader(tokenizer, self.sentences.max_seq_length, whole)
        super().__init__(checkpoint, self.sentences, describe_pooling(self.sentences), reader)

    def describe_preprocessing(self) -> str:
        """With the name of the tokenizer, and the prompts that the model brings."""
        own = {"query": self.query_prompt, "document": self.document_prompt}
        named = [f"{name} prompt {prompt!r}" for name, prompt in own.items() if prompt]
        return ", ".join([type(self.reader.tokenizer).__name__, *named, super().describe_preprocessing()])

    def embed_queries(self, texts: list[str]) -> np.ndarray:
        """As `embed_texts`, behind the model's own prompt for queries."""
        return self.embed_prepared("text", self._prepare(texts, self.query_prompt, "query"))

    def prepare_texts(self, texts: list[str]) -> dict[str, Any]:
        """Token tensors on the CPU, and what the library notes beside them."""
        return self._prepare(texts, self.document_prompt, "document")

    def project(self, modality: str, inputs: dict[str, Any]) -> torch.Tensor:
        """The sentence embedding (N, D)."""
        rows = self.sentences(inputs, task=inputs.pop("task"))["sentence_embedding"]
        return rows[:, : self.sentences.truncate_dim]

    def _prepare(self, texts: list[str], prompt: str, task: str) -> dict[str, Any]:
        with self.reader.lock:
            prepared = self.sentences.preprocess(
                fill_in(texts, self.prompts), prompt=prompt or None, task=task
            )
        return dict(prepared) | {"task": task}


def read_sentences(checkpoint: Checkpoint, advice: str) -> SentenceTransformer:
    """The pipeline on its device; ModelError if a part is missing, a pickle, or code of its own."""
    with reading(checkpoint.asked, "config", "check the name and the network"):
        folder = _fetch(checkpoint)
    check_safe(checkpoint.asked, Path(folder))
    # The library does not say which tensors it made up, so they are looked for before.
    read_network(AutoModel, replace(checkpoint, source=folder), advice, spare="pooler")
    with reading(checkpoint.asked, "tokenizer or modules", BESIDE):
        sentences = SentenceTransformer(
            folder,
            device=str(checkpoint.device),
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"dtype": getattr(torch, checkpoint.precision), "use_safetensors": True},
        )
    check_vocabulary(checkpoint, sentences.tokenizer, sentences.transformers_model.config.vocab_size)
    return sentences


def _fetch(checkpoint: Checkpoint) -> str:
    from huggingface_hub import snapshot_download

    if Path(checkpoint.source).is_dir():
        return checkpoint.source
    return snapshot_download(checkpoint.source, allow_patterns=SAFE_FILES, **checkpoint.pinned)


def describe_pooling(sentences: SentenceTransformer) -> str:
    """How token vectors become one, such as "mean, normalize"."""
    modes = [getattr(module, "pooling_mode", type(module).__name__.lower()) for module in list(sentences)[1:]]
    return ", ".join(mode if isinstance(mode, str) else "+".join(mode) for mode in modes) or "the model's own"
