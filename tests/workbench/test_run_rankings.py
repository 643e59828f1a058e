"""All queries of a run: a real text encoder that has two prompts, beside an image encoder and beside a tiny CLIP."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import mmlab
from mmlab.items import exact_search
from mmlab.panels import answer_query
from mmlab.retrieve import Query
from mmlab.runs import read_manifest
from mmlab.workbench.hits import panel_data
from tests.bench.sentences import find_minilm
from tests.cells import run_cells
from tests.conftest import data_in
from tests.embed.checkpoints import clip, vit
from tests.workbench.test_small_sets import table

pytestmark = pytest.mark.slow

CAPTIONS = {
    "dog": ["a brown dog runs over the grass", "a dog is running outside", "the puppy plays in a meadow"],
    "boat": ["a sailing boat on the sea", "a small ship on blue water", "sailors steer their boat at sea"],
    "cake": ["a chocolate cake on a plate", "somebody baked a cake with candles", "a birthday cake on a table"],
    "train": ["a red train enters the station", "people wait for a train", "a locomotive on the railway tracks"],
    "guitar": ["a man plays the guitar", "a musician with his guitar on stage", "a guitar leans on a wall"],
    "snow": ["skiers go down a snowy hill", "two people ski in the mountains", "a snowy slope with skiers"],
    "market": ["fruit is sold at a market", "a woman buys apples at a stall", "vegetables on a market stand"],
    "horse": ["a white horse jumps over a fence", "a rider on a horse", "horses graze near a stable"],
}  # fmt: skip
PROMPTS = {"query": "query: ", "passage": "passage: "}


def prompted(folder: Path) -> Path:
    """The real weights of all-MiniLM-L6-v2 behind two prompts, as its config names them."""
    shutil.copytree(find_minilm(), folder, copy_function=os.symlink)
    settings = folder / "config_sentence_transformers.json"
    given = json.loads(settings.read_text()) | {"prompts": PROMPTS}
    settings.unlink()
    settings.write_text(json.dumps(given))
    return folder


def photos(folder: Path) -> Path:
    """Eight images, each with three captions."""
    folder.mkdir()
    for number, name in enumerate(CAPTIONS):
        noise = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((64, 64), Image.Resampling.NEAREST).save(folder / f"{name}.png")
    table(folder, [(f"{name}.png", text) for name, texts in CAPTIONS.items() for text in texts])
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The runs "apart" (text and image encoder), with what its cells showed, and "beside" (text encoder and CLIP)."""
    folder = tmp_path_factory.mktemp("prompted")
    given = {"dataset": str(photos(folder / "photos")), "ocr": False}
    encoder = str(prompted(folder / "minilm-prompted"))
    apart = given | {"name": "apart", "models": [encoder, str(vit(folder / "vit"))]}
    beside = given | {"name": "beside", "models": [encoder, str(clip(folder / "clip"))]}
    with data_in(folder / "data"):
        shown: dict[str, str] = {}
        for notebook in ("01_ingest", "02_embed", "03_index", "04_retrieve", "05_evaluate"):
            shown |= run_cells(notebook, apart)
        for notebook in ("01_ingest", "02_embed", "03_index"):
            run_cells(notebook, beside)
        yield mmlab.open_run("apart"), mmlab.open_run("beside"), shown


def pairs_of(run, ids):
    return run.items.set_index("item_id")["pair_id"].loc[ids].tolist()


def by_encoder(run, **settings):
    """The answers of the text encoder alone."""
    vectors = run.index.in_order(run.all_vectors)
    weights = ", ".join(str(int(own.queries is not None)) for own in vectors)
    return run.rank(to="image", fusion="weighted_sum", weights=weights, **settings).answers["text-to-image"]


