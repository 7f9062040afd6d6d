"""Local log files on embedded DuckDB: no account, no network.

`files` finds them, `unpack` and `plain` turn each into seekable clean text, `shelf` keeps few of them open, `timeline`
finds the bytes of a span of time, `load` parses those into the table `log`, `source` asks it the statements of
`queries`, `search` finds a trace.
"""

from llmops_cli.sources.local.source import LocalSource

__all__ = ["LocalSource"]
