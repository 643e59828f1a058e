import pytest

from mmlab.demo.faults import CAPTION_FAULTS, spoil_caption

CAPTION = "Home & décor: red mug — shown on a wooden table."


@pytest.mark.parametrize(
    ("fault", "spoilt"),
    [
        (
            "html tags",
            '<p class="description">Home <b>&</b> décor: red mug — shown on a wooden table.<br/></p>',
        ),
        ("html entities", "Home&nbsp;&amp; d&eacute;cor: red mug &mdash; shown on a wooden table."),
        ("newlines", "\nHome &\r\n\n   décor: red mug — shown on a wooden table.\n"),
        ("broken encoding", "Home & dÃ©cor: red mug â€” shown on a wooden table."),
        ("too short", "Home & décor:"),
    ],
)
def test_what_a_fault_does_to_a_caption(fault, spoilt):
    assert spoil_caption(CAPTION, fault) == (CAPTION, spoilt)


def test_every_caption_fault_shows_even_on_plain_letters():
    for fault in CAPTION_FAULTS:
        original, spoilt = spoil_caption("A red mug on a wooden table", fault)
        assert original != spoilt
