"""The adapters for what sentence-transformers loads: encoders of texts, of images or of both, and cross-encoders.

Text encoders are MPNet, MiniLM, BGE and the like. Encoders of both are CLIP and SigLIP with a modules.json, and
vision-language models such as Qwen3-VL-Embedding, which also take an image and a text as one input. Modalities,
pooling, normalization and prompts are what the library reads from modules.json and config_sentence_transformers.json;
a text encoder without them is pooled as the library does by default.
"""

import re
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
import transformers
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.base.modules import Router

from mmlab.embed.models.adapter import (
    OUR_ATTENTION,
    SAVE_PARTS,
    Adapter,
    TextTokenizer,
    check_vocabulary,
    device_lock,
    find_window,
    read_network,
)
from mmlab.embed.models.checkpoint import Checkpoint, module_folders, unreadable_as_model_error
from mmlab.embed.models.interface import Inputs, ModelError, average_prompts, fill_prompts
from mmlab.embed.models.weights import PICKLES, SAFETENSORS, check_weights, find_weights

if TYPE_CHECKING:
    from PIL.Image import Image


# The library looks for them in this order.
DOCUMENT_PROMPTS = ("document", "passage", "corpus")
EMBEDDED = ("text", "image")
# Inputs that a chat template renders, as the library calls them.
MESSAGE = "message"
# Attributes of a processor: tokens that stand for an image, a video or a sound.
MARKS = ("image_token", "video_token", "audio_token")
# What has a number for each token.
TOKENWISE = {"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"}


