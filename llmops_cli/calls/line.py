r"""One model call, or one rating, as the message of a log event.

    app,module,model,workspace,request_id,status_code,duration_ms,input_tokens,output_tokens,total_tokens,
        error_code,error_message                                 (twelve values, on one line)
    feedback:app,module,model,workspace,request_id,rating,comment

Reading (any reader in SQL follows the same table):

| what | rule |
|---|---|
| split | at the first eleven commas of the first line (feedback: six); all 12 (7) parts must be there |
| every part | white space around it (blank, \t \r \n \v \f) is stripped; then `null`, which Java prints, is empty |
| never a call | a message that begins with `prompt:`, `result:` or `feedback:` |
| app, module, model, workspace | any may be empty, not all four; a model is not a number: a list of them is no call |
| app | at most 64 characters, and no `: ` in it: a sentence that quotes a call is no call |
| number | ASCII digits, sign, decimals, exponent as Java prints them, and `0x1f`, `0b1`, `1_000` as DuckDB reads them |
| | rounded, halves away from 0; below 2^31, which is 25 days or two billion tokens |
| status_code | a number from 100 to 599; anything else (empty, -1, a word) is None: no HTTP answer came |
| duration_ms | a number, not negative, not empty; otherwise the line is no call (and counts as unparsed) |
| tokens | numbers, not negative; empty is 0; otherwise no call |
| error_message | the rest of the first line; the lines that follow belong to it, unless the call succeeded |
| rating | up or down, in any case |

Writing keeps a value from forging a record: in all but the last part a comma becomes `;`, and line breaks and control
characters become blanks; in the last part they become `\n`, `\t` or `\u001b`. White space around a part goes, and so
does `null`; a number is cut to what is read. A name that would change what the line is (`prompt:x`, four empty names, a
model that is a number) gets a `_` in front; an app is cut to 64 characters and loses the blanks behind a colon.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal

from llmops_cli.calls.candidate import looks_like_call
from llmops_cli.evidence import CallRecord

__all__ = [
    "FEEDBACK_FIELDS",
    "FIELDS",
    "CallFields",
    "FeedbackFields",
    "format_call",
    "format_feedback",
    "looks_like_call",
    "parse_call",
    "parse_feedback",
]

FIELDS = (
    *("app", "module", "model", "workspace", "request_id", "status_code", "duration_ms"),
    *("input_tokens", "output_tokens", "total_tokens", "error_code", "error_message"),
)
"""The values of a call, in the order in which they are written."""

FEEDBACK_FIELDS = ("app", "module", "model", "workspace", "request_id", "rating", "comment")

_FEEDBACK = "feedback:"
_LONGEST_APP = 64
_OTHER_LINES = ("prompt:", "result:", _FEEDBACK)
_WHITE = " \t\r\n\v\f"
_GROUPS = "[0-9]+(?:_[0-9]+)*"
_NUMBER = re.compile(rf"[+-]?(?:{_GROUPS}\.?(?:{_GROUPS})?|\.{_GROUPS})(?:[eE][+-]?[0-9]{{1,3}})?", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,9}", re.ASCII)
_OTHER_BASE = re.compile(r"0[xX][0-9A-Fa-f]+(?:_[0-9A-Fa-f]+)*|0[bB][01]+(?:_[01]+)*", re.ASCII)
_TOO_LARGE = 1 << 31
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NAMED_CONTROLS = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True, slots=True)
class CallFields:
    """A model call without its header. `status_code` is None when no HTTP answer came; `duration_ms` in ms."""

    app: str
    module: str
    model: str
    workspace: str
    request_id: str
    status_code: int | None
    duration_ms: int
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    error_code: str = ""
    error_message: str = ""

    @property
    def ok(self) -> bool:
        """A call succeeded when its status is 200 and it has no error code."""
        return self.status_code == 200 and not self.error_code


@dataclass(frozen=True, slots=True)
class FeedbackFields:
    """A user's rating of an answer, "up" or "down"."""

    app: str
    module: str
    model: str
    workspace: str
    request_id: str
    rating: str
    comment: str = ""


