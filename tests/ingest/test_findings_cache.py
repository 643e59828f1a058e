import signal
import subprocess
import sys

import pytest

from mmlab.ingest.findings_cache import Memo


def test_what_was_put_is_known_to_the_next(tmp_path):
    with Memo(tmp_path / "deep" / "memo.sqlite") as memo:
        memo.put("look", {"a": {"width": 3}, "b": None})
    with Memo(tmp_path / "deep" / "memo.sqlite") as memo:
        assert memo.get("look", ["a", "b", "c"]) == {"a": {"width": 3}, "b": None}
        assert memo.get("ocr", ["a"]) == {}


def test_a_known_key_gets_its_new_value(tmp_path):
    with Memo(tmp_path / "memo.sqlite") as memo:
        memo.put("look", {"a": 1})
        memo.put("look", {"a": 2})
        assert memo.get("look", ["a"]) == {"a": 2}


def test_wild_keys_are_only_text(tmp_path):
    keys = ["'; DROP TABLE findings; --", "\u2028\u202e", '"', ""]
    with Memo(tmp_path / "memo.sqlite") as memo:
        memo.put("look", dict.fromkeys(keys, "x"))
        assert memo.get("look", keys) == dict.fromkeys(keys, "x")


def test_two_open_memos_see_each_others_findings(tmp_path):
    with Memo(tmp_path / "memo.sqlite") as one, Memo(tmp_path / "memo.sqlite") as other:
        one.put("look", {"a": 1})
        other.put("look", {"b": 2})
        assert one.get("look", ["a", "b"]) == other.get("look", ["a", "b"]) == {"a": 1, "b": 2}


def test_another_file_is_refused(tmp_path):
    (tmp_path / "memo.sqlite").write_text("this is a text of more than a few bytes\n" * 100)
    with pytest.raises(ValueError, match="is not ingest's memo .*: delete it"):
        Memo(tmp_path / "memo.sqlite")


PUTS_FOREVER = """
import sys, itertools
from mmlab.ingest.findings_cache import Memo
memo = Memo(sys.argv[1])
for number in itertools.count():
    memo.put("look", {str(number): number})
    print(number, flush=True)
"""


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path):
    command = [sys.executable, "-c", PUTS_FOREVER, str(tmp_path / "memo.sqlite")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        last = [int(process.stdout.readline()) for _ in range(40)][-1]
        process.send_signal(signal.SIGKILL)
    with Memo(tmp_path / "memo.sqlite") as memo:
        assert memo.get("look", [str(n) for n in range(last + 1)]) == {str(n): n for n in range(last + 1)}
