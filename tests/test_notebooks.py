"""The real notebooks, executed by papermill with the real store and the real demo model."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import mmlab
from mmlab.items import RANKING_COLUMNS, SKIPPED_COLUMNS, Vectors, read_items, read_table
from mmlab.panels.outputs import download_link, to_csv
from mmlab.runs import NotebookFailed, find_notebooks, read_manifest, run_notebooks, write_report
from mmlab.runs.report.html_report import write_single_file
from tests.embed.checkpoints import guide_pair

PHOTOS = Path(mmlab.__file__).parents[2] / "shared" / "photos" / "flickr8k-200"
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


@pytest.fixture(scope="module", autouse=True)
def data_folder(tmp_path_factory):
    """Everything that runs here is made in a folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("data")
        patch.setenv("MMLAB_DATA", str(folder))
        patch.setenv("HF_HUB_OFFLINE", "1")
        for name in ("QDRANT_API_KEY", "HF_TOKEN"):
            patch.setenv(name, "the-planted-secret")
        yield folder


@pytest.fixture(scope="module")
def demo_run(catalogue) -> Path:
    folder = run_notebooks("demo", {"dataset": str(catalogue), "sample": 60}, progress=False)
    write_report("demo")
    return folder


class Sources(HTMLParser):
    """Collects what a page would fetch."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs) -> None:
        wanted = {"script": "src", "img": "src", "iframe": "src", "link": "href"}.get(tag)
        self.found += [value for name, value in attrs if name == wanted and value]


def test_a_run_leaves_everything_behind(demo_run: Path) -> None:
    assert [name for name in MADE if not (demo_run / name).exists()] == []
    assert list(read_manifest("demo")["steps"]) == [path.stem for path in find_notebooks()]


def test_no_secret_of_the_environment_is_written(demo_run: Path, data_folder: Path) -> None:
    write_single_file("demo")
    hits = read_table(demo_run / "rankings" / "text-to-image.parquet", RANKING_COLUMNS)
    (data_folder / "exported.html").write_text(str(download_link(hits, "hits.csv")), encoding="utf-8")
    (data_folder / "exported.csv").write_text(to_csv(hits), encoding="utf-8")
    written = [path for path in data_folder.rglob("*") if path.is_file()]
    assert len(written) > 50
    assert [path for path in written if b"the-planted-secret" in path.read_bytes()] == []


def test_the_report_has_images_and_fetches_nothing(demo_run: Path) -> None:
    for page in demo_run.glob("*.html"):
        sources = Sources(page).found
        assert [source[:60] for source in sources if not source.startswith("data:")] == [], page.name
    assert sum(source.startswith("data:image/") for source in Sources(demo_run / "index.html").found) >= 5


def test_the_demo_model_finds_the_drawn_products(demo_run: Path) -> None:
    measures = json.loads((demo_run / "metrics.json").read_text())["measures"]
    success = {m["direction"]: m["value"] for m in measures if m["measure"] == "Success@10"}
    assert success["text-to-image"] > 0.8
    assert success["image-to-text"] > 0.8


def test_planted_faults_are_refused_or_repaired(demo_run: Path, catalogue: Path) -> None:
    skipped = read_table(demo_run / "skipped.parquet", SKIPPED_COLUMNS)
    assert {"missing file", "damaged file", "short caption", "duplicate image"} <= set(skipped["reason"])
    texts = read_items(demo_run / "items.parquet")["text"].dropna()
    assert not texts.str.contains(r"<[a-z]+>|&[a-z]+;|\n", regex=True).any()


def test_a_notebook_refuses_what_was_made_with_another_parameter(demo_run: Path) -> None:
    retrieve = [path for path in find_notebooks() if path.stem == "04_retrieve"]
    with pytest.raises(NotebookFailed, match=r"04_retrieve failed .*StaleInput.*store is 'elsewhere' here"):
        run_notebooks("demo", {"store": "elsewhere"}, retrieve, progress=False)
    assert (demo_run / "notebooks" / "04_retrieve.ipynb").is_file()


def test_a_store_of_another_space_is_refused(demo_run: Path, catalogue: Path) -> None:
    """A collection swapped for one of another model, behind the manifest's back."""
    from mmlab.index import build_index, open_store
    from mmlab.items import Space

    store = open_store(demo_run / "store")
    items = read_items(demo_run / "items.parquet")
    rows = np.ones((len(items), 4), dtype=np.float32) / 2
    other = Vectors(items["item_id"], rows, Space("another", "1", "", "", "", 4))
    index = build_index(store, "demo", items, [other], progress=False)
    retrieve = [path for path in find_notebooks() if path.stem == "04_retrieve"]
    with pytest.raises(NotebookFailed, match=re.escape("SpaceMismatch")):
        run_notebooks("demo", {}, retrieve, progress=False)
    store.drop(*index.schemas)


@pytest.mark.skipif(not PHOTOS.exists(), reason="the 200 photos are not on this machine")
def test_a_run_on_photos_with_several_captions_and_no_labels() -> None:
    folder = run_notebooks("photos", {"dataset": str(PHOTOS), "min_words": 0, "sample": 50}, progress=False)
    items = read_items(folder / "items.parquet")
    assert items["modality"].value_counts().to_dict() == {"text": 1000, "image": 200}
    measures = json.loads((folder / "metrics.json").read_text())["measures"]
    assert {m["direction"]: m["queries"] for m in measures} == {"text-to-image": 1000, "image-to-text": 200}
    assert write_report("photos").is_file()


def test_a_text_encoder_beside_a_clip_goes_through_all_notebooks(catalogue: Path, tmp_path: Path) -> None:
    """MPNet for texts and CLIP for images, as tiny stand-ins with random weights, fused."""
    fused = {"fusion": "rrf", "weights": "learned"}
    parameters = {"dataset": str(catalogue), "models": guide_pair(tmp_path), "sample": 40, **fused}
    folder = run_notebooks("pair", parameters, progress=False)
    vectors = [Vectors.load(path) for path in (folder / "vectors").glob("*.npz")]
    items = read_items(folder / "items.parquet")
    kinds = items.groupby("modality")["item_id"].agg(set)
    held = sorted((set(one.ids) for one in vectors), key=len)
    assert held == [kinds["text"], kinds["text"] | kinds["image"]]
    stages = {
        path.relative_to(folder / "rankings").as_posix() for path in folder.glob("rankings/*/*.parquet")
    }
    assert stages == {
        f"text-to-image/{name}.parquet" for name in ("exact", "index", "quantized", "fused")
    } | {
        f"image-to-text/{name}.parquet" for name in ("exact", "index", "quantized")
    }  # only one of them can ask by image: nothing to fuse
    summary = read_manifest("pair")["steps"]["04_retrieve"]["summary"]
    assert re.search(r"fused \(\S+ \S+ \+ \S+ \S+, fitted on \d+ queries of the validation split", summary), (
        summary
    )
    assert write_report("pair").is_file()
