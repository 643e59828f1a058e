"""metrics.json, and the evaluation as a whole on real learned vectors."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mmlab
from mmlab.evaluate import qrels_from_pairs, score_queries, write_metrics
from mmlab.items import unit_rows

VECTORS = Path(mmlab.__file__).parents[2] / "shared" / "vectors" / "flickr8k-test.npz"


def test_metrics_are_plain_json(tmp_path: Path) -> None:
    means = pd.DataFrame([{"direction": "text-to-image", "measure": "RR", "value": 0.5, "queries": 2}])
    protocol = pd.DataFrame([{"direction": "text-to-image", "gallery": np.int64(7)}])
    written = json.loads(write_metrics(tmp_path / "metrics.json", means, protocol).read_text())
    assert written == {
        "measures": [{"direction": "text-to-image", "measure": "RR", "value": 0.5, "queries": 2}],
        "protocol": [{"direction": "text-to-image", "gallery": 7}],
    }


def test_what_is_not_known_is_null_and_more_tables_stand_beside(tmp_path: Path) -> None:
    means = pd.DataFrame([{"measure": "RR", "value": float("nan")}])
    space = pd.DataFrame([{"measure": "hubness", "value": np.float32(0.5)}])
    written = json.loads(
        write_metrics(tmp_path / "metrics.json", means, means.head(0), space=space).read_text()
    )
    assert written["measures"] == [{"measure": "RR", "value": None}]
    assert written["protocol"] == []
    assert written["space"] == [{"measure": "hubness", "value": 0.5}]


@pytest.mark.skipif(not VECTORS.exists(), reason="the vectors of the 1,000 photos are not on this machine")
def test_the_published_success_of_the_photo_vectors_is_reproduced() -> None:
    parts = np.load(VECTORS, allow_pickle=False)
    images, texts = (unit_rows(parts[name].astype("f4")) for name in ("image_vectors", "caption_vectors"))
    image_ids = np.array([f"i{n}" for n in range(len(images))])
    text_ids = np.array([f"t{n}" for n in range(len(texts))])
    items = pd.DataFrame(
        {
            "item_id": np.r_[image_ids, text_ids],
            "modality": ["image"] * len(images) + ["text"] * len(texts),
            "pair_id": np.r_[image_ids, image_ids[parts["caption_image"]]],
        }
    )
    scores = texts @ images.T
    order = np.argsort(-scores, axis=1)[:, :10]
    rankings = pd.DataFrame(
        {
            "query_id": np.repeat(text_ids, 10),
            "item_id": image_ids[order].ravel(),
            "rank": np.tile(np.arange(1, 11), len(texts)),
            "score": np.take_along_axis(scores, order, axis=1).ravel(),
        }
    )
    success = [f"Success@{k}" for k in (1, 5, 10)]
    means = score_queries(rankings, qrels_from_pairs(items, "text", "image"), success)[success].mean()
    assert means.round(3).tolist() == [0.176, 0.427, 0.559]
