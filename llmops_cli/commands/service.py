"""Log Service, opened as the configuration names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_cli.errors import UsageError

if TYPE_CHECKING:
    from llmops_cli.cloud.sls import LogService
    from llmops_cli.config import Settings
    from llmops_cli.config.schema import SlsSettings


def required(settings: Settings) -> SlsSettings:
    """Give where the log stands in Log Service. Raises `UsageError` when no profile says so."""
    if settings.sls is None:
        where = f"[profiles.{settings.profile}.sls]" if settings.profile else "a profile with a table sls"
        raise UsageError(
            "no_sls",
            "no project and logstore of Log Service are configured",
            f"add {where} with project and logstore to llmops.toml; llmops config init writes one",
        )
    return settings.sls


def log_service(settings: Settings, timeout_s: float) -> LogService:
    """Open the endpoint of the profile with its credentials; nothing is sent yet. Raises as `required`."""
    from llmops_cli.cloud.credentials import Chain  # noqa: PLC0415 - the cloud, only where it is asked
    from llmops_cli.cloud.sls import LogService  # noqa: PLC0415 - likewise

    where = required(settings)
    chain = Chain(settings.credentials.cli_profile if settings.credentials else None)
    endpoint = where.endpoint or f"{settings.region}.log.aliyuncs.com"
    return LogService(endpoint, settings.region, chain, timeout_s=timeout_s)
