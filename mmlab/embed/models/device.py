"""The device that a model runs on, its numeric precision, and the lock on an accelerator."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from mmlab.items.options import OPTIONS

PRECISIONS = OPTIONS["precision"]

# Threads that use one accelerator at once wait for the interpreter longer than they compute. All models share one lock:
# `sdpa_kernel` sets and restores a setting of the whole process.
DEVICE_LOCK = Lock()
# All kinds of attention but cuDNN's. Torch prefers that on Hopper in bfloat16, where it plans each new shape for 40 ms,
# once per thread.
ATTENTION = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def pick_device(device: str) -> torch.device:
    """Return the device of this name; "auto" is CUDA if there is one, else Apple's MPS, else the CPU.

    Raises ValueError if the device is not there.

    >>> pick_device("cpu")
    device(type='cpu')
    """
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available.insert(0, "cuda")
    if device == "auto":
        return torch.device(available[0])
    if device.split(":")[0] not in available:
        raise ValueError(f"device: expected auto or one of {', '.join(available)}, found {device!r}")
    return torch.device(device)


def pick_precision(precision: str, device: torch.device) -> str:
    """Return "float32" or "bfloat16"; "auto" is bfloat16 where the hardware computes faster in it.

    Raises ValueError for an unknown precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision: expected one of {', '.join(PRECISIONS)}, found {precision!r}")
    if precision != "auto":
        return precision
    return "bfloat16" if _computes_in_bfloat16(device) else "float32"


@contextmanager
def device_lock(device: torch.device) -> Iterator[None]:
    """Give an accelerator to this thread alone, with attention by ATTENTION only; do nothing on the CPU."""
    if device.type == "cpu":
        yield
    else:
        with DEVICE_LOCK, sdpa_kernel(ATTENTION):
            yield


def _computes_in_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        # An older torch does not know its processor, and stays with float32.
        found: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
        return bool(found.get("amx_bf16") or found.get("avx512_bf16"))
    return False
