"""PDFs: pages become images, their text layer the text; what is damaged, locked or huge is told."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib import rc_context
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from PIL import Image

from mmlab.ingest import ingest_items
from mmlab.ingest.first_look import inspect_dataset
from mmlab.ingest.sources import folders as pdf_files
from mmlab.items import open_image


def written(*pages, size=(4, 3)):
    """A PDF by matplotlib, with a text layer: one page for each text, of so many inches."""
    buffer = io.BytesIO()
    with rc_context({"pdf.fonttype": 42}), PdfPages(buffer) as pdf:
        for text in pages:
            figure = Figure(figsize=size)
            figure.text(0.1, 0.5, text)
            pdf.savefig(figure)
    return buffer.getvalue()


def scanned(*colours, **settings):
    """A PDF by Pillow, of images alone: one page for each colour."""
    first, *others = (Image.new("RGB", (300, 200), colour) for colour in colours)
    buffer = io.BytesIO()
    first.save(buffer, "PDF", save_all=True, append_images=others, **settings)
    return buffer.getvalue()


def by_hand(pages=1, box="0 0 200 100", more="", trailer="", objects=()):
    """A PDF of empty pages as its specification has it."""
    kids = " ".join(f"{number} 0 R" for number in range(3, pages + 3))
    page = f"<< /Type /Page /Parent 2 0 R /MediaBox [{box}] {more} >>"
    bodies = [
        "<< /Type /Catalog /Pages 2 0 R >>", f"<< /Type /Pages /Kids [{kids}] /Count {pages} >>",
        *[page] * pages, *objects,
    ]  # fmt: skip
    content, places = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(content))
        content += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    return (
        content
        + (
            f"xref\n0 {len(bodies) + 1}\n0000000000 65535 f \n{table}trailer\n"
            f"<< /Size {len(bodies) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{len(content)}\n%%EOF\n"
        ).encode()
    )


LOCKED = by_hand(
    trailer=f"/ID [<00> <00>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{'11' * 32}> /U <{'22' * 32}> >>"
)
LARGE_IMAGE = by_hand(
    more="/Resources << /XObject << /I 4 0 R >> >> /Contents 5 0 R",
    objects=(
        "<< /Type /XObject /Subtype /Image /Width 20000 /Height 20000 /ColorSpace /DeviceGray /BitsPerComponent 1 "
        "/Length 1 >>\nstream\n0\nendstream",
        "<< /Length 30 >>\nstream\nq 100 0 0 100 0 0 cm /I Do Q  \nendstream",
    ),
)


def test_each_page_is_an_image_with_its_text(read):
    source = read({"report.pdf": written("A red\nmug", "A blue cup")})
    rows = source.rows
    assert (source.kind, source.tables) == ("pdf", ("report.pdf",))
    assert rows["image"].tolist() == ["report.pdf#1", "report.pdf#2"]
    assert rows["caption"].str.split().tolist() == [["A", "red", "mug"], ["A", "blue", "cup"]]
    assert rows["pdf"].tolist() == ["report.pdf"] * 2
    assert rows["page"].tolist() == [1, 2]
    sizes = [open_image(file).size for file in rows["file"]]
    assert sizes == [(800, 600)] * 2  # 4 x 3 inches at 200 dots each


def test_a_page_without_text_is_an_image_without_text_and_shows_what_is_on_it(read):
    rows = read({"scan.pdf": scanned("red", "blue")}).rows
    assert rows["caption"].tolist() == ["", ""]
    colours = [open_image(file).getpixel((50, 50)) for file in rows["file"]]
    assert [max(range(3), key=colour.__getitem__) for colour in colours] == [0, 2]


def test_items_have_cleaned_text_and_know_document_and_page(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.pdf").write_bytes(written("A  red\nmug on a wooden table"))
    (tmp_path / "docs" / "b.pdf").write_bytes(b"%PDF-1.4 cut off")
    result = ingest_items(tmp_path / "docs", cache=tmp_path / "cache", progress=False)
    texts = result.items[result.items["modality"] == "text"]
    assert texts["text"].tolist() == ["A red mug on a wooden table"]
    assert result.items["pdf"].tolist() == ["a.pdf"] * 2
    assert result.items["page"].tolist() == [1, 1]
    assert result.skipped["reason"].tolist() == ["malformed row"]
    assert "b.pdf: not a PDF that can be read" in result.skipped["detail"].iloc[0]


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"%PDF-1.4 nothing else", r"not a PDF that can be read \(.*Data format error.*\): save it anew"),
        (b"", r"not a PDF that can be read"),
        (LOCKED, r"encrypted, or without a page: save it without its password"),
        (by_hand(pages=0), r"encrypted, or without a page"),
        (LARGE_IMAGE, r"it holds an image of 20,000 x 20,000 pixels: make it smaller"),
    ],
    ids=["damaged", "empty", "encrypted", "no pages", "large image"],
)
def test_what_cannot_be_read_says_why(read, content, detail):
    rows = read({"bad.pdf": content, "good.pdf": written("A mug")}).rows
    own = rows[rows["table"] == "bad.pdf"]
    assert len(own) == 1
    assert rows.loc[rows["table"] == "good.pdf", "caption"].str.strip().tolist() == ["A mug"]
    assert own["problem"].tolist() == ["malformed row"]
    assert own["detail"].str.contains(detail).all(), own["detail"].tolist()


@pytest.mark.parametrize("box", ["0 0 100000 100000", "0 0 100000 1", "0 0 1 100000"])
def test_a_huge_page_is_drawn_small(read, box):
    rows = read({"huge.pdf": by_hand(box=box)}).rows
    width, height = open_image(rows["file"].iloc[0]).size
    assert max(width, height) == 2000
    assert min(width, height) >= 1


def test_of_many_pages_the_first_are_read_and_the_rest_is_told(read, monkeypatch):
    monkeypatch.setattr(pdf_files, "MAX_PAGES", 3)
    rows = read({"long.pdf": by_hand(pages=10_000)}).rows
    assert rows["image"].tolist() == ["long.pdf#1", "long.pdf#2", "long.pdf#3", ""]
    assert rows["detail"].iloc[-1] == (
        "long.pdf: 10,000 pages, of which the first 3 are read: split the file"
    )


def test_a_page_is_drawn_once_for_all_runs(write, tmp_path, monkeypatch):
    folder = write({"a.pdf": written("A mug", "A cup")})
    looked = inspect_dataset(folder, cache=tmp_path / "cache", looks_only=True)
    assert (looked.images, looked.texts) == (2, 2)
    assert not (tmp_path / "cache").exists()
    first = inspect_dataset(folder, cache=tmp_path / "cache").source.rows["file"].tolist()
    monkeypatch.setattr(pdf_files._Document, "_draw", None)  # cannot be called
    assert inspect_dataset(folder, cache=tmp_path / "cache").source.rows["file"].tolist() == first


def test_a_page_whose_file_is_damaged_is_drawn_anew(write, tmp_path):
    folder = write({"a.pdf": written("A mug")})
    [file] = inspect_dataset(folder, cache=tmp_path / "cache").source.rows["file"]
    before = Path(file).read_bytes()
    Path(file).write_bytes(before[:100])
    assert inspect_dataset(folder, cache=tmp_path / "cache").source.rows["file"].tolist() == [file]
    assert Path(file).read_bytes() == before


def test_documents_of_one_name_are_told_apart(read):
    rows = read({"a/report.pdf": written("A mug"), "b/report.pdf": written("A cup")}).rows
    assert rows["image"].tolist() == ["a/report.pdf#1", "b/report.pdf#1"]
    assert rows["file"].nunique() == 2


def test_a_document_that_is_named_alone_is_read(read, image):
    rows = read({"one.pdf": written("A mug"), "photo.png": image()}, name="one.pdf").rows
    assert rows["image"].tolist() == ["one.pdf#1"]


def test_beside_a_table_or_images_a_document_is_passed_over_unless_it_is_asked_for(read, image):
    table = [("image", "caption"), ("a.png", "a red mug")]
    files = {"a.png": image(), "captions.csv": table, "paper.pdf": written("A mug")}
    beside = read(files)
    assert beside.kind == "csv"
    assert beside.unread["paper.pdf"].startswith("a document beside images")
    asked = read(files, kind="pdf")
    assert (asked.kind, asked.rows["image"].tolist()) == ("pdf", ["paper.pdf#1"])


def test_beside_addresses_and_beside_images_alone_too(tmp_path, image):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(image())
    (tmp_path / "photos" / "manual.pdf").write_bytes(written("A mug"))
    looked = inspect_dataset(tmp_path / "photos", looks_only=True)
    assert (looked.kind, looked.images, looked.advice) == ("images", 1, "")
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "urls.csv").write_text("url,caption\nhttps://example.org/a.jpg,a red mug\n")
    (tmp_path / "web" / "paper.pdf").write_bytes(written("A mug"))
    looked = inspect_dataset(tmp_path / "web", looks_only=True)
    assert (looked.kind, looked.texts) == ("csv", 1)
    assert looked.source.unread["paper.pdf"].startswith("documents are read where there is no table")


WITHOUT_PDFIUM = """
import sys
sys.modules["pypdfium2"] = None
from mmlab.ingest.first_look import inspect_dataset
try:
    inspect_dataset(sys.argv[1], looks_only=True)
except ModuleNotFoundError as error:
    print(error)
"""


@pytest.mark.parametrize("names", [["a.pdf"], ["a.pdf", "b.pdf"]])
def test_without_the_extra_its_name_is_told(write, names):
    folder = write({name: written("A mug") for name in names})
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PDFIUM, str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f'{names[-1]}: to read it, pip install "mmlab[pdf]"'
