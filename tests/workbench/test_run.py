"""The door: a run, opened, and what it answers."""

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import mmlab
from mmlab.items import is_among


def test_the_door_has_two_names_and_says_so():
    assert dir(mmlab) == ["__version__", "begin_step", "open_run"]
    with pytest.raises(
        AttributeError, match="module 'mmlab' has no attribute 'open'; it has begin_step, open_run"
    ):
        mmlab.open  # noqa: B018


def test_without_a_name_the_runs_are_listed(demo_run):
    runs = mmlab.open_run()
    assert runs.table["name"].tolist() == ["demo"]
    assert runs.table["state"].tolist() == ["finished"]
    assert "1 runs" in runs.sentence or "1 run" in runs.sentence


def test_a_run_that_is_not_there_is_told_with_those_that_are(demo_run):
    with pytest.raises(FileNotFoundError, match="there is no run 'dema' in .*; there are: demo"):
        mmlab.open_run("dema")


def test_a_run_says_what_is_in_it(demo_run):
    counts = demo_run.items["modality"].value_counts()
    assert repr(demo_run).startswith(f"Run('demo': {counts['image']} images and {counts['text']} texts of ")
    assert demo_run.models == ["demo"]
    assert demo_run.parameters["k_values"] == [1, 5, 10]


def test_vectors_are_those_of_the_items(demo_run):
    images = demo_run.vectors("image")
    ids = demo_run.items.loc[demo_run.items["modality"] == "image", "item_id"]
    assert images.ids.tolist() == ids.tolist()
    np.testing.assert_allclose(np.linalg.norm(images.array, axis=1), 1, atol=1e-5)
    assert len(demo_run.vectors()) == len(demo_run.items)
    assert demo_run.vectors("text", model="demo").space == images.space
    with pytest.raises(ValueError, match="modality: expected text, image or None, found 'audio'"):
        demo_run.vectors("audio")
    with pytest.raises(ValueError, match="model: expected one of demo, .*, found 'clip'"):
        demo_run.vectors(model="clip")


def test_a_text_finds_images_and_an_image_texts(demo_run):
    text, photo = demo_run.sample("text"), demo_run.sample("image")
    assert set(demo_run.search(text, k=3).table["modality"]) == {"image"}
    assert set(demo_run.search(photo, k=3).table["modality"]) == {"text"}
    assert set(demo_run.search(photo, to="image", k=3).table["modality"]) == {"image"}
    assert str(photo) not in demo_run.search(photo, to="image", k=120).table["image"].tolist()


def test_a_str_that_names_an_image_asks_by_the_image(demo_run, tmp_path, monkeypatch):
    photo = demo_run.sample("image")
    monkeypatch.chdir(tmp_path)
    Image.open(photo).save(tmp_path / "my photo.png")
    expected = demo_run.search(tmp_path / "my photo.png", k=3).table
    assert demo_run.search("my photo.png", k=3).table.equals(expected)
    both = demo_run.search("a red mug", image="my photo.png", k=3)
    assert both.table.equals(demo_run.search("a red mug", image=Path("my photo.png"), k=3).table)
    many = demo_run.search(["my photo.png", "a red mug"], k=2, to="text")
    assert many.table["query_id"].unique().tolist() == ["my photo.png", "a red mug"]
    assert len(demo_run.search("a mug as in your photo.png", k=2, to="image")) == 2  # a sentence is a text
    with pytest.raises(
        FileNotFoundError, match=r"there is no image 'yours\.jpg' in .*; to ask by these words"
    ):
        demo_run.search("yours.jpg")
    for asked in (
        {"query": "https://x.org/dog.jpg"},
        {"query": "at night", "image": "https://x.org/dog.jpg"},
    ):
        with pytest.raises(
            ValueError, match="a search fetches nothing: save the image of 'https://x.org/dog.jpg'"
        ):
            demo_run.search(**asked)
    with pytest.raises(ValueError, match="two images ask: give one of them"):
        demo_run.search(photo, image="my photo.png")


def test_a_text_of_the_collection_asks_as_it_reads(demo_run):
    named = demo_run.items.copy()
    first = named.index[named["modality"] == "text"][0]
    named.loc[first, "text"] = "IMG_0001.jpg"
    demo_run.__dict__["items"] = named
    assert demo_run.search("IMG_0001.jpg", k=2).query.startswith("“IMG_0001.jpg”")


