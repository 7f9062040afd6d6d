"""Who asks: the standard credentials chain of Alibaba Cloud, and a word for where the identity came from.

Chain: environment, OIDC, `~/.aliyun/config.json`, `~/.alibabacloud/credentials.ini`, the ECS instance's role. A profile
of `~/.aliyun/config.json` can be named in the configuration (`credentials.cli_profile`) and is then the only source.
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol

from llmops_cli.errors import SourceError

_SOURCES = {
    "env": "environment",
    "oidc_role_arn": "OIDC",
    "cli_profile": "~/.aliyun/config.json",
    "profile": "~/.alibabacloud/credentials.ini",
    "ecs_ram_role": "ECS instance role",
    "credential_uri": "ALIBABA_CLOUD_CREDENTIALS_URI",
}
"""The library's names of its providers, as a reader knows them."""

_KEY = ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET")
_CODE = re.compile(r'"Code"\s*:\s*"([\w.]+)"')
_CLI_REASON = re.compile(r"CLIProfileCredentialsProvider: (?!unable to open)([^'\"]{1,100})")


class Provider(Protocol):
    """What every SDK of Alibaba Cloud asks for credentials."""

    def get_credentials(self) -> Any:
        """Give the current credentials, renewed when they expire. Raises `SourceError`."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is asking. `key_id` is shown shortened; there is no secret here. `temporary`: an STS token goes with it."""

    key_id: str
    source: str
    temporary: bool

    @property
    def shown(self) -> str:
        """The key id as it may be printed: its first and last characters."""
        return f"{self.key_id[:4]}…{self.key_id[-4:]}" if len(self.key_id) > 8 else "…"


class Chain:
    """The standard chain, or one profile of the CLI's configuration. Nothing is read before credentials are needed."""

    def __init__(self, cli_profile: str | None = None) -> None:
        self._cli_profile = cli_profile
        self._provider: Provider | None = None
        self._refusal: SourceError | None = None
        self._one_at_a_time = Lock()

    def get_credentials(self) -> Any:
        """Give the current credentials. Raises `SourceError` with where it looked; it looks in vain only once."""
        with self._one_at_a_time:
            if self._refusal is not None:
                raise self._refusal
            try:
                if self._provider is None:
                    self._provider = self._open()
                return self._provider.get_credentials()
            except Exception as error:
                self._refusal = self._refused(error)
                raise self._refusal from error

    def _refused(self, error: Exception) -> SourceError:
        if self._cli_profile is not None:
            return SourceError(
                "no_credentials",
                f'profile "{self._cli_profile}" of ~/.aliyun/config.json gives no key: {_first_line(error)}',
                "aliyun configure list shows the profiles; credentials.cli_profile of llmops.toml names one",
            )
        half, wanted = "", " and ".join(_KEY)
        given = [name for name in _KEY if os.environ.get(name)]
        if len(given) == 1:
            [lacking] = {*_KEY} - {*given}
            half, wanted = f"{given[0]} is set, but {lacking} is not", f"{lacking} too"
        return SourceError(
            "no_credentials",
            f"no Alibaba Cloud credentials: {_tried(str(error), half)}",
            f"set {wanted}, or run aliyun configure",
        )

    def identity(self) -> Identity:
        """Tell who is asking. Raises `SourceError`."""
        found = self.get_credentials()
        name = (found.get_provider_name() or "").removeprefix("default/")
        first, _, rest = name.partition("/")
        source = _SOURCES.get(first, first or "unknown") + (f" ({rest})" if rest and rest != "static_ak" else "")
        if self._cli_profile is not None:
            source += f', profile "{self._cli_profile}"'
        return Identity(str(found.get_access_key_id() or ""), source, bool(found.get_security_token()))

    def _open(self) -> Provider:
        # The library reads the environment while it is imported.
        from alibabacloud_credentials import provider  # type: ignore[import-untyped]  # noqa: PLC0415 - slow

        # It writes what fails to stderr, for every try, with the request's URL: an OIDC token stands in that.
        logging.getLogger("credentials").disabled = True
        if self._cli_profile is not None:
            chosen: Provider = provider.CLIProfileCredentialsProvider(profile_name=self._cli_profile)
            return chosen
        chain: Provider = provider.DefaultCredentialsProvider()
        return chain


def _tried(text: str, half: str) -> str:
    """Tell from the library's list what gave no key. Its own words are not repeated: they hold tokens.

    `half`: what the environment has of a key, empty where it has nothing.
    """
    told, none = ([half], []) if half else ([], ["environment"])
    if "OIDCRoleArn" in text:
        code = _CODE.search(text)
        told.append(f"OIDC fails ({code[1] if code else 'STS gives no answer'})")
    else:
        none.append("OIDC")
    if (reason := _CLI_REASON.search(text)) is not None:
        told.append(f"~/.aliyun/config.json: {reason[1]}")
    else:
        none.append("~/.aliyun/config.json")
    return "; ".join((*told, f"{', '.join(none)} and ECS role have none"))


def _first_line(error: Exception) -> str:
    text = str(getattr(error, "message", None) or error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__
