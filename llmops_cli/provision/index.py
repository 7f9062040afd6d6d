"""The index that a logstore of model calls needs: what is not indexed with statistics on, SQL does not see.

Words are cut at punctuation but not at '-', '_' and '.', so that a trace id, a model's name and an error code are one
word each. Keys that others index stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_cli.calls.keys import NUMBERS, PROSE, SHOWN, TEXTS

SEPARATORS = (
    *(",", " ", "'", '"', ";", "=", "(", ")", "[", "]", "{", "}"),
    *("?", "@", "&", "<", ">", "/", ":", "\n", "\t", "\r"),
)
BATCH_TAG = "llmops_batch"
"""The tag of the logs that one request of `collect upload` wrote: by it a request without an answer is looked up."""
BATCH_KEY = f"__tag__:{BATCH_TAG}"

_RAW = ("level", "trace_id", "logger", "thread", "message")
"""What a logstore of raw lines has: the header, and what follows it."""
_WRITABLE = ("line", "keys", "log_reduce", "log_reduce_white_list", "log_reduce_black_list", "max_text_len")
"""What of an index can be set; the service answers more (its age, its version) than it takes."""


def wanted_keys(fields: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Give the keys to index. `fields` maps canonical names to keys; with `message` the logstore holds raw lines."""
    raw = "message" in fields
    keys = {fields.get(name, name): _text(chinese=name in PROSE) for name in (_RAW if raw else (*TEXTS, *SHOWN))}
    if not raw:
        keys |= {fields.get(name, name): {"type": "long", "doc_value": True, "alias": ""} for name in NUMBERS}
    return keys | {BATCH_KEY: {**_text(), "token": []}}


def wanted_index(held: Mapping[str, Any] | None, fields: Mapping[str, str]) -> dict[str, Any]:
    """Give the index as it has to be: what is held, and in it the keys that are lacking or of no use as they are."""
    keys = wanted_keys(fields)
    if held is None:
        return {"line": {"token": list(SEPARATORS), "caseSensitive": False, "chn": True}, "keys": keys}
    kept = dict(held.get("keys") or {})
    for key, setting in keys.items():
        if not _fits(kept.get(key), setting):
            kept[key] = setting
        elif not kept[key].get("doc_value"):
            kept[key] = {**kept[key], "doc_value": True}
    return {**settable(held), "keys": kept}


def settable(held: Mapping[str, Any]) -> dict[str, Any]:
    """Reduce an index as the service answers it to what can be set."""
    return {name: held[name] for name in _WRITABLE if name in held}


def wrong_types(held: Mapping[str, Any], fields: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Name the keys that are indexed as another type than they hold: key, type held, type wanted."""
    kept = held.get("keys") or {}
    return [
        (key, str(kept[key].get("type")), setting["type"])
        for key, setting in wanted_keys(fields).items()
        if key in kept and not _fits(kept[key], setting)
    ]


def _fits(held: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> bool:
    """Tell whether a key is of a type that serves; how its words are cut is its owner's business."""
    types = {"long", "double"} if wanted["type"] == "long" else {wanted["type"]}
    return held is not None and held.get("type") in types


def _text(*, chinese: bool = False) -> dict[str, Any]:
    token = list(SEPARATORS)
    return {"type": "text", "token": token, "caseSensitive": False, "chn": chinese, "doc_value": True, "alias": ""}
