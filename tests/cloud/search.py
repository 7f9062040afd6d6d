"""The part of a statement before the `|`: which logs are looked at.

Simplified against the Log Service: no ranges `key in [1 5]`, no `?` wildcard, a `*` only at the end of a word or alone,
aliases and keys inside JSON fields are unknown, and a word without a key looks into every text field where the
logstore has no full-text index.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.cloud.refused import invalid

MOST_CONDITIONS = 30
RESERVED = {"__topic__": {"type": "text", "token": []}, "__source__": {"type": "text", "token": []}}
"""Fields that every index holds; their values are not cut into words."""

Match = Callable[[Mapping[str, str]], bool]

_TOKEN = re.compile(r'\s*(?:(#?"(?:[^"\\]|\\.)*")|([()])|(>=|<=|>|<|=|:)|([^\s()":<>=]+))')
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "=": operator.eq,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    """string, phrase, paren, operator or word."""
    text: str


def compile_search(text: str, index: Mapping[str, Any]) -> Match | None:
    """Turn a search into a predicate over a log's fields; None for `*`, which takes every log.

    `index` is the index configuration as it was sent: `line` and `keys`.
    """
    if text.strip() in {"", "*"}:
        return None
    parser = _Parser(_tokens(text), index)
    match = parser.any_of()
    if parser.peek() is not None:
        raise invalid(f"ErrorType:QueryParseError.ErrorMessage:syntax error near < {parser.tokens[parser.at].text} >")
    return match


def _tokens(text: str) -> list[_Token]:
    tokens = []
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if not found:
            raise invalid(f"ErrorType:QueryParseError.ErrorMessage:syntax error near column {at}")
        string, paren, sign, word = found.groups()
        if string is not None:
            kind = "phrase" if string.startswith("#") else "string"
            tokens.append(_Token(kind, re.sub(r"\\(.)", r"\1", string.removeprefix("#")[1:-1])))
        elif paren:
            tokens.append(_Token("paren", paren))
        elif sign:
            tokens.append(_Token("operator", sign))
        else:
            tokens.append(_Token("word", word))
        at = found.end()
    return tokens


class _Parser:
    """Recursive descent: or < and < not < condition. Two conditions side by side are joined by and."""

    def __init__(self, tokens: list[_Token], index: Mapping[str, Any]) -> None:
        self.tokens = tokens
        self.index = index
        self.at = 0
        self.conditions = 0

    def peek(self) -> _Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self) -> _Token:
        token = self.peek()
        if token is None:
            raise invalid("ErrorType:QueryParseError.ErrorMessage:syntax error near the end of the query")
        self.at += 1
        return token

    def accept(self, kind: str, text: str) -> bool:
        token = self.peek()
        if token and token.kind == kind and token.text.lower() == text:
            self.at += 1
            return True
        return False

    def any_of(self) -> Match:
        parts = [self.all_of()]
        while self.accept("word", "or"):
            parts.append(self.all_of())
        return parts[0] if len(parts) == 1 else lambda fields: any(part(fields) for part in parts)

    def all_of(self) -> Match:
        parts = [self.negation()]
        while (token := self.peek()) and (token.kind, token.text.lower()) not in {("word", "or"), ("paren", ")")}:
            self.accept("word", "and")
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else lambda fields: all(part(fields) for part in parts)

    def negation(self) -> Match:
        if self.accept("word", "not"):
            inner = self.negation()
            return lambda fields: not inner(fields)
        return self.condition()

    def condition(self) -> Match:
        if self.accept("paren", "("):
            inner = self.any_of()
            if not self.accept("paren", ")"):
                raise invalid("ErrorType:QueryParseError.ErrorMessage:syntax error, a parenthesis is not closed")
            return inner
        self.conditions += 1
        if self.conditions > MOST_CONDITIONS:
            raise invalid(f"the search has more than {MOST_CONDITIONS} conditions")
        token = self.take()
        if token.kind not in {"word", "string", "phrase"}:
            raise invalid(f"ErrorType:QueryParseError.ErrorMessage:syntax error near < {token.text} >")
        if token.text == "__tag__" and self.accept("operator", ":"):
            token = _Token("word", f"__tag__:{self.take().text}")
        sign = self.peek()
        if sign and sign.kind == "operator":
            self.at += 1
            return self.on_key(token.text, sign.text, self.take())
        return self.anywhere(token)

    def on_key(self, key: str, sign: str, value: _Token) -> Match:
        keys = {**RESERVED, **self.index.get("keys", {})}
        if key not in keys:
            raise invalid(
                f"key ({key}) is not config as key value config,if symbol : is  in your log,"
                'please wrap : with quotation mark "'
            )
        setting = keys[key]
        if setting["type"] in {"long", "double"}:
            if value.text == "*" and sign == ":":
                return lambda fields: _number(fields.get(key)) is not None
            wanted = _number(value.text)
            if wanted is None:
                raise invalid(f"key ({key}) is of type {setting['type']}, the value {value.text} is no number")
            compare = _COMPARE["=" if sign == ":" else sign]
            return lambda fields: (held := _number(fields.get(key))) is not None and compare(held, wanted)
        if sign != ":":
            raise invalid(f"key ({key}) is of type text, {sign} needs long or double")
        return _words(setting, value, lambda fields: [fields[key]] if key in fields else [])

    def anywhere(self, value: _Token) -> Match:
        line = self.index.get("line")
        if value.kind == "word" and value.text == "*":
            return lambda _fields: True
        if line:
            return _words(line, value, lambda fields: [held for key, held in fields.items() if key != "__time__"])
        texts = {key: setting for key, setting in self.index.get("keys", {}).items() if setting["type"] == "text"}
        each = [
            _words(setting, value, lambda fields, key=key: [fields[key]] if key in fields else [])
            for key, setting in texts.items()
        ]
        return lambda fields: any(match(fields) for match in each)


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def _words(setting: Mapping[str, Any], value: _Token, held: Callable[[Mapping[str, str]], list[str]]) -> Match:
    """Match when one held value has all words of `value`; a phrase wants them side by side."""
    fold = (lambda text: text) if setting.get("caseSensitive") else str.lower
    marks = "".join(re.escape(mark) for mark in setting.get("token", []))
    cut = re.compile(f"[{marks}]+") if marks else None

    def words(text: str) -> list[str]:
        parts = cut.split(fold(text)) if cut else [fold(text)]
        if setting.get("chn"):
            parts = [word for part in parts for word in re.findall(r"[\u4e00-\u9fff]|[^\u4e00-\u9fff]+", part)]
        return [part for part in parts if part]

    prefix = value.kind == "word" and value.text.endswith("*")
    wanted = words(value.text.removesuffix("*") if prefix else value.text)
    if prefix and not wanted:
        return lambda fields: bool(held(fields))
    if not wanted:
        return lambda fields: any(not text for text in held(fields))

    def has(text: str) -> bool:
        found = words(text)
        if value.kind == "phrase":
            return any(found[at : at + len(wanted)] == wanted for at in range(len(found)))
        if prefix:
            *exact, start = wanted
            return all(word in found for word in exact) and any(word.startswith(start) for word in found)
        return all(word in found for word in wanted)

    return lambda fields: any(has(text) for text in held(fields))
