"""The rules of an evaluation, and published results beside a run."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import qrels_from_pairs
from mmlab.evaluate.protocol import (
    benchmark_name,
    check_same_items,
    check_same_split,
    compare_with_published,
    protocol_card,
    read_published,
    split_hash,
    transpose_card,
)
from mmlab.items import DIRECTIONS, ITEM_COLUMNS, Space, Vectors
from tests.conftest import find_shared

ITEMS = pd.DataFrame(
    {
        "item_id": ["t1", "t2", "t3", "t4", "i1", "i2"],
        "modality": ["text"] * 4 + ["image"] * 2,
        "pair_id": ["a", "a", "b", "gone", "a", "b"],
        "split": "test",
        "origin": ["caption"] * 4 + ["image"] * 2,
    }
)


def card(kept=ITEMS, split="test", answering=None, items=ITEMS):
    space = Space("some/model", "1", "", "a photo of {}", "", 6)
    texts, images = ITEMS["item_id"][:4], ITEMS["item_id"][4:]
    both = {"text": Vectors(texts, np.eye(6)[:4], space), "image": Vectors(images, np.eye(6)[4:], space)}
    qrels = {
        "text-to-image": qrels_from_pairs(kept, "text", "image"),
        "image-to-text": qrels_from_pairs(kept, "image", "text"),
    }
    rankings = {name: pd.DataFrame({"rank": [1, 2]}) for name in qrels}
    rules = {"text-to-image": {"fitted on": "nothing"}, "image-to-text": {"fitted on": "weights: val"}}
    return protocol_card(both, items, qrels, rankings, split, rules, answering)


def test_the_card_counts_queries_gallery_and_captions():
    texts, images = card().to_dict("records")
    assert (texts["queries"], texts["not judged"], texts["gallery"]) == (3, 1, 2)
    assert (images["queries"], images["not judged"], images["gallery"]) == (2, 0, 4)
    assert texts["captions per image"] == images["captions per image"] == 3 / 2
    assert (texts["right answers per query"], images["right answers per query"]) == (3 / 3, 3 / 2)
    assert (texts["ranks kept"], texts["model"], texts["prompt"]) == (2, "some/model", "a photo of {}")
    assert "against the system" in texts["tie rule"]
    assert texts["split"] == "test"


def test_captions_that_were_made_to_be_wrong_are_counted_where_they_can_be_found():
    name = "wrong captions in the gallery"
    assert name not in card()
    origin = ITEMS["origin"].mask(ITEMS["item_id"] == "t4", "negative")
    assert card(items=ITEMS.assign(origin=origin))[name].tolist() == [0, 1]


def test_the_card_says_what_is_judged_and_what_else_served():
    assert card()["fitted on"].tolist() == ["nothing", "weights: val"]
    assert card(split="all")["split"].tolist() == ["all: test"] * 2


def test_the_card_says_on_which_side_texts_are_embedded_for_each_model_that_answers():
    space = Space("bge", "1", "", "", "", 6)
    queries = Vectors(["t1"], np.eye(6)[[5]], space)
    apart = Vectors(["t1", "i1"], np.eye(6)[:2], space, queries)
    alike = Vectors(["t1", "i1"], np.eye(6)[:2], Space("clip", "1", "", "a photo of {}", "", 6))
    assert card()["side of texts"].tolist() == ["queries and documents alike"] * 2
    several = card(answering={"text-to-image": [alike, apart], "image-to-text": [apart]})
    assert several["side of texts"].tolist() == ["queries and documents alike + queries", "documents"]
    assert several["model"].tolist() == ["clip + bge", "bge"]
    assert several["prompt"].tolist() == ["a photo of {} + none", "none"]


def test_a_card_of_one_query_and_of_none_counts_what_there_is():
    one, none = (card(kept).iloc[0] for kept in (ITEMS[ITEMS["item_id"].isin(["t1", "i1"])], ITEMS.head(2)))
    assert (one["queries"], one["right answers per query"]) == (1, 1)
    assert (none["queries"], none["not judged"], none["right answers per query"]) == (0, 4, 0)


def test_it_can_be_read_with_a_column_per_direction():
    shown = transpose_card(card())
    assert list(shown.columns) == ["rule", "text-to-image", "image-to-text"]
    assert shown.set_index("rule").loc["captions per image"].tolist() == ["1.50", "1.50"]


def test_numbers_are_written_to_be_read():
    table = pd.DataFrame(
        {"direction": ["a", "b"], "queries": [12345, 0], "mean": [1234.5, 2.0], "rule": ["x", ""]}
    )
    shown = transpose_card(table).set_index("rule")
    assert shown.loc["queries"].tolist() == ["12,345", "0"]
    assert shown.loc["mean"].tolist() == ["1,234.50", "2.00"]
    assert shown.loc["rule"].tolist() == ["x", ""]


def test_the_card_names_the_splits_of_what_is_judged_and_the_prompt():
    space = Space("some/model", "1", "", "", "", 6)
    items = ITEMS.assign(split=["val", "test", None, "never embedded", "test", "val"])
    both = {
        "text": Vectors(["t1", "t2", "t3"], np.eye(6)[:3], space), "image": Vectors(["i1", "i2"], np.eye(6)[4:], space)
    }  # fmt: skip
    qrels = {name: qrels_from_pairs(items, *pair) for name, pair in DIRECTIONS.items()}
    rankings = {
        "text-to-image": pd.DataFrame({"rank": [1, 2, 7]}),
        "image-to-text": pd.DataFrame({"rank": []}),
    }
    texts, images = protocol_card(both, items, qrels, rankings).to_dict("records")
    assert texts["split"] == images["split"] == "all: test, val"
    assert (texts["ranks kept"], images["ranks kept"]) == (7, 0)
    assert texts["prompt"] == "none"
    assert texts["split hash"] == split_hash(items[items["item_id"] != "t4"])
    without = protocol_card(both, items.assign(split=None), qrels, rankings)
    assert without["split"].tolist() == ["all", "all"]
    assert protocol_card(both, items, qrels, rankings, split="test")["split"].tolist() == ["test", "test"]


def test_the_hash_tells_the_items_not_their_order():
    assert split_hash(ITEMS) == split_hash(ITEMS[::-1]) == card()["split hash"].iloc[0]
    assert split_hash(ITEMS) != split_hash(ITEMS[1:])
    assert len(split_hash(ITEMS)) == 12


SOURCE = find_shared("published-rows.csv")
B32 = "openai/clip-vit-base-patch32"


def measures(**values: float) -> pd.DataFrame:
    rows = [("text-to-image", name.replace("_", "@"), value) for name, value in values.items()]
    return pd.DataFrame(rows, columns=["direction", "measure", "value"])


def test_a_run_stands_beside_its_row_near_or_with_reasons() -> None:
    own = measures(Success_1=0.5878 + 0.005, Success_5=0.8356 - 0.0051, RR=0.5).assign(low=0.5, high=0.9)
    near, far = compare_with_published(B32, "flickr30k-1k", own).to_dict("records")
    assert (near["measure"], near["published"], near["near"], near["reasons"]) == (
        "Success@1",
        0.5878,
        True,
        "",
    )
    assert (near["low"], near["high"]) == (0.5, 0.9)
    assert near["difference"] == pytest.approx(0.005)
    assert not far["near"]
    for reason in ("one caption per image", "prompt", "resized", "equal scores"):
        assert reason in far["reasons"]


def test_another_gallery_or_number_of_captions_is_the_first_reason() -> None:
    (row,) = compare_with_published(B32, "flickr30k-1k", measures(Success_1=0.9), 200, 1).to_dict("records")
    assert row["reasons"].startswith(
        "images: 200 here, 1000 published; captions per image: 1 here, 5 published; "
    )
    (row,) = compare_with_published(B32, "flickr30k-1k", measures(Success_1=0.9), 1000, 5).to_dict("records")
    assert "published" not in row["reasons"]


def test_a_model_goes_by_its_short_name_too_and_an_unknown_one_has_no_rows() -> None:
    own = measures(Success_1=0.5)
    assert len(compare_with_published("ViT-B-32/openai", "mscoco-5k", own)) == 1
    for model, dataset in (("demo", "mscoco-5k"), (B32, "demo")):
        table = compare_with_published(model, dataset, own)
        assert table.empty
        assert list(table.columns[:4]) == ["direction", "measure", "value", "published"]


def test_another_row_is_another_line(tmp_path: Path) -> None:
    columns = "checkpoint,model,pretrained,dataset,images,captions_per_image,source"
    path = tmp_path / "mine.csv"
    path.write_text(f"# mine\n{columns},text-to-image Success@1\nme/net,net,mine,set,10,1,a paper,50\n")
    (row,) = compare_with_published(
        "me/net", "set", measures(Success_1=0.5), published=read_published(path)
    ).to_dict("records")
    assert (row["published"], row["near"], row["source"]) == (0.5, True, "a paper")
    path.write_text(f"{columns},text-to-image Success@1\nme/net,net,mine,set,10,1,a paper,500\n")
    with pytest.raises(ValueError, match="in percent, found 'text-to-image Success@1' with 500"):
        read_published(path)
    path.write_text(
        f"{columns},text-to-image Success@1,image to text\nme/net,net,mine,set,10,1,a paper,0,100\n"
    )
    with pytest.raises(ValueError, match="found 'image to text' with 100"):
        read_published(path)
    path.write_text(
        f"{columns},text-to-image R@1,image-to-text R@5\nme/net,net,mine,set,10,1,a paper,0,100\n"
    )
    rows = read_published(path)
    assert rows[["direction", "measure", "published"]].to_numpy().tolist() == [
        ["text-to-image", "R@1", 0], ["image-to-text", "R@5", 1],
    ]  # fmt: skip
    (gap,) = compare_with_published(
        "net/mine", "set", pd.DataFrame({"direction": ["image-to-text"], "measure": "R@5", "value": 0.5}), 9, 1,
        published=rows,
    ).to_dict("records")  # fmt: skip
    assert gap["reasons"].startswith("images: 9 here, 10 published; ")
    assert "captions per image" not in gap["reasons"].split("; ")[1]


@pytest.mark.skipif(not SOURCE.exists(), reason="the table that the rows came from is not on this machine")
def test_the_rows_are_those_of_the_source() -> None:
    source = pd.read_csv(SOURCE, comment="#").melt(
        ["model", "pretrained", "dataset", "images", "captions_per_image"]
    )
    short = {"text-to-image": "t2i", "image-to-text": "i2t"}
    ours = read_published()
    names = ours["direction"].map(short) + "@" + ours["measure"].str.removeprefix("Success@")
    keys = ["model", "pretrained", "dataset", "images", "captions_per_image", "variable"]
    both = source.merge(ours.assign(variable=names), on=keys, validate="1:1")
    assert len(both) == len(source) == len(ours)
    assert (both["value"] / 100).tolist() == pytest.approx(both["published"].tolist())
    assert ours["source"].notna().all()


def test_a_dataset_is_published_under_the_last_part_of_its_name() -> None:
    for given, name in (
        ("data/flickr30k-1k", "flickr30k-1k"),
        ("/x/mscoco-5k.parquet", "mscoco-5k"),
        ("", "unknown"),
    ):
        assert benchmark_name({"steps": {"01_ingest": {"parameters": {"dataset": given}}}}) == name
    assert benchmark_name({"steps": {}}) == "unknown"


COMPARED = pd.DataFrame(
    {
        "item_id": ["i1", "t1", "t2"],
        "modality": ["image", "text", "text"],
        "pair_id": ["1.jpg", "1.jpg", "1.jpg"],
        "text": [None, "a red mug", "a cup"],
        "image": ["/1.jpg", None, None],
        "split": ["test", "test", None],
    }
).reindex(columns=ITEM_COLUMNS)


def test_the_items_are_those_of_the_first_run():
    assert check_same_items({"a": COMPARED, "b": COMPARED.iloc[::-1]}) is COMPARED


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (COMPARED.iloc[:2],
         "a and b are over different items .* 1 of a are not in b, first the text 'a cup'; run both"),
        (COMPARED.assign(item_id=["i1", "t1", "t3"]), "1 of a are not in b, first the text 'a cup'"),
        (COMPARED.assign(split=["train", "test", None]),
         "different splits .*: 1 items, first the image '1.jpg', which is 'test' in a and 'train' in b"),
        (COMPARED.assign(split="test"), "first the text 'a cup', which is 'none' in a and 'test' in b"),
    ],
)  # fmt: skip
def test_other_items_and_other_splits_are_refused(items, message):
    with pytest.raises(ValueError, match=message):
        check_same_items({"a": COMPARED, "b": items})


def test_items_that_only_the_other_has_are_told():
    with pytest.raises(ValueError, match="1 of a are not in b"):
        check_same_items({"b": COMPARED.iloc[:2], "a": COMPARED})


def test_runs_that_judge_another_split_are_refused():
    assert check_same_split({"a": "test", "b": "test"}) == "test"
    with pytest.raises(ValueError, match="a judges test and c judges all, .* of c with -p split=test"):
        check_same_split({"a": "test", "b": "test", "c": "all"})
