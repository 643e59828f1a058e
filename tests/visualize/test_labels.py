"""Labels in scripts that matplotlib's own font has, that another font has, and that none has."""

import io
import shutil

import matplotlib as mpl
import pandas as pd
import pytest
from PIL import Image

from mmlab.visualize import bars, figure
from mmlab.visualize.image_figures import image_grid
from mmlab.visualize.style import (
    _find_fonts,
    fit_labels,
    label_width,
    load_matplotlib,
    shorten_label,
    wrap_label,
)
from mmlab.workbench.result import Result

THAI, CHINESE, FRAKTUR = (
    "สุนัข",
    "红色杯子",
    "𝔄𝔅",
)  # the last is in DejaVu Math TeX Gyre and STIX, not in DejaVu Sans


@pytest.fixture
def fonts(monkeypatch):
    """A function that leaves only these font files to be found on the system; matplotlib's own stay."""

    def leave(*paths):
        manager = load_matplotlib().font_manager
        own = [entry for entry in manager.fontManager.ttflist if mpl.get_data_path() in entry.fname]
        monkeypatch.setattr(manager, "findSystemFonts", lambda *_, **__: list(map(str, paths)))
        monkeypatch.setattr(manager.fontManager, "ttflist", own)
        _find_fonts.cache_clear()

    yield leave
    _find_fonts.cache_clear()


def drawn(*names):
    fig, (ax,) = figure()
    bars(ax, names, [1] * len(names), "items", names[0])
    return fig


def names_in(fig):
    return [label.get_text() for label in fig.axes[0].get_yticklabels()]


def test_ordinary_labels_cost_no_search(monkeypatch):
    monkeypatch.setattr("mmlab.visualize.style._find_fonts", lambda _: pytest.fail("fonts were searched"))
    fig = drawn("mug", "Größe", "κούπα", "кружка", "كوب")
    assert fit_labels(fig) == {}
    assert names_in(fig) == ["mug", "Größe", "κούπα", "кружка", "كوب"]


def test_a_label_that_no_font_can_write_is_numbered_and_stands_beside(fonts):
    fonts()
    fig = drawn("mug", f"1. {THAI} $5", CHINESE, f"2. {THAI}")
    assert fit_labels(fig) == {"[1]": THAI, "[2]": CHINESE}
    fig.savefig(io.BytesIO())  # drawing keeps what was put in their places
    assert names_in(fig) == ["mug", "1. [1] $5", "[2]", "2. [1]"]
    assert fit_labels(fig) == {}


def test_a_font_that_has_the_letters_is_taken_also_one_that_matplotlib_does_not_know_yet(fonts, tmp_path):
    fonts()
    cmr = shutil.copy(f"{mpl.get_data_path()}/fonts/ttf/STIXGeneral.ttf", tmp_path / "stix.ttf")
    fonts(cmr)
    fig = drawn("mug", FRAKTUR)
    assert fit_labels(fig) == {}
    plain, other = (label.get_fontfamily() for label in fig.axes[0].get_yticklabels())
    assert plain == ["sans-serif"]
    assert other[0] == "sans-serif"
    assert len(other) == 2
    assert names_in(fig) == ["mug", FRAKTUR]


def test_letters_that_join_are_not_written_by_a_matplotlib_that_cannot_shape_them(fonts, monkeypatch):
    fonts()
    monkeypatch.delattr(load_matplotlib().ft2font, "__libraqm_version__", raising=False)
    assert fit_labels(drawn("mug", "كوب")) == {"[1]": "كوب"}


def test_a_result_shows_the_numbered_labels_and_keeps_them_in_the_file(fonts, tmp_path):
    fonts()
    result = Result(pd.DataFrame({"n": [1]}), "One *mug*.", lambda: drawn("mug", f"<b>{THAI}"))
    shown = result._repr_html_()
    assert f"In the figure: [1] {THAI}." in shown
    with Image.open(result.save(tmp_path / "figure.png") and tmp_path / "figure.png") as image:
        assert image.text["Description"].startswith("One *mug*. In the figure:")
        assert THAI in image.text["Description"]


def test_the_width_of_a_label_counts_wide_letters_twice_and_marks_not_at_all():
    assert [label_width(text) for text in ("mug", CHINESE, "e\u0301", "")] == [3, 8, 1, 0]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a red mug, on a table", ["a red mug,", "on a table"]),
        ("一只黑狗在草地上奔跑", ["一只黑狗在", "草地上奔跑"]),
        ("extraordinarily", ["extraordin", "arily"]),
        ("", [""]),
    ],
)
def test_lines_end_between_words(text, lines):
    assert wrap_label(text, 10) == lines


def test_a_long_name_keeps_its_beginning_in_every_script():
    assert shorten_label("a mug", 28) == "a mug"
    assert shorten_label("the red mug with a very long name of its own", 28) == "the red mug with a very…"
    assert shorten_label("红色杯子" * 10, 28) == "红色杯子红色杯子红色杯子…"
    assert shorten_label("x" * 40, 28) == "x" * 27 + "…"


def test_captions_of_images_are_lines_that_fit():
    fig = image_grid([None], ["1. 0.3  " + "红色杯子" * 9])
    assert all(label_width(line) <= 22 for line in fig.axes[0].get_title().split("\n"))
