import pytest

from mmlab.runs.report.pieces import allow_scripts, title_of


@pytest.mark.parametrize(
    ("stem", "title"),
    [
        ("05_similarity_histogram", "Similarity histogram"),
        ("umap", "Umap"),
        ("05", "05"),
        ("06_t-sne", "T sne"),
    ],
)
def test_a_figures_title_is_its_file_name_as_words(stem, title):
    assert title_of(stem) == title


def test_scripts_are_allowed_by_their_hashes():
    # the hash that the specification of content policies gives for this text
    assert allow_scripts("<script>alert('Hello, world.');</script>") == (
        "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"
    )
    assert allow_scripts("<p>no script</p>") == ""
    assert allow_scripts('<script type="application/json">[1]</script>') == ""
    assert allow_scripts("<script>a</script><script>b</script><script>a</script>").count("sha256-") == 2
