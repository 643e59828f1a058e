import gzip
import io
import shutil
import signal
import socket
import threading
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from PIL import Image

from mmlab import __version__
from mmlab.ingest.blobs import Blobs
from mmlab.ingest.findings_cache import Memo
from mmlab.ingest.web.limits import Limits
from mmlab.ingest.web.remote import fetch_images
from tests.ingest.web.server import WebServer

QUICK = {
    "connect": 1,
    "read": 0.3,
    "deadline": 1,
    "backoff": 0.01,
    "max_backoff": 0.02,
    "private_addresses": True,
}


def image(colour="red", kind="JPEG", size=(30, 20)):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


JPEG = image()


@pytest.fixture
def web():
    with WebServer() as server:
        yield server


@pytest.fixture
def fetch(tmp_path):
    """Fetch with quick limits, and more by name, into one folder and one memo."""
    with Memo(tmp_path / "memo.db") as memo:
        yield lambda urls, **limits: fetch_images(
            urls, Blobs(tmp_path / "blobs"), memo, Limits(**(QUICK | limits)), progress=False
        )


def outcome(images, url):
    return tuple(images.loc[url, ["reason", "detail"]])


def test_each_url_gets_one_row_in_order_and_a_dead_one_costs_no_other(web, fetch):
    good, other = web.serve("/a.jpg", JPEG), web.serve("/b.png", image("blue", "PNG"))
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


def test_the_bytes_decide_not_the_declared_type(web, fetch):
    page = web.serve("/page.jpg", lambda handler: handler.send(b"<html>no</html>", Content_Type="image/png"))
    shy = web.serve("/shy", lambda handler: handler.send(JPEG, Content_Type="text/html"))
    empty = web.serve("/empty.jpg", b"")
    broken = web.serve("/broken.png", image(kind="PNG", size=(300, 300))[:200])
    script = web.serve("/script.jpg", image(kind="EPS"))  # opening it would start an interpreter
    reasons = fetch([page, shy, empty, broken, script]).reason
    assert reasons.fillna("").tolist() == ["not an image", "", "empty file", "damaged file", "not an image"]


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


def failing(times, **answer):
    """Answer with a failure that often, then with the image."""
    left = iter(range(times))
    return lambda handler: handler.send(JPEG) if next(left, None) is None else handler.send(**answer)


def test_failures_that_pass_are_tried_again(web, fetch):
    urls = [web.serve(f"/{status}.jpg", failing(2, status=status)) for status in (500, 503, 429)]
    assert fetch(urls).file.notna().all()
    assert web.asked == {"/500.jpg": 3, "/503.jpg": 3, "/429.jpg": 3}


def test_attempts_are_bounded_and_lasting_failures_have_one(web, fetch):
    urls = [web.serve(f"/{status}.jpg", status) for status in (500, 404, 403, 299, 304, 799)]
    details = fetch(urls, attempts=3).detail
    assert details.tolist() == [
        "500 Internal Server Error",
        "404 Not Found",
        "403 Forbidden",
        "299",
        "304 Not Modified",
        "799",
    ]
    assert web.asked == {
        "/500.jpg": 3,
        "/404.jpg": 1,
        "/403.jpg": 1,
        "/299.jpg": 1,
        "/304.jpg": 1,
        "/799.jpg": 1,
    }


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_server_that_asks_for_a_pause_gets_it(web, fetch, form):
    date = format_datetime(
        datetime.now(UTC) + timedelta(seconds=2), usegmt=True
    )  # whole seconds: 1 to 2 away
    pause = {"seconds": "1", "date": date}[form]
    url = web.serve("/a.jpg", failing(1, status=429, Retry_After=pause))
    started = time.monotonic()
    assert fetch([url], deadline=5).file.notna().all()
    assert 0.7 < time.monotonic() - started < 3


