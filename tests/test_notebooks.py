"""The real notebooks, executed by papermill with the real store and the real demo model."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmlab.items import RANKING_COLUMNS, Space, SpaceMismatch, Vectors, read_items, read_table
from mmlab.items.tables import SKIPPED_COLUMNS, to_csv
from mmlab.panels.controls import download_link
from mmlab.runs import (
    StaleInput,
    find_notebook,
    find_notebooks,
    read_manifest,
    write_report,
)
from mmlab.runs.report.html_report import write_single_file
from tests.cells import run_here
from tests.conftest import SECRET, find_shared
from tests.embed.checkpoints import guide_pair

PHOTOS = find_shared("photos/flickr8k-200")
MADE = (
    "items.parquet",
    "store",
    "rankings/text-to-image.parquet",
    "rankings/image-to-text.parquet",
    "metrics.json",
    "figures/05_measures.png",
    "notebooks/06_visualize.ipynb",
    "06_visualize.html",
    "index.html",
    "manifest.json",
)


@pytest.fixture
def folder(demo_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the run that all tests share. Only read from it."""
    monkeypatch.setenv("MMLAB_DATA", str(demo_data))
    return demo_data / "runs" / "demo"


class Sources(HTMLParser):
    """Collects what a page would fetch."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs) -> None:
        wanted = {"script": "src", "img": "src", "iframe": "src", "link": "href"}.get(tag)
        self.found += [value for name, value in attrs if name == wanted and value]


def test_a_run_leaves_everything_behind(folder: Path) -> None:
    assert [name for name in MADE if not (folder / name).exists()] == []
    assert list(read_manifest("demo")["steps"]) == [path.stem for path in find_notebooks()]


def test_no_secret_of_the_environment_is_written(demo_copy: Path) -> None:
    write_single_file("demo")
    hits = read_table(demo_copy / "rankings" / "text-to-image.parquet", RANKING_COLUMNS)
    (demo_copy / "exported.html").write_text(str(download_link(hits, "hits.csv")), encoding="utf-8")
    (demo_copy / "exported.csv").write_text(to_csv(hits), encoding="utf-8")
    written = [path for path in demo_copy.parents[1].rglob("*") if path.is_file()]
    assert len(written) > 50
    assert [path for path in written if SECRET.encode() in path.read_bytes()] == []


def test_the_report_has_images_and_fetches_nothing(folder: Path) -> None:
    for page in folder.glob("*.html"):
        sources = Sources(page).found
        assert [source[:60] for source in sources if not source.startswith("data:")] == [], page.name
    assert sum(source.startswith("data:image/") for source in Sources(folder / "index.html").found) >= 5


def test_the_demo_model_finds_the_drawn_products(folder: Path) -> None:
    measures = json.loads((folder / "metrics.json").read_text())["measures"]
    success = {m["direction"]: m["value"] for m in measures if m["measure"] == "Success@10"}
    assert success["text-to-image"] > 0.8
    assert success["image-to-text"] > 0.8


def test_planted_faults_are_refused_or_repaired(folder: Path) -> None:
    skipped = read_table(folder / "skipped.parquet", SKIPPED_COLUMNS)
    assert {"missing file", "damaged file", "duplicate image"} <= set(skipped["reason"])
    items = read_items(folder / "items.parquet")
    assert items["flags"].str.contains("short text").any()
    texts = items["text"].dropna()
    assert not texts.str.contains(r"<[a-z]+>|&[a-z]+;|\n", regex=True).any()


def test_the_repair_list_leads_to_the_rows_of_the_dataset(folder: Path) -> None:
    fixes = pd.read_csv(folder / "fixes.csv").dropna(subset="row")
    captions = pd.read_csv(folder.parents[1] / "demo" / "captions.csv")
    assert set(fixes["file"]) == {"captions.csv"}
    assert {"suspected wrong pair", "missing file", "short text", "text cleaned (html)"} <= set(
        fixes["finding"]
    )
    rows = captions.iloc[fixes["row"].astype(int) - 1].reset_index(drop=True)
    named = fixes["finding"].isin(["suspected wrong pair", "missing file", "short text"])
    copy = r"b\.jpg$"  # of an image: its rows are those of the first
    images = [
        table.loc[named.to_numpy(), "image"].replace(copy, ".jpg", regex=True) for table in (rows, fixes)
    ]
    assert images[0].tolist() == images[1].tolist()
    cleaned = fixes["finding"].str.startswith("text cleaned").to_numpy()
    texts = [rows.loc[cleaned, "caption"], fixes.loc[cleaned, "text"].str.removeprefix("'")]
    assert texts[0].tolist() == texts[1].tolist()
    assert fixes["missed_queries"].is_monotonic_decreasing


def test_a_notebook_refuses_what_was_made_with_another_parameter(demo_copy: Path) -> None:
    with pytest.raises(
        StaleInput, match="store is '/elsewhere' here"
    ):  # the index holds more retrievers, which may be
        run_here("demo", {"store": "/elsewhere"}, [find_notebook("04_retrieve")])


def test_a_store_of_another_space_is_refused(demo_copy: Path) -> None:
    """A collection swapped for one of another model, behind the manifest's back."""
    from mmlab.index import build_index, open_store

    store = open_store(demo_copy / "store")
    items = read_items(demo_copy / "items.parquet")
    rows = np.ones((len(items), 4), dtype=np.float32) / 2
    other = Vectors(items["item_id"], rows, Space("another", "1", "", "", "", 4))
    build_index(store, "demo", items, [other], progress=False)
    with pytest.raises(SpaceMismatch, match=r"another"):
        run_here("demo", {}, [find_notebook("04_retrieve")])


