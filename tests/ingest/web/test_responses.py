import gzip
import socket
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from mmlab.ingest.web.responses import DownloadLimits
from tests.ingest.web.server import JPEG, failing, image_bytes, outcome


def test_the_bytes_decide_not_the_declared_type(web, fetch):
    page = web.serve("/page.jpg", lambda handler: handler.send(b"<html>no</html>", Content_Type="image/png"))
    shy = web.serve("/shy", lambda handler: handler.send(JPEG, Content_Type="text/html"))
    empty = web.serve("/empty.jpg", b"")
    broken = web.serve("/broken.png", image_bytes(kind="PNG", size=(300, 300))[:200])
    script = web.serve("/script.jpg", image_bytes(kind="EPS"))  # opening it would start an interpreter
    reasons = fetch([page, shy, empty, broken, script]).reason
    assert reasons.fillna("").tolist() == ["not an image", "", "empty file", "damaged file", "not an image"]


def test_temporary_failures_are_tried_again(web, fetch):
    urls = [web.serve(f"/{status}.jpg", failing(2, status=status)) for status in (500, 503, 429)]
    assert fetch(urls).file.notna().all()
    assert web.asked == {"/500.jpg": 3, "/503.jpg": 3, "/429.jpg": 3}


def test_tries_are_bounded_and_a_lasting_failure_has_one(web, fetch):
    urls = [web.serve(f"/{status}.jpg", status) for status in (500, 404, 403, 299, 304, 799)]
    details = fetch(urls, tries=3).detail
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
    assert fetch([url]).file.notna().all()
    assert 0.7 < time.monotonic() - started < 30


@pytest.mark.parametrize("pause", ["3600", "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_pause_beyond_the_deadline_is_not_waited_for(web, fetch, pause):
    url = web.serve("/a.jpg", failing(1, status=503, Retry_After=pause))
    started = time.monotonic()
    assert outcome(fetch([url]), url) == ("refused by the server", "503 Service Unavailable")
    assert time.monotonic() - started < 30 and web.asked["/a.jpg"] == 1


@pytest.mark.parametrize(
    "pause", ["soon", "-1", "", "²", "Fri, 31 Dec 1999 23:59:59 GMT", "Fri, 31 Dec 99999999 23:59:59 GMT"]
)
def test_a_pause_that_cannot_be_read_is_the_usual_one(web, fetch, pause):
    url = web.serve("/a.jpg", failing(1, status=503, Retry_After=pause.encode().decode("latin-1")))
    assert fetch([url]).file.notna().all()


def breaking_off(times, send):
    left = iter(range(times))

    def answer(handler):
        if next(left, None) is None:
            return handler.send(JPEG)
        send(handler)
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
    assert outcome(fetch([never]), never) == (
        "unreachable",
        "the connection broke, or the server does not speak HTTP",
    )
    assert web.asked == {"/midway.jpg": 3, "/at-once.jpg": 3, "/never.jpg": 3}


def test_what_does_not_speak_http_is_unreachable_and_is_not_quoted(web, fetch):
    url = web.serve("/a.jpg", breaking_off(9, lambda handler: handler.wfile.write(b"SSH-2.0-secret\r\n\r\n")))
    assert outcome(fetch([url]), url) == (
        "unreachable",
        "the connection broke, or the server does not speak HTTP",
    )


def test_nobody_listening_and_nobody_known_are_unreachable(fetch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}/a.jpg"
        images = fetch([closed, "http://a..b/a.jpg"])
    assert images.reason.tolist() == ["unreachable", "unreachable"]
    assert "refused" in images.detail[closed]


def test_a_silent_server_is_asked_again_and_given_up(web, fetch):
    url = web.serve("/a.jpg", lambda handler: handler.pause(60))
    started = time.monotonic()
    assert outcome(fetch([url], tries=2, read=0.2), url) == ("timed out", "no response")
    assert time.monotonic() - started < 30 and web.asked["/a.jpg"] == 2


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
    assert outcome(fetch([url], deadline=0.5), url) == ("timed out", "not complete after 0.5 s")
    assert time.monotonic() - started < 30
    assert web.asked["/a.jpg"] == 1


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


@pytest.mark.parametrize("wrong", [{"threads": 0}, {"read": 0}, {"tries": 0}, {"redirects": -1}])
def test_limits_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=rf"{next(iter(wrong))}: expected (more than|at least) 0, found"):
        DownloadLimits(**wrong)
