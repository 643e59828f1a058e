import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer, XCLIPModel

from mmlab.embed.models.video import spread

TEXTS = ["a dog runs", "rain", "x"]


def unit(rows):
    return (rows / rows.norm(dim=1, keepdim=True)).numpy()


@torch.no_grad()
def test_vectors_equal_the_librarys_own_calls(models, folders, images):
    videos = [images[:3], images[2:]]
    network = XCLIPModel.from_pretrained(folders("xclip")).eval()
    processor = AutoImageProcessor.from_pretrained(folders("xclip"), backend="pil")
    pixels = torch.cat([processor(video, return_tensors="pt")["pixel_values"] for video in videos])
    assert pixels.shape == (2, 3, 3, 32, 32)
    tokens = AutoTokenizer.from_pretrained(folders("xclip"))(TEXTS, padding=True, return_tensors="pt")
    expected = unit(network.get_video_features(pixels).pooler_output)
    np.testing.assert_allclose(models("xclip").embed_videos(videos), expected, atol=1e-5)
    texts = unit(network.get_text_features(**tokens).pooler_output)
    np.testing.assert_allclose(models("xclip").embed_texts(TEXTS), texts, atol=1e-5)
    assert models("xclip").space.preprocessing.startswith("3 frames, ")


def test_frames_are_spread_from_the_first_to_the_last():
    assert spread(list(range(9)), 3) == [0, 4, 8]
    assert spread([0, 1, 2], 3) == [0, 1, 2]
    assert spread([7], 3) == [7, 7, 7]


def test_a_video_without_frames_is_refused(models):
    with pytest.raises(ValueError, match=r"video: expected at least one frame, found none"):
        models("xclip").embed_videos([[Image.new("RGB", (8, 8))], []])