def test_02_keeps_both_sides_of_the_texts_and_says_so(runs):
    apart, _, shown = runs
    own = apart.vectors("text")
    assert own.array.shape == (24, 384)
    written = list(read_manifest("apart")["steps"]["02_embed"]["writes"])
    assert [file for file in written if "queries" in file] == [f"vectors/queries/{own.space.key}.arrow"]
    assert f"vectors/queries/{own.space.key}.arrow" in read_manifest("apart")["steps"]["05_evaluate"]["reads"]
    sides = np.einsum("nd,nd->n", own.array, apart.vectors("text", as_queries=True).array)
    assert 0.5 < sides.mean() < 0.98  # the prompts tell both sides apart
    assert "Texts have a second vector of" in shown["02-04"]
    assert "as queries" in shown["02-06"]
    assert "query prompt &#x27;query: &#x27;, document prompt &#x27;passage: &#x27;" in shown["02-06"]


def test_the_sides_are_those_of_the_model(runs):
    apart, _, _ = runs
    model = apart.answering["text"].model
    texts = apart.items.loc[apart.items["modality"] == "text", "text"].tolist()
    np.testing.assert_allclose(apart.vectors("text").array, model.embed_texts(texts), atol=1e-5)
    asked = apart.vectors("text", as_queries=True)
    np.testing.assert_allclose(asked.array, model.embed_queries(texts), atol=1e-5)
    held = apart.index.vectors(asked.ids.tolist(), asked.space)  # the index holds documents alone
    np.testing.assert_allclose(held.array, apart.vectors("text").array, atol=1e-5)


def test_a_search_the_panel_and_the_evaluation_rank_alike(runs):
    """A text of the collection finds itself first by search; all other images stand as all queries were ranked."""
    apart, _, _ = runs
    kept = apart.rank(to="image", siblings="keep").answers["text-to-image"]
    data = panel_data(apart, lambda: None)
    texts = apart.items[apart.items["modality"] == "text"]
    for query_id, text, pair in texts[["item_id", "text", "pair_id"]].head(9).itertuples(index=False):
        searched = apart.search(text, k=8).table
        by_panel = answer_query(data, Query(text=text, to="image", k=8, exact=True)).hits
        assert by_panel["item_id"].tolist() == searched["item_id"].tolist()
        assert searched["pair_id"].iloc[0] == pair
        others = searched[searched["pair_id"] != pair]
        ranked = kept[(kept["query_id"] == query_id)]
        ranked = ranked[[one != pair for one in pairs_of(apart, ranked["item_id"])]]
        assert ranked["item_id"].tolist() == others["item_id"].tolist()
        np.testing.assert_allclose(ranked["score"], others["score"], atol=1e-5)
        found = apart.search(text, to="text", k=24).table
        own = apart.vectors("text", as_queries=True).take([query_id])
        expected = exact_search(own, apart.vectors("text"), 24)
        assert expected["item_id"].tolist() == found.loc[found["item_id"] != query_id, "item_id"].tolist()


def test_without_a_joint_space_nothing_is_measured_and_04_and_05_say_why(runs):
    apart, _, shown = runs
    reason = (
        "no model of this run holds both texts and images, so a query finds its right answer only by other "
    )
    for cell in ("04-21", "04-22", "04-23", "05-06", "05-35", "05-11", "05-13", "05-32"):
        assert reason in re.sub(r"\s+", " ", shown[cell]), cell
    evaluation = apart.evaluate()
    assert evaluation.measures.empty
    assert all(answer.empty for answer in apart.rankings.answers.values())
    assert "siblings=" in evaluation.sentence
    assert evaluation.protocol_table["captions per image"].tolist() == [3, 3]


def test_with_siblings_a_caption_finds_another_one_and_the_figures_say_so(runs):
    apart, _, _ = runs
    kept = apart.rank(siblings="keep")
    evaluation = apart.evaluate(kept)
    own, found = apart.vectors("text", as_queries=True), apart.vectors("text")
    cosines = own.array @ found.array.T
    np.fill_diagonal(cosines, -2)
    right = np.array(pairs_of(apart, found.ids[cosines.argmax(axis=1)])) == pairs_of(apart, own.ids)
    measures = evaluation.measures.set_index(["direction", "measure"])["value"]
    assert measures["text-to-image", "Success@1"] == pytest.approx(right.mean())
    assert right.mean() > 0.5
    assert measures["image-to-text", "Success@1"] == 0  # an image has no other image of its pair
    words = "measures whether a caption finds another caption of its image"
    assert words in kept.sentence
    assert words in evaluation.sentence
    assert words in evaluation.conclusion()
    card = evaluation.protocol_table.set_index("direction")
    assert card["siblings"].tolist() == ["kept: they answer and vote"] * 2
    assert card["side of texts"].tolist() == ["queries", "queries and documents alike"]


