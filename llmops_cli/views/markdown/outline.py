"""Any other answer as a code block of its JSON: nothing that a verb says is lost for want of a summary."""

from __future__ import annotations

import json

from llmops_cli.report import Report
from llmops_cli.views.json import to_json
from llmops_cli.views.markdown.markup import Draft


def write(report: Report, draft: Draft) -> None:
    """Add whatever the report holds to the draft."""
    draft.heading(report)
    data = json.loads(to_json(report, draft.lang))["data"]
    draft.fenced(json.dumps(data, indent=2, ensure_ascii=False).split("\n"), "json")
