import hashlib
import signal
import subprocess
import sys

import pytest

from mmlab.ingest.findings_cache import KEYS_PER_QUERY, Blobs, FindingsCache


def test_what_was_put_is_known_to_the_next(tmp_path):
    with FindingsCache(tmp_path / "deep" / "cache.sqlite") as cache:
        cache.put("measured", {"a": {"width": 3}, "b": None})
    with FindingsCache(tmp_path / "deep" / "cache.sqlite") as cache:
        assert cache.get("measured", ["a", "b", "c"]) == {"a": {"width": 3}, "b": None}
        assert cache.get("ocr", ["a"]) == {}


def test_a_known_key_gets_its_new_value(tmp_path):
    with FindingsCache(tmp_path / "cache.sqlite") as cache:
        cache.put("measured", {"a": 1})
        cache.put("measured", {"a": 2})
        assert cache.get("measured", ["a"]) == {"a": 2}


def test_any_number_of_keys_is_looked_up(tmp_path):
    keys = [str(number) for number in range(2 * KEYS_PER_QUERY + 3)]
    with FindingsCache(tmp_path / "cache.sqlite") as cache:
        cache.put("measured", {key: int(key) for key in keys})
        assert cache.get("measured", [*keys, "none"]) == {key: int(key) for key in keys}
        assert cache.get("measured", []) == {}


def test_wild_keys_are_only_text(tmp_path):
    keys = ["'; DROP TABLE findings; --", "\u2028\u202e", '"', ""]
    with FindingsCache(tmp_path / "cache.sqlite") as cache:
        cache.put("measured", dict.fromkeys(keys, "x"))
        assert cache.get("measured", keys) == dict.fromkeys(keys, "x")


def test_two_open_caches_see_each_others_findings(tmp_path):
    with FindingsCache(tmp_path / "cache.sqlite") as one, FindingsCache(tmp_path / "cache.sqlite") as other:
        one.put("measured", {"a": 1})
        other.put("measured", {"b": 2})
        assert one.get("measured", ["a", "b"]) == other.get("measured", ["a", "b"]) == {"a": 1, "b": 2}


def test_another_file_is_refused(tmp_path):
    (tmp_path / "cache.sqlite").write_text("this is a text of more than a few bytes\n" * 100)
    with pytest.raises(ValueError, match="is not ingest's cache .*: delete it"):
        FindingsCache(tmp_path / "cache.sqlite")


PUTS_FOREVER = """
import sys, itertools
from mmlab.ingest.findings_cache import FindingsCache
cache = FindingsCache(sys.argv[1])
for number in itertools.count():
    cache.put("measured", {str(number): number})
    print(number, flush=True)
"""


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path):
    command = [sys.executable, "-c", PUTS_FOREVER, str(tmp_path / "cache.sqlite")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        last = [int(process.stdout.readline()) for _ in range(40)][-1]
        process.send_signal(signal.SIGKILL)
    with FindingsCache(tmp_path / "cache.sqlite") as cache:
        assert cache.get("measured", [str(n) for n in range(last + 1)]) == {
            str(n): n for n in range(last + 1)
        }


def test_bytes_come_back_from_a_file_named_by_their_hash(tmp_path):
    path = Blobs(tmp_path / "blobs").put(b"bytes")
    assert path.read_bytes() == b"bytes"
    assert path.name == hashlib.sha256(b"bytes").hexdigest()
    assert path.is_absolute()


def test_the_same_bytes_are_kept_once(tmp_path):
    blobs = Blobs(tmp_path)
    assert blobs.put(b"same") == blobs.put(b"same")
    assert blobs.put(b"other") != blobs.put(b"same")
    assert sum(path.is_file() for path in tmp_path.rglob("*")) == 2


def test_a_file_that_was_cut_is_written_again(tmp_path):
    blobs = Blobs(tmp_path)
    path = blobs.put(b"whole")
    path.write_bytes(b"wh")
    assert blobs.put(b"whole").read_bytes() == b"whole"


@pytest.mark.parametrize("place", [-1, 0, 9])
def test_a_flipped_byte_is_never_read(tmp_path, place):
    """The last byte of the value, the first of its checksum, and one inside of the value."""
    file = tmp_path / "cache.sqlite"
    with FindingsCache(file) as cache:
        cache.put("measured", {"a": {"sharpness": 0.25}, "b": 1})
        ((written,),) = cache.read("SELECT value FROM findings WHERE key = ?", ["a"])
    content = bytearray(file.read_bytes())
    start = content.index(written.encode())
    content[start + place % len(written)] ^= 0x80
    file.write_bytes(content)
    with FindingsCache(file) as cache:
        assert cache.get("measured", ["a", "b"]) == {"b": 1}
        cache.put("measured", {"a": 2})
        assert cache.get("measured", ["a"]) == {"a": 2}


def test_a_damaged_value_is_unknown(tmp_path):
    with FindingsCache(tmp_path / "cache.sqlite") as cache:
        cache.put("measured", {"a": 1, "b": 2})
        cache.write("UPDATE findings SET value = ? WHERE key = ?", [("{", "a")])
        assert cache.get("measured", ["a", "b"]) == {"b": 2}
