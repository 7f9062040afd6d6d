"""The table of design, section 4, to the letter but with a type behind each name; `check` holds an answer against it.

`a{b c}` is an object, `a[b c]` an array of objects, `a{*}` an object with any keys. A type stands behind a colon:
s string, i integer, n number, b boolean, t time with offset, * anything; `?` after it: or null. Answers may have more.
"""

import re
from datetime import datetime

ENVELOPE = (
    "schema_version:i command:s generated_at:t "
    "window?{from:t to:t seconds:n anchored:b baseline?{from:t to:t}} "
    "sources[name:s state:s detail:s] partial:b errors[code:s message:s hint:s retryable:b request_id:s?] data:*"
)
QUOTA = (
    "rows[model:s workspace:s? limit_source:s rpm{limit:n? mean:n peak:n level:n?} "
    "tpm{limit:n? mean:n peak:n level:n?} rps{limit:n? peak:n level:n?} tps{limit:n? peak:n level:n?} "
    "throttled:i level:n? state:s exhausted_at:t?]"
)
INCIDENTS = (
    "incidents[type:s severity:s started_at:t? started_before:t? scope{*} drivers[*] evidence(s) hypothesis:s "
    "refuted_by:s runbook:s next(s)]"
)
DATA = {
    "status": "verdict:s calls:i failures:i failure_rate:n? success_rate:n? unparsed:i "
    "duration_ms{mean:n? p50:n? p95:n? p99:n? max:n?} tokens{input:i output:i total:i} "
    "qpm{mean:n peak:n} tpm{mean:n peak:n} rps_peak:n tps_peak:n "
    "feedback{ratings:i negative:i negative_rate:n?} "
    "errors[status_code:i? error_code:s family:s calls:i share:n retry:s cause:s remedy:s] "
    f"{QUOTA.replace('rows', 'water_levels', 1)} {INCIDENTS} "
    "series[time:t calls:i failures:i total_tokens:i p95_ms:n?]",
    "trace": "trace_id:s found:b "
    "calls[time:t level:s trace_id:s app:s module:s model:s workspace:s request_id:s status_code:i? duration_ms:i "
    "input_tokens:i output_tokens:i total_tokens:i error_code:s error_message:s] "
    "lines[time:t level:s logger:s thread:s message:s] "
    "spans[span_id:s parent_id:s? name:s service:s start:t duration_ms:n status:s] "
    "explanations[error_code:s family:s retry:s cause:s remedy:s] next(s)",
    "drill": "by(s) rows[value:s calls:i failures:i failure_rate:n? failure_share:n p95_ms:n? total_tokens:i "
    "baseline?{calls:i failure_rate:n? p95_ms:n? total_tokens:i}] "
    "causes[where{*} explains:n confidence:n calls:i failures:i failure_rate:n? elsewhere_failure_rate:n?]",
    "quota": f"{QUOTA} coverage:s",
    "recover": f"{INCIDENTS} actions[name:s why:s command:s effect:s risk:s rollback:s] runbook:s?",
    "recover throttle": "model:s workspace:s? rps:n? rpm:n? tps:n? tpm:n? concurrency:i backoff{*} "
    "replay{calls:i refused_before:i refused_after:i added_wait_ms{p50:n p95:n max:n}} settings{toml:s env:s json:s}",
    "recover expand": "fields{*} missing(s) lang:s text:s",
    "recover ticket": "fields{*} missing(s) lang:s text:s",
    "recover verify": "recovered:b checks[time:t verdict:s] recovered_at:t? "
    "scorecard{detect_min:n? locate_min:n? recover_min:n?}",
}
_NAME = re.compile(r"\s*([a-z_0-9]+)")


def check(envelope, command):
    """Assert that an answer has everything the contract names, in the right type, and the envelope nothing else."""
    top = _parse(ENVELOPE)
    assert list(envelope) == list(top)
    _object(envelope, top, command)
    assert envelope["schema_version"] == 1
    assert envelope["command"] == command
    assert all(one["state"] in {"ok", "partial", "stale", "failed", "not_configured"} for one in envelope["sources"])
    if envelope["data"] is not None:
        _object(envelope["data"], _parse(DATA[command]), command)
    else:
        assert envelope["errors"], "an answer without data says why"


def _parse(text):
    """Return {name: (kind, optional, inner)}; kind is a type letter, "{", "[" or "("."""
    found, at = {}, 0
    while match := _NAME.match(text, at):
        name, at = match.group(1), match.end()
        optional = text[at : at + 1] == "?"
        at += optional
        sign = text[at]
        if sign == ":":
            found[name] = (text[at + 1], text[at + 2 : at + 3] == "?", None)
            at += 2 + found[name][1]
            continue
        end = _closing(text, at)
        inner = text[at + 1 : end]
        found[name] = (sign, optional, None if inner == "*" else inner if sign == "(" else _parse(inner))
        at = end + 1
    assert not text[at:].strip(), text[at:]
    return found


def _closing(text, at):
    depth = 0
    for position in range(at, len(text)):
        depth += (text[position] in "{[(") - (text[position] in "}])")
        if depth == 0:
            return position
    raise ValueError(text)


def _object(value, names, path):
    assert isinstance(value, dict), path
    for name, (kind, optional, inner) in names.items():
        where = f"{path}.{name}"
        assert name in value, where
        one = value[name]
        if one is None and (optional or kind == "*"):
            continue
        if kind == "{":
            assert isinstance(one, dict), where
            if inner is not None:
                _object(one, inner, where)
        elif kind in "[(":
            assert isinstance(one, list), where
            for item in one:
                if kind == "(":
                    _scalar(item, inner, where)
                elif inner is None:
                    assert isinstance(item, dict), where
                else:
                    _object(item, inner, where)
        else:
            _scalar(one, kind, where)


def _scalar(value, kind, where):
    if kind == "t":
        assert isinstance(value, str), where
        assert datetime.fromisoformat(value).utcoffset() is not None, where
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = {
        "s": isinstance(value, str),
        "i": number and isinstance(value, int),
        "n": number,
        "b": isinstance(value, bool),
        "*": True,
    }
    assert fits[kind], f"{where}: {value!r} is no {kind}"
