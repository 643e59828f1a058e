"""One query -> hits, on the drawn catalogue with the demo model."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmlab.embed import embed_items, load_model
from mmlab.index import build_index, open_store
from mmlab.index.engines.bm25 import WordModel, word_vectors
from mmlab.items import ImageError, SpaceMismatch
from mmlab.retrieve import Retriever, open_retrievers
from mmlab.retrieve.query_trials import facets, filter_examples
from tests.embed.checkpoints import mpnet


def images_of(items):
    return items[items["modality"] == "image"]


def test_hits_are_the_exact_nearest_by_cosine(collection) -> None:
    items, vectors, retriever = collection
    text = "a red mug on a wooden table"
    images = vectors.take(images_of(items)["item_id"])
    cosines = images.array @ retriever.embed(text).array[0]
    expected = images.ids[np.argsort(-cosines)[:5]].tolist()
    hits = retriever.search(text, k=5, exact=True).table
    assert hits["item_id"].tolist() == expected
    assert hits["score"].to_numpy() == pytest.approx(np.sort(cosines)[::-1][:5], abs=1e-5)
    assert hits["rank"].tolist() == [1, 2, 3, 4, 5]


def test_hits_carry_the_payload_and_the_time_spent(collection) -> None:
    result = collection.retriever.search("a teapot", k=3)
    hits = result.table
    stored = collection.items.set_index("item_id").loc[hits["item_id"]]
    assert hits["label"].tolist() == stored["label"].tolist()
    assert hits["image"].tolist() == stored["image"].tolist()
    assert result.timings["embed_ms"] > 0
    assert result.timings["search_ms"] > 0


def test_an_image_finds_itself_first_and_texts_by_image_are_texts(collection) -> None:
    image = images_of(collection.items).iloc[0]
    first = collection.retriever.search(Path(image["image"]), to="image", k=1).table.iloc[0]
    assert first["item_id"] == image["item_id"]
    assert first["score"] == pytest.approx(1, abs=1e-4)
    texts = collection.retriever.search(Path(image["image"]), to="text", k=4).table
    assert set(texts["modality"]) == {"text"}


def test_an_image_in_memory_asks_like_its_file(collection) -> None:
    path = Path(images_of(collection.items)["image"].iloc[0])
    with Image.open(path) as image:
        by_image = collection.retriever.search(image, k=5).table
    assert by_image["item_id"].tolist() == collection.retriever.search(path, k=5).table["item_id"].tolist()


def test_a_filter_holds_and_still_fills_k(collection) -> None:
    colours = images_of(collection.items)["colour"].value_counts()
    hits = collection.retriever.search(
        "anything at all", k=3, where={"colour": colours.index[:2].tolist()}
    ).table
    assert len(hits) == 3
    assert set(hits["colour"]) <= set(colours.index[:2])


def test_the_model_finds_what_the_words_say(collection) -> None:
    items = collection.items
    texts = items[(items["modality"] == "text")].drop_duplicates("pair_id").head(40)
    found = [collection.retriever.search(text, k=10).table["label"].tolist() for text in texts["text"]]
    right = [label in labels for label, labels in zip(texts["label"], found, strict=True)]
    assert np.mean(right) > 0.8


@pytest.mark.parametrize("empty", ["", "   "])
def test_an_empty_query_is_refused(collection, empty: str) -> None:
    with pytest.raises(ValueError, match="the query is empty"):
        collection.retriever.search(empty)


def test_a_file_that_is_no_image_is_refused(collection, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ImageError, match="not an image"):
        collection.retriever.search(tmp_path / "notes.txt")


def test_facets_are_the_columns_worth_filtering_by(collection) -> None:
    found = facets(collection.items)
    colours = images_of(collection.items)["colour"].value_counts()
    assert found["colour"][0] == colours.index[0]
    assert {"label", "split", "colour", "pattern"} <= set(found)
    assert not {"item_id", "image", "text", "pair_id"} & set(found)


def test_a_column_of_the_users_called_score_keeps_out_of_the_way(collection, tmp_path: Path) -> None:
    items = collection.items.assign(score="mine")
    index = build_index(open_store(tmp_path / "store"), "scored", items, [collection.vectors], progress=False)
    hits = Retriever(index, collection.retriever.model).search("a mug", k=2).table
    assert hits["score"].between(-1, 1).all()
    assert hits["score_payload"].tolist() == ["mine", "mine"]


def test_a_batch_answers_as_its_queries_do_one_by_one(collection) -> None:
    path = Path(images_of(collection.items)["image"].iloc[0])
    asked = ["a red mug", path, "a teapot", path]
    hits = collection.retriever.search(asked, k=3).table
    assert hits["query_id"].drop_duplicates().tolist() == [
        "a red mug",
        path.name,
        "a teapot",
        f"{path.name} (2)",
    ]
    for name, query in zip(hits["query_id"].drop_duplicates(), asked, strict=True):
        one = collection.retriever.search(query, k=3).table
        assert hits.loc[hits["query_id"] == name, "item_id"].tolist() == one["item_id"].tolist()
        assert "query_id" not in one


def test_a_folder_of_images_is_a_table_and_a_bad_file_is_a_skipped_row(collection, tmp_path: Path) -> None:
    for name, source in zip("ab", images_of(collection.items)["image"].head(2), strict=True):
        shutil.copy(source, tmp_path / f"{name}.jpg")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden").write_text("passed over")
    result = collection.retriever.search(tmp_path, k=2)
    hits = result.table
    assert hits["query_id"].tolist() == ["a.jpg", "a.jpg", "b.jpg", "b.jpg"]
    assert result.skipped == [{"source": str(tmp_path / "notes.txt"), "reason": "not an image"}]
    assert {"embed_ms", "search_ms", "payload_ms"} == result.timings.keys()


def test_a_column_and_an_array_of_texts_are_batches(collection) -> None:
    texts = ["a red mug", "a teapot"]
    expected = collection.retriever.search(texts, k=2).table
    for batch in (pd.Series(texts, index=[7, 9]), np.array(texts), pd.Index(texts), tuple(texts)):
        assert collection.retriever.search(batch, k=2).table.equals(expected)
    with pytest.raises(TypeError, match="1 of 2 queries are no texts, paths or PIL images, first float nan"):
        collection.retriever.search(pd.Series(["a mug", np.nan]))


def test_nothing_to_ask_by_is_refused(collection, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no files in"):
        collection.retriever.search(tmp_path)
    with pytest.raises(ValueError, match="there is no query"):
        collection.retriever.search([])


def test_minus_and_plus_steer_by_rocchio_s_formula(collection) -> None:
    items, vectors, retriever = collection
    wanted, more, unwanted = (retriever.embed(text).array[0] for text in ("a mug", "a teapot", "blue"))
    expected = (wanted + more) / 2 - 0.3 * unwanted
    images = vectors.take(images_of(items)["item_id"])
    cosines = images.array @ (expected / np.linalg.norm(expected))
    hits = retriever.search(
        ["a mug"], k=5, exact=True, plus=["a teapot"], minus=["blue"], minus_weight=0.3
    ).table
    assert hits["query_id"].unique().tolist() == ["a mug"]
    assert hits["score"].to_numpy() == pytest.approx(np.sort(cosines)[::-1][:5], abs=1e-5)


def unit_rows_of(retriever, *texts):
    return [retriever.embed(text).array[0].astype(float) for text in texts]


def assert_ranked(hits, images, scores) -> None:
    expected = pd.Series(scores, images.ids).nlargest(len(hits))
    assert hits["score"].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-4)
    assert len(set(hits["item_id"]) & set(expected.index)) >= len(hits) - 1  # two may tie at the end


def test_examples_count_by_the_scores_of_the_engine(collection) -> None:
    items, vectors, retriever = collection
    images = vectors.take(images_of(items)["item_id"])
    query, more, blue = (images.array @ row for row in unit_rows_of(retriever, "a mug", "a teapot", "blue"))
    asked = {"plus": ["a teapot"], "minus": ["blue"], "k": 5, "exact": True}
    expected = {
        "sum_scores": query + more - blue,
        "feedback": query + 0.3 * (more - blue),
        "best_score": np.where(
            np.maximum(query, more) > blue,
            squashed(np.maximum(query, more)),
            -squashed(blue),
        ),
    }
    for recommend, scores in expected.items():
        result = retriever.search("a mug", recommend=recommend, minus_weight=0.3, **asked)
        assert_ranked(result.table, images, scores)
        assert result.method == f"exact search, scored by {recommend}"
    alone = retriever.search(None, recommend="sum_scores", **asked).table
    assert_ranked(alone, images, more - blue)


def squashed(cosines):
    return (1 + cosines / (1 + np.abs(cosines))) / 2


def test_a_context_ranks_what_is_nearer_to_the_first_of_each_pair_first(collection) -> None:
    items, vectors, retriever = collection
    images = vectors.take(images_of(items)["item_id"])
    query, red, blue = (images.array @ row for row in unit_rows_of(retriever, "a mug", "red", "blue"))
    pairs = [("red", "blue")]
    hits = retriever.search("a mug", k=5, exact=True, context=pairs)
    assert_ranked(hits.table, images, np.sign(red - blue) + squashed(query))
    assert hits.method == "exact search, scored by discover"
    worst = retriever.search(None, k=len(images), exact=True, context=pairs).table.iloc[-1]
    assert worst["item_id"] == images.ids[(red - blue).argmin()]
    gap = float((red - blue).min())
    assert worst["score"] == pytest.approx(gap / (1 - gap), abs=1e-4)


def test_many_queries_are_boosted_and_scored_by_examples_each(collection) -> None:
    items, vectors, retriever = collection
    images = vectors.take(images_of(items)["item_id"])
    field = images_of(items).set_index("item_id").loc[images.ids, "width"].fillna(0).to_numpy(dtype=float)
    texts = ["a mug", "a teapot"]
    result = retriever.search(texts, k=3, exact=True, boost={"width": -0.001})
    hits = result.table
    assert result.method == "exact search, boosted by width"
    for text, row in zip(texts, unit_rows_of(retriever, *texts), strict=True):
        cosines = images.array @ row
        few = np.argsort(-cosines)[:100]
        expected = np.sort((cosines - 0.001 * field)[few])[::-1][:3]
        assert hits.loc[hits["query_id"] == text, "score"].to_numpy() == pytest.approx(expected, abs=1e-4)
    scored = retriever.search(texts, k=3, plus=["red"], recommend="sum_scores").table
    alone = retriever.search("a teapot", k=3, plus=["red"], recommend="sum_scores").table
    assert scored["item_id"][3:].tolist() == alone["item_id"].tolist()


def test_words_and_tokens_have_no_examples_and_no_boost(collection, tmp_path: Path) -> None:
    items, vectors, _ = collection
    words = word_vectors(items)
    index = build_index(open_store(tmp_path), "words", items, [vectors, words], progress=False)
    retriever = Retriever(index, WordModel.of(words.space))
    with pytest.raises(ValueError, match="plus, minus and context need dense vectors, found bm25"):
        retriever.search("a mug", plus=["red"])
    with pytest.raises(
        ValueError, match="examples and boost score dense vectors, found bm25.*: leave them out"
    ):
        retriever.search("a mug", boost={"width": 1})


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"plus": ["a"], "context": [("a", "b")]}, "pairs of examples, plus and minus single ones"),
        ({"context": ["ab"]}, r"context: expected pairs as \(nearer to this, than to that\), found 'ab'"),
        ({"recommend": "best"}, "recommend: expected one of rocchio, best_score, sum_scores, feedback"),
        ({"plus": ["a"], "recommend": "feedback"}, "feedback compares right examples with wrong ones"),
    ],
)
def test_examples_that_do_not_go_together_are_refused(collection, asked, message) -> None:
    with pytest.raises(ValueError, match=message):
        collection.retriever.search("a mug", **asked)


def test_an_image_steers_no_text_encoder_and_is_told(collection, tmp_path: Path) -> None:
    model = load_model(str(mpnet(tmp_path / "tiny-mpnet")), device="cpu")
    texts = collection.items[collection.items["modality"] == "text"].head(20)
    vectors = embed_items(texts, model, progress=False).vectors
    retriever = Retriever(
        build_index(open_store(tmp_path / "store"), "texts", texts, [vectors], progress=False), model
    )
    plain = retriever.search("a mug", to="text", k=5)
    steered = retriever.search("a mug", to="text", k=5, minus=[Image.new("RGB", (32, 32))])
    pd.testing.assert_frame_equal(steered.table, plain.table)
    assert not plain.skipped
    (skipped,) = steered.skipped
    assert skipped["reason"].endswith("tiny-mpnet embeds text only, found image")
    photo = Image.new("RGB", (32, 32))
    paired = retriever.search("a mug", to="text", k=5, context=[(photo, "blue")])
    pd.testing.assert_frame_equal(paired.table, plain.table)
    with pytest.raises(
        ValueError, match="no example can ask: .*tiny-mpnet embeds text only, found image; give"
    ):
        retriever.search(None, to="text", k=5, plus=[photo], recommend="best_score")
    both = retriever.search("a mug", to="text", k=5, minus=["blue", Image.new("RGB", (32, 32))])
    pd.testing.assert_frame_equal(both.table, retriever.search("a mug", to="text", k=5, minus=["blue"]).table)


def test_settings_of_the_engine_are_handed_on(collection) -> None:
    grouped = collection.retriever.search("a mug", to="text", k=6, group_by_pair=True).table
    assert grouped["pair_id"].is_unique
    near, varied = (collection.retriever.search("a mug", k=8, diversity=d).table for d in (0.0, 1.0))
    assert near["item_id"].tolist() != varied["item_id"].tolist()
    assert near["score"].mean() > varied["score"].mean()


def test_a_filter_of_every_kind_holds(collection) -> None:
    for name, where in filter_examples(collection.items).items():
        [(field, wanted)] = where.items()
        found = collection.retriever.search("a mug", k=5, where=where).table[field]
        assert len(found) == 5, name
        holds = {
            "equal": lambda f, w: (f == w).all(),
            "any of": lambda f, w: f.isin(w).all(),
            "not": lambda f, w: (~f.isin(w["not"])).all(),
            "range": lambda f, w: (f >= w["gte"]).all(),
        }[name]
        assert holds(found, wanted), name


def test_a_model_that_the_index_has_no_vectors_of_is_refused(collection) -> None:
    class Other:
        space = replace(collection.vectors.space, revision="another")

        def embed_queries(self, texts):
            return collection.retriever.model.embed_queries(texts)

    with pytest.raises(SpaceMismatch, match="revision"):
        Retriever(collection.retriever.index, Other()).search("a mug")


def test_one_model_of_both_kinds_is_opened_once(collection) -> None:
    opened = open_retrievers(collection.retriever.index, [collection.vectors], collection.items)
    assert opened["text"].model is opened["image"].model
