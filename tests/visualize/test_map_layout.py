"""A layout keeps neighbours together and is repeatable; the same vectors are laid out once, whoever asks."""

import threading

import numpy as np
import pandas as pd
import pytest

from mmlab.items import Space, SpaceMismatch, Vectors, unit_rows
from mmlab.items.tables import TooFew
from mmlab.visualize import map_tsne, map_umap, sample_pairs
from mmlab.visualize.map_figures import group_mixing
from mmlab.visualize.map_layout import (
    cached_map,
    found_first,
    is_paired,
    map_points,
    map_spaces,
    name_groups,
    query_on_map,
    sampled_vectors,
)

SPACE = Space("model", "1", "", "", "", 4)


def two_clusters(per_cluster: int) -> Vectors:
    noise = 0.05 * np.random.default_rng(0).standard_normal((2 * per_cluster, 8))
    centres = np.repeat(np.eye(8)[:2], per_cluster, axis=0)
    names = [f"v{n}" for n in range(2 * per_cluster)]
    return Vectors(names, unit_rows(centres + noise), Space("model", "1", "", "", "", 8))


def flat(vectors: Vectors, **settings: object) -> np.ndarray:
    return vectors.array[:, :2]


@pytest.mark.parametrize("layout", [map_umap, map_tsne])
def test_two_clusters_stay_apart_and_the_seed_repeats_the_map(layout: object) -> None:
    vectors = two_clusters(30)
    points = layout(vectors, seed=1)
    assert points.shape == (60, 2)
    assert group_mixing(points, pd.Series(["a"] * 30 + ["b"] * 30)) == 0
    assert np.array_equal(points, layout(vectors, seed=1))


@pytest.mark.parametrize("layout", [map_umap, map_tsne])
def test_a_handful_of_vectors_still_makes_a_map(layout: object) -> None:
    assert np.isfinite(layout(two_clusters(3))).all()


def test_two_spaces_have_a_map_each_side_by_side() -> None:
    first, second = two_clusters(5), two_clusters(5)
    points = map_spaces([first, second], flat)
    assert points.shape == (20, 2)
    assert points[:10, 0].max() == pytest.approx(1)
    assert points[10:, 0].min() == pytest.approx(1.2)
    assert map_spaces([first], flat).tolist() == first.array[:, :2].tolist()


def vectors(seed=0, names="v", count=12):
    rows = unit_rows(np.random.default_rng(seed).standard_normal((count, 4)))
    return Vectors([f"{names}{n}" for n in range(count)], rows, SPACE)


class CountingLayout:
    """A layout that counts how often it is called."""

    __name__ = "drawer"

    def __init__(self):
        self.calls = 0

    def __call__(self, vectors, turn=0):
        self.calls += 1
        return np.roll(vectors.array[:, :2], turn, axis=0)


@pytest.fixture
def draw(monkeypatch):
    drawer = CountingLayout()
    monkeypatch.setattr("mmlab.visualize.map_layout.getsource", lambda layout: layout.__name__)
    return drawer


def test_the_same_vectors_are_laid_out_once(tmp_path, draw):
    first = cached_map(tmp_path / "maps", draw, vectors(), turn=1)
    again = cached_map(tmp_path / "maps", draw, vectors(names="other"), turn=1)
    assert draw.calls == 1
    assert np.array_equal(first, again)
    assert np.array_equal(first, np.roll(vectors().array[:, :2], 1, axis=0))


def test_other_vectors_settings_or_layouts_have_maps_of_their_own(tmp_path, draw):
    inputs = [(vectors(), 0), (vectors(seed=1), 0), (vectors(), 1), (vectors(count=11), 0)]
    maps = [cached_map(tmp_path, draw, chosen, turn=turn) for chosen, turn in inputs]
    draw.__name__ = "another"
    cached_map(tmp_path, draw, vectors(), turn=0)
    assert draw.calls == 5
    assert len({points.tobytes() for points in maps}) == 4


