"""The map to look into: one file, small, in which hostile captions stay text."""

import base64
import hashlib
import json
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmlab.visualize import interactive_map
from mmlab.visualize.map_figures import map_frame, script_hash

HOSTILE = ["</script><script>alert(1)</script>", "<!--<script>", "\u2028&lt;%data%", "a" * 5000]


def pairs(captions, image="/nowhere/x.jpg"):
    names = [f"p{n}" for n in range(len(captions))]
    texts = pd.DataFrame({"modality": "text", "pair_id": names, "text": captions, "image": None})
    images = texts.assign(modality="image", text=None, image=image)
    return pd.concat([texts, images], ignore_index=True)


def page_of(shown, **settings):
    points = np.random.default_rng(0).random((len(shown), 2))
    kinds = pd.Series(["text"] * (len(shown) // 2) + ["image"] * (len(shown) // 2))
    return str(interactive_map({"UMAP": points}, shown, {"modality": kinds}, **settings))


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_hostile_captions_and_titles_stay_text():
    page = page_of(pairs(HOSTILE, image=None), title="</title><script>alert(2)</script>")
    assert page.count("<script") == 2
    assert "alert(1)</script>" not in page
    assert "<title>&lt;/title&gt;" in page
    assert data_of(page)["captions"] == [text[:300] for text in HOSTILE] * 2


def test_only_its_own_script_may_run_and_nothing_is_fetched():
    page = page_of(pairs(["a"]))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert [f"sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}" for s in script] == [
        script_hash()
    ]
    assert f"script-src '{script_hash()}'" in policy
    assert "default-src 'none'" in policy
    assert not re.search(r'(src|href)\s*=\s*["\']?\s*(https?:)?//', page)


def test_each_text_is_tied_to_its_image_and_points_fill_the_square():
    data = data_of(page_of(pairs(["a", "b", "c"])))
    assert data["other"] == [3, 4, 5, 0, 1, 2]
    assert data["image"] == [0, 0, 0, 1, 1, 1]
    points = np.array(data["maps"][0]["points"])
    assert points.min() == 0
    assert points.max() == 1000
    assert data["groups"] == [
        {"name": "modality", "names": ["text", "image"], "styles": [0, 1], "of": [0, 0, 0, 1, 1, 1]}
    ]
    assert data["thumbs"] == [None] * 6


def test_an_image_that_cannot_be_opened_is_told_beside_both_captions():
    shown = pairs(["a", "b"], image=None)
    shown.loc[2, "image"] = "/nowhere/a.jpg"
    missing = "a (image not shown: missing file)"
    assert data_of(page_of(shown))["captions"] == [missing, "b", missing, "b"]


def test_five_hundred_noisy_images_stay_under_three_megabytes(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    page = page_of(pairs(["a dog on the beach"] * 500, str(tmp_path / "noise.png")))
    assert len(page.encode()) < 3_000_000
    with Image.open(BytesIO(base64.b64decode(data_of(page)["thumbs"][500]))) as thumb:
        assert (thumb.format, thumb.size) == ("JPEG", (64, 43))


def test_in_a_notebook_it_runs_in_a_frame_that_reaches_nothing():
    frame = str(map_frame(interactive_map({"m": np.eye(2)}, pairs(["a"]), {})))
    assert 'sandbox="allow-scripts"' in frame
    assert frame.count("<") == 2  # the frame's own two tags


@pytest.fixture
def browser():
    api = pytest.importorskip("playwright.sync_api")
    if not Path("/usr/bin/chromium").exists():
        pytest.skip("no Chromium on this machine")
    with api.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


def test_keys_choose_points_and_the_legend_hides_groups(browser, tmp_path):
    (tmp_path / "map.html").write_text(page_of(pairs(["<b>one</b>", "<b>one</b>"])), encoding="utf-8")
    tab, errors = browser.new_page(), []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto((tmp_path / "map.html").as_uri())
    tab.focus("#view")
    tab.keyboard.press("ArrowRight")
    assert "<b>one</b>" in tab.inner_text("#card")
    button = tab.locator("#legend button").first
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    tab.select_option("#group", "0")
    assert tab.locator("#legend button").first.get_attribute("aria-pressed") == "true"
    assert errors == []


def test_an_item_without_a_partner_stands_alone_under_its_name():
    shown = pairs(["a", "b"], image=None).query("modality == 'image'").reset_index(drop=True)
    data = data_of(page_of(shown, links=False))
    assert data["captions"] == ["p0", "p1"]
    assert data["other"] == [0, 1]
    assert data["image"] == [1, 1]
