import pytest

from mmlab.ingest.sources.text_files import encoding_of


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("Käfer".encode(), "utf-8-sig"),
        ("Käfer".encode("utf-8-sig"), "utf-8-sig"),
        ("Käfer".encode("utf-16"), "utf-16"),
        ("“Käfer”".encode("cp1252"), "sloppy-windows-1252"),
    ],
)
def test_the_encoding_is_one_that_reads_the_whole_file(tmp_path, content, encoding):
    (tmp_path / "a.txt").write_bytes(content)
    assert encoding_of(tmp_path / "a.txt") == encoding
    assert "Käfer" in (tmp_path / "a.txt").read_text(encoding=encoding)