class SentenceEncoder(Adapter):
    """An encoder of texts, images or both, with a prompt of its own for queries where the model has one.

    Images are embedded behind the prompt for documents where the library puts a prompt before images.
    """

    advice = (
        "give a text encoder such as sentence-transformers/all-mpnet-base-v2, "
        "or a model of texts and images such as sentence-transformers/clip-ViT-B-32"
    )

    library: ClassVar[Any] = SentenceTransformer
    network_class: ClassVar[Any] = transformers.AutoModel

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.pipeline: Any = read_pipeline(checkpoint, self.advice, self.library, self.network_class)
        self.modalities = _find_modalities(checkpoint, self.pipeline, self.advice)
        own = {name: prompt or "" for name, prompt in self.pipeline.prompts.items()}
        self.query_prompt = own.get("query", "")
        self.document_prompt = next((own[name] for name in DOCUMENT_PROMPTS if own.get(name)), "")
        processor = _use_pillow(self.pipeline) if "image" in self.modalities else None
        counter = self._read_counter(checkpoint) if "text" in self.modalities else None
        super().__init__(checkpoint, self.pipeline, self.describe_pooling(), counter, processor)

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
        own = "joint projection" if self.modalities == EMBEDDED else "the model's own"
        return ", ".join(mode if isinstance(mode, str) else "+".join(mode) for mode in modes) or own

    def describe_preprocessing(self) -> str:
        """Return the preprocessing of the space, with the model's own prompts and, without images, the tokenizer."""
        own = {"query": self.query_prompt, "document": self.document_prompt}
        named = [f"{name} prompt {prompt!r}" for name, prompt in own.items() if prompt]
        tokenizers = [] if self.processor else [type(self._text_tokenizer().tokenizer).__name__]
        return ", ".join([*tokenizers, *named, super().describe_preprocessing()])

    def embed_queries(self, texts: list[str]) -> np.ndarray:
        """Return unit rows, float32 (N, D), of texts behind the model's own query prompt."""
        return self.embed_prepared("text", self._prepare(texts, self.query_prompt, "query"))

    def count_truncated(self, texts: list[str], as_queries: bool = False) -> int:
        """Count the texts that have more tokens than the window, as documents or as queries."""
        counter = self._text_tokenizer()
        return (self.query_counter if as_queries else counter).count_truncated(texts)

    def prepare_texts(self, texts: list[str]) -> Inputs:
        """Return token tensors on the CPU, and what the library keeps beside them."""
        return self._prepare(texts, self.document_prompt, "document")

    def prepare_images(self, images: "list[Image]") -> Inputs:
        """Return pixel tensors on the CPU, and what the library keeps beside them."""
        self._check("image")
        tokens = self.pipeline.supports(MESSAGE)
        return self._preprocess(images, self.document_prompt, "document", tokens)

    def embed_both(self, texts: list[str], images: "list[Image]", as_queries: bool = False) -> np.ndarray:
        """Return unit rows, float32 (N, D), of an image and a text as one input, behind the model's own prompt.

        as_queries: behind the prompt for queries instead of that for documents. Raises ModelError if the model takes
        no such input, ValueError for lists of two lengths.
        """
        if not self.pipeline.supports(("image", "text")):
            return super().embed_both(texts, images, as_queries)
        prompt, task = (self.query_prompt, "query") if as_queries else (self.document_prompt, "document")
        templates = max(len(self.prompts), 1)
        repeated = [image for image in images for _ in range(templates)]
        both = [
            {"image": image, "text": text} for image, text in zip(repeated, self._fill(texts), strict=True)
        ]
        rows = self.embed_prepared("image", self._preprocess(both, prompt, task))
        return average_prompts(rows, self.prompts)

    def project(self, modality: str, inputs: Inputs) -> torch.Tensor:
        """Return the sentence embedding (N, D)."""
        rows = self.pipeline(inputs, task=inputs.pop("task"))["sentence_embedding"]
        return rows[:, : self.pipeline.truncate_dim]

    def _join(self, name: str, values: list[Any]) -> Any:
        """Return one batch of an input; what has fewer tokens or tiles than others is padded."""
        tokenizer = self.pipeline.tokenizer
        fill = tokenizer.pad_token_id or 0 if name == "input_ids" else 0
        left = name in TOKENWISE and tokenizer.padding_side == "left"
        return super()._join(name, _pad(values, fill, left))

    def _read_counter(self, checkpoint: Checkpoint) -> TextTokenizer:
        """Set the window, and return what counts tokens, for the library prepares the texts itself."""
        network, tokenizer = self.pipeline.transformers_model, self.pipeline.tokenizer
        text_config = network.config.get_text_config()
        check_vocabulary(checkpoint, tokenizer, text_config.vocab_size)
        window = find_window(tokenizer, network, text_config)
        self.pipeline.max_seq_length = window
        counter, self.query_counter = (
            TextTokenizer(tokenizer, window, self._render(prompt, checkpoint.prompts or ("{}",)))
            for prompt in (self.document_prompt, self.query_prompt)
        )
        self.query_counter.lock = counter.lock
        return counter

    def _render(self, prompt: str, templates: tuple[str, ...]) -> tuple[str, ...]:
        """Return the templates as the library gives them to the tokenizer."""
        if not self.pipeline.supports(MESSAGE):
            return tuple(prompt + one for one in templates)
        formatter = self.pipeline[0].input_formatter
        messages = [formatter.to_message({"text": one}) for one in templates]
        if prompt:
            messages = formatter.prepend_prompt_to_messages(messages, prompt)
        return tuple(self.pipeline.processor.apply_chat_template(messages, tokenize=False))

    def _prepare(self, texts: list[str], prompt: str, task: str) -> Inputs:
        self._check("text")
        filled = self._fill(texts)
        # The library would open a text that is the path or the URL of an image.
        named = [{"text": text} for text in filled] if "image" in self.modalities else filled
        return self._preprocess(named, prompt, task)

    def _fill(self, texts: list[str]) -> list[str]:
        """Return each text in each template, without tokens that would ask for an image."""
        filled = fill_prompts(texts, self.prompts)
        marks = MARKS if "image" in self.modalities else ()
        for mark in filter(None, [getattr(self.pipeline.processor, name, None) for name in marks]):
            filled = [text.replace(mark, " ") for text in filled]
        return filled

    def _preprocess(self, inputs: list[Any], prompt: str, task: str, tokens: bool = True) -> Inputs:
        """Return what the network reads; `tokens`: whether a tokenizer, which one thread may use, makes it."""
        with self._text_tokenizer().lock if tokens else nullcontext():
            prepared = self.pipeline.preprocess(inputs, prompt=prompt or None, task=task)
        return dict(prepared) | {"task": task}


