"""Log Service as a source of calls: it is asked SQL, and a day of logs is never downloaded."""

from llmops_cli.sources.sls.source import SlsSource

__all__ = ["SlsSource"]
