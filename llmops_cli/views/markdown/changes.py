"""What is changed on the account, for a review or a channel."""

from __future__ import annotations

from llmops_cli.report import ChangesData, Report
from llmops_cli.views.heading import note_texts
from llmops_cli.views.markdown.markup import Draft, code, escape
from llmops_cli.views.saying import changes_verdict
from llmops_cli.views.words import term, told


def write(report: Report, draft: Draft) -> None:
    """Add the changes to the draft, each with its diff and the way back."""
    data: ChangesData = report.data
    draft.paragraph(f"**{escape(changes_verdict(data, draft.lang))}**")
    draft.heading(report)
    draft.bullets(escape(text) for text in note_texts(data.notes, draft.lang))
    for row in data.changes:
        action, kind = term("change_action", row.action, draft.lang), term("change_kind", row.kind, draft.lang)
        draft.paragraph(f"**{escape(action)}** {escape(kind)} {code(row.name)}")
        draft.fenced(row.diff, "diff")
        if row.rollback:
            draft.paragraph(f"{draft.word('label.undo')} {code(told(row.rollback, draft.lang))}")
    draft.fenced(data.next, "sh")
