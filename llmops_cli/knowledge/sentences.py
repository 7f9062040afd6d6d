r"""The sentences of findings: ids and values in, prose out. The texts stand in `sentences.en.toml` (and `.zh.toml`).

A template is plain text with placeholders `{name}` or `{name:form}`, and optional parts `[[ … ]]` that vanish when a
value inside them is missing. There are no attributes, indexes or nesting: values are hostile text, are put in once
and never read again. A line break, as any other control character, is the view's business.

Forms: `count` 1,394 · `percent` 12.4 % · `share` 83 % · `change` +25 % · `times` ×41 · `number` 3.5 · `duration` from
milliseconds: 38 ms, 2,914 ms, 12 s, 12 min, 3 h 5 min, 502 d · `seconds` likewise, 9.8 s · `si` 212 k, 5 M ·
`scope` "" reads "everything".
Forms of text, for words that sop keeps in English and another language has its own for: `scope`, `dimension` (app),
`family` (rate limit requests), `source` (of a limit: configuration), `duration` (12 min), `term` (what `told` knows).

A language is two files: `sentences.LANG.toml`, and `error_codes.LANG.tsv` (English text, translation) for the causes
and remedies of the catalogue; what they do not have reads English. `templates/` may hold its requests.

Ids, by table (the values each takes are in the TOML file, beside the text):

- `family.FAMILY` (also the title of each other incident type): no values.
- `incident.TYPE.headline` (scope, since, for: text), `incident.TYPE.hypothesis` (scope, driver: text, optional),
  `incident.TYPE.refuted_by` (command: text, optional), for each incident type of `knowledge.sentences.INCIDENT_TYPES`.
- `headline.`: `ok` (calls, rate), `no_calls`, `stale` (age), `unknown` (why), `more` (count).
- `evidence.`: `refused`, `failed`, `all_failed`, `busiest_minute_rpm`, `busiest_minute_tpm`, `busiest_second_rpm`,
  `busiest_second_tpm`, `limit_unknown`, `driver`, `no_driver`, `latency`, `latency_slow`, `negative`, `traffic`,
  `silence`, `water_level`, `exhausted_at`, `sample`, `code`, `no_code`, `no_answer`, `only_here`, `everywhere`,
  `also_failing`, `recovered`, `ongoing`, `started_before`, `input_size`, `retry_storm`, `key_wide`.
- `note.`: `anchored`, `stepped_back`, `no_baseline`, `no_healthy_baseline`, `assumed_region`, `lower_bound`,
  `unparsed`, `unsorted`, `partial`, `table_limits`, `unknown_limit`, `no_match`, `few_calls`, `sampled`,
  `refused_have_no_tokens`, `lookback`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache, reduce
from importlib import resources
from typing import NamedTuple

from llmops_cli.evidence import Message, ScopeName

_NAME = "sentences."
LANGUAGES = tuple(
    sorted(
        file.name.removeprefix(_NAME).removesuffix(".toml")
        for file in resources.files(__package__).iterdir()
        if file.name.startswith(_NAME) and file.name.endswith(".toml")
    )
)
"""The languages there is a file for."""

INCIDENT_TYPES = (
    "rate_limit_requests",
    "rate_limit_tokens",
    "rate_limit_burst",
    "capacity",
    "auth",
    "billing",
    "permission",
    "content_moderation",
    "bad_request",
    "input_too_long",
    "not_found",
    "server_error",
    "timeout",
    "network",
    "application",
    "latency",
    "water_level",
    "traffic_drop",
    "traffic_surge",
    "negative_feedback",
    "no_data",
)
"""Every incident type; each has a headline, a hypothesis, a refutation and a runbook."""

Value = str | int | float | None


def sentence(message: Message, lang: str = "en") -> str:
    """Return `message` as prose. Never raises: an unknown id reads as itself with its values."""
    template = phrase(message.id, lang)
    if template is None:
        values = ", ".join(f"{name}={formatted(value)}" for name, value in message.values.items() if value is not None)
        return f"{message.id} ({values})" if values else message.id
    return reduce(_abutted, (_fill(part, message.values, lang) for part in _parts(template)), "")


def phrase(id: str, lang: str = "en") -> str | None:  # noqa: A002 - the field's name in `Message`
    """Return the template of an id, unfilled; English where `lang` does not have it, None where neither has."""
    for language in (lang, "en") if lang in LANGUAGES else ("en",):
        found = _texts(language).get(id)
        if found is not None:
            return found
    return None


def listed(items: Sequence[str], lang: str = "en", *, by: str = "view.list") -> str:
    """Return items with the language's own comma between them (`by`: another id of "{items}, {item}")."""
    text = items[0] if items else ""
    for item in items[1:]:
        text = sentence(Message(by, {"items": text, "item": item}), lang)
    return text


