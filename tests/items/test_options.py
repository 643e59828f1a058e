"""The names held against those of the rooms that know them."""

import pytest

from mmlab.embed.models.adapter import PRECISIONS
from mmlab.index.schema.index_settings import QUANTIZATIONS
from mmlab.index.store.layouts import LAYOUTS
from mmlab.ingest.sources.formats import KINDS
from mmlab.items.options import OPTIONS, check_option
from mmlab.retrieve import CALIBRATIONS, FUSIONS, RESCORINGS
from mmlab.retrieve.query.rank import KEEP, LEAVE_OUT


def test_the_rooms_know_the_same_names():
    assert {name: set(known) for name, known in OPTIONS.items()} == {
        "source": {"auto", *KINDS},
        "precision": set(PRECISIONS),
        "layout": set(LAYOUTS),
        "quantization": {"none", *QUANTIZATIONS},
        "fusion": {"none", *FUSIONS},
        "siblings": {LEAVE_OUT, KEEP},
        "rescoring": {"none", "centring", *RESCORINGS},
        "calibration": {"none", *CALIBRATIONS},
    }


def test_what_a_parameter_cannot_be_is_told_with_what_it_can():
    with pytest.raises(
        ValueError,
        match="parameter layout: expected one of unified, .*, found 'unifed'; did you mean unified\\?",
    ):
        check_option("layout", "unifed")
    with pytest.raises(ValueError, match="parameter quantization: expected one of none, scalar"):
        check_option("quantization", "float-8")


@pytest.mark.parametrize(
    ("name", "value"),
    [("quantization", "product-32"), ("fusion", "rrf"), ("query", "anything"), ("k_values", [1])],
)
def test_what_it_can_be_passes(name, value):
    check_option(name, value)
