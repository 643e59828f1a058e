import pandas as pd
import pytest

from mmlab.ingest.book import keep_book, pair_up
from mmlab.ingest.images import Picture


@pytest.fixture
def pictures():
    """Four files: a and its copy, b, and one that is damaged."""
    found = {"a": Picture("/a", "hash-a", 3, 2), "b": Picture("/b", "hash-b", 3, 2)}
    found |= {"copy of a": Picture("/c", "hash-a", 3, 2), "bad": Picture(reason="damaged file", detail="cut")}
    return pd.DataFrame(found.values(), index=list(found), columns=Picture._fields).astype({"content": "str"})


def booked(pictures, rows, min_words=2):
    rows = pd.DataFrame(rows, columns=["image", "caption"], index=range(1, len(rows) + 1))
    return keep_book(rows, pair_up(pictures), min_words)


def test_the_first_of_equal_files_names_the_pair(pictures):
    pairs = pair_up(pictures)["pair_id"]
    assert pairs[["a", "copy of a", "b"]].tolist() == ["a", "a", "b"]
    assert pd.isna(pairs["bad"])


def test_each_row_has_one_outcome(pictures):
    rows = [("a", "red shoe"), ("a", ""), ("b", "shoe"), ("bad", "red shoe"), ("bad", ""), ("b", "red shoe")]
    book = booked(pictures, rows)
    expected = ["text item", "no caption", "short caption", "damaged file", "damaged file", "text item"]
    assert book["outcome"].tolist() == expected
    assert book["detail"].dropna().to_dict() == {3: "1 words, expected at least 2", 4: "cut", 5: "cut"}


def test_a_caption_is_repeated_within_its_pair_only(pictures):
    rows = [("a", "red shoe"), ("b", "red shoe"), ("a", " red<br>shoe"), ("copy of a", "red shoe")]
    book = booked(pictures, rows)
    assert book["outcome"].tolist() == ["text item", "text item", "repeated caption", "repeated caption"]
    assert book["detail"].tolist()[2:] == ["said before in row 1"] * 2


def test_without_min_words_only_nothing_is_too_short(pictures):
    book = booked(pictures, [("a", "shoe"), ("a", "<br>")], min_words=0)
    assert book["outcome"].tolist() == ["text item", "short caption"]


def test_words_are_counted_after_cleaning(pictures):
    book = booked(pictures, [("a", "<b> shoe </b> &nbsp; <!-- many words here -->")])
    assert book["outcome"].tolist() == ["short caption"]
    assert book["text"].tolist() == ["shoe"]
