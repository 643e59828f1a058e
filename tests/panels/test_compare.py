import re

from mmlab.panels import Question, compare_answers
from mmlab.panels.asking import systems_of
from mmlab.panels.compare import ComparePanel


def test_it_shows_its_static_twin_and_asks_again(collection):
    systems = {"one": collection.retriever, "two": collection.retriever}
    panel = ComparePanel(systems, collection.items, "a red mug", 3)
    times = re.compile(r"\d+ ms")
    first, second = (Question(text="a red mug", k=3, systems=(name,)) for name in systems)
    expected = compare_answers(systems_of(systems), first, second, collection.items)
    assert times.sub("", panel.result.value) == times.sub("", str(expected))
    assert "Nothing moved" in panel.result.value
    panel.sides[1].exact.value = True
    assert "exact: False | True" in panel.result.value
    panel.form.text.value = " "
    assert "ValueError: the query is empty" in panel.result.value
