import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpcore
import pytest

from mmlab import __version__
from mmlab.ingest.findings_cache import Blobs, FindingsCache
from mmlab.ingest.images.addresses import DownloadError, DownloadLimits
from mmlab.ingest.images.fetch import Downloader, fetch_images
from tests.ingest.images.server import JPEG, QUICK, WebServer, failing, image_bytes, outcome


def test_each_url_gets_one_row_in_order_and_a_dead_one_costs_no_other(web, fetch):
    good, other = web.serve("/a.jpg", JPEG), web.serve("/b.png", image_bytes("blue", "PNG"))
    images = fetch([other, web.url("/gone.jpg"), good, other, "nonsense"])
    assert images.index.tolist() == [other, web.url("/gone.jpg"), good, "nonsense"]
    assert list(images.columns) == ["file", "reason", "detail"] and (images.dtypes == "str").all()
    assert Path(images.file[good]).read_bytes() == JPEG and Path(images.file[good]).is_absolute()
    assert images.file.notna().tolist() == [True, False, True, False]
    assert images.reason.isna().tolist() == [True, False, True, False]
    assert outcome(images, web.url("/gone.jpg")) == ("refused by the server", "404 Not Found")
    assert outcome(images, "nonsense") == ("bad address", "neither http nor https")


def test_no_urls_are_an_empty_table(fetch):
    assert fetch([]).shape == (0, 3)


def test_equal_bytes_share_a_file_whatever_their_urls_say(web, fetch):
    urls = [web.serve(path, JPEG) for path in ("/a.jpg", "/b.jpg", "/..%2f..%2fetc%2fpasswd", "/c.jpg")]
    files = fetch([*urls, web.url("/a.jpg?name=../../etc")]).file
    assert files.nunique() == 1
    assert [path.name for path in Path(files.iloc[0]).parents[1].rglob("*") if path.is_file()] == [
        Path(files.iloc[0]).name
    ]


def test_the_request_says_who_asks_and_carries_nothing_over(web, fetch):
    fetch([web.serve("/a.jpg", lambda handler: handler.send(JPEG, Set_Cookie="a=b"))], threads=1)
    fetch([web.serve("/b.jpg", lambda handler: handler.send(JPEG))], threads=1)
    for headers in web.headers:
        assert headers["User-Agent"] == f"mmlab/{__version__} (+ingest)"
        assert headers["Host"] == f"127.0.0.1:{web.server_port}"
        assert headers.keys() == ["Host", "User-Agent", "Accept", "Accept-Encoding"]


