"""Several retrievers of a run: BM25 in the index, in a search, in all queries, and as the baseline."""

from pathlib import Path

import pytest

from mmlab.retrieve import RetrievalConfig
from mmlab.retrieve.query.rank import LEAVE_OUT, have_joint_space, scan, voting_models

NAMES = ["bm25", "all, fused by rank"]


def test_a_run_ranks_by_the_retrievers_that_it_is_given(demo_run):
    dense, words = demo_run.vectors_of(demo_run.retrievers)
    assert (dense.space.model, words.space.kind) == ("demo", "sparse")
    assert set(words.ids) == set(demo_run.embedded_items["item_id"])
    with pytest.raises(ValueError, match="retrievers: late needs a model of that kind; the models are demo"):
        demo_run.vectors_of(["dense", "late"])


def test_one_text_is_asked_of_each_and_of_all(demo_run):
    answer = demo_run.search_each(demo_run.sample("text"), k=4)
    assert answer.table["retriever"].unique().tolist()[1:] == NAMES
    assert answer.table.groupby("retriever")["rank"].max().tolist() == [4, 4, 4]
    assert "2 retrievers share" in answer.sentence


def test_words_find_items_that_say_them(demo_run):
    label = demo_run.items["label"].iloc[0]
    hits = demo_run.search(label, models="bm25", to="image", k=3)
    assert set(hits.table["label"]) == {label}
    assert hits.method == "term search"


def test_words_that_nobody_says_find_nothing(demo_run):
    assert len(demo_run.search("zyxwv qqq", models="bm25")) == 0
    answer = demo_run.search_each("zyxwv qqq", k=3)
    assert answer.table["retriever"].value_counts().to_dict() == {
        demo_run.all_vectors[0].space.key: 3,
        "all, fused by rank": 3,
    }
    assert answer.sentence == "2 retrievers share 0 hits of their first 3."


def test_an_image_asks_the_model_alone_and_a_text_both(demo_run):
    text, image = demo_run.sample("text"), demo_run.sample("image")
    model = next(iter(demo_run.systems))
    both = demo_run.search(text, image=image, models=[model, "bm25"], fusion="rrf", k=5)
    assert both.method == "exact search and term search"
    with pytest.raises(ValueError, match="no model of this system can be asked by image; ask by text"):
        demo_run.search(image, models="bm25")


def test_what_steers_a_vector_steers_no_words(demo_run):
    for examples in ({"minus": ["blue"]}, {"context": [("red", "blue")]}):
        with pytest.raises(
            ValueError, match=r"plus, minus and context need dense vectors, found bm25-.*: leave"
        ):
            demo_run.search("a red mug", models="bm25", **examples)
    with pytest.raises(
        ValueError, match=r"examples and boost score dense vectors, found bm25-.*: leave them"
    ):
        demo_run.search("a red mug", models="bm25", boost={"width": 1})


def test_all_queries_are_ranked_by_words(demo_run):
    ranked = demo_run.rank(retrievers=["bm25"])
    assert ranked.name == "bm25"
    assert ranked.answers["image-to-text"].empty  # no image can ask
    answer = ranked.answers["text-to-image"]
    assert set(answer["item_id"]) <= set(demo_run.judged().items["item_id"])
    assert (answer["score"] > 0).all()


def test_siblings_are_left_out_of_every_document(demo_run):
    items, vectors = demo_run.judged().items, demo_run.vectors_of(["bm25"])
    queries = vectors[0].asking().take(items.loc[items["modality"] == "text", "item_id"].head(20))
    without = scan(vectors, items, queries, "image", 50)
    label = items.set_index("item_id")["label"]
    # a document is label, colour and pattern alone: items that agree in them have one score
    columns = items.set_index("item_id")[["label", "colour", "pattern"]].astype("str").agg(" ".join, axis=1)
    kinds = (
        without.assign(said=without["item_id"].map(columns)).groupby(["query_id", "said"])["score"].nunique()
    )
    assert (kinds == 1).all()
    assert label.notna().any()


def test_kept_siblings_say_what_the_query_does_not(demo_run):
    kept = demo_run.evaluate(demo_run.rank(retrievers=["bm25"], siblings="keep")).measures
    left_out = demo_run.evaluate(demo_run.rank(retrievers=["bm25"])).measures
    first = [table.set_index(["direction", "measure"])["value"] for table in (kept, left_out)]
    found = [one["text-to-image", "Success@1"] for one in first]
    assert min(found) > 0.5
    assert found[0] != found[1]


