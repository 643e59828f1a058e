import pytest

from mmlab.runs import start_step
from mmlab.runs.record.lineage import (
    StaleInput,
    check_input,
    find_maker,
    find_writer,
    fingerprint,
    is_done,
    read_held,
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
        for reads in ({"vectors/a.arrow": "1"}, {"vectors/a.arrow": "2"}, {})
    }
    assert len(found) == 6
    assert fingerprint(tmp_path, {"m": 16, "ef": 1}, {}) == fingerprint(tmp_path, {"ef": 1, "m": 16}, {})


def test_a_pattern_matches_within_one_folder():
    writes = dict.fromkeys(("vectors/b.arrow", "vectors/a.arrow", "vectors/old/a.arrow", "a.arrow"), "1")
    manifest = {"run": "r", "steps": {"02_embed": record(writes=writes)}}
    assert written_files(manifest, "vectors/*.arrow") == ["vectors/b.arrow", "vectors/a.arrow"]


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


def test_a_file_was_made_in_this_run_or_in_the_one_that_shares_it():
    shared = record(writes={"items.parquet": "1"}) | {"shared_from": "first"}
    steps = {"01_ingest": shared, "02_embed": record(writes={"vectors/a.arrow": "2"})}
    files = ("items.parquet", "vectors/a.arrow", "nobody.arrow")
    assert [find_maker({"run": "r", "steps": steps}, file) for file in files] == ["first", "r", "r"]


def test_a_file_that_two_steps_wrote_is_listed_once_where_it_was_written_first():
    first, second = (
        dict.fromkeys(names, "1") for names in (("b.arrow", "a.arrow"), ("a.arrow", "c.arrow", "c.csv"))
    )
    manifest = {"run": "r", "steps": {"02_embed": record(writes=first), "04_retrieve": record(writes=second)}}
    assert written_files(manifest, "*.arrow") == ["b.arrow", "a.arrow", "c.arrow"]


@pytest.mark.parametrize(
    ("file", "maker"),
    [
        ("items.parquet", "run 01_ingest for this run first"),
        ("vectors/a.arrow", "run 02_embed for this run first"),
        ("own/a.csv", "run the notebook that writes it for this run first"),
    ],
)
def test_a_file_that_is_not_there_names_who_writes_it(tmp_path, file, maker):
    with pytest.raises(FileNotFoundError, match=f"no {file} in .*: {maker}"):
        check_input({"run": "r", "steps": {}}, tmp_path / file, file, {})
    steps = {"03_own": record(writes={file: "1"})}
    with pytest.raises(FileNotFoundError, match="run 03_own for this run first"):
        check_input({"run": "r", "steps": steps}, tmp_path / file, file, {})


def test_a_file_that_no_step_recorded_may_not_be_used(items):
    steps = {"02_embed": record(writes={"vectors/a.arrow": "1"})}
    with pytest.raises(StaleInput, match="names no step that wrote it: run 01_ingest to the end"):
        check_input({"run": "r", "steps": steps}, items[0], "items.parquet", {})


@pytest.fixture
def long_chain(tmp_path, items):
    """01 -> 02 -> 03, which wrote a store, a folder, from the vectors and the items."""
    (tmp_path / "store").mkdir()
    read = {"items.parquet": items[1]}
    steps = {
        "01_ingest": record(parameters={"seed": 1, "min_words": 3}, writes=read),
        "02_embed": record(parameters={"seed": 1, "model": "m"}, reads=read, writes={"vectors/a.arrow": "a"}),
        "03_index": record(
            parameters={"m": 16}, reads={"vectors/a.arrow": "a", **read}, writes={"store": "folder:s"}
        ),
    }
    return {"run": "r", "steps": steps}


def test_a_folder_is_known_by_what_it_was_made_from(tmp_path, long_chain):
    mine = {"m": 16, "model": "m", "seed": 1, "min_words": 3, "k": 10}
    assert check_input(long_chain, tmp_path / "store", "store", mine) == "folder:s"
    assert check_input(long_chain, tmp_path / "store", "store", {}) == "folder:s"


@pytest.mark.parametrize(
    ("name", "step"), [("m", "03_index"), ("model", "02_embed"), ("min_words", "01_ingest")]
)
def test_a_parameter_of_any_step_upstream_must_be_the_same(tmp_path, long_chain, name, step):
    was = long_chain["steps"][step]["parameters"][name]
    message = f"store was made with other parameters: {name} is 'new' here and was {was!r} in {step}; " \
        f"run {step} and what follows it with {name}='new', or use {was!r} here"  # fmt: skip
    with pytest.raises(StaleInput, match=message):
        check_input(long_chain, tmp_path / "store", "store", {"k": 1, name: "new"})


