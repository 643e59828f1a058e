"""Results show their figure, sentence and table, and are saved by the ending of the file."""

import pandas as pd
import pytest
from PIL import Image

from mmlab.items.tables import TooFew
from mmlab.visualize import Html, figure
from mmlab.visualize.style import PNG_DOTS_PER_INCH
from mmlab.workbench import Report, Result
from mmlab.workbench.result import image_tag, no_table, or_reason

TABLE = pd.DataFrame({"k": [1, 5], "found": [0.25, 0.5]})


def empty_figure():
    return figure(width=4, height=2)[0]


def test_a_result_shows_its_figure_then_its_sentence_then_its_table():
    html = Result(TABLE, "Half is *found*.", empty_figure, caption="By k")._repr_html_()
    assert (
        html.index("data:image/png")
        < html.index("Half is <em>found</em>.")
        < html.index("By k")
        < html.index("0.250")
    )


def test_a_gallery_takes_the_place_of_the_figure():
    html = Result(TABLE, "", empty_figure, html=Html("<b>cards</b>"))._repr_html_()
    assert "<b>cards</b>" in html
    assert "data:image" not in html


def test_nothing_of_the_sentence_or_the_table_is_taken_for_html():
    hostile = "<script>alert(1)</script>"
    html = Result(pd.DataFrame({"text": [hostile]}), hostile, empty_figure, caption=hostile)._repr_html_()
    assert "<script>" not in html


def test_a_figure_is_drawn_once_for_the_page_and_the_file(tmp_path):
    drawn = []

    def draw():
        drawn.append(1)
        return empty_figure()

    result = Result(TABLE, "Half is found.", draw)
    assert result.save(tmp_path / "figures" / "half.png") is result
    result._repr_html_()
    assert len(drawn) == 1
    with Image.open(tmp_path / "figures" / "half.png") as image:
        assert image.info["Description"] == "Half is found."
        assert image.size == (4 * PNG_DOTS_PER_INCH, 2 * PNG_DOTS_PER_INCH)


def test_an_image_is_shown_at_a_hundred_dots_per_inch(tmp_path):
    Image.new("RGB", (600, 30)).save(tmp_path / "wide.png")
    tag = image_tag((tmp_path / "wide.png").read_bytes(), 'a "figure"')
    assert "width:400px" in tag
    assert 'alt="a &quot;figure&quot;"' in tag


def test_the_ending_of_the_file_decides_what_is_written(tmp_path):
    result = Result(TABLE, "Half is found.", html=Html("<b>cards</b>"))
    assert result.save(tmp_path / "a.html").save(tmp_path / "a.parquet") is result
    assert (tmp_path / "a.html").read_text() == "<b>cards</b>"
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), TABLE)
    with pytest.raises(ValueError, match=r"a.svg: expected a file name ending in .png, .html, .parquet"):
        result.save(tmp_path / "a.svg")


def test_a_result_without_a_figure_says_so():
    with pytest.raises(ValueError, match="Result has no figure; its numbers are in .table"):
        Result(TABLE, "").figure()


def test_a_table_may_be_shown_in_part_or_not_at_all():
    assert "<table>" not in Result(TABLE, "words", shown=no_table())._repr_html_()
    assert "0.500" not in Result(TABLE, "", shown=TABLE.head(1))._repr_html_()


def test_a_report_stands_for_its_overview_which_is_made_once(tmp_path):
    made = []

    class Counted(Report):
        def _overview(self):
            made.append(1)
            return Result(TABLE, "Half is found.", empty_figure)

    report = Counted()
    assert report.table is report.overview().table
    assert report.sentence == "Half is found."
    assert report.figure().get_figwidth() == 4
    assert report.save(tmp_path / "a.png") is report
    assert "Half is found." in report._repr_html_()
    assert repr(report) == "Counted: Half is found."
    assert len(made) == 1


def test_what_cannot_be_answered_says_what_it_lacks_in_place_of_a_figure(tmp_path):
    class Lacking(Report):
        def _overview(self):
            raise TooFew("two pairs are needed, and there is 1")

        @or_reason
        def part(self, found=False):
            if found:
                return Result(TABLE, "Found.")
            raise TooFew("no pair is known")

    report = Lacking()
    assert report.sentence == "Two pairs are needed, and there is 1."
    assert report._repr_html_() == "<p>Two pairs are needed, and there is 1.</p>\n"
    assert report.part(found=True).sentence == "Found."
    part = report.part()
    assert (part.sentence, part.table.empty) == ("No pair is known.", True)
    assert part.figure().texts[0].get_text() == "No pair is known."
    for ending in ("png", "html", "parquet"):
        assert part.save(tmp_path / f"a.{ending}") is part
    with Image.open(tmp_path / "a.png") as image:
        assert image.text["Description"] == "No pair is known."
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == "<p>No pair is known.</p>\n"
    assert pd.read_parquet(tmp_path / "a.parquet").empty


def test_any_other_error_is_raised():
    with pytest.raises(ValueError, match="wrong"):
        or_reason(lambda: (_ for _ in ()).throw(ValueError("wrong")))()
