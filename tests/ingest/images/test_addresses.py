import gzip
import socket
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpcore
import httpx
import pytest

from mmlab.ingest.images.addresses import (
    CheckedNetwork,
    DownloadError,
    DownloadLimits,
    is_public,
    parse_url,
    resolve_host,
)
from tests.ingest.images.server import JPEG, failing, image_bytes, outcome

PRIVATE = {
    "loopback": "127.0.0.1",
    "loopback elsewhere": "127.255.0.9",
    "this network": "0.0.0.0",  # noqa: S104
    "private 10": "10.0.0.1",
    "private 172": "172.31.255.255",
    "private 192": "192.168.1.1",
    "shared by a carrier": "100.64.0.1",
    "shared by a carrier, last": "100.127.255.255",
    "cloud metadata": "169.254.169.254",
    "cloud metadata of Oracle": "192.0.0.192",
    "cloud host of Azure": "168.63.129.16",
    "documentation": "203.0.113.7",
    "benchmarks": "198.19.0.1",
    "multicast": "224.0.0.251",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "IPv6 loopback": "::1",
    "IPv6 unspecified": "::",
    "IPv6 private": "fd00:ec2::254",
    "IPv6 link-local": "fe80::1",
    "IPv6 link-local with its zone": "fe80::1%eth0",
    "IPv6 site-local": "fec0::1",
    "IPv6 multicast": "ff02::1",
    "IPv6 multicast, global": "ff0e::1",
    "IPv6 documentation": "2001:db8::1",
    "IPv6 discard": "100::1",
    "mapped": "::ffff:127.0.0.1",
    "mapped, in hexadecimal": "::ffff:a9fe:a9fe",
    "compatible": "::127.0.0.1",
    "NAT64": "64:ff9b::7f00:1",
    "NAT64 of a local network": "64:ff9b:1::8.8.8.8",
    "6to4": "2002:7f00:1::1",
    "Teredo": "2001:0:4136:e378:8000:63bf:3fff:fdd2",
}
PUBLIC = {
    "IPv4": "8.8.8.8",
    "just above 10": "11.0.0.0",
    "just below carriers": "100.63.255.255",
    "just above carriers": "100.128.0.0",
    "just below 172.16": "172.15.255.255",
    "just above 172.31": "172.32.0.0",
    "just below multicast": "223.255.255.255",
    "IPv6": "2606:4700:4700::1111",
    "mapped": "::ffff:8.8.8.8",
    "NAT64": "64:ff9b::8.8.8.8",
}


def answers(*addresses):
    """A resolver that gives those addresses to every name."""

    def resolver(host, port, type):
        return [(socket.AF_INET6 if ":" in a else socket.AF_INET, type, 6, "", (a, port)) for a in addresses]

    return resolver


@pytest.mark.parametrize("address", PRIVATE.values(), ids=PRIVATE)
def test_an_address_that_is_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC.values(), ids=PUBLIC)
def test_a_public_address(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "0", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001"),
        *("::1", "::ffff:127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254", "2852039166"),
    ],
)
def test_a_host_in_any_spelling_of_a_private_address_is_refused(host):
    with pytest.raises(DownloadError, match="address not allowed"):
        resolve_host(host, 80)


@pytest.mark.parametrize("host", ["8.8.8.8", "134744072", "0x08080808", "2606:4700:4700::1111"])
def test_a_numeric_public_host_is_its_address(host):
    assert resolve_host(host, 80) in (["8.8.8.8"], ["2606:4700:4700::1111"])


def test_one_private_address_among_public_ones_refuses_the_name():
    with pytest.raises(DownloadError) as refusal:
        resolve_host("images.example", 80, resolver=answers("8.8.8.8", "192.168.0.1"))
    assert refusal.value.detail == "images.example is 192.168.0.1"


def test_addresses_are_given_once_each_and_private_ones_only_if_allowed():
    resolver = answers("127.0.0.1", "::1", "127.0.0.1")
    assert resolve_host("here", 80, private_addresses=True, resolver=resolver) == ["127.0.0.1", "::1"]
    with pytest.raises(DownloadError):
        resolve_host("here", 80, resolver=resolver)


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example"])
def test_what_cannot_be_a_name_has_no_address(host):
    with pytest.raises(socket.gaierror):
        resolve_host(host, 80)


