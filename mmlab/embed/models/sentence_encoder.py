"""The adapter for text encoders, through sentence-transformers: MPNet, MiniLM, BGE and the like.

Pooling, normalization and prompts are what the library reads from modules.json and
config_sentence_transformers.json; a checkpoint without them is pooled as the library does by default.
"""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Router
from transformers import AutoModel

from mmlab.embed.models.adapter import Adapter
from mmlab.embed.models.checkpoint import Checkpoint, module_folders, unreadable_as_model_error
from mmlab.embed.models.interface import Inputs, ModelError, fill_prompts
from mmlab.embed.models.parts import (
    OUR_ATTENTION,
    SAVE_PARTS,
    TextTokenizer,
    check_vocabulary,
    find_window,
    read_network,
)
from mmlab.embed.models.weights import PICKLES, SAFETENSORS, check_weights, find_weights

# The library looks for them in this order.
DOCUMENT_PROMPTS = ("document", "passage", "corpus")


class SentenceEncoder(Adapter):
    """An encoder of texts alone, with a prompt of its own for queries where the model has one."""

    modalities: tuple[str, ...] = ("text",)
    advice = "give a text encoder such as sentence-transformers/all-mpnet-base-v2"
    library: ClassVar[Any] = SentenceTransformer
    network_class: ClassVar[Any] = AutoModel
    tokenizer: TextTokenizer

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.pipeline = read_pipeline(checkpoint, self.advice, self.library, self.network_class)
        own = {name: prompt or "" for name, prompt in self.pipeline.prompts.items()}
        self.query_prompt = own.get("query", "")
        self.document_prompt = next((own[name] for name in DOCUMENT_PROMPTS if own.get(name)), "")
        network, tokenizer = self.pipeline.transformers_model, self.pipeline.tokenizer
        if network is None:
            raise ModelError(
                f"model {checkpoint.requested!r}: none of its modules is a transformer: {self.advice}"
            )
        text_config = network.config.get_text_config()
        check_vocabulary(checkpoint, tokenizer, text_config.vocab_size)
        window = find_window(tokenizer, network, text_config)
        self.pipeline.max_seq_length = window
        # They only count tokens: the library prepares the texts.
        counter, self.query_counter = (
            TextTokenizer(tokenizer, window, tuple(prompt + one for one in checkpoint.prompts or ("{}",)))
            for prompt in (self.document_prompt, self.query_prompt)
        )
        self.query_counter.lock = counter.lock
        super().__init__(checkpoint, self.pipeline, self.describe_pooling(), counter)

    @property
    def tells_queries_apart(self) -> bool:  # type: ignore[override]  # others have one answer for their family
        """Whether queries have a prompt, or a network, of their own."""
        return self.query_prompt != self.document_prompt or any(
            isinstance(module, Router) for module in self.pipeline
        )

    def describe_pooling(self) -> str:
        """Return how token vectors become one, such as "mean, normalize"."""
        modules = list(self.pipeline)[1:]
        modes = [getattr(module, "pooling_mode", type(module).__name__.lower()) for module in modules]
        return (
            ", ".join(mode if isinstance(mode, str) else "+".join(mode) for mode in modes)
            or "the model's own"
        )

    def describe_preprocessing(self) -> str:
        """Return the preprocessing of the space, with the name of the tokenizer and the model's own prompts."""
        own = {"query": self.query_prompt, "document": self.document_prompt}
        named = [f"{name} prompt {prompt!r}" for name, prompt in own.items() if prompt]
        name = type(self.tokenizer.tokenizer).__name__
        return ", ".join([name, *named, super().describe_preprocessing()])

    def embed_queries(self, texts: list[str]) -> np.ndarray:
        """Return unit rows, float32 (N, D), of texts behind the model's own query prompt."""
        return self.embed_prepared("text", self._prepare(texts, self.query_prompt, "query"))

    def count_truncated(self, texts: list[str], as_queries: bool = False) -> int:
        """Count the texts that have more tokens than the window, as documents or as queries."""
        return (self.query_counter if as_queries else self._text_tokenizer()).count_truncated(texts)

    def prepare_texts(self, texts: list[str]) -> Inputs:
        """Return token tensors on the CPU, and what the library keeps beside them."""
        return self._prepare(texts, self.document_prompt, "document")

    def project(self, modality: str, inputs: Inputs) -> torch.Tensor:
        """Return the sentence embedding (N, D)."""
        rows = self.pipeline(inputs, task=inputs.pop("task"))["sentence_embedding"]
        return rows[:, : self.pipeline.truncate_dim]

    def _prepare(self, texts: list[str], prompt: str, task: str) -> Inputs:
        with self.tokenizer.lock:
            prepared = self.pipeline.preprocess(
                fill_prompts(texts, self.prompts), prompt=prompt or None, task=task
            )
        return dict(prepared) | {"task": task}


def read_pipeline(
    checkpoint: Checkpoint, advice: str, library: Any = SentenceTransformer, network_class: Any = AutoModel
) -> Any:
    """Return the pipeline on its device; raise ModelError for a missing part, a pickle, or code of its own."""
    with unreadable_as_model_error(checkpoint.requested, "modules", "check the network"):
        folder = _find_modules(checkpoint)
    # The library gives missing tensors random values without an error, so transformers looks for them first.
    read_network(network_class, checkpoint, advice, optional="pooler")
    with unreadable_as_model_error(checkpoint.requested, "tokenizer or modules", SAVE_PARTS):
        return library(
            str(folder),
            device=str(checkpoint.device),
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={
                "dtype": checkpoint.dtype,
                "use_safetensors": not checkpoint.weights.pickled,
                **OUR_ATTENTION,
            },
        )


def _find_modules(checkpoint: Checkpoint) -> Path:
    """Fetch and check the weights of all modules; return the folder that they are in."""
    repository = checkpoint.weights.repository
    for part in module_folders(repository):
        own = find_weights(repository, part, (*SAFETENSORS, *PICKLES))
        if own:
            check_weights(checkpoint.requested, own)
    return repository.folder