def test_words_of_texts_alone_have_no_vote_without_siblings(demo_run):
    items = demo_run.embedded_items
    plain = items.assign(label=None).drop(columns=["colour", "pattern"])
    from mmlab.index.engines.bm25 import word_vectors

    words = word_vectors(plain)
    dense = demo_run.all_vectors[0]
    assert [one.space.kind for one in voting_models([dense, words], plain, "text", LEAVE_OUT)] == ["dense"]
    assert [len(voting_models([dense, words], plain, "text", "keep"))] == [2]
    assert not have_joint_space([words], plain)


def test_fused_retrievers_are_the_answer_of_the_direction_that_asks_both(demo_run):
    ranked = demo_run.rank(retrievers=["dense", "bm25"], fusion="rrf")
    assert list(ranked.ranked["text-to-image"].weights) == [demo_run.all_vectors[0].space.key, "bm25"]
    assert ranked.ranked["image-to-text"].weights == {}
    alone = demo_run.rank(to="text").answers["image-to-text"]
    assert ranked.answers["image-to-text"].equals(alone)


def test_the_answer_is_held_against_the_words(demo_run):
    held = demo_run.evaluate().by_retriever()
    table = held.table.set_index("measure")
    assert table["baseline"].unique().tolist() == ["bm25"]
    own = demo_run.evaluate().measures.set_index(["direction", "measure"])["value"]
    assert table.loc["Success@1", "value"] == own["text-to-image", "Success@1"]


def test_captions_alone_are_no_words_to_be_held_against(demo_run):
    from mmlab.index.engines.bm25 import word_vectors

    plain = demo_run.embedded_items.assign(label=None).drop(columns=["colour", "pattern"])
    demo_run.__dict__["words"] = word_vectors(plain)
    assert "BM25 has nothing but captions to find an image by" in demo_run.evaluate().by_retriever().sentence
    kept = demo_run.evaluate(demo_run.rank(siblings="keep"))
    assert kept.by_retriever().table["baseline"].unique().tolist() == ["bm25"]


def test_of_a_fusion_each_part_is_held_against_the_words_too(demo_run):
    fused = demo_run.evaluate(demo_run.rank(retrievers=["dense", "bm25"], fusion="rrf"))
    assert fused.by_retriever().table["system"].unique().tolist() == ["dense", fused.rankings.name]


def test_a_retriever_that_the_index_lacks_is_named(demo_run):
    with pytest.raises(ValueError, match="found 'late'; run 03_index with late among the retrievers"):
        demo_run.search("a red mug", models="late")


def test_03_tells_what_each_costs(demo_run, tmp_path):
    from mmlab.index import build_index, open_store
    from mmlab.workbench.index_report import IndexReport

    vectors = demo_run.vectors_of(demo_run.retrievers)
    index = build_index(open_store(tmp_path / "own"), "demo", demo_run.items, vectors, progress=False)
    table = IndexReport(index, {}, demo_run.embedded_items, vectors).by_retriever(queries=3).table
    assert table["retriever"].tolist()[1:] == ["bm25"]
    dense, words = vectors
    assert (table["seconds_per_1000"] > 0).all()
    assert table["bytes_per_item"].tolist() == [
        4 * dense.space.dimension,
        8 * len(words.indices) / len(words),
    ]


def test_03_advises_where_an_index_finds_too_few(demo_run):
    from mmlab.workbench.index_report import IndexReport

    report = IndexReport(demo_run.index, {}, demo_run.items)
    assert report._advise(0.9) == ""
    both_in_one_graph = (
        "A larger `ef` finds more, or `layout=separate`, a graph for each modality; exact search finds all."
    )
    assert report._advise(0.468) == f" {both_in_one_graph}"


def test_rescoring_moves_dense_vectors_alone():
    with pytest.raises(ValueError, match="rescoring: 'csls' moves dense vectors .* found an answer by bm25"):
        RetrievalConfig(retrievers=("dense", "bm25"), fusion="rrf", rescoring="csls")
    assert RetrievalConfig(retrievers=("dense", "bm25"), rescoring="csls").retrievers[0] == "dense"
    with pytest.raises(ValueError, match="retrievers: expected .* did you mean dense"):
        RetrievalConfig(retrievers=("dens",))


def test_the_words_are_a_system_that_a_panel_lets_choose(demo_run):
    assert list(demo_run.systems) == [demo_run.all_vectors[0].space.key, "bm25"]


def test_the_notebooks_keep_the_retrievers(demo_data: Path):
    import json

    manifest = json.loads((demo_data / "runs" / "demo" / "manifest.json").read_text())
    assert manifest["steps"]["03_index"]["parameters"]["retrievers"] == ["dense", "bm25"]