def read_pipeline(
    checkpoint: Checkpoint,
    advice: str,
    library: Any = SentenceTransformer,
    network_class: Any = transformers.AutoModel,
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


def _find_modalities(checkpoint: Checkpoint, pipeline: Any, advice: str) -> tuple[str, ...]:
    """Return the kinds of input that are embedded; raise ModelError without any, or without a transformer."""
    if pipeline.transformers_model is None:
        raise ModelError(f"model {checkpoint.requested!r}: none of its modules is a transformer: {advice}")
    found = tuple(kind for kind in EMBEDDED if pipeline.supports(kind))
    if not found:
        kinds = ", ".join(map(str, pipeline.modalities))
        raise ModelError(
            f"model {checkpoint.requested!r} embeds {kinds} in sentence-transformers, expected text or image: {advice}"
        )
    return found


def _use_pillow(pipeline: SentenceTransformer) -> Any:
    """Return the image processor, the one based on Pillow; where torchvision is installed, pixels would differ."""
    whole = pipeline.processor
    inside = getattr(whole, "image_processor", whole)
    kind = getattr(transformers, f"{type(inside).__name__}Pil", None)
    if kind is None:
        return inside
    pillow = kind.from_dict(inside.to_dict())
    if inside is whole:
        pipeline[0].processor = pillow
    else:
        whole.image_processor = pillow
    return pillow


def _pad(values: list[Any], fill: int, left: bool) -> list[Any]:
    """Return tensors (1, ...) that are as large as the largest in each dimension; other values as they are."""
    if not isinstance(values[0], torch.Tensor) or len({value.shape[1:] for value in values}) == 1:
        return values
    largest = np.max([value.shape[1:] for value in values], axis=0)

    def widen(value: torch.Tensor) -> torch.Tensor:
        missing = largest - value.shape[1:]
        around = [(count, 0) if left else (0, count) for count in missing[::-1].tolist()]
        return torch.nn.functional.pad(value, [count for pair in around for count in pair], value=fill)

    return [widen(value) for value in values]


def _find_modules(checkpoint: Checkpoint) -> Path:
    """Fetch and check the weights of all modules; return the folder that they are in."""
    repository = checkpoint.weights.repository
    for part in module_folders(repository):
        own = find_weights(repository, part, (*SAFETENSORS, *PICKLES))
        if own:
            check_weights(checkpoint.requested, own)
    return repository.folder


ADVICE = "give a cross-encoder of sentence-transformers such as cross-encoder/ms-marco-MiniLM-L6-v2"
SETTINGS = "config_sentence_transformers.json"
# What the library makes a cross-encoder of, where no modules.json says what it is.
SCORING = ("ForSequenceClassification", "ForCausalLM")
# The library imports and calls what a checkpoint names as its activation, if only it begins with "torch.".
ACTIVATION = re.compile(r"torch\.nn\.(modules\.(activation|linear)\.)?[A-Z]\w*")


class PairScorer:
    """A cross-encoder. name: as it was asked for; reads_images: whether it scores a text with an image."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint, self.name = checkpoint, checkpoint.name
        kind = _find_class(checkpoint)
        self.pipeline: CrossEncoder = read_pipeline(checkpoint, ADVICE, CrossEncoder, kind)
        if self.pipeline.num_labels != 1:
            raise ModelError(
                f"model {checkpoint.requested!r} gives {self.pipeline.num_labels} scores to a pair, expected one that "
                f"tells how well both belong together: {ADVICE}"
            )
        self.reads_images = {"image", "message"} <= set(self.pipeline.modalities)
        network = self.pipeline.transformers_model
        if not self.reads_images and network is not None:
            self.pipeline.max_seq_length = find_window(self.pipeline.tokenizer, network, network.config)

    def match(self, texts: list[Any], others: list[Any]) -> np.ndarray:
        """Return the scores, float32 (N,), of text i with the text, or the RGB image, i; higher is better.

        The scores are those of the library's `predict`. Raises ModelError for an image where the model reads texts.
        """
        if not self.reads_images and not all(isinstance(one, str) for one in [*texts, *others]):
            raise ModelError(
                f"model {self.checkpoint.requested!r} reads texts alone, found an image: ask by a text, or give a "
                "cross-encoder of texts and images"
            )
        with device_lock(self.checkpoint.device):
            pairs = list(zip(texts, others, strict=True))
            return self.pipeline.predict(pairs, show_progress_bar=False).astype(np.float32)


def _find_class(checkpoint: Checkpoint) -> Any:
    """Return the class of transformers that the weights are of; raise ModelError where they score no pairs."""
    repository = checkpoint.weights.repository
    settings = repository.read_json(SETTINGS)
    settings = settings if isinstance(settings, dict) else {}
    _check_activation(checkpoint, settings)
    architecture = next(iter(checkpoint.config.architectures or ()), "")
    if repository.read_json("modules.json"):
        found = settings.get("model_type", "SentenceTransformer")
        scores = found == "CrossEncoder"
    else:
        found, scores = architecture, architecture.endswith(SCORING)
    kind = getattr(transformers, architecture, None)
    if not scores or kind is None:
        raise ModelError(
            f"model {checkpoint.requested!r} is no cross-encoder but a {found or architecture or 'network alone'}, "
            f"which does not score pairs: {ADVICE}"
        )
    return kind


def _check_activation(checkpoint: Checkpoint, settings: dict[str, Any]) -> None:
    """Raise ModelError where the checkpoint names another function of torch to be called, in any of its settings."""
    own = getattr(checkpoint.config, "sentence_transformers", None)
    named = [
        settings.get("activation_fn"),
        own.get("activation_fn") if isinstance(own, dict) else None,
        getattr(checkpoint.config, "sbert_ce_default_activation_function", None),
    ]
    for name in named:
        if name and not ACTIVATION.fullmatch(str(name)):
            raise ModelError(
                f"model {checkpoint.requested!r}: its activation is {name!r}, expected one of torch.nn: {ADVICE}"
            )
