import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageEnhance

from mmlab.demo.drawing import draw_product
from mmlab.demo.products import sample_product
from mmlab.ingest.images import quality as module
from mmlab.ingest.images.quality import measure_images, near_duplicates

ALL = (1 << 64) - 1


def table(*rows):
    """Facts of (hash, grey level of every cell), named a, b, c ..."""
    phash = [f"{value:016x}" for value, _ in rows]
    signature = [base64.b64encode(np.full(48, level, np.uint8)).decode() for _, level in rows]
    return pd.DataFrame(
        {"phash": phash, "signature": signature}, index=list("abcdefgh"[: len(rows)]), dtype="str"
    )


def firsts(facts, bits=8):
    return "".join(facts.index[near_duplicates(facts, bits)])


def flipped(value, bits, seed=0):
    """The hash with so many bits flipped, anywhere."""
    for place in np.random.default_rng(seed).permutation(64)[:bits]:
        value ^= 1 << int(place)
    return value


def as_jpeg(image, quality=88):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


ALTERED = {
    "resized": lambda image: image.resize((154, 154)),
    "recompressed": lambda image: as_jpeg(image, 30),
    "brightened": lambda image: ImageEnhance.Brightness(image).enhance(1.12),
    "cropped": lambda image: image.crop((4, 2, 254, 252)),
}


@pytest.fixture(scope="module")
def products():
    return [draw_product(sample_product(0, "train", number)) for number in range(40)]


@pytest.mark.parametrize("alteration", ALTERED)
def test_altered_copies_are_found(products, tmp_path, alteration):
    copies = [ALTERED[alteration](product) for product in products]
    files = {f"{number}.jpg": tmp_path / f"{number}.jpg" for number in range(80)}
    for path, image in zip(files.values(), [*products, *copies], strict=True):
        as_jpeg(image.convert("RGB")).save(path, quality="keep")
    found = near_duplicates(measure_images(files, progress=False)[0], 8)
    own = np.arange(40)
    assert found[:40].tolist() == own.tolist()
    assert sum(found[40:] == own) >= 36
    assert set(found[40:]) <= {*own, *(own + 40)}


def test_what_differs_in_colour_only_is_no_duplicate(tmp_path):
    """One drawing, its channels exchanged so that the grey hash hardly changes: red and blue are swapped."""
    product = draw_product(sample_product(0, "train", 3))
    red, green, blue = product.split()
    files = {"a": tmp_path / "a.png", "b": tmp_path / "b.png"}
    product.save(files["a"])
    Image.merge("RGB", (red.point(lambda level: min(level + 60, 255)), green, blue)).save(files["b"])
    facts = measure_images(files, progress=False)[0]
    distance = (int(facts["phash"].iloc[0], 16) ^ int(facts["phash"].iloc[1], 16)).bit_count()
    assert distance <= 8
    assert near_duplicates(facts, 8).tolist() == [0, 1]


@pytest.mark.parametrize("bits", [0, 1, 3, 4, 7, 8, 11])
def test_every_pair_within_the_bits_is_found_and_no_other(bits):
    """Wherever the flipped bits lie: ends, borders of bands, all in one band, spread evenly."""
    start = 0x0123456789ABCDEF
    within = [flipped(start, bits, seed) for seed in range(15)]
    within += [start ^ ((1 << bits) - 1), start ^ (((1 << bits) - 1) << (64 - bits))]
    within += [start ^ sum(1 << (place * 64 // max(bits, 1)) for place in range(bits))]
    for value in within:
        assert firsts(table((start, 9), (value, 9)), bits) == "aa"
    for seed in range(15):
        assert firsts(table((start, 9), (flipped(start, bits + 1, seed), 9)), bits) == "ab"


def test_a_chain_of_small_changes_is_not_one_group():
    """b is near a, c is near b but not a; so c starts a group, which d joins, being near both b and c."""
    chain = [0, (1 << 6) - 1, (1 << 12) - 1, (1 << 13) - 1]
    assert firsts(table(*((value, 9) for value in chain))) == "aacc"


def test_the_earliest_first_one_is_joined():
    """c is near both a and b, which are not near each other; the order of the rows decides."""
    rows = (0, 9), ((1 << 12) - 1, 9), ((1 << 6) - 1, 9)
    assert firsts(table(*rows)) == "aba"
    assert firsts(table(rows[1], rows[0], rows[2])) == "aba"


def test_brightness_is_evened_out_but_colour_is_not():
    assert firsts(table((5, 200), (5, 170), (5, 20))) == "aac"
    facts = table((5, 200), (5, 200))
    tinted = np.full((16, 3), 200, np.uint8)
    tinted[7, 2] = 120  # one cell of sixteen, one channel
    facts.loc["b", "signature"] = base64.b64encode(tinted).decode()
    assert firsts(facts) == "ab"


def test_the_same_image_twice_is_one_group():
    assert firsts(table((5, 9), (ALL, 9), (5, 9), (ALL, 9)), 0) == "abab"


@pytest.mark.parametrize("number", [0, 1])
def test_few_images_are_as_they_are(number):
    assert firsts(table((5, 9))[:number]) == "a"[:number]


@pytest.mark.parametrize("bits", [-1, 17])
def test_the_bits_are_bounded(bits):
    with pytest.raises(ValueError, match=f"0 to 16 of 64 bits, found {bits}"):
        near_duplicates(table((5, 9)), bits)


def test_as_comparing_all_pairs_finds(monkeypatch):
    """400 hashes in clusters, few pairs at a time, against plain loops."""
    monkeypatch.setattr(module, "PAIRS_PER_BATCH", 50)
    rng = np.random.default_rng(0)
    hashes = [
        flipped(int(rng.integers(1 << 62)) if i < 100 else i % 100, int(rng.integers(6)), i)
        for i in range(400)
    ]
    facts = pd.concat([table((value, 9)) for value in hashes]).set_axis([str(i) for i in range(400)])
    expected = []
    for i, value in enumerate(hashes):
        leaders = [j for j in dict.fromkeys(expected) if (value ^ hashes[j]).bit_count() <= 8]
        expected.append(min(leaders, default=i))
    assert len(set(expected)) < 300
    assert near_duplicates(facts, 8).tolist() == expected


def test_many_that_share_a_hash_stay_few_comparisons(monkeypatch):
    """20,000 equal hashes are 200 million pairs; compared are no more than MAX_NEIGHBOURS for each, in each band."""
    compared = []
    candidates = module._candidates
    monkeypatch.setattr(
        module,
        "_candidates",
        lambda *given: (compared.append(len(pair[0])) or pair for pair in candidates(*given)),
    )
    facts = table((5, 100)).iloc[[0] * 20_000].set_axis([str(i) for i in range(20_000)])
    assert set(near_duplicates(facts, 8)) == {0}
    assert 20_000 < sum(compared) <= 20_000 * module.MAX_NEIGHBOURS * module.BANDS
    assert max(compared) <= module.PAIRS_PER_BATCH + module.MAX_NEIGHBOURS
