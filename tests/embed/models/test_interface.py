import numpy as np
import pytest

from mmlab.embed import load_model
from mmlab.embed.models.interface import (
    average_prompts,
    check_prompts,
    fill_prompts,
    format_prompts,
    parse_prompts,
)


@pytest.mark.parametrize("template", ["a photo", "{} and {}", "{0}", ""])
def test_a_template_has_one_place_for_the_text(template, clip_folder):
    with pytest.raises(
        ValueError, match=r"parameter prompts: expected .* each a text that holds {} once, such as "
    ):
        load_model(str(clip_folder), prompts=["a {}", template])


def test_a_text_alone_is_one_template():
    assert check_prompts("a {}") == ("a {}",)


def test_texts_are_filled_in_as_they_are():
    assert fill_prompts(["{x} {}", "b"], ("a {}", "{}.")) == ["a {x} {}", "{x} {}.", "a b", "b."]
    assert fill_prompts(["x"], ()) == ["x"]


def test_unit_vectors_are_averaged_and_unit_again():
    rows = np.array([[1, 0], [0, 1], [0, 1], [0, 1]], dtype=np.float32)
    np.testing.assert_allclose(
        average_prompts(rows, ("a {}", "b {}")), [[0.5**0.5, 0.5**0.5], [0, 1]], atol=1e-6
    )
    np.testing.assert_array_equal(average_prompts(rows, ("a {}",)), rows)


def test_a_space_names_its_templates():
    names = [format_prompts(()), format_prompts(("a {}",)), format_prompts(("a {}", "é {}"))]
    assert names == ["", "a {}", '["a {}", "é {}"]']


@pytest.mark.parametrize("prompts", [(), ("a {}",), ('["{}"]',), ("[{}",), ("a {}", 'é "{}"', "{}, x")])
def test_the_templates_are_read_from_their_name(prompts):
    assert parse_prompts(format_prompts(prompts)) == prompts
