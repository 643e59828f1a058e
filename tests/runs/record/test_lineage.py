import pytest

from mmlab.runs.record.lineage import (
    StaleInput,
    check_input,
    find_writer,
    fingerprint,
    is_done,
    written_files,
)


def record(finished="2026-01-01", parameters=(), reads=(), writes=()):
    return {
        "finished": finished,
        "parameters": dict(parameters),
        "reads": dict(reads),
        "writes": dict(writes),
    }


@pytest.fixture
def items(tmp_path):
    """A file that 01 wrote, and its fingerprint."""
    path = tmp_path / "items.parquet"
    path.write_text("items")
    return path, fingerprint(path, {}, {})


@pytest.mark.parametrize(("first", "second"), [("01_ingest", "02_again"), ("02_again", "01_ingest")])
def test_the_step_that_finished_last_is_the_writer(items, first, second):
    path, digest = items
    manifest = {
        "run": "r",
        "steps": {
            first: record("2026-01-01T10:00", writes={"items.parquet": "of the old bytes"}),
            second: record("2026-01-01T11:00", writes={"items.parquet": digest}),
        },
    }
    assert find_writer(manifest, "items.parquet") == second
    assert check_input(manifest, path, "items.parquet", {}) == digest
    manifest["steps"][first]["finished"] = "2026-01-01T12:00"
    with pytest.raises(StaleInput, match=rf"items\.parquet is not what {first} recorded"):
        check_input(manifest, path, "items.parquet", {})
    assert find_writer(manifest, "none.parquet") is None


def test_a_folder_is_another_one_if_its_parameters_or_its_sources_are(tmp_path):
    found = {
        fingerprint(tmp_path, parameters, reads)
        for parameters in ({"m": 16}, {"m": 32})
        for reads in ({"vectors/a.npz": "1"}, {"vectors/a.npz": "2"}, {})
    }
    assert len(found) == 6
    assert fingerprint(tmp_path, {"m": 16, "ef": 1}, {}) == fingerprint(tmp_path, {"ef": 1, "m": 16}, {})


def test_a_pattern_matches_within_one_folder():
    writes = dict.fromkeys(("vectors/b.npz", "vectors/a.npz", "vectors/old/a.npz", "a.npz"), "1")
    manifest = {"run": "r", "steps": {"02_embed": record(writes=writes)}}
    assert written_files(manifest, "vectors/*.npz") == ["vectors/b.npz", "vectors/a.npz"]


@pytest.fixture
def chain(tmp_path, items):
    """01 wrote the items; 05 read them and wrote nothing."""
    digest = items[1]
    steps = {
        "01_ingest": record(writes={"items.parquet": digest}),
        "05_evaluate": record(parameters={"seed": 0, "k": 5}, reads={"items.parquet": digest}),
    }
    return {"run": "r", "steps": steps}


def test_a_step_is_done_with_exactly_its_parameters(tmp_path, chain):
    assert is_done(chain, tmp_path, "05_evaluate", {"seed": 0, "k": 5})
    for other in ({"seed": 0}, {"seed": 0, "k": 6}, {"seed": 0, "k": 5, "more": 1}, {}):
        assert not is_done(chain, tmp_path, "05_evaluate", other)
    assert not is_done(chain, tmp_path, "04_retrieve", {})


def test_a_step_is_not_done_once_what_it_read_was_made_anew(tmp_path, chain):
    chain["steps"]["01_ingest"]["writes"]["items.parquet"] = "of other bytes"
    assert not is_done(chain, tmp_path, "05_evaluate", {"seed": 0, "k": 5})


def test_a_step_is_not_done_once_what_it_wrote_is_gone_or_changed(tmp_path, items, chain):
    assert is_done(chain, tmp_path, "01_ingest", {})
    items[0].write_text("by hand")
    assert not is_done(chain, tmp_path, "01_ingest", {})
    items[0].unlink()
    assert not is_done(chain, tmp_path, "01_ingest", {})