def test_a_filter_that_asks_for_what_is_not_there_says_what_is(demo_run):
    count = (demo_run.items["label"] == "mug").sum()
    with pytest.raises(
        ValueError, match=r"no item has label 'mugg' \(did you mean 'mug'\?\); values: "
    ) as error:
        demo_run.search("a mug", where={"label": "mugg"})
    assert f"mug ({count})" in str(error.value) or "more" in str(error.value)
    with pytest.raises(
        ValueError, match=r"where: expected a dict such as \{'label': 'mug'\}, found 'label=mug'"
    ):
        demo_run.search("a mug", where="label=mug")


def test_a_search_is_exact_as_the_runs_own_answers_are_and_says_so(demo_run):
    assert " hits by exact search" in demo_run.search("a red mug", k=3).sentence
    by_graph = demo_run.search("a red mug", k=3, exact=False)
    few = not demo_run.index.has_graph(demo_run.index.spaces[0], "image")
    expected = "exact search" if few else "graph search, ef = 50, scalar copies rescored"
    assert by_graph.method == expected
    assert f"3 hits by {expected}" in by_graph.sentence
    panel = demo_run.panel(query="a red mug")
    assert any(
        widget.value is True for widget in controls_in(panel) if "exact" in getattr(widget, "description", "")
    )


def controls_in(box):
    """All widgets inside."""
    inside = getattr(box, "children", ())
    return [*inside, *(one for child in inside for one in controls_in(child))]


def test_hits_are_those_of_exact_search_by_hand(demo_run):
    text = demo_run.sample("text", seed=3)
    hits = demo_run.search(text, k=5)
    images = demo_run.vectors("image")
    query = demo_run.answering["text"].embed(text).array[0]
    best = images.ids[np.argsort(-(images.array @ query), kind="stable")[:5]]
    assert hits.table["item_id"].tolist() == best.tolist()
    assert hits.timings.keys() >= {"embed_ms", "search_ms", "payload_ms"}


def test_a_filter_holds_and_one_that_suits_the_first_hit_is_offered(demo_run):
    hits = demo_run.search(demo_run.sample("text"), k=5)
    where = demo_run.filter_like(hits)
    [(field, value)] = where.items()
    assert hits.table[field].iloc[0] == value
    found = demo_run.search(demo_run.sample("text"), k=3, where=where).table
    assert len(found) > 0
    assert set(found[field]) == {value}


def test_examples_ask_alone_and_are_none_of_their_hits(demo_run):
    photo, other = demo_run.sample("image", 2)
    hits = demo_run.search(plus=[str(photo)], minus=[other, "blue"], recommend="best_score", k=5)
    assert set(hits.table["modality"]) == {"image"}
    assert not set(hits.table["image"]) & {str(photo), str(other)}
    assert hits.query == f"like {photo.name}, not like {other.name}, not like “blue” → image"
    assert "hits by exact search, scored by best_score" in hits.sentence
    texts = demo_run.search(context=[(photo, other)], to="text", k=3)
    assert set(texts.table["modality"]) == {"text"}
    assert texts.right is None
    with pytest.raises(ValueError, match="the query is empty.*recommend='rocchio' needs one"):
        demo_run.search(plus=[photo])


def test_what_a_collection_lacks_is_no_example(demo_run):
    plain = demo_run.search("a red mug", k=3)
    nothing = {"plus": [None], "minus": [None], "context": [(demo_run.sample("image"), None)]}
    asked = demo_run.search("a red mug", recommend="best_score", **nothing, k=3)
    assert asked.table["item_id"].tolist() == plain.table["item_id"].tolist()
    with pytest.raises(ValueError, match="the query is empty: give a text, an image, or both"):
        demo_run.search(recommend="best_score", **nothing)


def test_a_boost_of_many_queries_adds_to_their_scores(demo_run):
    texts = demo_run.sample("text", 2)
    field = {"width": -0.001}
    hits = demo_run.search(texts, k=3, boost=field).table
    alone = demo_run.search(texts[1], k=3, boost=field).table
    assert hits["item_id"][3:].tolist() == alone["item_id"].tolist()
    with pytest.raises(ValueError, match="boost: expected a field of numbers, 'label' holds keyword"):
        demo_run.search("a red mug", boost={"label": 1})


