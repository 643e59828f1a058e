"""Adapters for models whose vectors are no single row: weighted terms (SPLADE), and token rows (ColBERT, ColPali).

Their methods return an array (N,) of arrays, see `mmlab.embed.models.interface.Model`. Templates are not filled: the
vectors of several cannot be averaged.
Letters: N inputs, W terms, T tokens, D dimensions.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from sentence_transformers import MultiVectorEncoder, SparseEncoder
from sentence_transformers.multi_vector_encoder.modules import HierarchicalTokenPooling
from sentence_transformers.util import select_max_active_dims
from transformers import AutoModel, AutoModelForMaskedLM, AutoProcessor

from mmlab.embed.models.adapter import (
    INT8,
    SAVE_PARTS,
    Adapter,
    TextTokenizer,
    check_vocabulary,
    device_lock,
    find_window,
    read_image_processor,
    read_network,
)
from mmlab.embed.models.checkpoint import Checkpoint, unreadable_as_model_error
from mmlab.embed.models.interface import Inputs, ModelError, format_pooling, to_vectors
from mmlab.embed.models.sentence_encoder import SentenceEncoder
from mmlab.items.ragged_vectors import AnyVectors
from mmlab.items.vectors import TERM_WEIGHTS

if TYPE_CHECKING:
    from PIL.Image import Image

EACH = "each"  # prepared images one by one: they may have different numbers of tokens
IMAGES_AT_ONCE = 4
MAX_LOGITS = 64_000_000  # of texts at once, each token having one for each term: 256 MB
QUERY, DOCUMENT = "query", "document"
MAX_LENGTH = sys.maxsize  # of a text, where a checkpoint sets none
CUTTING: dict[str, Any] = {"add_special_tokens": False, "return_offsets_mapping": True, "verbose": False}
RETRIEVERS = {
    "colpali": "ColPaliForRetrieval",
    "colqwen2": "ColQwen2ForRetrieval",
    "colmodernvbert": "ColModernVBertForRetrieval",
}


class RaggedAdapter(Adapter):
    """What the adapters of sparse and late spaces share: the vectors of a batch as an array (N,) of arrays."""

    def embed_items(self, modality: str, ids: Sequence[str], contents: Sequence[Any]) -> AnyVectors:
        """Return the vectors of texts or RGB images where they are found, in the space of the model."""
        self._check(modality)
        embed = self.embed_texts if modality == "text" else self.embed_images
        return to_vectors(ids, embed(list(contents)), self.space)

    def ask(self, ids: Sequence[str], texts: Sequence[str]) -> AnyVectors:
        """Return the vectors of texts as they ask."""
        return to_vectors(ids, self.embed_queries(list(texts)), self.space)

    def stack(self, prepared: list[Inputs]) -> Inputs:
        """Return one batch of what was prepared one by one."""
        if EACH in prepared[0]:
            return {EACH: [one for own in prepared for one in own[EACH]]}
        return super().stack(prepared)

    @torch.inference_mode()
    def embed_prepared(self, modality: str, prepared: Inputs) -> np.ndarray:
        """Return an array (N,) of float32 arrays, (2, W) or (T, D); raise ModelError if one is not finite."""
        self._check(modality)
        rows = self._embed_each(prepared[EACH]) if EACH in prepared else self._embed_batch(prepared)
        return np.fromiter(rows, dtype=object, count=len(rows))

    def _embed_each(self, prepared: list[Inputs]) -> list[np.ndarray]:
        """Embed images of one shape together, a few at a time: none is padded, and each has hundreds of tokens."""
        alike: dict[tuple, list[int]] = {}
        for place, one in enumerate(prepared):
            shapes = tuple(value.shape for value in one.values() if isinstance(value, torch.Tensor))
            alike.setdefault(shapes, []).append(place)
        found: dict[int, np.ndarray] = {}
        for places in (batch for own in alike.values() for batch in cut(own, IMAGES_AT_ONCE)):
            joined = super().stack([prepared[place] for place in places])
            found |= dict(zip(places, self._embed_batch(joined), strict=True))
        return [found[place] for place in range(len(prepared))]

    def _embed_batch(self, prepared: Inputs) -> list[np.ndarray]:
        with device_lock(self.checkpoint.device):
            return self.project("", self.to_device(prepared))  # type: ignore[return-value]


def cut(places: Sequence[int], size: int) -> list[Sequence[int]]:
    """Return consecutive parts of at most this size.

    >>> cut([4, 5, 6], 2)
    [[4, 5], [6]]
    """
    return [places[start : start + size] for start in range(0, len(places), size)]


def _without_templates(checkpoint: Checkpoint) -> Checkpoint:
    """Return the checkpoint without templates; raise ModelError for int8."""
    if checkpoint.precision == INT8:
        raise ModelError(
            f"model {checkpoint.requested!r} is a sparse or late-interaction model, which int8 is not made for: "
            "give precision float32 or bfloat16"
        )
    return replace(checkpoint, prompts=(), truncate_dim=0)


class TermEncoder(RaggedAdapter, SentenceEncoder):
    """A SparseEncoder of sentence-transformers, as SPLADE: texts as weighted terms of a vocabulary."""

    advice = "give a sparse encoder such as naver/splade-cocondenser-ensembledistil"
    library = SparseEncoder

    def __init__(self, checkpoint: Checkpoint) -> None:
        masked = any(name.endswith("ForMaskedLM") for name in checkpoint.config.architectures or ())
        self.network_class = AutoModelForMaskedLM if masked else AutoModel  # type: ignore[misc]
        super().__init__(_without_templates(checkpoint))

    def describe_pooling(self) -> str:
        """Return the pooling of the space, which says its kind."""
        return f"{TERM_WEIGHTS}, {super().describe_pooling()}"

    def _embed_batch(self, prepared: Inputs) -> list[np.ndarray]:
        """Embed as many texts at a time as their logits leave room for."""
        count, length = prepared["input_ids"].shape
        terms = self.pipeline.transformers_model.config.get_text_config().vocab_size
        found = []
        for places in cut(range(count), max(1, MAX_LOGITS // (length * terms))):
            own = slice(places[0], places[-1] + 1)
            part = {
                name: value[own] if isinstance(value, torch.Tensor) else value
                for name, value in prepared.items()
            }
            found += super()._embed_batch(part)
        return found

    def project(self, modality: str, inputs: Inputs) -> Any:
        """Return terms and their weights (2, W) of each text: what is not zero, ascending."""
        most = self.pipeline.max_active_dims
        limit = {} if most is None else {"max_active_dims": most}
        rows = self.pipeline(inputs, task=inputs.pop("task"), **limit)["sentence_embedding"].float()
        if most is not None:
            rows = select_max_active_dims(rows, max_active_dims=most)
        array = rows.cpu().numpy()
        if not np.isfinite(array).all():
            raise ModelError(
                f"model {self.checkpoint.requested!r} in {self.checkpoint.precision}: weights of terms are not finite; "
                "give precision float32, or check whether its weights are damaged"
            )
        return [np.stack([np.flatnonzero(row), row[row != 0]]).astype(np.float32) for row in array]

    def _measure_dimension(self) -> int:
        """Return the size of the vocabulary."""
        with unreadable_as_model_error(self.checkpoint.requested, "vectors", self.advice):
            self._embed_sample("text")
            return int(self.pipeline.get_embedding_dimension())


class TokenAdapter(RaggedAdapter):
    """What the adapters of late interaction share: unit rows, fewer of them where an item is found."""

    token_pooling: HierarchicalTokenPooling

    def _embed_batch(self, prepared: Inputs) -> list[np.ndarray]:
        """Embed inputs, and pool the rows of those that are found, while others use the device."""
        rows = super()._embed_batch(prepared)
        if self.token_pooling.pool_factor == 1 or not (
            prepared.get("task") == DOCUMENT or "pixel_values" in prepared
        ):
            return rows
        return [own.numpy() for own in self.token_pooling.pool([torch.from_numpy(own) for own in rows])]

    def _token_rows(self, embeddings: torch.Tensor, mask: torch.Tensor) -> list[np.ndarray]:
        """Return the unit rows (T, D) of each input, without those that the mask (N, T) leaves out."""
        kept = zip(embeddings.float().cpu(), mask.bool().cpu(), strict=True)
        return [self.as_unit_rows(own[chosen].numpy()) for own, chosen in kept]

    def _measure_dimension(self) -> int:
        """Return the length of a row: of a text's, since an image may take seconds."""
        with unreadable_as_model_error(self.checkpoint.requested, "vectors", self.advice):
            return int(self._embed_sample("text")[0].shape[1])


