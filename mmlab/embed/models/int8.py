"""A model's network in 8-bit numbers on the CPU, by OpenVINO, which the extra [openvino] brings.

Weights are rounded once, with a scale for each output, and the converted network is kept under data/cache/int8. What
flows into a product is rounded as it comes, with a scale for each GROUP numbers of each token: a vector depends on its
own input alone, and no sample decides about it. Embedding tables, norms and attention stay in float32. The least cosine
to float32 is .999 so, on captions and all-MiniLM-L6-v2; it is .994 with scales fixed on 300 texts, and .96 with torch's
own int8, which gives a whole batch one scale.
Letters: N inputs, D dimensions.
"""

import hashlib
import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from threading import local
from typing import Any

import numpy as np
import torch

from mmlab.embed.models.interface import Inputs, ModelError
from mmlab.items import data, replacing, unit_rows

GROUP = 32
MAX_STREAMS = 8  # as many as there are workers at most
# Of the network that OpenVINO reads to the one that torch computes, before anything is rounded.
LEAST_COSINE = 0.9999
GIVE_OTHER = "give precision float32 or bfloat16"

Project = Callable[[Inputs], torch.Tensor]


def gains_from_int8() -> bool:
    """Return whether OpenVINO is installed and int8 is faster here than what torch computes.

    It is where the processor multiplies int8, unless it multiplies tiles of bfloat16 as well (AMX): there bfloat16
    takes three quarters of int8's time (`make bench ONLY="embed-images embed-texts"`).
    """
    return bool(find_spec("openvino")) and _has("avx512_vnni", "avx_vnni") and not _has("amx_bf16")


def _has(*capabilities: str) -> bool:
    """Return whether the processor has one of these; an older torch does not know."""
    found: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(found.get(name) for name in capabilities)


class Int8Network:
    """One tower in int8: what `project` returns, computed by OpenVINO; several threads may use it.

    model: as the user called it. identity: what the network depends on. sample, other: prepared inputs of two different
    sizes; the network is converted on the first and checked on the second. Raises ModelError for a network that does
    not convert, and where OpenVINO is not installed.
    """

    def __init__(
        self, model: str, identity: list[str], network: Any, project: Project, sample: Inputs, other: Inputs
    ) -> None:
        if not find_spec("openvino"):
            raise ModelError(
                f'model {model!r}: int8 needs OpenVINO, on x86: pip install "mmlab[openvino]", or {GIVE_OTHER}'
            )
        self.model = model
        self.names = [name for name, value in sample.items() if isinstance(value, torch.Tensor)]
        key = json.dumps([*identity, self.names, version("openvino")])
        file = data() / "cache" / "int8" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.xml"
        try:
            self._use(_core().read_model(file))
        except RuntimeError:  # it is not there, or damaged
            converted = self._convert(_Tower(network, project, sample, self.names), sample, other)
            _save(round_weights(converted), file)
            self._use(_core().read_model(file))  # so that it computes as the next time

    def embed(self, prepared: Inputs) -> np.ndarray:
        """Return the rows (N, D), float32, of any length."""
        if not hasattr(self.requests, "own"):
            self.requests.own = self.compiled.create_infer_request()
        rows = self.requests.own.infer([prepared[name].numpy() for name in self.names])[0]
        return np.array(rows, dtype=np.float32)  # a copy: the next batch overwrites the result

    def _use(self, converted: Any) -> None:
        self.compiled, self.requests = _compile(converted), local()

    def _convert(self, tower: "_Tower", sample: Inputs, other: Inputs) -> Any:
        """Return the network as OpenVINO reads it; raise ModelError unless it gives the same vectors as torch."""
        given = [tuple(inputs[name] for name in self.names) for inputs in (sample, other)]
        try:
            with torch.no_grad(), _quiet():
                converted = _openvino().convert_model(tower.eval(), example_input=given[0])
                exact = tower(*given[1]).float().numpy()
            self._use(converted)
            found = self.embed(other)
        except Exception as error:  # the libraries raise all kinds
            raise self._refused("OpenVINO cannot read it") from error
        same = found.shape == exact.shape
        if not same or (unit_rows(found) * unit_rows(exact)).sum(axis=1).min() < LEAST_COSINE:
            raise self._refused("it would give other vectors")
        return converted

    def _refused(self, reason: str) -> ModelError:
        return ModelError(f"model {self.model!r} cannot be converted to int8 ({reason}): {GIVE_OTHER}")


def round_weights(converted: Any) -> Any:
    """Return the network of OpenVINO with the constant of each product in uint8, a scale and a zero for each output."""
    for node in converted.get_ops():
        weights = node.input_value(1).get_node() if node.get_type_name() == "MatMul" else None
        if weights and weights.get_type_name() == "Constant":
            across = -1 if node.get_attributes()["transpose_b"] else -2
            node.input(1).replace_source_output(_rounded(weights.data, across).output(0))
    converted.validate_nodes_and_infer_types()
    return converted


def _rounded(weights: np.ndarray, across: int) -> Any:
    """Return weights as OpenVINO computes them from uint8: (numbers - zeros) * scales, equal along the axis."""
    ops = _openvino().opset13
    low = np.minimum(weights.min(axis=across, keepdims=True), 0)
    high = np.maximum(weights.max(axis=across, keepdims=True), 0)
    scales = np.maximum(high - low, np.finfo(np.float32).tiny) / 255
    zeros = np.round(-low / scales)
    numbers = (np.round(weights / scales) + zeros).clip(0, 255)
    whole = [ops.convert(ops.constant(one.astype(np.uint8)), "f32") for one in (numbers, zeros)]
    return ops.multiply(ops.subtract(*whole), ops.constant(scales.astype(np.float32)))


class _Tower(torch.nn.Module):
    """What OpenVINO traces: tensors in the order of their names, then the rows."""

    def __init__(self, network: Any, project: Project, sample: Inputs, names: list[str]) -> None:
        super().__init__()
        self.network, self.project, self.names = network, project, names
        self.rest = {name: value for name, value in sample.items() if name not in names}

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        return self.project(self.rest | dict(zip(self.names, tensors, strict=True)))


def _openvino() -> Any:
    # Without this it would tell its makers of every conversion.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


@contextmanager
def _quiet() -> Iterator[None]:
    """Print no warnings that a trace may be incorrect, which is checked; leave the level of all logs as it was."""
    root = logging.getLogger()
    level = root.level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)  # OpenVINO leaves it at ERROR where it fails


def _compile(model: Any) -> Any:
    """Return the model ready to compute for several threads at a time, one core each."""
    threads = torch.get_num_threads()
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        # Without products of int8 only the weights are, which gains nothing.
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": GROUP if _has("avx512_vnni", "avx_vnni") else 0,
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": min(threads, MAX_STREAMS),
        "ENABLE_CPU_PINNING": False,  # other processes compute as well
    }
    return _core().compile_model(model, "CPU", settings)


def _core() -> Any:
    core = _openvino().Core()
    core.set_property(
        {"ENABLE_MMAP": False}
    )  # a file that is replaced while it is read from would end the process
    return core


def _save(model: Any, file: Path) -> None:
    """Write the two files of a network, last the one by which it is found."""
    with replacing(file) as temporary:
        _openvino().save_model(model, temporary, compress_to_fp16=False)
        temporary.with_suffix(".bin").replace(file.with_suffix(".bin"))