def test_a_proxy_of_the_environment_is_not_asked(web, fetch, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert fetch([web.serve("/a.jpg", JPEG)]).file.notna().all()


def test_redirects_are_followed_so_many_times(web, fetch):
    for hop in range(7):
        web.serve(
            f"/{hop}", lambda handler, hop=hop: handler.send(b"elsewhere", status=302, Location=str(hop + 1))
        )
    web.serve("/7", JPEG)
    web.serve("/loop", lambda handler: handler.send(status=307, Location="/loop"))
    near, far, loop = web.url("/2"), web.url("/1"), web.url("/loop")
    images = fetch([near, far, loop])
    assert images.file.notna().tolist() == [True, False, False]
    assert outcome(images, far) == outcome(images, loop) == ("too many redirects", "more than 5")
    assert web.asked["/loop"] == 6


@pytest.mark.parametrize(
    "place", ["ftp://127.0.0.1/", "http://me:secret@127.0.0.1/", "http://[", "javascript:1"]
)
def test_a_redirect_to_no_address_of_an_image_is_refused(web, fetch, place):
    url = web.serve("/a", lambda handler: handler.send(status=302, Location=place))
    assert outcome(fetch([url]), url)[0] == "bad address"


def test_the_body_of_a_redirect_is_not_read(web, fetch):
    def endless(handler):
        handler.head(302, Location="/b.jpg", Content_Length=10**12)
        handler.wfile.write(b"x" * 100_000)

    web.serve("/b.jpg", JPEG)
    assert fetch([web.serve("/a.jpg", endless)]).file.notna().all()


def test_what_is_known_is_not_asked_for_again_and_failures_are(web, fetch):
    good = web.serve("/a.jpg", JPEG)
    late = web.serve("/b.jpg", failing(1, status=404))
    first, second, third = fetch([good, late]), fetch([late, good]), fetch([good, late])
    assert first.file.notna().tolist() == [True, False]
    assert second.file.notna().all() and second.index.tolist() == [late, good]
    assert third.equals(second.loc[[good, late]])
    assert web.asked == {"/a.jpg": 1, "/b.jpg": 2}


def test_a_file_that_is_gone_is_fetched_again(web, fetch):
    url = web.serve("/a.jpg", JPEG)
    Path(fetch([url]).file[url]).unlink()
    assert Path(fetch([url]).file[url]).read_bytes() == JPEG
    assert web.asked["/a.jpg"] == 2


def test_what_was_fetched_moves_with_its_folder(web, tmp_path):
    url = web.serve("/a.jpg", JPEG)
    with FindingsCache(tmp_path / "cache.sqlite") as cache:
        fetch_images([url], Blobs(tmp_path / "here"), cache, DownloadLimits(**QUICK), progress=False)
        shutil.move(tmp_path / "here", tmp_path / "there")
        moved = fetch_images([url], Blobs(tmp_path / "there"), cache, DownloadLimits(**QUICK), progress=False)
    assert Path(moved.file[url]).is_relative_to(tmp_path / "there") and web.asked["/a.jpg"] == 1


FETCH = """
import json, sys
from mmlab.ingest.findings_cache import Blobs, FindingsCache
from mmlab.ingest.images.addresses import DownloadLimits
from mmlab.ingest.images.fetch import fetch_images
folder, limits, *urls = sys.argv[1:]
with FindingsCache(f"{folder}/cache.sqlite") as cache:
    fetch_images(urls, Blobs(f"{folder}/blobs"), cache, DownloadLimits(**json.loads(limits)), progress=False)
"""


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is no signal here")
def test_an_interrupt_ends_soon_and_the_next_call_goes_on(web, fetch, tmp_path):
    quick = [web.serve(f"/{i}.jpg", JPEG) for i in range(20)]
    slow = [web.serve(f"/slow{i}.jpg", lambda handler: handler.pause(90)) for i in range(8)]

    def is_busy() -> bool:
        """All quick ones are recorded, and each of the four threads waits for a slow one."""
        with FindingsCache(tmp_path / "cache.sqlite") as cache:
            recorded = len(cache.get("fetched", quick))
        return recorded == 20 and sum(web.asked[f"/slow{i}.jpg"] for i in range(8)) == 4

    limits = json.dumps({**QUICK, "read": 60, "deadline": 90, "threads": 4})
    command = [sys.executable, "-c", FETCH, str(tmp_path), limits, *quick, *slow]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not is_busy():
            time.sleep(0.01)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=40)[1]
    assert time.monotonic() - started < 30  # its threads are woken up, not left waiting for the server
    assert process.returncode == -signal.SIGINT and said.rstrip().endswith("KeyboardInterrupt")
    assert fetch(quick).file.notna().all()
    assert sum(web.asked[f"/{i}.jpg"] for i in range(20)) == 20


def test_more_urls_than_threads_are_handed_out_a_few_at_a_time(web, fetch):
    running, most, lock = [0], [0], threading.Lock()

    def answer(handler):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.01)
        with lock:
            running[0] -= 1
        handler.send(JPEG)

    assert fetch([web.serve(f"/{i}.jpg", answer) for i in range(60)], threads=4).file.notna().all()
    assert most[0] == 4


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "localhost.", "2130706433", "0x7f.1", "[::ffff:7f00:1]"]
)
def test_private_addresses_are_refused_unless_allowed(web, fetch, host):
    web.serve("/a.jpg", JPEG)
    url = web.url("/a.jpg", host)
    assert fetch([url], private_addresses=False).reason[url] in {"address not allowed", "unreachable"}
    assert not web.asked


class Internet:
    """A network on which every address leads to the one server; what was dialled is written down."""

    def __init__(self, port):
        self.port, self.dialled = port, []

    def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):
        self.dialled.append(host)
        return httpcore.SyncBackend().connect_tcp("127.0.0.1", self.port, timeout)


