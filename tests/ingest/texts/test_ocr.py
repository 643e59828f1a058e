import os
import shutil

import pytest
from PIL import Image, ImageDraw, ImageFont

from mmlab.ingest.findings_cache import FindingsCache
from mmlab.ingest.texts import captioner as ocr
from mmlab.ingest.texts.captioner import OcrMissing, printed_text, read_printed

TESSERACT = shutil.which("tesseract")
needs_tesseract = pytest.mark.skipif(TESSERACT is None, reason="Tesseract is not installed")


@pytest.fixture
def poster(tmp_path):
    def print_lines(name, *lines):
        image = Image.new("RGB", (300, 200), "white")
        font = ImageFont.load_default(size=26)
        for number, line in enumerate(lines):
            ImageDraw.Draw(image).text((20, 40 + 40 * number), line, fill="black", font=font)
        image.save(tmp_path / name)
        return str(tmp_path / name)

    return print_lines


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """Put a shell script before Tesseract; $COUNT is a file that the script may keep between its calls."""

    def install(script):
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "tesseract").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "tesseract").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("COUNT", str(tmp_path / "count"))
        return tmp_path / "count"

    return install


@needs_tesseract
def test_print_is_read_and_a_plain_image_says_nothing(poster):
    images = {"a": poster("a.png", "a striped blue", "mug on a table"), "b": poster("b.png")}
    read = read_printed(images, None, progress=False)
    assert read["text"].to_dict() == {"a": "a striped blue mug on a table", "b": ""}
    assert read["reason"].isna().all()


@needs_tesseract
def test_large_images_are_read_too(poster, tmp_path):
    path = poster("a.png", "a striped blue", "mug on a table")
    Image.open(path).resize((3600, 2400)).save(path)
    assert read_printed({"a": path}, None, progress=False)["text"].tolist() == [
        "a striped blue mug on a table"
    ]


@needs_tesseract
def test_the_printed_products_of_the_demo_are_read(tmp_path):
    from mmlab.demo.catalogue import PRINTED, file_bytes, printed_text
    from mmlab.demo.products import sample_product

    wanted = {}
    for number in range(20):
        product = sample_product(0, "train", number)
        (tmp_path / f"{number}.jpg").write_bytes(file_bytes(product, PRINTED))
        wanted[str(number)] = printed_text(product).replace(" ", "").lower()
    read = read_printed({key: str(tmp_path / f"{key}.jpg") for key in wanted}, None, progress=False)["text"]
    found = read.str.replace(" ", "").str.lower()
    assert sum(found[key] == text for key, text in wanted.items()) >= 16  # 80 %


@needs_tesseract
def test_an_image_that_cannot_be_opened_says_why_and_costs_itself_only(poster, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    images = {"x": str(tmp_path / "broken.jpg"), "a": poster("a.png", "two words")}
    read = read_printed(images, None, progress=False)
    assert read["text"].tolist() == ["", "two words"]
    assert read["reason"].fillna("-").tolist() == ["not an image", "-"]


@needs_tesseract
def test_what_was_read_is_kept_for_any_threshold(poster, tmp_path):
    images = {"a": poster("a.png", "a striped mug"), "broken": str(tmp_path / "none.png")}
    with FindingsCache(tmp_path / "cache.sqlite") as cache:
        first = read_printed(images, cache, progress=False)
        os.remove(images["a"])
        second = read_printed(images, cache, progress=False)
        strict = read_printed(images, cache, confidence=100, progress=False)
    assert first["text"].tolist() == second["text"].tolist() == ["a striped mug", ""]
    assert second["reason"].fillna("-").tolist() == ["-", "missing file"]  # failures are tried again
    assert strict["text"].tolist() == ["", ""]


@needs_tesseract
def test_each_image_has_one_thread_and_our_own_environment_stays(poster, engine):
    count = engine(f'echo "limit=$OMP_THREAD_LIMIT" >> "$COUNT"; exec {TESSERACT} "$@"')
    read_printed({"a": poster("a.png", "two words")}, None, progress=False)
    assert count.read_text().splitlines()[-1] == "limit=1"
    assert "OMP_THREAD_LIMIT" not in os.environ


@needs_tesseract
def test_a_hanging_engine_is_stopped_and_the_rest_goes_on(poster, engine, monkeypatch):
    monkeypatch.setattr(ocr, "TIMEOUT_SECONDS", 2)
    monkeypatch.setattr(ocr, "count_cores", lambda: 1)  # so that the calls have an order
    engine(f"""echo x >> "$COUNT"; [ "$(wc -l < "$COUNT")" = 3 ] && exec sleep 60; exec {TESSERACT} "$@" """)
    images = {name: poster(f"{name}.png", "two words") for name in "ab"}  # calls 1 and 2 ask what there is
    read = read_printed(images, None, progress=False)
    assert read["text"].tolist() == ["", "two words"]
    assert read["reason"].fillna("-").tolist() == ["Tesseract took over 2 seconds", "-"]


@needs_tesseract
def test_a_failing_engine_gives_a_reason(poster, engine):
    engine(f"""echo x >> "$COUNT"; [ "$(wc -l < "$COUNT")" -ge 3 ] && exit 9; exec {TESSERACT} "$@" """)
    read = read_printed({"a": poster("a.png", "two words")}, None, progress=False)
    assert (read["text"].tolist(), read["reason"].tolist()) == ([""], ["Tesseract failed"])


@needs_tesseract
def test_a_missing_language_says_how_to_install_it(poster):
    with pytest.raises(OcrMissing, match="cannot read 'xyz'.*apt install tesseract-ocr-deu"):
        read_printed({"a": poster("a.png", "two words")}, None, language="xyz", progress=False)


def test_without_tesseract_the_message_says_how_to_install_it(poster, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(OcrMissing, match="apt install tesseract-ocr, conda install .*brew install tesseract"):
        read_printed({"a": poster("a.png", "two words")}, None, progress=False)


def test_no_images_need_no_tesseract(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert read_printed({}, None, progress=False).shape == (0, 2)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([("red", 90), ("mug", 60)], "red mug"),
        ([("red", 90), ("mug", 59)], ""),
        ([("red", 90), ("|", 95)], ""),
        ([("red", 90), ("—", 95), ("7", 95)], "red 7"),
        ([("a", 90), ("of", 95), ("123", 95)], ""),
        ([], ""),
    ],
)
def test_sure_words_count_and_chance_does_not(words, text):
    assert printed_text(words, confidence=60) == text
