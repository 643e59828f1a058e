"""The interface that every model has, whatever its family, and the prompt templates that it is given.

Each text is put into each template, and the vectors are averaged (Radford et al. 2021, 3.1.4).
Letters: N inputs, P prompts, D dimensions.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mmlab.items import Space, Vectors, unit_rows
from mmlab.items.options import entries_of
from mmlab.items.parameter_table import check_values
from mmlab.items.ragged_vectors import AnyVectors, SparseVectors, TokenVectors
from mmlab.items.vectors import DENSE, LATE, TOKEN_VECTORS

if TYPE_CHECKING:
    from PIL.Image import Image

# In the pooling of a space of late interaction, before how many token rows become one.
POOLED_BY = ", pooled by "
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
    A model of a sparse or late space returns, in place of unit rows, an array (N,) of arrays float32: the terms and
    their weights (2, W) of each input, or its unit token rows (T, D); `to_vectors` makes vectors of either.
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


def empty_rows(space: Space, count: int) -> np.ndarray:
    """Return room for what a model of this space returns: zeros float32 (N, D), or (N,) of None for arrays.

    >>> empty_rows(Space("toy", "1", "token vectors", "", "", 2), 2)
    array([None, None], dtype=object)
    """
    if space.kind == DENSE:
        return np.zeros((count, space.dimension), dtype=np.float32)
    return np.empty(count, dtype=object)


def to_vectors(ids: Sequence[str] | np.ndarray, rows: np.ndarray, space: Space) -> AnyVectors:
    """Return what a model of this space returned as vectors of the kind of the space.

    >>> terms = [np.array([[7, 9], [1.0, 0.5]]), np.array([[7], [2.0]])]
    >>> to_vectors(["a", "b"], terms, Space("toy", "1", "term weights", "", "", 30)).offsets
    array([0, 2, 3])
    """
    if space.kind == DENSE:
        return Vectors(np.asarray(ids), rows, space)
    if space.kind == LATE:
        offsets = np.cumsum([0, *map(len, rows)])
        array = np.concatenate([np.zeros((0, space.dimension), np.float32), *rows])
        return TokenVectors(np.asarray(ids), offsets, space, array=array)
    offsets = np.cumsum([0, *(row.shape[1] for row in rows)])
    terms, weights = np.concatenate([np.zeros((2, 0), np.float32), *rows], axis=1)
    return SparseVectors(np.asarray(ids), offsets, space, indices=terms.astype(np.uint32), weights=weights)


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


def format_pooling(pool_tokens: int) -> str:
    """Return the pooling of a space of late interaction, where about `pool_tokens` token rows become one.

    >>> format_pooling(1), format_pooling(2)
    ('token vectors', 'token vectors, pooled by 2')
    """
    return TOKEN_VECTORS if pool_tokens == 1 else f"{TOKEN_VECTORS}{POOLED_BY}{pool_tokens}"


def parse_pooling(pooling: str) -> int:
    """Return the number that `format_pooling` wrote, 1 for the pooling of any other space.

    >>> parse_pooling("token vectors, pooled by 2"), parse_pooling("mean")
    (2, 1)
    """
    return int(pooling.partition(POOLED_BY)[2] or 1)


def parse_prompts(prompt: str) -> tuple[str, ...]:
    """Return the templates that `format_prompts` wrote.

    >>> parse_prompts('["a {}", "the {}"]')
    ('a {}', 'the {}')
    """
    if prompt.count("{}") < 2:
        return (prompt,) if prompt else ()
    return tuple(json.loads(prompt))
