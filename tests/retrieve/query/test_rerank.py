"""The first hits judged again, by a plain function and by a tiny BLIP's matching head."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sentence_transformers import CrossEncoder
from transformers import AutoImageProcessor, AutoTokenizer, Blip2ForImageTextRetrieval

from mmlab.embed import load_model
from mmlab.items import ImageError, Vectors
from mmlab.retrieve import rerank
from mmlab.retrieve.query.rerank import (
    CrossEncoders,
    contents_of,
    count_unread,
    find_matcher,
    match_by_crops,
)
from tests.embed.checkpoints import blip, blip2, clip, cross_encoder, multimodal_cross_encoder
from tests.retrieve.tables import rankings

FOUND = {"q": {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.4}, "r": {"a": 0.5, "d": 0.1}}
TEXTS = {name: name for name in "qrabcd"}


def by_letter(first, second):
    """d before c before b before a."""
    return [float(ord(letter)) for letter in second]


def test_the_first_are_ordered_anew_and_the_rest_stay_below_with_their_gaps() -> None:
    moved = rerank(rankings(FOUND), by_letter, TEXTS, n=2, batch=3)
    assert moved["item_id"].tolist() == ["b", "a", "c", "d", "d", "a"]
    assert moved["rank"].tolist() == [1, 2, 3, 4, 1, 2]
    assert moved["before"].tolist() == [2, 1, 3, 4, 2, 1]
    low = ord("a")  # the lowest score that was judged; the last of the first had 0.8
    assert moved["score"].tolist() == pytest.approx(
        [ord("b"), low, low - 0.1, low - 0.4, ord("d"), low], abs=1e-5
    )
    assert moved.groupby("query_id")["score"].apply(lambda s: (s.diff().dropna() < 0).all()).all()


def test_equal_ones_keep_their_order_and_all_may_be_judged() -> None:
    same = rerank(rankings(FOUND), lambda first, second: np.ones(len(first)), TEXTS, n=10)
    assert same["item_id"].tolist() == rankings(FOUND)["item_id"].tolist()


def test_a_text_always_comes_first_and_images_are_opened(tmp_path: Path) -> None:
    for name, colour in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (8, 8), colour).save(tmp_path / f"{name}.png")
    contents = {"q": "red", "a": tmp_path / "a.png", "b": tmp_path / "b.png"}

    def redness(texts, images):
        assert texts == ["red"] * len(texts)
        return [image.getpixel((0, 0))[0] for image in images]

    by_text = rerank(rankings({"q": {"a": 0.1, "b": 0.2}}), redness, contents)
    assert by_text["item_id"].tolist() == ["a", "b"]
    by_image = rerank(rankings({"a": {"q": 1.0}}), redness, contents)
    assert by_image["score"].tolist() == [255]


@pytest.mark.parametrize("build", [blip, blip2])
def test_a_matching_head_judges(tmp_path: Path, collection, build) -> None:
    model = load_model(str(build(tmp_path / "matcher")))
    items = collection.items
    text, images = items[items["modality"] == "text"].iloc[0], items[items["modality"] == "image"].head(3)
    found = rankings({text["item_id"]: dict(zip(images["item_id"], (0.3, 0.2, 0.1), strict=True))})
    moved = rerank(found, model.match, contents_of(items), n=3, batch=2)
    opened = [Image.open(path).convert("RGB") for path in images["image"]]
    scores = dict(zip(images["item_id"], model.match([text["text"]] * 3, opened), strict=True))
    assert moved["item_id"].tolist() == sorted(scores, key=scores.get, reverse=True)
    assert moved["score"].tolist() == pytest.approx(sorted(scores.values(), reverse=True), abs=1e-5)


def test_blip2_reranks_as_a_plain_call_of_the_library_judges(tmp_path: Path, collection) -> None:
    folder, items = blip2(tmp_path / "blip2"), collection.items
    text, images = items[items["modality"] == "text"].iloc[0], items[items["modality"] == "image"].head(4)
    network = Blip2ForImageTextRetrieval.from_pretrained(folder).eval()
    tokens = AutoTokenizer.from_pretrained(folder)(
        [text["text"]] * 4, padding=True, truncation=True, max_length=16, return_tensors="pt"
    )
    opened = [Image.open(path).convert("RGB") for path in images["image"]]
    pixels = AutoImageProcessor.from_pretrained(folder, backend="pil")(opened, return_tensors="pt")
    inputs = {name: tokens[name] for name in ("input_ids", "attention_mask")} | dict(pixels)
    with torch.no_grad():
        logits = network(**inputs, use_image_text_matching_head=True).logits_per_image
    chance = dict(zip(images["item_id"], logits.softmax(dim=1)[:, 1].tolist(), strict=True))
    found = rankings({text["item_id"]: dict(zip(images["item_id"], (0.4, 0.3, 0.2, 0.1), strict=True))})
    moved = rerank(found, load_model(str(folder)).match, contents_of(items), n=4)
    assert moved["item_id"].tolist() == sorted(chance, key=chance.get, reverse=True)
    assert moved["score"].tolist() == pytest.approx(sorted(chance.values(), reverse=True), abs=1e-5)


@pytest.mark.parametrize("build", [blip, blip2])
def test_the_matcher_is_the_first_model_with_a_head_and_a_loaded_one_is_taken(tmp_path: Path, build) -> None:
    plain, judge = (load_model(str(make(tmp_path / make.__name__))) for make in (clip, build))
    spaces = [Vectors(["a"], np.eye(1, model.space.dimension), model.space) for model in (plain, judge)]
    assert find_matcher(spaces, 5, [plain, judge]).__self__ is judge
    again = find_matcher(spaces, 5, [plain])  # loaded by its space
    image = Image.new("RGB", (20, 20), "red")
    assert again.__self__ is not judge
    assert again(["a"], [image]) == pytest.approx(judge.match(["a"], [image]), abs=1e-6)
    assert find_matcher(spaces, 0) is None
    assert find_matcher(spaces[:1], 5, [plain]) is None


def test_crops_match_as_the_best_of_the_whole_and_its_four_quarters(collection) -> None:
    model, items = collection.retriever.model, collection.items
    image = Image.open(items.loc[items["modality"] == "image", "image"].iloc[0]).convert("RGB")
    [score] = match_by_crops(model)(["a mug"], [image])
    width, height = image.size
    x, y = round(0.6 * width), round(0.6 * height)
    corners = [(0, 0), (width - x, 0), (0, height - y), (width - x, height - y)]
    parts = [image, *(image.crop((left, top, left + x, top + y)) for left, top in corners)]
    cosines = model.embed_images(parts) @ model.embed_queries(["a mug"])[0]
    assert score == pytest.approx(cosines.max(), abs=1e-5)
    assert cosines.max() > cosines[0]


def test_wrong_numbers_are_refused() -> None:
    found = rankings(FOUND)
    with pytest.raises(ValueError, match="n: expected a whole number from 1, found 0"):
        rerank(found, by_letter, TEXTS, n=0)
    with pytest.raises(ValueError, match="expected 4 finite scores"):
        rerank(found, lambda first, second: [np.nan] * len(first), TEXTS, n=2)
    with pytest.raises(KeyError, match="no text or image for c"):
        rerank(found, by_letter, {name: name for name in "qrabd"}, n=3)
    with pytest.raises(ImageError, match=r"nowhere/c\.jpg: missing file; it is to be ranked again"):
        rerank(found, by_letter, TEXTS | {"c": Path("nowhere/c.jpg")}, n=3)


WORDS = {"q": "q", "i": {"b": "b", "d": "d"}, "j": {"c": "c"}, "none": {}}


def test_the_best_word_counts_for_an_image_and_one_without_words_keeps_its_place() -> None:
    found = rankings({"q": {"none": 0.9, "j": 0.8, "i": 0.7}})
    moved = rerank(found, by_letter, WORDS)
    assert moved["item_id"].tolist() == ["none", "i", "j"]  # d before c
    assert moved["before"].tolist() == [1, 3, 2]
    assert moved["read"].tolist() == [False, True, True]
    d, c = ord("d"), ord("c")
    assert moved["score"].tolist() == pytest.approx([d + 1e-6, d, c], abs=1e-9)
    assert count_unread(moved, n=3) == 1
    between = rerank(rankings({"q": {"j": 0.9, "none": 0.8, "i": 0.7}}), by_letter, WORDS)
    assert between["item_id"].tolist() == ["i", "none", "j"]
    assert between["score"].tolist() == [d, (c + d) / 2, c]


def test_neither_the_query_nor_by_default_the_words_of_its_pair_are_read() -> None:
    found = rankings({"b": {"i": 0.9, "j": 0.8}})
    seen = []

    def watch(queries, items):
        seen.extend(zip(queries, items, strict=True))
        return by_letter(queries, items)

    contents = WORDS | {"b": "b"}
    pairs = pd.Series({"b": "one", "d": "one", "i": "one", "c": "two", "j": "two"})
    kept = rerank(found, watch, contents, own_pairs=pairs)
    assert seen == [("b", "c")]
    assert kept["item_id"].tolist() == ["i", "j"]
    seen.clear()
    rerank(found, watch, contents)
    assert seen == [("b", "d"), ("b", "c")]  # not b itself


def test_an_image_asks_by_its_words_or_keeps_all_as_it_was() -> None:
    found = rankings({"i": {"c": 0.3, "b": 0.2, "d": 0.1}})
    contents = WORDS | {name: name for name in "bcd"}
    by_words = rerank(found, by_letter, contents)
    assert by_words["item_id"].tolist() == ["d", "c", "b"]
    left_out = rerank(found, by_letter, contents, own_pairs=pd.Series({"i": "one", "b": "one", "c": "two"}))
    assert left_out["item_id"].tolist() == ["c", "b", "d"]
    assert not left_out["read"].any()
    unread = rerank(rankings({"none": {"c": 0.3, "b": 0.2}}), by_letter, contents, n=1)
    assert unread["item_id"].tolist() == ["c", "b"]
    assert unread["score"].tolist() == pytest.approx([0.3, 0.2], abs=1e-5)


def test_words_are_read_for_images_where_the_model_reads_none(tmp_path: Path, collection) -> None:
    items, folder = collection.items, cross_encoder(tmp_path / "cross")
    match = CrossEncoders(items)[str(folder)]
    texts, images = (items[items["modality"] == name] for name in ("text", "image"))
    query, three = texts.iloc[0], images.iloc[1:4]
    contents = contents_of(items, match, query=texts.iloc[1]["text"])
    own = texts[texts["pair_id"] == three.iloc[0]["pair_id"]]
    expected = dict(zip(own["item_id"], own["text"], strict=True))
    expected.pop(texts.iloc[1]["item_id"], None)
    assert contents[three.iloc[0]["item_id"]] == expected
    found = rankings({query["item_id"]: dict(zip(three["item_id"], (0.3, 0.2, 0.1), strict=True))})
    moved = rerank(found, match, contents_of(items, match))
    library = CrossEncoder(str(folder), device="cpu")
    for item, score in zip(moved["item_id"], moved["score"], strict=True):
        words = match.words[item].values()
        best = library.predict([(query["text"], word) for word in words]).max()
        assert score == pytest.approx(best, abs=1e-5)


def test_a_cross_encoder_of_images_is_given_images(tmp_path: Path, collection) -> None:
    items, folder = collection.items, multimodal_cross_encoder(tmp_path / "multimodal")
    match = CrossEncoders(items)[str(folder)]
    assert match.words is None
    text, images = items[items["modality"] == "text"].iloc[0], items[items["modality"] == "image"].head(3)
    found = rankings({text["item_id"]: dict(zip(images["item_id"], (0.3, 0.2, 0.1), strict=True))})
    moved = rerank(found, match, contents_of(items, match))
    opened = [Image.open(path).convert("RGB") for path in images["image"]]
    plain = CrossEncoder(str(folder), device="cpu").predict([(text["text"], image) for image in opened])
    scores = dict(zip(images["item_id"], plain, strict=True))
    assert moved["item_id"].tolist() == sorted(scores, key=scores.get, reverse=True)
    assert moved["score"].tolist() == pytest.approx(sorted(scores.values(), reverse=True), abs=1e-5)
