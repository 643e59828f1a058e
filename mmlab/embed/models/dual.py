"""The adapter for the dual encoders of transformers: CLIP and all that have get_text_features and its twin.

Its vectors are the projected features, which texts and images share, not the towers' own pooled output.
Letters: N inputs, T tokens, D dimensions.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import MODEL_MAPPING, AutoImageProcessor, AutoModel, AutoTokenizer

from mmlab.embed.models.checkpoint import reading
from mmlab.embed.models.protocol import ModelError
from mmlab.items import Space, unit_rows

if TYPE_CHECKING:
    from PIL.Image import Image
    from transformers import PreTrainedConfig

TRAINED_PADDED = {"siglip", "siglip2"}  # saw every text padded to the whole window
READS = {"input_ids": "texts only", "pixel_values": "images only"}
ANOTHER = "give a model that embeds both texts and images, such as CLIP or SigLIP"


class DualEncoder:
    """Two towers that meet in one space: `mmlab.embed.Model` for the CLIP family."""

    modalities = ("text", "image")

    def __init__(
        self,
        network: Any,
        tokenizer: Any,
        image_processor: Any,
        name: str,
        revision: str,
        device: str = "auto",
    ) -> None:
        self.device = pick_device(device)
        self.network = network.to(self.device).eval()
        self.tokenizer, self.image_processor = tokenizer, image_processor
        positions = getattr(network.config, "text_config", network.config).max_position_embeddings
        self.window = min(tokenizer.model_max_length, positions)
        precision = str(network.dtype).removeprefix("torch.")
        self.space = Space(
            model=name,
            revision=revision,
            pooling="joint projection",
            prompt="",
            preprocessing=f"{type(image_processor).__name__}, {self.window} tokens, {precision}",
            dimension=self._measure_dimension(name),
        )

    @torch.inference_mode()
    def embed_texts(self, texts: list[str]) -> np.ndarray:
        """Unit rows, float32 (N, D); a text longer than `window` tokens loses its end."""
        padding = "max_length" if self.network.config.model_type in TRAINED_PADDED else "longest"
        tokens = self.tokenizer(  # input_ids (N, T) and, where the model was trained with one, attention_mask
            texts, padding=padding, truncation=True, max_length=self.window, return_tensors="pt"
        )
        return self._unit_rows(self.network.get_text_features(**tokens.to(self.device)))

    @torch.inference_mode()
    def embed_images(self, pictures: "list[Image]") -> np.ndarray:
        """Unit rows, float32 (N, D)."""
        pixels = self.image_processor(pictures, return_tensors="pt")
        return self._unit_rows(self.network.get_image_features(**pixels.to(self.device, self.network.dtype)))

    def count_cut(self, texts: list[str]) -> int:
        """How many of the texts have more tokens than the window."""
        # An ASCII letter is one token at most, beside start, end and a leading space: most need no look.
        doubtful = [text for text in texts if not text.isascii() or len(text) + 3 > self.window]
        tokens = self.tokenizer(doubtful, verbose=False)["input_ids"] if doubtful else []
        return sum(len(ids) > self.window for ids in tokens)

    def _unit_rows(self, features: Any) -> np.ndarray:
        return unit_rows(features.pooler_output.float().cpu().numpy())

    def _measure_dimension(self, name: str) -> int:
        from PIL import Image

        with reading(name, "vectors", ANOTHER):
            text, image = self.embed_texts(["a"]), self.embed_images([Image.new("RGB", (64, 64), "grey")])
        if text.shape != image.shape or text.ndim != 2:
            raise ModelError(
                f"model {name!r}: texts become {text.shape[1:]}, images {image.shape[1:]}: {ANOTHER}"
            )
        return text.shape[1]


def check_kind(model: str, config: "PreTrainedConfig") -> None:
    """Raise ModelError unless the config belongs to a model that embeds both texts and images."""
    kind = MODEL_MAPPING.get(type(config), None)
    kind = kind[0] if isinstance(kind, tuple | list) else kind
    if not (hasattr(kind, "get_text_features") and hasattr(kind, "get_image_features")):
        found = kind.__name__ if kind else config.model_type
        reads = READS.get(getattr(kind, "main_input_name", ""), "something else")
        raise ModelError(f"model {model!r} is a {found}, which reads {reads}: {ANOTHER}")


def read_parts(model: str, source: str, precision: str) -> tuple[Any, Any, Any]:
    """The network, its tokenizer and its image processor, in evaluation mode on the CPU."""
    with reading(model, "weights", "expected a model.safetensors that fits the config"):
        network, found = AutoModel.from_pretrained(
            source,
            dtype=getattr(torch, precision),
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    if found["missing_keys"]:
        names = sorted(found["missing_keys"])
        raise ModelError(
            f"model {model!r}: its weights lack {len(names)} tensors, first {names[0]}: {ANOTHER}"
        )
    with reading(model, "tokenizer or image processor", "save them beside the weights with save_pretrained"):
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        # The Pillow processor everywhere: where torchvision is installed the pixels would differ else.
        image_processor = AutoImageProcessor.from_pretrained(source, backend="pil", trust_remote_code=False)
    _check_vocabulary(model, tokenizer, network)
    return network, tokenizer, image_processor


def _check_vocabulary(model: str, tokenizer: Any, network: Any) -> None:
    # Without its vocabulary file a tokenizer loads all the same, knows nothing, and texts get one vector.
    expected = getattr(network.config, "text_config", network.config).vocab_size
    if len(tokenizer) < expected / 2:
        raise ModelError(
            f"model {model!r}: its tokenizer knows {len(tokenizer)} tokens, expected about {expected}: "
            "save the tokenizer beside the weights with save_pretrained"
        )


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
