"""A web server of the test's own, and downloads from it within narrow limits."""

import pytest

from mmlab.ingest.findings_cache import Blobs, FindingsCache
from mmlab.ingest.images.addresses import DownloadLimits
from mmlab.ingest.images.fetch import fetch_images
from tests.ingest.images.server import QUICK, WebServer


@pytest.fixture
def web():
    with WebServer() as server:
        yield server


@pytest.fixture
def fetch(tmp_path):
    """Fetch with quick limits, and more by name, into one folder and one cache."""
    with FindingsCache(tmp_path / "cache.sqlite") as cache:
        yield lambda urls, **limits: fetch_images(
            urls, Blobs(tmp_path / "blobs"), cache, DownloadLimits(**(QUICK | limits)), progress=False
        )