def parse_call(message: str) -> CallFields | None:
    """Read a message as a call; None when it is none. Lines after the first belong to the error message."""
    first, _, rest = message.strip(_WHITE).partition("\n")
    if first.startswith(_OTHER_LINES):
        return None
    parts = [_value(part) for part in first.split(",", 11)]
    if len(parts) < 12 or not any(parts[:4]) or _number(parts[2]) is not None:
        return None
    if len(parts[0]) > _LONGEST_APP or ": " in parts[0]:
        return None
    duration = _number(parts[6])
    tokens = [_number(part) if part else 0 for part in parts[7:10]]
    if duration is None or duration < 0 or any(count is None or count < 0 for count in tokens):
        return None
    status = _number(parts[5])
    call = CallFields(
        app=parts[0],
        module=parts[1],
        model=parts[2],
        workspace=parts[3],
        request_id=parts[4],
        status_code=status if status is not None and 100 <= status <= 599 else None,
        duration_ms=duration,
        input_tokens=tokens[0] or 0,
        output_tokens=tokens[1] or 0,
        total_tokens=tokens[2] or 0,
        error_code=parts[10],
        error_message=parts[11],
    )
    return _with_rest(call, rest) if rest and not call.ok else call


def parse_feedback(message: str) -> FeedbackFields | None:
    """Read a message as a rating; None when it is none. Lines after the first belong to the comment."""
    message = message.strip(_WHITE)
    if not message.startswith(_FEEDBACK):
        return None
    first, newline, rest = message[len(_FEEDBACK) :].partition("\n")
    parts = [_value(part) for part in first.split(",", 6)]
    if len(parts) < 7 or parts[5].lower() not in {"up", "down"}:
        return None
    comment = f"{parts[6]}{newline}{rest}".strip(_WHITE)
    app, module, model, workspace, request_id, rating = parts[:6]
    return FeedbackFields(app, module, model, workspace, request_id, rating.lower(), comment)


def format_call(call: CallFields | CallRecord) -> str:
    """Write a call as a message; `parse_call` reads it back."""
    app = re.sub(": +", ":", _field(call.app))[: _LONGEST_APP - 1].strip(_WHITE)
    names = [app, *map(_field, (call.module, call.model, call.workspace))]
    if not any(names) or ",".join(names).startswith(_OTHER_LINES):
        names[0] = "_" + names[0]
    if _number(names[2]) is not None:
        names[2] = "_" + names[2]
    counts = (call.duration_ms, call.input_tokens, call.output_tokens, call.total_tokens)
    return ",".join(
        (
            *names,
            _field(call.request_id),
            "" if call.status_code is None else str(call.status_code),
            *(str(min(count, _TOO_LARGE - 1)) for count in counts),
            _field(call.error_code),
            _last(call.error_message),
        )
    )


def format_feedback(feedback: FeedbackFields) -> str:
    """Write a rating as a message; `parse_feedback` reads it back. Raises ValueError when it is not up or down."""
    if feedback.rating not in {"up", "down"}:
        raise ValueError(f"a rating is up or down, not {feedback.rating!r}")
    names = (feedback.app, feedback.module, feedback.model, feedback.workspace, feedback.request_id)
    return _FEEDBACK + ",".join((*map(_field, names), feedback.rating, _last(feedback.comment)))


def _with_rest(call: CallFields, rest: str) -> CallFields:
    return replace(call, error_message=f"{call.error_message}\n{rest}".strip(_WHITE))


def _value(part: str) -> str:
    part = part.strip(_WHITE)
    return "" if part == "null" else part


def _number(text: str) -> int | None:
    """Read a whole number as DuckDB's cast of a text to integer does; None when it is none."""
    if _DIGITS.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        number = int(text, base=0)
        return number if number < _TOO_LARGE else None
    if not _NUMBER.fullmatch(text):
        return None
    exact = Decimal(text)
    if exact.adjusted() > 9 or abs(rounded := int(exact.quantize(Decimal(1), ROUND_HALF_UP))) >= _TOO_LARGE:
        return None
    return rounded


def _field(text: str) -> str:
    return _value(_CONTROL.sub(" ", text).replace(",", ";"))


def _last(text: str) -> str:
    return _CONTROL.sub(lambda at: _NAMED_CONTROLS.get(at[0], f"\\u{ord(at[0]):04x}"), _value(text))
