"""Words of texts in languages with spaces between words and without."""

import pytest

from mmlab.items.sentences import count_words, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("!!! ... –", 0),
        ("Rafting boat on river .", 4),
        ("it's 3.5 metres", 3),
        ("一只黑狗在草地上奔跑", 6),  # 一只 黑狗 在 草地 上 奔跑
        ("红色杯子", 2),
        ("赤いマグカップ", 2),
        ("สุนัขวิ่งบนหญ้า", 4),  # dog, run, on, grass
        ("개가 잔디 위를 달린다", 4),
        ("कुत्ता घास पर दौड़ता है", 5),
        ("كلب يجري على العشب", 4),
        ("你好 world", 2),
        ("🐶🐶 dog", 1),
    ],
)
def test_words_are_counted_in_every_script(text, words):
    assert count_words(text) == words


def test_the_parts_of_a_text_are_what_spaces_part_with_the_marks_of_each():
    assert split_words("A red mug, on e-mail: yes") == ["A ", "red ", "mug, ", "on ", "e-mail: ", "yes"]
    assert split_words("") == []


@pytest.mark.parametrize("text", ["“红色杯子”，放在桌上。", "「赤い カップ」", "สุนัข วิ่งบนหญ้า!", "a 红杯子, b"])
def test_the_parts_are_the_text_and_each_is_a_word(text):
    parts = split_words(text)
    assert "".join(parts) == text
    assert [count_words(part) for part in parts] == [1] * count_words(text)
