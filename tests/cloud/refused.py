"""The one way in which the Log Service says no."""

from __future__ import annotations


class Refused(Exception):  # noqa: N818 - the service's word for it, not a fault of the server
    """A request is answered with `status` and `{"errorCode": code, "errorMessage": message}`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def invalid(message: str) -> Refused:
    """Build the answer to a statement or parameter that is not understood."""
    return Refused(400, "ParameterInvalid", message)