class TokenEncoder(TokenAdapter, SentenceEncoder):
    """A MultiVectorEncoder of sentence-transformers, as ColBERT: a row for each token of texts and images.

    A checkpoint that keeps only the parts of images, or reads no text but queries, reads each text as a query.
    """

    advice = "give a late-interaction model such as lightonai/GTE-ModernColBERT-v1"
    tells_queries_apart = True
    library = MultiVectorEncoder

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.token_pooling = HierarchicalTokenPooling(checkpoint.pool_tokens)
        self.network_class = _retriever(checkpoint) or AutoModel  # type: ignore[misc]
        super().__init__(_without_templates(checkpoint))
        reader = self.pipeline[0]
        length = getattr(reader, "document_length", None) or MAX_LENGTH
        counter = self._text_tokenizer()
        counter.window = min(counter.window, length)
        self.query_counter.window = min(self.query_counter.window, _query_length(reader))

    def describe_pooling(self) -> str:
        """Return the pooling of the space, which says its kind."""
        return format_pooling(int(self.token_pooling.pool_factor))

    def prepare_texts(self, texts: list[str]) -> Inputs:
        """Return token tensors on the CPU, and what the library keeps beside them."""
        image_parts = any(getattr(module, "keep_only_token_ids", None) for module in self.pipeline)
        as_query = image_parts or getattr(self.pipeline[0], "transformer_task", "") == "retrieval"
        if as_query:
            return self._prepare(texts, self.query_prompt, QUERY)
        return self._prepare(texts, self.document_prompt, DOCUMENT)

    def prepare_images(self, images: "list[Image]") -> Inputs:
        """Return what the library reads of each image by itself, on the CPU."""
        self._check("image")
        return {EACH: [self._preprocess([image], self.document_prompt, DOCUMENT) for image in images]}

    def project(self, modality: str, inputs: Inputs) -> Any:
        """Return the unit rows (T, D) of each input."""
        found = self.pipeline(inputs, task=inputs.pop("task"))
        return self._token_rows(found["token_embeddings"], found["attention_mask"])


