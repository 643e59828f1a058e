"""The interface that every model has, whatever its family, and the prompt templates that it is given.

Each text is put into each template, and the vectors are averaged (Radford et al. 2021, 3.1.4).
Letters: N inputs, P prompts, D dimensions.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mmlab.items import Space, unit_rows
from mmlab.items.options import entries_of
from mmlab.items.parameter_table import check_values

if TYPE_CHECKING:
    from PIL.Image import Image

# What a network reads: its arguments by their names, mostly tensors.
Inputs = dict[str, Any]

# The kind of model to give, by the kind of input that another one does not embed.
SUGGESTIONS = {
    "text": "a text encoder such as sentence-transformers/all-mpnet-base-v2",
    "image": "a model of texts and images such as openai/clip-vit-base-patch32",
    "audio": "a model of texts and audio such as laion/clap-htsat-unfused",
    "video": "a model of texts and videos such as microsoft/xclip-base-patch32",
}


class ModelError(ValueError):
    """Raised for a model that cannot be used: what was expected, what was found and what to do."""


class Model(Protocol):
    """A model that puts inputs of the kinds in `modalities` into one space.

    Every call embeds one batch, however long. A method for another kind of input raises ModelError.
    The results of `prepare_texts` and `prepare_images` are on the CPU and can be pickled. Both methods use no weights
    and may run in several threads while the model computes.
    """

    space: Space
    device: str  # such as "cpu" or "cuda"
    modalities: tuple[str, ...]  # of "text", "image", "audio", "video"
    tells_queries_apart: (
        bool  # whether a text that asks has another vector than the same text where it is found
    )

    def embed_texts(self, texts: list[str]) -> np.ndarray:
        """Return unit rows, float32 (N, D)."""
        ...

    def embed_queries(self, texts: list[str]) -> np.ndarray:
        """Return unit rows, float32 (N, D), of texts behind the model's own query prompt, if it has one."""
        ...

    def embed_images(self, images: "list[Image]") -> np.ndarray:
        """Return unit rows, float32 (N, D), of RGB images of any sizes."""
        ...

    def embed_both(self, texts: list[str], images: "list[Image]", as_queries: bool = False) -> np.ndarray:
        """Return unit rows, float32 (N, D), of a text and an image as one input each."""
        ...

    def prepare_texts(self, texts: list[str]) -> Inputs:
        """Return what the network reads: a row per text and prompt."""
        ...

    def prepare_images(self, images: "list[Image]") -> Inputs:
        """Return what the network reads: a row per image."""
        ...

    def stack(self, prepared: list[Inputs]) -> Inputs:
        """Return one batch of what a prepare method returned for one input each."""
        ...

    def embed_prepared(self, modality: str, prepared: Inputs) -> np.ndarray:
        """Return unit rows, float32 (N, D), of what the prepare method of this modality returned."""
        ...

    def count_truncated(self, texts: list[str], as_queries: bool = False) -> int:
        """Count the texts that, within their prompt, are longer than the model's window and lose their end."""
        ...


class Matcher(Protocol):
    """A model that reads a text and an image together: slower than comparing two vectors, and more exact."""

    def match(self, texts: list[str], images: "list[Image]") -> np.ndarray:
        """Return the probabilities in [0, 1], float32 (N,), that text i belongs to image i."""
        ...


def unsupported_modality(model: str, modalities: tuple[str, ...], modality: str) -> ModelError:
    """Return the error for an input of a kind that this model does not embed.

    >>> str(unsupported_modality("demo", ("text", "image"), "audio")).split(":")[0]
    'demo embeds text and image only, found audio'
    """
    known = " and ".join(modalities)
    return ModelError(f"{model} embeds {known} only, found {modality}: give {SUGGESTIONS[modality]}")


def check_prompts(prompts: Sequence[str]) -> tuple[str, ...]:
    """Return the templates as a tuple; raise ValueError unless each holds {} exactly once.

    >>> check_prompts("a photo of {}")
    ('a photo of {}',)
    """
    templates = (prompts,) if isinstance(prompts, str) else entries_of(prompts)
    check_values(prompts=templates)
    return templates


def fill_prompts(texts: Sequence[str], prompts: Sequence[str]) -> list[str]:
    """Return each text in each template, the templates of one text side by side; without templates the texts alone.

    >>> fill_prompts(["dog", "cat"], ["a {}", "the {}"])
    ['a dog', 'the dog', 'a cat', 'the cat']
    """
    if not prompts:
        return list(texts)
    return [prompt.replace("{}", text) for text in texts for prompt in prompts]


def average_prompts(rows: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
    """Average the unit rows of filled templates (N x P, D) per text, and return unit rows (N, D).

    >>> average_prompts(np.array([[1, 0], [0, 1]], dtype=np.float32), ["a {}", "the {}"]).round(3)
    array([[0.707, 0.707]], dtype=float32)
    """
    if len(prompts) < 2:
        return rows
    return unit_rows(rows.reshape(-1, len(prompts), rows.shape[1]).mean(axis=1))


def format_prompts(prompts: Sequence[str]) -> str:
    """Return the templates as the field `prompt` of a space: "", the only template, or all of them as JSON.

    >>> format_prompts(["a {}"]), format_prompts(["a {}", "the {}"])
    ('a {}', '["a {}", "the {}"]')
    """
    return "".join(prompts) if len(prompts) < 2 else json.dumps(list(prompts), ensure_ascii=False)


def parse_prompts(prompt: str) -> tuple[str, ...]:
    """Return the templates that `format_prompts` wrote.

    >>> parse_prompts('["a {}", "the {}"]')
    ('a {}', 'the {}')
    """
    if prompt.count("{}") < 2:
        return (prompt,) if prompt else ()
    return tuple(json.loads(prompt))
