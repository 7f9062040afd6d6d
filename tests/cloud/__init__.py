"""A loopback Log Service for tests: see `tests.cloud.sls`."""

from __future__ import annotations

from tests.cloud.sls import Request, SlsCloud

__all__ = ["Request", "SlsCloud"]