def test_many_queries_are_one_call_and_one_table(demo_run, tmp_path):
    texts = demo_run.sample("text", 3)
    hits = demo_run.search(texts, k=2)
    assert hits.table["query_id"].drop_duplicates().tolist() == texts
    assert hits.table.groupby("query_id").size().tolist() == [2, 2, 2]
    for number in range(2):
        Image.new("RGB", (32, 32), (200, number, 30)).save(tmp_path / f"{number}.png")
    (tmp_path / "notes.txt").write_text("no image")
    folder = demo_run.search(tmp_path, k=2)
    assert folder.table["query_id"].unique().tolist() == ["0.png", "1.png"]
    assert [row["reason"] for row in folder.skipped] == ["not an image"]


def test_vectors_ask_as_the_text_that_they_are_of(demo_run):
    texts = demo_run.vectors("text")
    asked = texts.take(texts.ids[:2])
    found = demo_run.search(asked, to="image", k=1).table
    assert found["query_id"].tolist() == asked.ids.tolist()
    assert set(found["modality"]) == {"image"}


def test_text_and_image_ask_together(demo_run):
    text, photo = demo_run.sample("text"), demo_run.sample("image", seed=5)
    only_text = demo_run.search(text, image=photo, weight=1.0, k=5).table["item_id"].tolist()
    assert only_text == demo_run.search(text, k=5).table["item_id"].tolist()
    fused = [
        demo_run.search(text, image=photo, fusion="rrf", rrf_k=k, k=3).table["score"].iloc[0] for k in (1, 60)
    ]
    assert fused[0] > fused[1]
    with pytest.raises(ValueError, match="the query is empty"):
        demo_run.search()


def test_a_calibrated_search_tells_a_probability(demo_run):
    table = demo_run.search(demo_run.sample("text"), k=3, calibration="logistic").table
    assert table["probability"].between(0, 1).all()
    assert table["probability"].is_monotonic_decreasing


