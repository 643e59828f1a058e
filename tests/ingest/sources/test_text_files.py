import bz2
import gzip

import pytest

from mmlab.ingest.sources.text_files import encoding_of, open_bytes, open_text, read_text
from mmlab.items import files as limits


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("Käfer".encode(), "utf-8-sig"),
        ("Käfer".encode("utf-8-sig"), "utf-8-sig"),
        ("Käfer".encode("utf-16"), "utf-16"),
        ("Käfer".encode("utf-16-le"), "utf-16-le"),
        ("Käfer".encode("utf-16-be"), "utf-16-be"),
        ("“Käfer”".encode("cp1252"), "sloppy-windows-1252"),
    ],
)
def test_the_encoding_is_one_that_reads_the_whole_file(tmp_path, content, encoding):
    (tmp_path / "a.txt").write_bytes(content)
    assert encoding_of(tmp_path / "a.txt") == encoding
    assert "Käfer" in (tmp_path / "a.txt").read_text(encoding=encoding)


@pytest.mark.parametrize("packing", ["gz", "bz2", "zst", "lz4"])
def test_packed_files_are_unpacked_as_they_are_read(tmp_path, packing):
    import pyarrow as pa

    path = tmp_path / f"a.csv.{packing}"
    with pa.output_stream(str(path), compression={"gz": "gzip", "zst": "zstd"}.get(packing, packing)) as file:
        file.write("Käfer\n".encode())
    assert read_text(path, 1000) == "Käfer\n"
    assert read_text(path.rename(tmp_path / "a.csv"), 1000) == "Käfer\n"


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08broken"])
def test_a_packed_file_that_is_broken(tmp_path, content):
    (tmp_path / "a.csv.gz").write_bytes(content)
    with (
        pytest.raises(ValueError, match=r"a.csv.gz (is empty|cannot be unpacked)"),
        open_text(tmp_path / "a.csv.gz"),
    ):
        pass


def test_one_broken_place_does_not_change_the_encoding(tmp_path):
    (tmp_path / "a.txt").write_bytes("Käfer, Öl, Übung".encode() + b"\xff" + "é".encode())
    assert read_text(tmp_path / "a.txt", 1000) == "Käfer, Öl, Übung\ufffdé"


def test_a_text_that_is_too_long(tmp_path):
    (tmp_path / "a.txt").write_text("x" * 11)
    with pytest.raises(ValueError, match=r"expected at most 10 bytes in a.txt, found more"):
        read_text(tmp_path / "a.txt", 10)


@pytest.mark.parametrize(("packing", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress)])
def test_a_packed_file_of_which_far_more_comes_than_it_holds_is_refused(tmp_path, monkeypatch, packing, pack):
    monkeypatch.setattr(limits, "ALWAYS_READ_BYTES", 100_000)
    path = tmp_path / f"captions.csv.{packing}"
    path.write_bytes(pack(b"A red card\n" * 100_000))
    with open_bytes(path) as file, pytest.raises(ValueError, match=r"more than [\d,]+ bytes come out of it"):
        file.read()
    path.write_bytes(pack(b"A red card\n" * 9000))
    with open_bytes(path) as file:
        assert len(file.read()) == 99_000


def test_a_packed_text_is_bounded_by_what_comes_out_of_it(tmp_path):
    (tmp_path / "a.txt").write_bytes(gzip.compress(b"A red card. " * 100))
    assert len(read_text(tmp_path / "a.txt", 1200)) == 1200
    with pytest.raises(ValueError, match=r"expected at most 1,199 bytes in a.txt, found more"):
        read_text(tmp_path / "a.txt", 1199)