def test_a_step_may_use_some_of_the_retrievers_that_an_index_holds(tmp_path, long_chain):
    step = next(name for name, one in long_chain["steps"].items() if "store" in one["writes"])
    long_chain["steps"][step]["parameters"]["retrievers"] = ["dense", "bm25"]
    assert check_input(long_chain, tmp_path / "store", "store", {"retrievers": ["dense"]})
    with pytest.raises(StaleInput, match=r"retrievers is \['late'\] here and was \['dense', 'bm25'\]"):
        check_input(long_chain, tmp_path / "store", "store", {"retrievers": ["late"]})


@pytest.mark.parametrize(
    ("file", "writer"), [("items.parquet", "01_ingest"), ("vectors/a.arrow", "02_embed")]
)
def test_what_any_step_upstream_read_must_still_be_there(tmp_path, long_chain, file, writer):
    long_chain["steps"][writer]["writes"][file] = "another"
    reader = {"items.parquet": "03_index", "vectors/a.arrow": "03_index"}[file]
    with pytest.raises(StaleInput, match=f"{reader} read another {file} than {writer} has written since"):
        check_input(long_chain, tmp_path / "store", "store", {})
    del long_chain["steps"]["03_index"]["reads"]["items.parquet"]
    with pytest.raises(StaleInput, match=f"read another {file} than {writer} has written since"):
        check_input(long_chain, tmp_path / "store", "store", {})


def test_what_was_read_from_elsewhere_is_not_looked_for(tmp_path, long_chain):
    """As a file of another run, or of the user's."""
    long_chain["steps"]["02_embed"]["reads"]["other:items.parquet"] = "1"
    assert check_input(long_chain, tmp_path / "store", "store", {}) == "folder:s"


def test_of_two_steps_with_other_parameters_the_nearer_is_named(tmp_path, long_chain):
    with pytest.raises(StaleInput, match="model is 'new' here and was 'm' in 02_embed"):
        check_input(long_chain, tmp_path / "store", "store", {"min_words": 9, "model": "new"})


def test_a_step_behind_one_that_was_looked_at_already_is_not_passed_over(tmp_path, long_chain):
    """03 read the items and the vectors, 02 the items and a list of words that another step wrote."""
    words = {"words.csv": "w"}
    long_chain["steps"]["00_words"] = record(parameters={"language": "en"}, writes=words)
    index, embed = (long_chain["steps"][name]["reads"] for name in ("03_index", "02_embed"))
    long_chain["steps"]["03_index"]["reads"] = dict(reversed(index.items()))
    embed |= words
    assert check_input(long_chain, tmp_path / "store", "store", {"language": "en"}) == "folder:s"
    with pytest.raises(StaleInput, match="language is 'de' here and was 'en' in 00_words"):
        check_input(long_chain, tmp_path / "store", "store", {"language": "de"})


def test_steps_that_read_from_each_other_are_each_looked_at_once(tmp_path, long_chain):
    """05 writes labels that 04 reads when it is run again."""
    long_chain["steps"]["01_ingest"]["reads"] = {"store": "folder:s"}
    assert check_input(long_chain, tmp_path / "store", "store", {"m": 16}) == "folder:s"


def test_a_step_is_done_whatever_the_parameters_of_those_before_it(tmp_path, long_chain):
    """Its own are compared; the others were when it read their files."""
    (tmp_path / "vectors").mkdir()
    assert is_done(long_chain, tmp_path, "03_index", {"m": 16})
    assert not is_done(long_chain, tmp_path, "02_embed", {"seed": 1, "model": "m"})  # its file is not there
    long_chain["steps"]["01_ingest"]["parameters"]["m"] = 99
    assert is_done(long_chain, tmp_path, "03_index", {"m": 16})


def test_what_was_made_from_a_step_that_is_done_anew_is_stale():
    first = start_step("01_ingest", "r")
    first.write("items.parquet").write_text("items")
    first.finish("")
    second = start_step("02_embed", "r")
    second.read("items.parquet")
    second.finish("")
    assert read_held("r").get("stale", {}) == {}
    again = start_step("01_ingest", "r")
    again.write("items.parquet").write_text("other items")
    again.finish("")
    held = read_held("r")
    assert list(held["stale"]) == ["02_embed"]
    assert "items.parquet" in held["stale"]["02_embed"]