def told(text: str, lang: str = "en") -> str:
    """Return a fixed English text of ours (the catalogue's, a family's title, "no answer") in `lang`, if it has it."""
    return text if lang == "en" else _translations(lang).get(text, text)


@cache
def _translations(lang: str) -> Mapping[str, str]:
    """English text -> text, from the words that both languages have and from the catalogue's translation."""
    here, english = _texts(lang) if lang in LANGUAGES else {}, _texts("en")
    found = {english[id_]: text for id_, text in here.items() if id_ in english and "{" not in text}
    file = resources.files(__package__).joinpath(f"error_codes.{lang}.tsv")
    if lang in LANGUAGES and file.is_file():
        rows = (line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()[1:])
        found |= {row[0]: row[1] for row in rows}
    return found


@cache
def _texts(lang: str) -> Mapping[str, str]:
    """All texts of one language, by dotted id."""
    text = resources.files(__package__).joinpath(f"sentences.{lang}.toml").read_text(encoding="utf-8")
    flat: dict[str, str] = {}
    pending: list[tuple[str, object]] = [("", tomllib.loads(text))]
    while pending:
        path, node = pending.pop()
        if isinstance(node, dict):
            pending.extend((f"{path}.{key}" if path else key, child) for key, child in node.items())
        else:
            flat[path] = str(node)
    return flat


# --- templates --------------------------------------------------------------------------------------------------------


class _Placeholder(NamedTuple):
    name: str
    form: str


class _Part(NamedTuple):
    """A stretch of a template: texts and placeholders; an optional one needs all its values."""

    pieces: tuple[str | _Placeholder, ...]
    optional: bool


_OPTIONAL = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)(?::([a-z_]+))?\}")


@lru_cache(maxsize=1024)
def _parts(template: str) -> tuple[_Part, ...]:
    return tuple(
        _Part(_pieces(text), optional=index % 2 == 1) for index, text in enumerate(_OPTIONAL.split(template)) if text
    )


def _pieces(text: str) -> tuple[str | _Placeholder, ...]:
    pieces: list[str | _Placeholder] = []
    end = 0
    for match in _PLACEHOLDER.finditer(text):
        pieces += [text[end : match.start()], _Placeholder(match[1], match[2] or "")]
        end = match.end()
    return (*pieces, text[end:])


def _fill(part: _Part, values: Mapping[str, Value], lang: str) -> str:
    if part.optional and any(isinstance(p, _Placeholder) and values.get(p.name) is None for p in part.pieces):
        return ""
    filled = (p if isinstance(p, str) else formatted(values.get(p.name), p.form, lang) for p in part.pieces)
    return reduce(_abutted, filled, "")


def _abutted(left: str, right: str) -> str:
    """Join two pieces; a blank that sets off a Latin value is none where a Chinese one stands."""
    if left.endswith(" ") and _CHINESE.match(left[-2:-1]) and _CHINESE.match(right):
        return left[:-1] + right
    if right.startswith(" ") and _CHINESE.match(left[-1:]) and _CHINESE.match(right[1:2]):
        return left + right[1:]
    return left + right


_CHINESE = re.compile(r"[\u4e00-\u9fff]")


_ABSURD = 10**18

# --- values as people read them ---------------------------------------------------------------------------------------


def formatted(value: Value, form: str = "", lang: str = "en") -> str:
    """Return one value in one of the forms above; "?" when it is missing. Text stays as it is, but for a text form."""
    if form == "scope" and value in (None, ""):
        return scope_text({}, lang)
    if value is None:
        return "?"
    if isinstance(value, str):
        return _WORDINGS[form](value, lang) if form in _WORDINGS else str(value)
    # False for NaN too; beyond it nothing in a log is a quantity, and Python refuses to print the largest integers.
    if not -_ABSURD < value < _ABSURD:
        return "?"
    text = _FORMS.get(form, _plain)(value)
    return _timed(text, lang) if form in _TIMES else text


def scope_text(scope: Mapping[str, str], lang: str = "en") -> ScopeName:
    """Return a scope as it reads in a headline: "qwen-plus in llm-6qts…" for a model and a workspace.

    An app or module alone says what it is ("app shop-assistant"); `{}` is "everything".
    """
    named = {key: value or '""' for key, value in scope.items()}
    model, workspace = named.pop("model", ""), named.pop("workspace", "")
    if "module" in named:
        named = {"module": named.pop("module"), **named}  # a module is inside its app
    words = [f"{dimension_text(key, lang)} {value}" for key, value in named.items()]
    if model:
        words.insert(0, model)
    if workspace:
        words.append(workspace if model else f"{dimension_text('workspace', lang)} {workspace}")
    text = words[0] if words else str(phrase("scope.everything", lang))
    for word in words[1:]:
        text = sentence(Message("scope.within", {"part": text, "whole": word}), lang)
    return ScopeName(text, scope)


