"""What the tests of embed share: tiny checkpoints and their models, made once per session; images, sounds, items."""

import logging
from collections.abc import Iterator

import pytest

from tests.embed.checkpoints import FAMILIES


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Leave the other cores to others; sums in one order."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What mmlab logs during the test."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("mmlab").addHandler(handler)
    yield said
    logging.getLogger("mmlab").removeHandler(handler)


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """The folder of a family's checkpoint by its name, written when it is first asked for."""
    import torch

    written = {}

    def folder(family):
        if family not in written:
            torch.manual_seed(7)
            path = tmp_path_factory.mktemp("models") / f"tiny-{family.replace('_', '-')}"
            written[family] = FAMILIES[family](path)
        return written[family]

    return folder


@pytest.fixture(scope="session")
def models(folders):
    """The loaded model of a family by its name, on the CPU in float32."""
    from mmlab.embed import load_model

    loaded = {}

    def model(family):
        if family not in loaded:
            loaded[family] = load_model(str(folders(family)), device="cpu")
        return loaded[family]

    return model


@pytest.fixture(scope="session")
def clip_folder(folders):
    return folders("clip")


@pytest.fixture(scope="session")
def model(models):
    return models("clip")


@pytest.fixture(scope="session")
def recordings():
    """Five recordings of different lengths up to a second, noise and tones from a seed."""
    import numpy as np

    rng = np.random.default_rng(3)
    lengths = (4000, 16_000, 9001, 700, 12_345)
    return [
        (0.3 * np.sin(np.arange(length) / (place + 2)) + 0.1 * rng.normal(size=length)).astype(np.float32)
        for place, length in enumerate(lengths)
    ]


@pytest.fixture(scope="session")
def videos(images):
    """Five videos of one to five frames."""
    return [images[: place + 1] for place in range(5)]


@pytest.fixture(scope="session")
def images():
    """Five images of different sizes, noise from a seed."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(5)
    sizes = ((40, 30), (64, 64), (20, 70), (33, 90), (128, 50))
    return [Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]


@pytest.fixture
def items(images, tmp_path):
    """Five images with two texts each; the last two pairs share one text."""
    import hashlib

    import pandas as pd

    from mmlab.items import ITEM_COLUMNS
    from mmlab.items.files import file_hash
    from mmlab.items.tables import item_id

    def row(modality, pair, content, **fields):
        known = {"item_id": item_id(modality, pair, content), "modality": modality, "pair_id": pair}
        return known | {"content": content, "origin": "caption" if modality == "text" else "image"} | fields

    rows = []
    for number, image in enumerate(images):
        path = tmp_path / f"{number}.png"
        image.save(path)
        rows.append(row("image", path.name, file_hash(path), image=str(path)))
        for text in (f"image with number {number}", "one" * (number + 1) if number < 4 else "one" * 4):
            rows.append(row("text", path.name, hashlib.sha256(text.encode()).hexdigest(), text=text))
    return pd.DataFrame(rows, columns=list(ITEM_COLUMNS))


@pytest.fixture(scope="session")
def running_hub():
    from tests.embed.hub import Hub

    hub = Hub()
    yield hub
    hub.shutdown()


@pytest.fixture
def hub(running_hub, tmp_path, monkeypatch):
    """A hub on loopback without repositories, that huggingface_hub asks, and an empty cache."""
    from huggingface_hub import constants, file_download

    running_hub.repositories.clear()
    running_hub.requests.clear()
    files = running_hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", running_hub.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
    monkeypatch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", files, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return running_hub