def names(**addresses):
    """A resolver that knows some names (a list: one address per lookup), and numbers as they are."""

    def resolver(host, port, type):
        known = addresses.get(host.partition(".")[0], host)
        return socket.getaddrinfo(known.pop(0) if isinstance(known, list) else known, port, type=type)

    return resolver


@pytest.fixture
def public(web):
    """Downloader from a web where only public addresses are allowed, and each of those leads to the test's server."""

    def downloads(**addresses):
        internet = Internet(web.server_port)
        quick = DownloadLimits(**(QUICK | {"private_addresses": False}))
        return Downloader(quick, names(**addresses), internet), internet

    return downloads


def refusal(downloads, url):
    with pytest.raises(DownloadError) as error:
        downloads.download(url)
    return error.value.reason, error.value.detail


@pytest.mark.parametrize(
    ("place", "detail"),
    [
        ("http://127.0.0.1/a.jpg", "127.0.0.1"),
        ("http://169.254.169.254/latest/meta-data", "169.254.169.254"),
        ("//2130706433/a.jpg", "2130706433 is 127.0.0.1"),
        ("https://[::1]/a.jpg", "::1"),
        ("http://inside.example/?token=secret", "inside.example is 10.0.0.1"),
    ],
)
def test_a_public_server_cannot_redirect_to_a_private_address(web, public, place, detail):
    web.serve("/a.jpg", lambda handler: handler.send(status=302, Location=place))
    downloads, internet = public(images="8.8.8.8", inside="10.0.0.1")
    with downloads:
        assert refusal(downloads, "http://images.example/a.jpg") == ("address not allowed", detail)
    assert internet.dialled == ["8.8.8.8"] and web.asked.total() == 1


def test_a_name_that_changes_its_address_is_checked_at_each_lookup(web, public):
    web.serve("/a.jpg", lambda handler: handler.send(status=503))
    downloads, internet = public(rebinding=["8.8.8.8", "127.0.0.1"])
    with downloads:
        assert refusal(downloads, "http://rebinding.example/a.jpg")[0] == "address not allowed"
    assert internet.dialled == ["8.8.8.8"] and web.asked["/a.jpg"] == 1


def test_a_name_is_looked_up_once_for_a_connection_that_stays_open(web, public):
    web.serve("/a.jpg", JPEG)
    downloads, internet = public(images=["8.8.8.8"])
    with downloads:
        for _ in range(3):
            assert downloads.download("http://images.example/a.jpg") == JPEG
    assert internet.dialled == ["8.8.8.8"]
    assert {headers["Host"] for headers in web.headers} == {"images.example"}


def test_no_part_of_a_url_but_its_host_is_repeated(web, fetch):
    urls = [
        "http://me:hunter2@127.0.0.1/a.jpg?token=hunter2",
        web.url("/gone?token=hunter2"),
        "http://a..b/a.jpg?token=hunter2",
        web.serve("/loop", lambda handler: handler.send(status=302, Location="/loop?token=hunter2")),
    ]
    assert "hunter2" not in json.dumps(fetch(urls).detail.tolist())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for images.example and its key, in one file."""
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate")
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    made = subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-subj", "/CN=images.example", "-addext", "subjectAltName=DNS:images.example"),
            *("-days", "2", "-keyout", "-", "-out", "-"),
        ],
        capture_output=True,
        check=True,
    )
    path.write_bytes(made.stdout)
    return path


def test_a_certificate_is_checked_for_the_name_and_for_each_name(certificate, monkeypatch):
    with WebServer(certificate) as server:
        server.serve("/a.jpg", JPEG)
        quick = DownloadLimits(**(QUICK | {"private_addresses": False}))
        resolver = names(images="8.8.8.8", other="8.8.8.8")
        with Downloader(quick, resolver, Internet(server.server_port)) as strangers:
            assert "CERTIFICATE_VERIFY_FAILED" in refusal(strangers, "https://images.example/a.jpg")[1]
        monkeypatch.setenv("SSL_CERT_FILE", os.fspath(certificate))
        with Downloader(quick, resolver, Internet(server.server_port)) as downloads:
            assert downloads.download("https://images.example/a.jpg") == JPEG
            reason, detail = refusal(
                downloads, "https://other.example/a.jpg"
            )  # the same address, still connected
            assert reason == "unreachable" and "Hostname mismatch" in detail