def dimension_text(name: str, lang: str = "en") -> str:
    """Return what a dimension is called, as in "workspace"."""
    return phrase(f"dimension.{name}", lang) or name


def source_text(source: str, lang: str = "en") -> str:
    """Return where a limit comes from ("configuration", "account, table 2026-05 (cn-beijing)") in `lang`."""
    for name, pattern in _SOURCES.items():
        if match := pattern.fullmatch(source):
            values = {key: source_text(part, lang) for key, part in match.groupdict().items()}
            return sentence(Message(f"source.{name}", values), lang)
    return phrase(f"source.{source}", lang) or source


_SOURCES = {
    "of_account": re.compile(r"account, (?P<source>.+)"),
    "halves": re.compile(r"rpm: (?P<rpm>.+), tpm: (?P<tpm>.+)"),
    "table": re.compile(r"table (?P<as_of>\S+) \((?P<region>\S+)\)"),
}


def _scope(value: str, lang: str) -> str:
    return scope_text(value.parts, lang) if isinstance(value, ScopeName) else value


def _family(value: str, lang: str) -> str:
    return phrase(f"family.{value.replace(' ', '_')}", lang) or value


def _timed(text: str, lang: str) -> str:
    """Return a duration of ours with the units of `lang`."""
    return _UNIT.sub(lambda found: phrase(f"unit.{found[0]}", lang) or found[0], text)


_UNIT = re.compile(r"(?<=\d )(?:s|min|h|d)\b")
_TIMES = frozenset({"duration", "seconds"})


def duration_text(ms: float) -> str:
    """Return milliseconds as people say them, as in 38 ms, 2,914 ms, 12.4 s, 12 min, 3 h 5 min, 502 d."""
    size, minutes = abs(ms), round(abs(ms) / 60_000)
    if size < 9_999.5:
        text = f"{round(size):,} ms"
    elif size < 99_500:
        text = f"{size / 1000:.0f} s" if size >= 59_500 else f"{_number(size / 1000)} s"
    elif minutes < 120:
        text = f"{minutes} min"
    elif minutes < 48 * 60:
        text = _two_units(minutes, 60, "h", "min")
    elif minutes < 30 * 24 * 60:
        text = _two_units(round(minutes / 60), 24, "d", "h")
    else:
        text = f"{round(size / 86_400_000):,} d"
    return f"-{text}" if ms < 0 else text


def _two_units(total: int, per: int, large: str, small: str) -> str:
    whole, rest = divmod(total, per)
    return f"{whole} {large} {rest} {small}" if rest else f"{whole} {large}"


def _plain(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.10g}"


def _count(value: float) -> str:
    return f"{round(value):,}"


def _percent(value: float) -> str:
    """One decimal, and never a rounded 0 or 100: those two words are claims."""
    percent = value * 100
    if percent in (0, 100):
        return f"{percent:.0f} %"
    if abs(percent) < 0.1:
        return "<0.1 %" if percent > 0 else ">-0.1 %"
    if 99.9 < percent < 100:
        return ">99.9 %"
    return f"{percent:,.1f} %"


def _share(value: float) -> str:
    percent = value * 100
    if 0 < percent < 1:
        return "<1 %"
    if 99 < percent < 100:
        return ">99 %"
    return f"{percent:,.0f} %"


def _change(value: float) -> str:
    """Growth as a fraction: 0.25 is +25 %, 40 is ×41."""
    return _times(value + 1) if value >= 10 else f"{value * 100:+.0f} %"


def _times(value: float) -> str:
    return f"×{value:,.0f}" if value >= 10 else f"×{value:.1f}"


def _seconds(value: float) -> str:
    return f"{_number(value / 1000)} s"


def _number(value: float) -> str:
    return f"{value:,.1f}".removesuffix(".0")


def _si(value: float) -> str:
    """Thousands and millions as k, M, G: 212 k, 1.2 M, 5 M; three digits are enough to compare with a limit."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        # Compare as rounded, so that 999,700 reads 1 M and not 1,000 k.
        if abs(value) >= size * 0.9995:
            scaled = value / size
            return f"{scaled:.0f} {unit}" if abs(scaled) >= 99.95 else f"{scaled:.1f}".removesuffix(".0") + f" {unit}"
    return f"{value:.0f}"


_FORMS: Mapping[str, Callable[[float], str]] = {
    "count": _count,
    "percent": _percent,
    "share": _share,
    "change": _change,
    "times": _times,
    "number": _number,
    "duration": duration_text,
    "seconds": _seconds,
    "si": _si,
}

_WORDINGS: Mapping[str, Callable[[str, str], str]] = {
    "scope": _scope,
    "dimension": dimension_text,
    "family": _family,
    "duration": _timed,
    "source": source_text,
    "term": told,
}
