"""02_embed with models of all kinds: dense vectors, weighted terms, and a vector for each token."""

import pytest
import torch

import mmlab
from mmlab.items import read_table
from mmlab.items.ragged_vectors import load_vectors
from mmlab.runs import read_manifest
from tests.cells import run_cells
from tests.conftest import data_in
from tests.embed.checkpoints import FAMILIES
from tests.workbench.test_small_sets import images, table

CAPTIONS = ("a red mug", "two dogs", "a lamp", "a green shoe", "a book", "a blue chair")
KINDS = ("splade", "colbert", "colqwen2")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    torch.manual_seed(7)
    return [str(FAMILIES[one](tmp_path_factory.mktemp("models") / one)) for one in KINDS]


@pytest.fixture(scope="module")
def run(checkpoints, tmp_path_factory):
    """What the cells of 01 and 02 show, and the folder of the run; of the last image the file is gone meanwhile."""
    folder = tmp_path_factory.mktemp("all-kinds")
    (folder / "dataset").mkdir()
    table(folder / "dataset", list(zip(images(folder / "dataset", 6), CAPTIONS, strict=True)))
    with data_in(folder / "data"):
        run_cells("01_ingest", {"name": "r", "dataset": str(folder / "dataset")})
        (folder / "dataset" / "5.png").unlink()
        models = ["demo", *checkpoints]
        shown = "".join(run_cells("02_embed", {"name": "r", "models": models, "pool_tokens": 2}).values())
        yield shown, folder / "data" / "runs" / "r"


def test_each_kind_has_a_folder_of_its_own(run):
    _, folder = run
    written = set(read_manifest("r")["steps"]["02_embed"]["writes"])
    found = {path.relative_to(folder).as_posix() for path in folder.glob("vectors/**/*.*")}
    assert found == written - {"embed_skipped.parquet", "figures/02_cosines.png"}
    folders = sorted(name.rpartition("/")[0] for name in found)
    late = ["vectors/late"] * 2 + ["vectors/late/queries"] * 2
    assert folders == ["vectors", *late, "vectors/sparse"]  # SPLADE's texts ask as they are found


def test_the_vectors_of_a_kind_say_what_they_are(run, checkpoints):
    _, folder = run
    items = read_table(folder / "items.parquet")
    texts = set(items.loc[items["modality"] == "text", "item_id"])
    (terms,) = map(load_vectors, folder.glob("vectors/sparse/*.npz"))
    assert set(terms.ids) == texts
    pages, tokens = sorted(map(load_vectors, folder.glob("vectors/late/*.npz")), key=len, reverse=True)
    assert set(tokens.ids) == texts
    assert len(pages) == 6 + 5  # the texts, and the images but the one that is gone
    assert {own.space.pooling for own in (pages, tokens)} == {"token vectors, pooled by 2"}
    for queries in map(load_vectors, folder.glob("vectors/late/queries/*.npz")):
        assert set(queries.ids) == texts


def test_the_report_lists_them_beside_the_dense_ones(run):
    shown, folder = run
    items = read_table(folder / "items.parquet")
    terms = load_vectors(next(folder.glob("vectors/sparse/*.npz")))
    assert "<strong>11 vectors</strong> of 12 items from 1 model;" in shown
    size = round(8 * len(terms.indices) / len(terms))
    assert f"6 items have weighted terms of {terms.space.model}, {size:,} bytes an item." in shown
    assert "11 items have a vector for each token of" in shown
    skipped = read_table(folder / "embed_skipped.parquet")
    assert skipped["reason"].tolist() == ["missing file"]
    assert len(items) == 12


def test_what_compares_dense_spaces_leaves_the_others_out(run, checkpoints):
    report = mmlab.open_run("r").embed(["demo", *checkpoints], pool_tokens=2, progress=False)
    assert [own.space.model for own in report.vectors] == ["demo"]
    assert [own.space.kind for own in report.ragged] == ["sparse", "late", "late"]
    assert report.norms().table["space"].nunique() == report.pairs().table["space"].nunique() == 1
    table = report.spaces().table.set_index("part")
    assert table.loc["kind"].tolist() == ["dense", "sparse", "late", "late"]
    assert table.loc["bytes an item"].iloc[0] == 4 * report.main.space.dimension
    assert table.loc["texts that ask"].tolist() == ["as they are found"] * 2 + [
        "as queries",
        "as they are found",
    ]
    assert all(report.checks.values())


def test_a_run_needs_a_dense_model(run, checkpoints):
    with pytest.raises(ValueError, match=r"models: expected one at least .*, found .*splade"):
        mmlab.open_run("r").embed(checkpoints[:1], progress=False)