def _retriever(checkpoint: Checkpoint) -> Any:
    """Return the class of transformers with the head of a page retriever, None for any other network."""
    name = RETRIEVERS.get(checkpoint.config.model_type)
    return getattr(transformers, name) if name else None


def _query_length(reader: Any) -> int:
    """Return how many tokens of a query the first module reads."""
    length, expansion = getattr(reader, "query_length", None), getattr(reader, "query_expansion", None)
    if expansion and expansion["strategy"] == "fixed":
        return int(expansion["length"])
    return max(length, expansion["length"]) if length and expansion else length or MAX_LENGTH


class PageEncoder(TokenAdapter):
    """ColPali, ColQwen2 and ColModernVBert of transformers: pages as images, found by texts, each read as a query."""

    advice = "give a page retriever such as vidore/colqwen2-v1.0-hf"
    tells_queries_apart = False
    tokenizer: TextTokenizer

    def __init__(self, checkpoint: Checkpoint) -> None:
        checkpoint = _without_templates(checkpoint)
        self.token_pooling = HierarchicalTokenPooling(checkpoint.pool_tokens, num_protected_tokens=0)
        network = read_network(_retriever(checkpoint), checkpoint, self.advice)
        with unreadable_as_model_error(checkpoint.requested, "tokenizer or image processor", SAVE_PARTS):
            processor = AutoProcessor.from_pretrained(checkpoint.folder, trust_remote_code=False)
            processor.image_processor = read_image_processor(checkpoint)
            around = len(processor.process_queries(text=[""])["input_ids"][0])
        text_config = network.config.get_text_config()
        check_vocabulary(checkpoint, processor.tokenizer, text_config.vocab_size)
        window = find_window(processor.tokenizer, network, text_config)
        self.tokens_of_text = max(1, window - around)
        tokenizer = TextTokenizer(processor.tokenizer, window)
        super().__init__(checkpoint, network, format_pooling(checkpoint.pool_tokens), tokenizer, processor)

    def prepare_texts(self, texts: list[str]) -> Inputs:
        """Return token tensors on the CPU, of each text in the processor's own words around a query."""
        with self.tokenizer.lock:
            return dict(self.processor.process_queries(text=self._cut(texts)))

    def count_truncated(self, texts: list[str], as_queries: bool = False) -> int:
        """Count the texts that have more tokens than the window has room for."""
        with self.tokenizer.lock:
            return sum(cut != text for cut, text in zip(self._cut(texts), texts, strict=True))

    def _cut(self, texts: list[str]) -> list[str]:
        """Return the texts up to the last token that the window has room for."""
        if not texts:
            return []
        found = self.processor.tokenizer(texts, **CUTTING)
        room, offsets = self.tokens_of_text, found["offset_mapping"]
        return [
            text[: own[room][0]] if len(own) > room else text
            for text, own in zip(texts, offsets, strict=True)
        ]

    def prepare_images(self, images: "list[Image]") -> Inputs:
        """Return what the network reads of each image by itself, on the CPU."""
        with self.tokenizer.lock:
            return {EACH: [dict(self.processor.process_images(images=[image])) for image in images]}

    def project(self, modality: str, inputs: Inputs) -> Any:
        """Return the unit rows (T, D) of each input."""
        return self._token_rows(self.network(**inputs).embeddings, inputs["attention_mask"])