def test_a_name_without_addresses_is_unknown():
    with pytest.raises(socket.gaierror, match="no address"):
        resolve_host("images.example", 80, resolver=answers())


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("ftp://images.example/a.jpg", "neither http nor https"),
        ("file:///etc/passwd", "neither http nor https"),
        ("images.example/a.jpg", "neither http nor https"),
        ("", "neither http nor https"),
        ("http:///a.jpg", "no host"),
        ("http://?a", "no host"),
        ("http://two words/", "malformed host"),
        ("http://[fe80::1%25eth0]/", "malformed host"),
        ("http://a%00b/", "malformed host"),
        ("http://me:secret@images.example/", "contains a user name or password"),
        ("http://8.8.8.8%2f@127.0.0.1/", "contains a user name or password"),
        ("http://images.example:0/", "port out of range"),
        ("http://images.example:65536/", "port out of range"),
        ("http://images.example:b/", "malformed"),
        ("http://images\n.example/", "malformed"),
        ("http://[::1/", "malformed"),
        ("http://①②⑦.⓪.⓪.①/", "malformed"),
        ("http://\ud800/", "malformed"),
        ("http://images.example/" + "a" * 70_000, "malformed"),
    ],
)
def test_what_is_no_address_of_an_image_is_refused_with_its_flaw(text, detail):
    with pytest.raises(DownloadError) as refusal:
        parse_url(text)
    assert (refusal.value.reason, refusal.value.detail) == ("bad address", detail)


def test_whitespace_around_an_address_is_not_part_of_it():
    assert str(parse_url(" http://images.example/a.jpg\n")) == "http://images.example/a.jpg"


def test_a_redirect_is_read_relative_to_where_it_came_from_and_checked_alike():
    base = parse_url("https://images.example/a/b.jpg?c")
    assert str(parse_url("../d.jpg", base)) == "https://images.example/d.jpg"
    assert str(parse_url("//other.example/d", base)) == "https://other.example/d"
    with pytest.raises(DownloadError, match="neither http nor https"):
        parse_url("file:///etc/passwd", base)
    with pytest.raises(DownloadError, match="user name"):
        parse_url("//me:secret@other.example/", base)


def test_a_name_in_any_script_is_read():
    assert parse_url("http://größe.example/ü.jpg") == httpx.URL("http://xn--gre-6ka8i.example/%C3%BC.jpg")


def test_a_detail_is_bounded_and_holds_no_control_characters():
    detail = DownloadError("unreachable", "\x1b[31m\r\n" + "a" * 1000).detail
    assert detail == "\ufffd[31m\ufffd\ufffd" + "a" * 193


class Recorder:
    """A network where some addresses are dead; what is dialled is written down."""

    def __init__(self, dead=()):
        self.dialled, self.dead = [], dead

    def connect_tcp(self, host, port, timeout, local_address=None, socket_options=None):
        self.dialled.append((host, port))
        if host in self.dead:
            raise httpcore.ConnectError(f"{host} is dead")
        return httpcore.MockStream([b"x"])


def test_the_very_address_that_was_checked_is_dialled():
    changing = iter([answers("8.8.8.8"), answers("127.0.0.1")])
    recorder = Recorder()
    network = CheckedNetwork(1, 1, resolver=lambda *a, **k: next(changing)(*a, **k), network=recorder)
    network.connect_tcp("rebinding.example", 80, time.monotonic() + 9)
    assert recorder.dialled == [("8.8.8.8", 80)]
    with pytest.raises(DownloadError, match=r"rebinding.example is 127.0.0.1"):
        network.connect_tcp("rebinding.example", 80, time.monotonic() + 9)
    assert recorder.dialled == [("8.8.8.8", 80)]


def test_the_next_address_is_dialled_where_one_is_dead():
    recorder = Recorder(dead=["2606:4700::1"])
    network = CheckedNetwork(1, 1, resolver=answers("2606:4700::1", "8.8.8.8"), network=recorder)
    network.connect_tcp("images.example", 80, time.monotonic() + 9)
    assert recorder.dialled == [("2606:4700::1", 80), ("8.8.8.8", 80)]


def test_a_host_whose_addresses_are_all_dead_is_an_error():
    network = CheckedNetwork(1, 1, resolver=answers("8.8.8.8"), network=Recorder(dead=["8.8.8.8"]))
    with pytest.raises(httpcore.ConnectError, match=r"8.8.8.8 is dead"):
        network.connect_tcp("images.example", 80, time.monotonic() + 9)


def test_no_wait_goes_beyond_the_moment():
    network = CheckedNetwork(5, 7)
    assert network.wait(time.monotonic() + 100, 7) == 7
    assert 0 < network.wait(time.monotonic() + 2, 7) <= 2
    with pytest.raises(TimeoutError, match="over"):
        network.wait(time.monotonic() - 1, 7)


def test_a_stopped_network_waits_for_nothing():
    network = CheckedNetwork(1, 1, resolver=answers("8.8.8.8"), network=Recorder())
    stream = network.connect_tcp("images.example", 80, time.monotonic() + 9)
    network.stopped.set()
    with pytest.raises(TimeoutError):
        stream.read(1, time.monotonic() + 9)


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
