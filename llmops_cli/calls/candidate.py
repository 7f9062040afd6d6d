"""Which lines look like a model call although they do not read as one: they are counted, not dropped in silence.

The values of a call have a shape even when one is broken or the line is torn. Each of these is a sign, and two make a
candidate: a workspace `llm-…` as Model Studio names them; a request id that begins like a UUID; a status code among
them; at least three of the four numbers; a model of a known family. Prose, JSON, SQL and lists have none of it where it
would have to stand.
"""

from __future__ import annotations

import re

_FAMILIES = (
    "qwen|qwq|qvq|deepseek|glm|kimi|moonshot|minimax|baichuan|llama|yi-|wan[0-9x]|wanx|text-embedding|multimodal-"
    "|gte-|cosyvoice|paraformer|sambert|fun-asr|farui|tongyi|gpt-|claude|gemini"
)
_MODEL = re.compile(r"(?=.*[A-Za-z])[\w.:/@+-]{1,100}")
_NAME = re.compile(r"[^\"'`{}\[\]()<>=;:|\t]{0,64}|[^\"'`{}\[\]()<>=;:|\s]{0,500}")
_TOKEN = re.compile(r"[\w.:/@+#-]{0,100}")
_KNOWN_MODEL = re.compile(_FAMILIES, re.IGNORECASE)
_WORKSPACE = re.compile(r"(?:llm|ws)-[0-9A-Za-z]{6,}")
_REQUEST_ID = re.compile(r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{0,4}(?:-[0-9A-Fa-f-]*)?")
_STATUS = re.compile(r"[1-5][0-9]{2}|-1", re.ASCII)
_COUNT = re.compile(r"[0-9]{1,12}", re.ASCII)
_WORDS = "TRACE|DEBUG|INFO|WARN|ERROR|FATAL|Mon|Tue|Wed|Thu|Fri|Sat|Sun|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_HEADER_START = re.compile(
    rf"[\[(]?(?:(?:{_WORDS})[A-Za-z]{{0,6}}[\]):,.| ]{{0,8}}[\[(]?){{0,3}}"
    r"(?:[0-9][0-9A-Za-z/., -]{0,24}:[0-9]{2}:[0-9]{2}|[0-9]{14})"
)
"""How the lines of most layouts begin: a time, or a level and a time."""
_QUOTING = re.compile(r"\b(?:prompt|result|feedback)\b\s*[:=]|[\"'`“”‘’{}]", re.IGNORECASE)
_LONGEST_HEADER = 2000
_HEADER_COMMAS = 6


def looks_like_call(message_or_line: str) -> bool:
    """Tell whether a message, or a line whose header does not fit the pattern, seems meant as a call.

    False for `prompt:`, `result:` and `feedback:` lines, and for lines that quote a call after other words.
    """
    first = message_or_line.rstrip("\r\n").partition("\n")[0]
    if first.count(",") < 4:
        return False
    message = first.strip()
    if not message.startswith(("prompt:", "result:", "feedback:")) and _seems_call(message.split(",", 11)):
        return True
    return _HEADER_START.match(first) is not None and _call_behind_header(first)


def _call_behind_header(line: str) -> bool:
    """Look for the whole twelve values behind something that has the look of a header: it begins with a time."""
    commas = 0
    for at, char in enumerate(line[:_LONGEST_HEADER]):
        if char != ",":
            continue
        start = max(line.rfind(" ", 0, at), line.rfind("\t", 0, at), line.rfind(",", 0, at)) + 1
        parts = line[start:].split(",", 11)
        if len(parts) < 12 or commas > _HEADER_COMMAS:
            return False
        if _seems_call(parts) and not _QUOTING.search(line[:start]):
            return True
        commas += 1
    return False


def _seems_call(parts: list[str]) -> bool:
    values = [part.strip() for part in parts]
    app, module, model, workspace, request_id = values[:5]
    if not (_NAME.fullmatch(app) and _NAME.fullmatch(module) and _MODEL.fullmatch(model)):
        return False
    if not (_TOKEN.fullmatch(workspace) and _TOKEN.fullmatch(request_id)):
        return False
    signs = (
        _WORKSPACE.fullmatch(workspace),
        _REQUEST_ID.fullmatch(request_id),
        len(values) > 5 and _STATUS.fullmatch(values[5]),
        sum(1 for value in values[6:10] if _COUNT.fullmatch(value)) >= 3,
        _KNOWN_MODEL.match(model),
    )
    return sum(1 for sign in signs if sign) >= 2
