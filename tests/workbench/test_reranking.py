"""A run whose first hits a cross-encoder ranks again: by the notebooks' own cells, and by a search."""

import numpy as np
import pytest
from PIL import Image
from sentence_transformers import CrossEncoder

import mmlab
from mmlab.embed import ModelError
from mmlab.items import read_table
from tests.cells import run_cells
from tests.conftest import data_in
from tests.embed.checkpoints import bert, clip, cross_encoder, multimodal_cross_encoder
from tests.workbench.test_small_sets import table

pytestmark = pytest.mark.slow

CAPTIONS = {
    "dog": ["a brown dog runs", "a dog outside"],
    "boat": ["a sailing boat", "a small ship"],
    "cake": ["a chocolate cake", "somebody baked"],
    "train": ["a red train", "people wait"],
    "alone": [""],
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The folders of tiny models by name, and of five images: four with two captions each, one without."""
    import torch

    torch.manual_seed(5)
    folder = tmp_path_factory.mktemp("reranking")
    made = {one.__name__: one(folder / one.__name__) for one in (clip, bert, cross_encoder)}
    made["multimodal"] = multimodal_cross_encoder(folder / "multimodal")
    (folder / "photos").mkdir()
    for number, name in enumerate(CAPTIONS):
        noise = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((64, 64)).save(folder / "photos" / f"{name}.png")
    table(folder / "photos", [(f"{name}.png", text) for name, texts in CAPTIONS.items() for text in texts])
    return {name: str(path) for name, path in made.items()} | {"photos": str(folder / "photos")}


@pytest.fixture(scope="module")
def made(folders, tmp_path_factory):
    """The run after 05, its first four hits ranked again by the cross-encoder of texts; and what its cells showed."""
    given = {"name": "words", "dataset": folders["photos"], "models": [folders["clip"]], "ocr": False}
    given |= {"rerank": 4, "rerank_model": folders["cross_encoder"]}
    with data_in(tmp_path_factory.mktemp("reranked") / "data"):
        shown: dict[str, str] = {}
        for notebook in ("01_ingest", "02_embed", "03_index", "04_retrieve", "05_evaluate"):
            shown |= run_cells(notebook, given)
        yield mmlab.open_run("words"), shown


def ids(run, modality, pair):
    items = run.items[(run.items["modality"] == modality) & (run.items["pair_id"] == pair)]
    return items["item_id"].tolist()


def test_04_says_what_ranking_again_costs_and_how_many_were_not_read(made):
    run, shown = made
    said = " ".join(shown[name] for name in shown if name.startswith("04"))
    assert "Ranking the first 4 again by" in said
    assert "ms a query (text-to-image)" in said
    texts = len(run.items[run.items["modality"] == "text"])
    kept = read_table(run.folder / "rankings/text-to-image/reranked.parquet")
    own = run.items.set_index("item_id")["pair_id"]
    first = kept[kept["before"] <= 4]
    asks, found = first["query_id"].map(own), first["item_id"].map(own)
    unread = (
        (asks == found) | (found == "alone.png")
    ).sum()  # and all four texts that each of five images found
    assert texts == 8
    assert f"{unread + 5 * 4:,} hits had none and kept their places" in said


def test_the_right_image_keeps_its_place_and_others_move_by_their_words(made, folders):
    run, _ = made
    steps = run.rankings.ranked["text-to-image"].steps
    own, library = run.items.set_index("item_id"), CrossEncoder(folders["cross_encoder"], device="cpu")
    reranked = read_table(run.folder / "rankings/text-to-image/reranked.parquet")
    for query, part in reranked.groupby("query_id"):
        before = steps["exact"][steps["exact"]["query_id"] == query]["item_id"].tolist()
        assert part.sort_values("before")["item_id"].tolist() == before
        [right] = ids(run, "image", own.loc[query, "pair_id"])
        assert (part.loc[part["item_id"] == right, ["rank", "before"]].nunique(axis=1) == 1).all()
        for item, score in part.loc[part["before"] <= 4, ["item_id", "score"]].itertuples(index=False):
            pair = own.loc[item, "pair_id"]
            if pair not in (own.loc[query, "pair_id"], "alone.png"):
                words = run.items.loc[run.items["item_id"].isin(ids(run, "text", pair)), "text"]
                best = library.predict([(own.loc[query, "text"], word) for word in words]).max()
                assert score == pytest.approx(best, abs=1e-5)


def test_05_says_what_it_changes_with_its_interval(made):
    run, shown = made
    said = " ".join(shown[name] for name in shown if name.startswith("05"))
    assert (
        "Ranking again, against exact search, in points with paired 95% intervals: text-to-image Success@1"
        in said
    )
    gain = run.evaluate().failures(k=1).gain["text-to-image"]
    assert gain["measure"].tolist() == ["Success@1"]
    steps, qrels = run.rankings.steps["text-to-image"], run.rankings.qrels["text-to-image"]
    right = {step: [found_first(t, qrels, query) for query in sorted(set(qrels["query_id"]))]
             for step, t in steps.items()}  # fmt: skip
    expected = np.mean(right["reranked"]) - np.mean(right["exact"])
    assert gain["difference"].iloc[0] == pytest.approx(expected)
    assert gain["difference_low"].iloc[0] <= expected <= gain["difference_high"].iloc[0]


def found_first(rankings, qrels, query):
    first = rankings[(rankings["query_id"] == query) & (rankings["rank"] == 1)]["item_id"]
    return first.isin(qrels.loc[qrels["query_id"] == query, "item_id"]).any()


def test_with_siblings_the_other_caption_of_the_pair_is_read(made):
    run, _ = made
    kept = run.rank(to="image", siblings="keep")
    left_out = run.rank(to="image", siblings="leave_out")
    unread = [one.ranked["text-to-image"].reranking.unread for one in (kept, left_out)]
    assert unread[0] < unread[1]
    assert kept.ranked["text-to-image"].reranking.milliseconds > 0


def test_a_search_reads_words_but_never_those_of_the_query(made, folders):
    run, _ = made
    hits = run.search("a small ship", to="image", k=5, rerank=5)
    library = CrossEncoder(folders["cross_encoder"], device="cpu")
    texts = run.items[run.items["modality"] == "text"]
    for row in hits.table.itertuples():
        words = texts.loc[(texts["pair_id"] == row.pair_id) & (texts["text"] != "a small ship"), "text"]
        if len(words):
            best = library.predict([("a small ship", word) for word in words]).max()
            assert row.score == pytest.approx(best, abs=1e-5)
    assert "Hits without words to read kept their places: 1 of the first 5." in hits.sentence
    assert (
        run.search("a ship", to="image", k=5, rerank=5, rerank_model="").table["score"].between(-1, 1).all()
    )


def test_images_are_read_by_a_model_that_reads_them(made, folders):
    run, _ = made
    ranked = run.rank(to="image", rerank=2, rerank_model=folders["multimodal"])
    assert ranked.ranked["text-to-image"].reranking.unread == 0
    assert "had none" not in ranked.sentence
    found = run.search("a ship", to="image", k=2, rerank=2, rerank_model=folders["multimodal"]).table
    plain = CrossEncoder(folders["multimodal"], device="cpu")
    pairs = [("a ship", Image.open(path).convert("RGB")) for path in found["image"]]
    np.testing.assert_allclose(found["score"], plain.predict(pairs), atol=1e-5)


def test_what_cannot_rank_again_is_refused(made, folders, tmp_path):
    run, _ = made
    with pytest.raises(ModelError, match="reads texts alone, found an image: ask by a text"):
        run.search(run.sample("image"), to="text", rerank=2)
    with pytest.raises(ModelError, match="is no cross-encoder but a BertModel"):
        run.rank(to="image", rerank_model=folders["bert"])
    with pytest.raises(ModelError, match="is no cross-encoder but a CLIPModel"):
        run.search("a ship", to="image", rerank=2, rerank_model="demo")
    with pytest.raises(ModelError, match="there is no folder"):
        run.rank(to="image", rerank_model=str(tmp_path / "none"))
    with pytest.raises(ValueError, match=r"needs to know how many of the first hits .* set rerank"):
        run.rank(to="image", rerank=0, rerank_model=folders["cross_encoder"])


def test_none_are_ranked_again_where_that_is_asked_for(made):
    run, _ = made
    plain = run.rank(to="image", rerank=0)
    assert list(plain.steps["text-to-image"])[-1] != "reranked"
    assert "Ranking the first" not in plain.sentence
