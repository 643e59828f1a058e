import logging
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from mmlab.embed import ModelError, load_for, load_model
from mmlab.embed.models import int8
from mmlab.embed.models.adapter import pick_precision
from mmlab.embed.models.int8 import Int8Network, gains_from_int8, round_weights

pytestmark = pytest.mark.slow

if not find_spec("openvino"):
    pytest.skip("the extra [openvino] is not installed", allow_module_level=True)
openvino = int8._openvino()  # plainly imported it would report to its makers

TEXTS = ["a", "a dog", "red", "xy" * 40, "three 3"]
CONVERTED = ["clip", "siglip", "blip", "bge", "clip_sentences"]


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(autouse=True)
def converted_there(data_folder, monkeypatch):
    monkeypatch.setenv("MMLAB_DATA", str(data_folder))


@pytest.fixture(scope="module")
def rounded(folders):
    """The loaded model of a family in int8 by its name."""
    loaded = {}

    def model(family):
        if family not in loaded:
            loaded[family] = load_model(str(folders(family)), precision="int8")
        return loaded[family]

    return model


@pytest.mark.parametrize("family", CONVERTED)
def test_int8_is_near_float32_and_another_space(family, models, rounded, images):
    model, exact = rounded(family), models(family)
    assert model.space.preprocessing == exact.space.preprocessing.replace("float32", "int8")
    assert model.space.key != exact.space.key
    for kind, given in {"text": TEXTS, "image": images}.items():
        if kind in model.modalities:
            rows = getattr(model, f"embed_{kind}s")(given)
            assert rows.dtype == np.float32
            cosines = (rows * getattr(exact, f"embed_{kind}s")(given)).sum(axis=1)
            assert 0.999 < cosines.min() < 0.99999


@pytest.mark.parametrize("family", CONVERTED)
def test_a_vector_in_int8_depends_on_its_input_alone(family, rounded, images):
    model = rounded(family)
    for place, text in enumerate(TEXTS):
        np.testing.assert_allclose(model.embed_texts([text])[0], model.embed_texts(TEXTS)[place], atol=1e-6)
    if "image" in model.modalities:
        np.testing.assert_allclose(model.embed_images(images[:1]), model.embed_images(images)[:1], atol=1e-6)


def test_queries_have_their_prompt_in_int8_too(rounded):
    documents, queries = rounded("bge").embed_texts(["a dog"]), rounded("bge").embed_queries(["a dog"])
    assert np.abs(documents - queries).max() > 1e-3


def test_the_model_of_an_int8_space_is_found_again(rounded):
    assert load_for(rounded("clip").space).space == rounded("clip").space


def test_a_network_that_would_give_other_vectors_is_refused(folders):
    reason = r"\(it would give other vectors\): give precision float32"
    with pytest.raises(ModelError, match=rf"siglip2' cannot be converted to int8 {reason}"):
        load_model(str(folders("siglip2")), precision="int8")


def small_network(project=None):
    """A layer whose weights come from a seed; `project` in place of it."""
    torch.manual_seed(3)
    layer = torch.nn.Linear(4, 3)
    samples = ({"x": torch.randn(rows, 4), "task": "any"} for rows in (2, 3))
    return Int8Network("small", ["small"], layer, project or (lambda given: layer(given["x"])), *samples)


def test_a_network_that_openvino_cannot_read_is_refused():
    def project(_):
        raise NotImplementedError("no such operation")

    level = logging.getLogger().level
    with pytest.raises(
        ModelError, match=r"'small' cannot be converted to int8 \(OpenVINO cannot read it\)"
    ) as found:
        small_network(project)
    assert "no such operation" in str(found.value.__cause__)
    assert logging.getLogger().level == level


def test_a_network_is_converted_once_and_again_where_its_file_is_damaged(tmp_path, monkeypatch):
    monkeypatch.setenv("MMLAB_DATA", str(tmp_path))
    converted, plain = [], openvino.convert_model
    monkeypatch.setattr(openvino, "convert_model", lambda *a, **k: converted.append(1) or plain(*a, **k))
    rows = []
    for count in (1, 1, 2):
        rows.append(small_network().embed({"x": torch.eye(4), "task": "any"}))
        assert len(converted) == count
        files = sorted((tmp_path / "cache" / "int8").iterdir())
        assert [file.suffix for file in files] == [".bin", ".xml"]
        if len(rows) == 2:
            files[1].write_bytes(files[1].read_bytes()[:1000])
    np.testing.assert_array_equal(rows[1:], rows[:1] * 2)


def test_weights_are_rounded_to_255_steps_for_each_output():
    layer = torch.nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        # steps of 1/255 from 0 to 1, and of 4/255 from -1 to 3 with a zero at 64
        layer.weight.copy_(torch.tensor([[0.0, 0.3, 1.0], [-1.0, 0.5, 3.0]]))
    network = openvino.convert_model(layer, example_input=torch.ones(1, 3))
    compiled = openvino.Core().compile_model(
        round_weights(network),
        "CPU",
        {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0},
    )
    found = compiled(np.eye(3, dtype=np.float32))[0].T
    expected = [
        [0, round(0.3 * 255) / 255, 1],
        [-64 * 4 / 255, round(0.5 * 255 / 4) * 4 / 255, 191 * 4 / 255],
    ]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_openvino_reports_to_nobody(tmp_path):
    code = "from mmlab.embed.models.int8 import _openvino; _openvino(); import openvino.tools.ovc.convert_impl as c"
    done = [sys.executable, "-c", f"{code}; print(c.tm.__name__)"]
    environment = {**os.environ, "HOME": str(tmp_path)}
    found = subprocess.run(done, capture_output=True, text=True, check=True, env=environment).stdout
    assert found.strip() == "openvino.tools.ovc.telemetry_stub"
    assert list(tmp_path.iterdir()) == []  # no number by which its makers know this user


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"avx512_vnni": True}, True),
        ({"avx_vnni": True, "avx512_bf16": True}, True),
        ({"avx512_vnni": True, "amx_bf16": True}, False),
        ({"avx2": True}, False),
        ({}, False),
    ],
)
def test_int8_is_faster_where_the_processor_multiplies_it(found, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    assert gains_from_int8() == expected
    monkeypatch.setattr(int8, "find_spec", lambda _: None)
    assert not gains_from_int8()


def test_without_the_extra_int8_is_refused(clip_folder, monkeypatch):
    monkeypatch.setattr(int8, "find_spec", lambda _: None)
    with pytest.raises(
        ModelError, match=r'int8 needs OpenVINO, on x86: pip install "mmlab\[openvino\]", or give'
    ):
        load_model(str(clip_folder), precision="int8")


def test_int8_is_for_the_cpu():
    with pytest.raises(ValueError, match="int8 is computed on the CPU, found the device cuda"):
        pick_precision("int8", torch.device("cuda"))