@pytest.mark.parametrize("damage", [b"", b"no map", b"\x93NUMPY"])
def test_a_damaged_file_is_made_anew(tmp_path, draw, damage):
    first = cached_map(tmp_path, draw, vectors())
    (file,) = tmp_path.glob("*.npy")
    file.write_bytes(damage)
    assert np.array_equal(cached_map(tmp_path, draw, vectors()), first)
    assert draw.calls == 2
    assert np.array_equal(np.load(file), first)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((3, 2), dtype=np.float32),
        np.zeros((12, 2)),
        np.full((12, 2), np.nan, dtype=np.float32),
        np.array([{"a": 1}] * 12),
    ],
)
def test_what_is_no_map_of_these_vectors_is_not_shown(tmp_path, draw, wrong):
    cached_map(tmp_path, draw, vectors())
    (file,) = tmp_path.glob("*.npy")
    np.save(file, wrong, allow_pickle=True)
    assert np.array_equal(cached_map(tmp_path, draw, vectors()), vectors().array[:, :2])
    assert draw.calls == 2


def test_several_that_want_the_same_map_wait_for_one(tmp_path, draw):
    begun, go_on = threading.Event(), threading.Event()

    def slow(vectors):
        begun.set()
        go_on.wait(30)
        return draw(vectors)

    slow.__name__ = "slow"
    maps = []
    ask = [
        threading.Thread(target=lambda: maps.append(cached_map(tmp_path, slow, vectors()))) for _ in range(3)
    ]
    for thread in ask:
        thread.start()
    assert begun.wait(30)
    go_on.set()
    for thread in ask:
        thread.join(30)
    assert draw.calls == 1
    assert len(maps) == 3
    assert all(np.array_equal(points, maps[0]) for points in maps)


def test_a_layout_that_fails_leaves_nothing(tmp_path, draw):
    def broken(vectors):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        cached_map(tmp_path, broken, vectors())
    assert list(tmp_path.glob("*.npy")) == []


def test_a_cached_map_is_the_map(tmp_path):
    parts = [vectors(count=30)]
    plain = map_spaces(parts, map_umap, neighbours=5, seed=3)
    for _ in range(2):
        assert np.array_equal(map_spaces(parts, map_umap, tmp_path, neighbours=5, seed=3), plain)
    assert len(list(tmp_path.glob("map_umap-*.npy"))) == 1


PLANE = Space("m", "1", "", "", "", 2)
ANGLES = np.radians([0, 60, 90])
ROWS = Vectors(["a", "b", "c"], np.column_stack([np.cos(ANGLES), np.sin(ANGLES)]), PLANE)
POINTS = pd.DataFrame({"item_id": ["a", "b", "c"], "x": [0.0, 4.0, 9.0], "y": [0.0, 4.0, 9.0]})


def test_a_query_lies_between_its_nearest_items_weighted_by_nearness():
    # Cosines 1, 0.5 and 0: the weights of a and b are 1 and 0.5.
    query = Vectors(["query"], [[1.0, 0.0]], PLANE)
    x, y, nearest = query_on_map(query, ROWS, POINTS, neighbours=2)
    assert (x, y) == (pytest.approx(4 / 3), pytest.approx(4 / 3))
    assert nearest["item_id"].tolist() == ["a", "b"]
    assert nearest["score"].tolist() == pytest.approx([1.0, 0.5])


def test_a_query_of_another_space_has_no_place():
    other = Vectors(["query"], [[1.0, 0.0]], Space("other", "1", "", "", "", 2))
    with pytest.raises(SpaceMismatch, match="'other'"):
        query_on_map(other, ROWS, POINTS)
    with pytest.raises(ValueError, match="none of the items on the map has a vector here"):
        query_on_map(Vectors(["query"], [[1.0, 0.0]], PLANE), ROWS, POINTS.assign(item_id=["x", "y", "z"]))


def test_points_of_maps():
    maps = POINTS.rename(columns={"x": "umap_x", "y": "umap_y"})
    assert map_points(maps).equals(POINTS)


def items(sizes):
    labels = [label for label, size in sizes.items() for _ in range(size)]
    pairs = [f"p{n}" for n in range(len(labels))]
    images = pd.DataFrame({"item_id": pairs, "modality": "image", "pair_id": pairs, "label": labels})
    texts = images.assign(item_id="t " + images["pair_id"], modality="text")
    more = texts.assign(item_id="u " + images["pair_id"])
    return pd.concat([images, texts, more], ignore_index=True)


