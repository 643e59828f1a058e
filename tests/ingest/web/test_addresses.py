import socket
import time

import httpcore
import httpx
import pytest

from mmlab.ingest.web.addresses import CheckedNetwork, DownloadError, is_public, parse_url, resolve_host

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
