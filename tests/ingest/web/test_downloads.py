import io
import json
import os
import shutil
import socket
import subprocess

import httpcore
import pytest
from PIL import Image

from mmlab.ingest.blobs import Blobs
from mmlab.ingest.findings_cache import Memo
from mmlab.ingest.web.addresses import Refused
from mmlab.ingest.web.downloads import Downloads
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
    """Downloads from a web where only public addresses are allowed, and each of those leads to the test's server."""

    def downloads(**addresses):
        internet = Internet(web.server_port)
        quick = Limits(**(QUICK | {"private_addresses": False}))
        return Downloads(quick, names(**addresses), internet), internet

    return downloads


def refusal(downloads, url):
    with pytest.raises(Refused) as error:
        downloads.image(url)
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
            assert downloads.image("http://images.example/a.jpg") == JPEG
    assert internet.dialled == ["8.8.8.8"]
    assert {headers["Host"] for headers in web.headers} == {"images.example"}


def test_no_part_of_a_url_but_its_host_is_told(web, fetch):
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
        quick = Limits(**(QUICK | {"private_addresses": False}))
        resolver = names(images="8.8.8.8", other="8.8.8.8")
        with Downloads(quick, resolver, Internet(server.server_port)) as strangers:
            assert "CERTIFICATE_VERIFY_FAILED" in refusal(strangers, "https://images.example/a.jpg")[1]
        monkeypatch.setenv("SSL_CERT_FILE", os.fspath(certificate))
        with Downloads(quick, resolver, Internet(server.server_port)) as downloads:
            assert downloads.image("https://images.example/a.jpg") == JPEG
            reason, detail = refusal(
                downloads, "https://other.example/a.jpg"
            )  # the same address, still connected
            assert reason == "unreachable" and "Hostname mismatch" in detail


@pytest.mark.parametrize("wrong", [{"threads": 0}, {"read": 0}, {"attempts": 0}, {"redirects": -1}])
def test_limits_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=rf"{next(iter(wrong))} is .* found"):
        Limits(**wrong)