def test_a_search_says_where_a_text_has_found_its_own_image(runs):
    apart, _, _ = runs
    text = CAPTIONS["dog"][0]
    assert "found by a text or an image of its own pair" in apart.search(text, k=3).note
    assert apart.search("a dog in the grass", k=3).note == ""


def test_beside_a_joint_space_siblings_do_not_vote(runs):
    """The text encoder would name wrong images only: the CLIP answers alone, and sentence and card say so."""
    _, beside, _ = runs
    joint = next(own for own in beside.all_vectors if own.queries is None)
    texts, images = (
        beside.items.loc[beside.items["modality"] == one, "item_id"] for one in ("text", "image")
    )
    expected = exact_search(joint.take(texts), joint.take(images), 8)
    for settings in ({}, {"fusion": "rrf"}, {"fusion": "weighted_sum", "weights": "learned"}):
        ranked = beside.rank(to="image", depth=8, **settings)
        assert ranked.answers["text-to-image"]["item_id"].tolist() == expected["item_id"].tolist()
    kept = by_encoder(beside, siblings="keep", depth=8)
    first = kept[kept["rank"] == 1]
    right = np.array(pairs_of(beside, first["query_id"])) == pairs_of(beside, first["item_id"])
    assert right.mean() > 0.5
    both = (beside.rank(to="image", fusion="rrf", siblings=one) for one in ("leave_out", "keep"))
    left_out, given_away = (
        beside.evaluate(one).measures.set_index("measure")["value"]["Success@1"] for one in both
    )
    assert given_away > left_out
    sentence, ranked = "those of the query's own pair are left out", beside.rank(fusion="rrf")
    assert sentence in ranked.sentence
    assert sentence in beside.evaluate(ranked).sentence
    card = beside.evaluate(ranked).protocol_table.set_index("direction")
    assert card["siblings"].tolist() == ["left out", "left out"]
    assert card["side of texts"].tolist() == ["queries and documents alike"] * 2
    assert card.loc["text-to-image", "model"] == card.loc["image-to-text", "model"]
    assert f"it has no vote here, unlike for questions of your own, and {joint.space.model} answers" in (
        ranked.sentence.replace("\\", "")
    )
    card = beside.evaluate(beside.rank(fusion="rrf", siblings="keep")).protocol_table.set_index("direction")
    assert card.loc["text-to-image", "side of texts"] == "queries and documents alike + queries"
    assert card.loc["text-to-image", "model"].count(" + ") == 1
    assert card.loc["image-to-text", "model"].count(" + ") == 0


def test_weights_are_not_learned_on_siblings(runs):
    _, beside, _ = runs
    learned = beside.rank(to="image", fusion="weighted_sum", weights="learned", siblings="keep")
    encoder = next(own.space.key for own in beside.all_vectors if own.queries is not None)
    weights = learned.ranked["text-to-image"].weights
    assert weights == {own.space.key: float(own.space.key != encoder) for own in beside.all_vectors}
    study = beside.study_fusion("models")
    assert f"{encoder} answers through pairs, and siblings of the query are left out" in study.sentence


def test_no_published_figures_stand_beside_those_with_siblings(runs, monkeypatch):
    _, beside, _ = runs
    row = pd.DataFrame(
        {
            "direction": ["text-to-image"],
            "measure": ["Success@1"],
            "value": [0.1],
            "published": [0.3],
            "near": [False],
        }
    ).assign(queries=1, pairs=1, source="a paper", reasons="none")
    monkeypatch.setattr("mmlab.workbench.evaluation.compare_with_published", lambda *_: row)
    assert len(beside.evaluate(beside.rank(fusion="rrf")).published("x").table) == 1
    kept = beside.evaluate(beside.rank(fusion="rrf", siblings="keep")).published("x")
    assert kept.table.empty
    assert "No published results beside these" in kept.caption
    assert len(beside.evaluate(beside.rank(fusion="none", siblings="keep")).published("x").table) == 1