def test_every_group_has_its_share_to_within_one_pair():
    shown = sample_pairs(items({"mug": 60, "hat": 30, "cap": 10}), 20)
    counts = shown[shown["modality"] == "image"]["label"].value_counts()
    assert counts.to_dict() == {"mug": 12, "hat": 6, "cap": 2}


def test_texts_come_first_and_in_the_order_of_their_images():
    shown = sample_pairs(items({"mug": 5, None: 4}), 6)
    assert shown["modality"].tolist() == ["text"] * 6 + ["image"] * 6
    assert shown["pair_id"][:6].tolist() == shown["pair_id"][6:].tolist()
    assert not shown["pair_id"][:6].duplicated().any()


def test_the_seed_repeats_the_sample_and_all_is_all():
    everything = items({"mug": 30})
    first, again, other = (sample_pairs(everything, 10, seed=seed)["item_id"].tolist() for seed in (1, 1, 2))
    assert first == again != other
    assert len(sample_pairs(everything, 999)) == 60


def test_items_without_a_partner_are_left_out():
    everything = items({"mug": 3})
    shown = sample_pairs(everything[everything["item_id"] != "p1"], 9)
    assert set(shown["pair_id"]) == {"p0", "p2"}
    with pytest.raises(ValueError, match="sample: expected a whole number from 1 to 100,000, found 0"):
        sample_pairs(everything, 0)


def test_vectors_come_in_the_order_of_the_sample_in_one_part_or_two():
    shown = sample_pairs(items({"mug": 2}), 2)
    texts, images = shown["item_id"][:2].tolist(), shown["item_id"][2:].tolist()
    space, other = (Space(name, "1", "", "", "", 2) for name in "ab")
    by_modality = {"text": Vectors(texts[::-1], np.eye(2), space), "image": Vectors(images, np.eye(2), space)}
    (joint,) = sampled_vectors(by_modality, shown)
    assert joint.ids.tolist() == texts + images
    assert joint.array[0].tolist() == [0, 1]
    apart = sampled_vectors({**by_modality, "image": Vectors(images, np.eye(2), other)}, shown)
    assert [part.ids.tolist() for part in apart] == [texts, images]


def test_results_are_given_for_items_of_both_directions():
    shown = pd.DataFrame({"item_id": ["t", "u", "i"]})
    scores = [
        pd.DataFrame({"query_id": ["t", "u"], "RR": [1, 0.5]}),
        pd.DataFrame({"query_id": ["x"], "RR": [1]}),
    ]
    assert found_first(shown, *scores).tolist() == ["found first", "missed", "not judged"]


def test_a_missing_group_has_a_name():
    assert name_groups(pd.DataFrame({"label": ["mug", None]}), "label").tolist() == ["mug", "(none)"]
    assert name_groups(pd.DataFrame({"label": [np.nan, np.nan]}), "label").tolist() == ["(none)"] * 2


def test_without_pairs_each_modality_has_a_sample_of_its_own_and_a_map_of_one_space():
    everything = items({"mug": 6, "hat": 3})
    photos = everything[everything["modality"] == "image"]
    shown = sample_pairs(photos, 6)
    assert shown["label"].value_counts().to_dict() == {"mug": 4, "hat": 2}
    assert not is_paired(shown)
    assert is_paired(sample_pairs(everything, 6))
    space = Space("a", "1", "", "", "", 2)
    empty = Vectors([], np.zeros((0, 2)), space)
    by_modality = {"text": empty, "image": Vectors(photos["item_id"], np.tile([1.0, 0.0], (9, 1)), space)}
    assert [part.ids.tolist() for part in sampled_vectors(by_modality, shown)] == [shown["item_id"].tolist()]


def test_a_map_of_a_few_points_says_how_many_it_needs():
    with pytest.raises(TooFew, match="a map needs 5 items or more to have neighbourhoods, and there are 4"):
        map_umap(two_clusters(2))


def test_where_few_images_have_a_text_the_others_are_shown_too():
    everything = items({"mug": 5})
    few = everything[(everything["modality"] == "image") | everything["pair_id"].isin(["p0", "p1"])]
    shown = sample_pairs(few, 9)
    assert shown["modality"].tolist() == ["text"] * 2 + ["image"] * 5
    half = everything[(everything["modality"] == "image") | everything["pair_id"].isin(["p0", "p1", "p2"])]
    assert is_paired(sample_pairs(half, 9))
