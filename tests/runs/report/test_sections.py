import pytest
from markupsafe import Markup

from mmlab.runs import read_manifest, start_step
from mmlab.runs.record.run_files import NOTEBOOKS
from mmlab.runs.report.sections import Gallery, allow_scripts, find_findings, title_of


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


LINKS = {name: f"{name}.html" for name in NOTEBOOKS}


def test_an_unfinished_run_says_what_is_missing():
    start_step("01_ingest", "r").finish("")
    assert find_findings(read_manifest("r"), {}, [], [], {}) == [
        ("The run is not finished: 02_embed is missing.", "")
    ]


def test_losses_and_the_weaker_direction_are_told_with_a_link():
    for name in NOTEBOOKS:
        start_step(name, "r").finish("")
    measures = [
        {"direction": direction, "measure": "Success@1", "value": value}
        for direction, value in (("text-to-image", 0.8), ("image-to-text", 0.5))
    ]
    latency = [{"search": "exact", "recall": "1.000"}, {"search": "HNSW ef=10", "recall": "0.900"}]
    galleries = [Gallery("gallery-1", "Worst queries", Markup())]
    assert find_findings(read_manifest("r"), {"measures": measures}, latency, galleries, LINKS) == [
        ("The weaker direction is image-to-text: Success@1 0.500 against 0.800.", "05_evaluate.html"),
        ("The index loses answers: recall 0.900 against exact search with HNSW ef=10.", "03_index.html"),
        ("Gallery: worst queries.", "#gallery-1"),
    ]
