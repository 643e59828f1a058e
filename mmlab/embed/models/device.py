"""Where a model runs, and in which numbers."""

import torch

from mmlab.items.options import OPTIONS

PRECISIONS = OPTIONS["precision"]


def pick_device(device: str) -> torch.device:
    """The device of this name; "auto" takes CUDA, else Apple's MPS, else the CPU. ValueError if it is not there."""
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
    """The precision of this name; "auto" is bfloat16 where the hardware multiplies it faster, else float32."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision: expected one of {', '.join(PRECISIONS)}, found {precision!r}")
    if precision != "auto":
        return precision
    return "bfloat16" if _made_for_bfloat16(device) else "float32"


def _made_for_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":  # an older torch cannot be asked, and stays with float32
        found = getattr(torch.cpu, "get_capabilities", dict)()
        return bool(found.get("amx_bf16") or found.get("avx512_bf16"))
    return False
