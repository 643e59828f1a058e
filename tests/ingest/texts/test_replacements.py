import pytest

from mmlab.ingest.texts.replacements import Replacements, read_replacements


@pytest.fixture
def table(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "words.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def test_whole_words_are_replaced_whatever_their_capitals(table):
    words = read_replacements(table("find,replace\ntv,television\nC++,C plus plus\n"))
    assert words("A TV, a tv-set and a tvset in c++!") == (
        "A television, a television-set and a tvset in C plus plus!"
    )


def test_the_longest_entry_wins_and_what_was_put_in_stays():
    words = Replacements({"polo": "shirt", "polo shirt": "polo", "shirt": "top"})
    assert words("polo shirt, polo, shirt") == "polo, shirt, top"


def test_an_entry_without_a_replacement_is_left_out():
    assert Replacements({"stock photo": ""})("A dog stock photo on grass") == "A dog on grass"


def test_a_text_without_any_entry_stays_as_it_is():
    assert Replacements({"dog": "puppy"})("two  spaces") == "two  spaces"
    assert Replacements({})("two  spaces") == "two  spaces"


def test_signs_in_an_entry_mean_themselves():
    assert Replacements({"a.c": "x", "(b)": r"\1"})("abc a.c (b)") == r"abc x \1"


def test_a_thousand_entries_do_their_work():
    words = Replacements({f"word{n}": f"w{n}" for n in range(1000)})
    assert words("word7 word77 word777 word7777") == "w7 w77 w777 word7777"


def test_both_columns_are_cleaned_as_captions_are_and_others_do_not_matter(table):
    words = read_replacements(table("note,find,replace\nwhy, cafe\u0301 ,<b>bar</b>\n", "utf-8-sig"))
    assert words("a café") == "a bar"
    assert repr(words) == "Replacements(1 entries)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected the columns find and replace, found nothing"),
        ("find,with\na,b\n", r"line 1: expected the columns find and replace, found \['find', 'with'\]"),
        ("find,replace\na,b\n ,c\n", "line 3: find is empty"),
        ("find,replace\na,b\nA,c\n", "line 3: 'A' is already in line 2"),
        ("find,replace\na\n", "line 2: expected two cells, found 'a' alone"),
        ('find,replace\na,"' + "x" * 200_000, "expected a csv in UTF-8"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_with_its_line(table, text, message):
    with pytest.raises(ValueError, match=message):
        read_replacements(table(text))


def test_a_table_in_another_encoding_is_refused(table):
    with pytest.raises(ValueError, match="expected a csv in UTF-8"):
        read_replacements(table("find,replace\ncafé,bar\n", "latin-1"))


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(ValueError, match="none.csv: expected a csv with .* found no file"):
        read_replacements(tmp_path / "none.csv")