@pytest.mark.parametrize("pause", ["3600", "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_pause_beyond_the_deadline_is_not_waited_for(web, fetch, pause):
    url = web.serve("/a.jpg", failing(1, status=503, Retry_After=pause))
    started = time.monotonic()
    assert outcome(fetch([url]), url) == ("refused by the server", "503 Service Unavailable")
    assert time.monotonic() - started < 0.5 and web.asked["/a.jpg"] == 1


@pytest.mark.parametrize(
    "pause", ["soon", "-1", "", "²", "Fri, 31 Dec 1999 23:59:59 GMT", "Fri, 31 Dec 99999999 23:59:59 GMT"]
)
def test_a_pause_that_says_nothing_is_the_usual_one(web, fetch, pause):
    url = web.serve("/a.jpg", failing(1, status=503, Retry_After=pause.encode().decode("latin-1")))
    assert fetch([url]).file.notna().all()


def breaking_off(times, how):
    left = iter(range(times))

    def answer(handler):
        if next(left, None) is None:
            return handler.send(JPEG)
        how(handler)
        return handler.hang_up()

    return answer


def test_a_connection_that_breaks_off_is_tried_again(web, fetch):
    def midway(handler):
        handler.head(Content_Length=len(JPEG))
        handler.wfile.write(JPEG[:100])

    urls = [
        web.serve("/midway.jpg", breaking_off(2, midway)),
        web.serve("/at-once.jpg", breaking_off(2, lambda handler: None)),
    ]
    assert fetch(urls).file.notna().all()
    never = web.serve("/never.jpg", breaking_off(9, midway))
    assert outcome(fetch([never]), never) == ("unreachable", "broke off, or does not speak HTTP")
    assert web.asked == {"/midway.jpg": 3, "/at-once.jpg": 3, "/never.jpg": 3}


def test_what_does_not_speak_http_is_unreachable_and_is_not_quoted(web, fetch):
    url = web.serve("/a.jpg", breaking_off(9, lambda handler: handler.wfile.write(b"SSH-2.0-secret\r\n\r\n")))
    assert outcome(fetch([url]), url) == ("unreachable", "broke off, or does not speak HTTP")


def test_nobody_listening_and_nobody_known_are_unreachable(fetch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}/a.jpg"
        images = fetch([closed, "http://a..b/a.jpg"])
    assert images.reason.tolist() == ["unreachable", "unreachable"]
    assert "refused" in images.detail[closed]


def test_a_silent_server_is_asked_again_and_given_up(web, fetch):
    url = web.serve("/a.jpg", lambda handler: handler.pause(2))
    started = time.monotonic()
    assert outcome(fetch([url], attempts=2, read=0.2), url) == ("timed out", "no answer")
    assert time.monotonic() - started < 0.8 and web.asked["/a.jpg"] == 2


def drip(handler):
    while not handler.pause(0.05):
        handler.wfile.write(b"x")


def drip_body(handler):
    handler.head(Content_Length=100_000)
    drip(handler)


def drip_header(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    drip(handler)


def drip_provisional(handler):
    while not handler.pause(0.05):
        handler.wfile.write(b"HTTP/1.1 102 Processing\r\n\r\n")


@pytest.mark.parametrize("slow", [drip_body, drip_header, drip_provisional])
def test_a_dripping_server_cannot_hold_on_beyond_the_deadline(web, fetch, slow):
    url = web.serve("/a.jpg", slow)
    started = time.monotonic()
    assert outcome(fetch([url], deadline=0.5), url) == ("timed out", "not done after 0.5 s")
    assert time.monotonic() - started < 0.8 and web.asked["/a.jpg"] == 1


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


def test_too_large_by_what_is_declared_and_by_what_is_sent(web, fetch):
    def endless(handler):
        handler.head(Connection="close")
        while not handler.server.stopped.is_set():
            handler.wfile.write(JPEG)

    declared = web.serve("/declared.jpg", lambda handler: handler.head(Content_Length=100_001))
    sent, fits = web.serve("/sent.jpg", endless), web.serve("/fits.jpg", JPEG + bytes(100_000 - len(JPEG)))
    images = fetch([declared, sent, fits], max_bytes=100_000)
    assert outcome(images, declared) == outcome(images, sent) == ("too large", "more than 100,000 bytes")
    assert images.file.notna()[fits]
    assert web.asked["/sent.jpg"] == 1


def encoded(body, encoding):
    """An answer that does not say how long it is."""

    def answer(handler):
        handler.head(Content_Encoding=encoding, Connection="close")
        handler.wfile.write(body)

    return answer


def test_an_encoded_body_is_decoded_up_to_the_bound(web, fetch):
    urls = [
        web.serve("/gzip.jpg", encoded(gzip.compress(JPEG), "gzip")),
        web.serve("/bomb.jpg", encoded(gzip.compress(bytes(50_000_000)), "gzip")),
        web.serve("/junk.jpg", encoded(gzip.compress(b"") + bytes(200_000), "gzip")),
        web.serve("/false.jpg", encoded(JPEG, "gzip")),
        web.serve("/other.jpg", encoded(JPEG, "br")),
        web.serve("/twice.jpg", encoded(gzip.compress(gzip.compress(JPEG)), "gzip, gzip")),
    ]
    tracemalloc.start()
    images = fetch(urls, max_bytes=100_000)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert images.reason.fillna("").tolist() == [
        *("", "too large", "too large", "not an image", "not an image", "not an image")
    ]
    assert images.detail[urls[4]] == "cannot be decoded from br"
    assert most < 25_000_000  # of the 50 MB that the bomb holds, no more than the bound was decoded


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
    with Memo(tmp_path / "memo.db") as memo:
        fetch_images([url], Blobs(tmp_path / "here"), memo, Limits(**QUICK), progress=False)
        shutil.move(tmp_path / "here", tmp_path / "there")
        moved = fetch_images([url], Blobs(tmp_path / "there"), memo, Limits(**QUICK), progress=False)
    assert Path(moved.file[url]).is_relative_to(tmp_path / "there") and web.asked["/a.jpg"] == 1


def downloading():
    return [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals cannot be sent to a thread here")
def test_an_interrupt_ends_soon_and_the_next_call_goes_on(web, fetch):
    quick = [web.serve(f"/{i}.jpg", JPEG) for i in range(20)]
    slow = [web.serve(f"/slow{i}.jpg", lambda handler: handler.pause(20)) for i in range(8)]
    threading.Timer(0.6, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fetch(quick + slow, read=10, deadline=30, threads=4)
    assert time.monotonic() - started < 1.5
    while downloading() and time.monotonic() - started < 3:
        time.sleep(0.01)
    assert not downloading()  # woken up, not left waiting for the server
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
