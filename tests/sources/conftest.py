"""A loopback Log Service, and a desk to ask it from."""

import pytest

from tests.cloud import SlsCloud
from tests.cloud.asking import KEY_ID, REGION, SECRET, desk


@pytest.fixture
def cloud():
    with SlsCloud(keys={KEY_ID: SECRET}, region=REGION) as cloud:
        yield cloud


@pytest.fixture
def here(tmp_path):
    return desk(tmp_path)
