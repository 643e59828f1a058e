"""The studies 09_fusion and 10_scores on the shared run, in one kernel; their pages join the report of the run."""

from pathlib import Path

import pandas as pd
import pytest

from mmlab.items import DIRECTIONS
from mmlab.runs import find_notebook, read_manifest, run_notebooks, write_report
from tests.conftest import SECRET

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def studied(demo_copy: Path) -> Path:
    """The run's folder after both studies, with a depth of their own."""
    run_notebooks(
        "demo", {"depth": 50}, [find_notebook("09_fusion"), find_notebook("10_scores")], progress=False
    )
    write_report("demo")
    return demo_copy


def page_of(folder: Path, study: str) -> str:
    """The study's page, which the report links to."""
    assert f'<a href="{study}.html">' in (folder / "index.html").read_text(encoding="utf-8")
    return (folder / f"{study}.html").read_text(encoding="utf-8")


def test_text_and_image_are_fused_with_learned_weights(studied: Path) -> None:
    table = pd.read_parquet(studied / "fusion" / "text_and_image.parquet").set_index("system")
    assert {"text alone", "image alone", "60% to the more confident"} <= set(table.index)
    assert (table["difference_low"] <= table["difference"]).all()
    assert (table["difference"] <= table["difference_high"]).all()
    assert table["value"].between(0, 1).all()


def test_the_model_is_fused_with_the_words_and_where_it_answers_alone_with_itself_centred(
    studied: Path,
) -> None:
    table = pd.read_parquet(studied / "fusion" / "models.parquet")
    assert table["of"].unique().tolist() == list(DIRECTIONS)
    alone = {
        name: {system for system in part["system"] if system.endswith(" alone")}
        for name, part in table.groupby("of")
    }
    assert "bm25 alone" in alone["text-to-image"]
    assert alone["image-to-text"] == {"as embedded alone", "centred alone"}


def test_the_study_of_fusion_joins_the_report(studied: Path) -> None:
    page = page_of(studied, "09_fusion")
    for heading in (
        "One query by text and image",
        "Weights by hand, and by a rule",
        "Learned weights of models",
    ):
        assert heading in page
    for name in ("text_and_image.png", "models.png"):
        assert (studied / "fusion" / name).stat().st_size > 10_000
    summary = read_manifest("demo")["steps"]["09_fusion"]["summary"]
    assert "learned weights are" in summary
    assert "evaluated on" in summary


def test_hubs_are_counted_for_every_rescoring_in_both_directions(studied: Path) -> None:
    table = pd.read_parquet(studied / "scores" / "hubs.parquet")
    rescorings = ["none", "centring", "csls", "inverted_softmax", "qb_norm"]
    for direction, part in table.groupby("direction"):
        assert direction in DIRECTIONS
        assert part["rescoring"].tolist() == rescorings
        assert part["temperature"].notna().tolist() == [False, False, False, True, True]
    assert table["Success@1"].between(0, 1).all()
    assert table["never"].between(0, 1).all()


def test_the_study_of_scores_joins_the_report_with_its_own_parameters(studied: Path) -> None:
    page = page_of(studied, "10_scores")
    for heading in ("The modality gap", "Hubs", "One query on three scales", "Calibration"):
        assert heading in page
    assert "probability" in page
    for name in ("hubs.png", "reliability.png"):
        assert (studied / "scores" / name).stat().st_size > 10_000
    record = read_manifest("demo")["steps"]["10_scores"]
    assert record["parameters"]["depth"] == 50
    assert "The modality gap is" in record["summary"]


def test_the_studies_change_nothing_that_the_run_had_made(studied: Path, demo_data: Path) -> None:
    before = demo_data / "runs" / "demo"
    for name in ("items.parquet", "metrics.json", "rankings/text-to-image.parquet", "05_evaluate.html"):
        assert (studied / name).read_bytes() == (before / name).read_bytes(), name


def test_no_secret_of_the_environment_is_written(studied: Path) -> None:
    written = [path for path in studied.rglob("*") if path.is_file()]
    assert [path for path in written if SECRET.encode() in path.read_bytes()] == []