def test_a_calibration_says_once_where_it_was_not_fitted(demo_run):
    asked = {"k": 3, "calibration": "logistic"}
    text, label = demo_run.sample("text"), demo_run.items["label"].iloc[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain, filtered = (demo_run.search(text, where=where, **asked) for where in (None, {"label": label}))
    assert "probabilities" not in plain.sentence
    for shown in (filtered.sentence, repr(filtered), filtered._repr_html_()):
        assert shown.count("probabilities may be off") == 1
    assert f"no filter (here label = {label})" in filtered.note.replace("\\", "")


def test_hits_know_what_is_right_and_render_as_images(demo_run):
    known = demo_run.items[demo_run.items["modality"] == "text"].iloc[0]
    hits = demo_run.search(known["text"], k=5)
    own = demo_run.items[
        (demo_run.items["modality"] == "image") & (demo_run.items["pair_id"] == known["pair_id"])
    ]
    assert hits.right == frozenset(own["item_id"])
    assert hits._repr_html_().count("data:image/jpeg") == 5
    assert demo_run.search("a text that nobody wrote", k=2).right is None


def test_a_hit_is_explained(demo_run):
    why = demo_run.search("a red mug", k=2).explain(rank=2)
    assert len(why.cells) == 49
    assert why.words["word"].tolist() == ["a", "red", "mug"]
    assert len(why.captions) == 3
    with pytest.raises(ValueError, match="explain: there are 2 hits, found rank 3"):
        demo_run.search("a red mug", k=2).explain(rank=3)
    with pytest.raises(ValueError, match="expected the hits of one text query for images"):
        demo_run.search(demo_run.sample("image"), k=2).explain()


def test_ranking_all_queries_again_gives_the_runs_own_answers(demo_run):
    ranked = demo_run.rank()
    for direction, answer in ranked.answers.items():
        pd.testing.assert_frame_equal(answer.reset_index(drop=True), demo_run.rankings.answers[direction])
    assert all(ranked.checks.values())
    assert list(demo_run.rank(to="text", depth=3).answers) == ["image-to-text"]
    assert demo_run.rank(to="text", depth=3).table.groupby("query_id").size().max() == 3


def test_the_runs_evaluation_is_what_05_wrote(demo_run):
    from mmlab.runs.report.summary import read_metrics

    written = pd.DataFrame(read_metrics(demo_run.folder / "metrics.json")["measures"])
    pd.testing.assert_frame_equal(written, demo_run.evaluate().measures, check_dtype=False)


def test_the_waterfall_ends_at_the_measure(demo_run):
    evaluation = demo_run.evaluate()
    falls = evaluation.failures(k=1).table.groupby("direction")["queries"].sum()
    for direction, scores in evaluation.per_query.items():
        assert falls[direction] == scores["Success@1"].sum()
    assert "Not in the answer" in evaluation.failures(k=1).sentence


def test_another_way_to_rank_is_compared_query_by_query(demo_run):
    mine = demo_run.rank(to="image", rescoring="centring")
    difference = demo_run.evaluate(mine).compare(demo_run.evaluate())
    row = difference.table.set_index("measure").loc["Success@1"]
    assert row["system"] == "rescoring centring"
    assert row["baseline"] == "demo"
    assert row["difference_low"] <= row["difference"] <= row["difference_high"]
    assert "Success@1 over" in difference.sentence
    same = demo_run.evaluate().compare(demo_run.evaluate())
    assert (same.table["difference"] == 0).all()


def test_what_is_sampled_is_repeated_by_its_seed(demo_run):
    assert demo_run.sample("text", 4, seed=2) == demo_run.sample("text", 4, seed=2)
    assert isinstance(demo_run.sample("image"), Path)
    texts = demo_run.items.loc[demo_run.items["modality"] == "text", "text"]
    assert set(demo_run.sample("text", 4)) <= set(texts)


def test_right_answers_are_those_of_the_pair(demo_run):
    qrels = demo_run.qrels("image")
    pair = demo_run.items.set_index("item_id")["pair_id"]
    assert (qrels["query_id"].map(pair) == qrels["item_id"].map(pair)).all()
    assert is_among(qrels["item_id"], demo_run.vectors("image").ids).all()


@pytest.mark.parametrize("kind", ["query", "compare", "inspect"])
def test_panels_open(demo_run, kind):
    assert len(demo_run.panel(kind).children) > 2


def test_what_is_chosen_on_the_map_filters_a_search(demo_run):
    panel = demo_run.panel("map")
    assert len(panel.views[0].rows) == len(demo_run.embedded_items)  # all of them, no sample
    images = np.flatnonzero(panel.views[0].rows["modality"] == "image")[:5]
    panel.views[0].widget.selection = images.astype("uint32")
    hits = demo_run.search("a red mug", where=panel.where, k=20)
    assert set(hits.table["item_id"]) == set(panel.selection["item_id"])
    assert set(panel.selection["modality"]) == {"image"}


def test_the_maps_colours_include_whether_the_answer_was_found(demo_run):
    panel = demo_run.map(20).panel()
    panel.colour.value = "result"
    assert set(panel.views[0].table["colour"]) <= {"found first", "missed", "not judged"}
    assert len(panel.views[0].rows) == 40


def test_without_the_extra_the_atlas_says_what_to_install(demo_run, monkeypatch):
    monkeypatch.setitem(sys.modules, "embedding_atlas", None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[atlas\]'"):
        demo_run.atlas()


def test_the_atlas_holds_items_images_and_neighbours(demo_run):
    pytest.importorskip("embedding_atlas", reason="embedding-atlas is an extra: pip install -e '.[atlas]'")
    table = demo_run.atlas(pairs=20, neighbours=3).selection()
    assert len(table) == 40
    assert set(table["map_image"].notna() == (table["modality"] == "image")) == {True}
    assert table["map_image"].dropna().map(lambda image: bytes(image[:3]) == b"\xff\xd8\xff").all()


def test_neighbours_of_the_atlas_are_those_of_exact_search_by_hand(demo_run):
    maps = demo_run.map(20)
    [vectors] = maps.vectors
    cosines = vectors.array @ demo_run.all_vectors[0].array.T
    for row, nearest in enumerate(maps._nearest(2)):
        others = demo_run.all_vectors[0].ids[np.argsort(-cosines[row], kind="stable")]
        known = [item for item in others[:3] if item != vectors.ids[row] and item in set(vectors.ids)]
        assert nearest["ids"][: len(known)] == known[:2]


def test_an_unknown_panel_is_told_with_those_that_are_known(demo_run):
    with pytest.raises(
        ValueError, match="panel: expected one of query, compare, browse, inspect, judge, map, found 'graph'"
    ):
        demo_run.panel("graph")
