"""Write captions for images that have no text, with a BLIP captioning model. Off unless a model is named."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from mmlab.ingest.findings_cache import Memo
from mmlab.ingest.missing_texts.captioner import Captioner
from mmlab.items import ImageError, open_image

if TYPE_CHECKING:
    from PIL.Image import Image

KIND = "captioned"
CHUNK = 1000  # images asked of the memo at a time


def write_captions(
    images: Mapping[str, str],
    model: str,
    memo: Memo | None,
    batch_size: int = 8,
    device: str = "auto",
    progress: bool = True,
) -> pd.DataFrame:
    """Text and reason, indexed by content: what the model says of each image.

    `images` maps content hashes to files; `model` is a folder or a Hugging Face id. `reason` says why an image
    could not be opened (its text is ""), and is missing for the others. Captions are kept in `memo`: the model is
    loaded only if there is an image that it has not seen.
    Raises ValueError for a model that is no BLIP captioning model, or that cannot be read.
    """
    from tqdm.auto import tqdm

    captioner = Captioner(model, device)
    texts = _known(images, captioner, memo) if memo and images else {}
    reasons = {}
    left = [content for content in images if content not in texts]
    bar = tqdm(total=len(images), initial=len(texts), desc="captions", unit="image", disable=not progress)
    with bar:
        for start in range(0, len(left), batch_size):
            batch = left[start : start + batch_size]
            opened, refused = _open(batch, images)
            said = dict(zip(opened, captioner.describe(list(opened.values())), strict=True)) if opened else {}
            if memo:
                memo.put(KIND, {captioner.key(content): text for content, text in said.items()})
            texts |= said
            reasons |= refused
            bar.update(len(batch))
    columns = {"text": [texts.get(c, "") for c in images], "reason": [reasons.get(c) for c in images]}
    return pd.DataFrame(columns, index=pd.Index(list(images), dtype="str", name="content"), dtype="str")


def _known(images: Mapping[str, str], captioner: Captioner, memo: Memo) -> dict[str, str]:
    contents, known = list(images), {}
    for start in range(0, len(contents), CHUNK):
        keys = {captioner.key(content): content for content in contents[start : start + CHUNK]}
        known |= {keys[key]: text for key, text in memo.get(KIND, keys).items()}
    return known


def _open(contents: list[str], images: Mapping[str, str]) -> "tuple[dict[str, Image], dict[str, str]]":
    opened, refused = {}, {}
    for content in contents:
        try:
            opened[content] = open_image(images[content])
        except ImageError as error:
            refused[content] = str(error)
    return opened, refused
