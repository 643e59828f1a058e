"""Settings of the graph, of quantization and of a cluster: which are refused, and in which words."""

import pytest

from mmlab.index import Cluster, Hnsw, Quantization
from mmlab.index.store.schema import BinaryWarning


@pytest.mark.parametrize("settings", [{"m": 0}, {"ef_construct": 3}, {"ef": 0}, {"scan_kb": 9}, {"m": 1.5}])
def test_wrong_index_settings_are_refused(settings):
    with pytest.raises(
        ValueError, match=f"parameter (hnsw_)?{next(iter(settings))}: expected a whole number from"
    ):
        Hnsw(**settings)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none", None),
        (None, None),
        ("scalar", Quantization("scalar", 8)),
        ("product", Quantization("product", 16)),
        ("product-32", Quantization("product", 32)),
        ("binary", Quantization("binary", 1)),
        ("turbo-2", Quantization("turbo", 2)),
        (Quantization("turbo"), Quantization("turbo", 4)),
    ],
)
def test_a_quantization_is_named_by_its_kind_and_size(name, expected):
    assert Quantization.from_name(name) == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("int8", "parameter quantization: expected one of none, scalar, .*, found 'int8'"),
        (
            "product-3",
            "expected one of .*product, product-4, product-8, .*, found 'product-3'",
        ),
        ("product-", "expected one of .*, found 'product-'"),
        ("product-x4", "expected one of .*, found 'product-x4'"),
    ],
)
def test_a_wrong_name_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        Quantization.from_name(name)


def test_oversampling_has_bounds():
    with pytest.raises(ValueError, match="oversampling: expected a number from 1 to 100, found 0.5"):
        Quantization("scalar", oversampling=0.5)


def test_binary_warns_and_others_do_not(recwarn):
    Quantization("scalar").warn()
    assert not recwarn
    with pytest.warns(BinaryWarning, match="recall falls from 0.99 to 0.48-0.60"):
        Quantization("binary").warn()


def test_the_line_that_asks_for_a_binary_index_is_warned():
    """Not the line of mmlab that looks at the quantization."""

    def builds() -> None:
        Quantization("binary").warn()

    with pytest.warns(BinaryWarning) as caught:
        builds()
    assert caught[0].filename == __file__
    assert (
        caught[0].lineno == test_the_line_that_asks_for_a_binary_index_is_warned.__code__.co_firstlineno + 7
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shards": 0}, "shards: expected a whole number from 1, found 0"),
        ({"replicas": True}, "replicas: expected a whole number from 1, found True"),
        ({"replicas": 2, "write_consistency": 3}, "write_consistency 3 is more than the 2 replicas"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Cluster(**settings)


def test_the_usual_settings_and_the_least_of_each():
    assert Hnsw() == Hnsw(64, 128, 50, 256)
    assert Hnsw(1, 4, 1, 10) == Hnsw(m=1, ef_construct=4, ef=1, scan_kb=10)
    assert Cluster() == Cluster(1, 1, 1)
    assert Cluster(shards=1, replicas=3, write_consistency=3).replicas == 3
    assert Quantization("scalar") == Quantization("scalar", 8, True, True, 2.0)
    for oversampling in (1, 100):
        assert Quantization("scalar", oversampling=oversampling).oversampling == oversampling
    with pytest.raises(ValueError, match="oversampling: expected a number from 1 to 100, found 100.5"):
        Quantization("scalar", oversampling=100.5)
    with pytest.raises(
        ValueError, match="parameter ef: expected a whole number from 1 to 10,000, found True"
    ):
        Hnsw(ef=True)
    with pytest.raises(ValueError, match="write_consistency: expected a whole number from 1, found 0"):
        Cluster(write_consistency=0)


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [("scalar", [8]), ("product", [4, 8, 16, 32, 64]), ("binary", [1]), ("turbo", [1, 2, 4, 8])],
)
def test_each_kind_of_quantization_has_its_sizes(kind, sizes):
    assert [size for size in range(1, 70) if accepted(kind, size)] == sizes
    assert Quantization(kind).size in sizes


def accepted(kind, size) -> bool:
    try:
        return Quantization(kind, size).size == size
    except ValueError:
        return False


def test_a_name_is_read_with_what_is_given_beside_it():
    given = {"always_ram": False, "rescore": False, "oversampling": 7.0}
    assert Quantization.from_name("product-64", **given) == Quantization("product", 64, False, False, 7.0)
    assert Quantization.from_name("turbo") == Quantization("turbo", 4, True, True, 2.0)
