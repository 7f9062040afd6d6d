from __future__ import annotations

import gc

import pytest

from tests.demo.stories import story


@pytest.fixture(scope="package", autouse=True)
def _forget_the_stories():
    """Give back what the stories held, and what stood frozen beside them."""
    yield
    story.cache_clear()
    gc.unfreeze()