@pytest.mark.skipif(not PHOTOS.exists(), reason="the 200 photos are not on this machine")
@pytest.mark.slow
def test_a_run_on_photos_with_several_captions_and_no_labels(own_data: Path, tmp_path: Path) -> None:
    """A table of 40 of them in another folder than the photos."""
    pd.read_csv(PHOTOS / "captions.csv").head(200).to_csv(tmp_path / "captions.csv", index=False)
    parameters = {
        "dataset": str(tmp_path),
        "images_at": str(PHOTOS),
        "keep": ["unlisted image"],
        "sample": 20,
    }
    folder, _ = run_here("photos", parameters)
    items = read_items(folder / "items.parquet")
    assert items["modality"].value_counts().to_dict() == {"text": 200, "image": 40}
    measures = json.loads((folder / "metrics.json").read_text())["measures"]
    assert {m["direction"]: m["queries"] for m in measures} == {"text-to-image": 200, "image-to-text": 40}
    assert write_report("photos").is_file()


@pytest.mark.slow
def test_a_text_encoder_beside_a_clip_goes_through_all_notebooks_and_the_study_of_fusion(
    catalogue: Path, tmp_path: Path, own_data: Path
) -> None:
    """MPNet for texts and CLIP for images, as tiny stand-ins with random weights, fused."""
    rows = pd.read_csv(catalogue / "captions.csv")
    rows[rows["image"].isin(rows["image"].unique()[:60])].to_csv(tmp_path / "captions.csv", index=False)
    fused = {"fusion": "rrf", "siblings": "keep", "images_at": str(catalogue), "ocr": False}
    parameters = {
        "dataset": str(tmp_path / "captions.csv"),
        "models": guide_pair(tmp_path),
        "sample": 40,
        **fused,
    }
    folder, _ = run_here("pair", parameters)
    vectors = [Vectors.load(path) for path in (folder / "vectors").glob("*.arrow")]
    items = read_items(folder / "items.parquet")
    kinds = items.groupby("modality")["item_id"].agg(set)
    held = sorted((set(one.ids) for one in vectors), key=len)
    assert held == [kinds["text"], kinds["text"] | kinds["image"]]
    stages = {
        path.relative_to(folder / "rankings").as_posix() for path in folder.glob("rankings/*/*.parquet")
    }
    assert stages == {
        f"text-to-image/{name}.parquet" for name in ("exact", "index", "quantized", "fused")
    } | {f"image-to-text/{name}.parquet" for name in ("exact", "index", "quantized")} | {
        f"other_splits/{name}.parquet" for name in ("image-to-text", "text-to-image")
    }  # only one of them can ask by image: nothing to fuse
    summary = read_manifest("pair")["steps"]["04_retrieve"]["summary"]
    assert re.search(r"fused \(0.5 \S+ \+ 0.5 \S+\)", summary), summary
    run_here("pair", {**parameters, "depth": 20}, [find_notebook("09_fusion")])
    weights = read_table(folder / "fusion" / "models.parquet")
    assert set(weights["of"]) == {"text-to-image"}  # the direction that both answer
    assert {f"{one.space.key} alone" for one in vectors} <= set(weights["system"])
