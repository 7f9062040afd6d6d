"""What is still English in an answer that was asked for in Chinese: everything but a fixed list of terms."""

import re

from llmops_cli.knowledge.sentences import INCIDENT_TYPES

TERMS = frozenset({
    *("Token", "API", "URL", "Key", "Base", "Request", "ID", "RPM", "TPM", "QPM", "UID", "DNS", "RAM", "JSON", "TOML"),
    *("Span", "README", "ms", "rpm", "tpm", "llmops", "prompt", "temperature"),
    *("uid", "contact"),  # what is missing is named as the configuration names it
})  # fmt: skip
"""Terms of the trade, units, and names that have no other word."""

NOT_PROSE = re.compile(
    r"llm-\w+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # ids
    r"|\b[0-9a-f]{8}…?"  # hashes
    r"|(?:qwen|deepseek)[\w.-]*"  # models
    r"|shop-assistant|bailian-log|doc-qa|risk-review|\b(?:Chat|RAG|Agent|Summary|Vision)\b"  # apps and modules
    r"|\b(?:DEBUG|INFO|WARN|ERROR)\b"
    r"|\b[A-Z][A-Za-z]+\.[A-Z]\w+|\b[A-Z][a-z]+[A-Z]\w*|\bArrearage\b"  # error codes
    r"|--?[a-z][\w-]*|[\w./-]+\.(?:log|toml)|\[[^\]]*\]"  # options, files, keys
    r"|\b[a-z]+(?:_[a-z]+)+\b"  # ids of incidents, names of fields
    r"|(?:model|app|module|workspace)="  # causes, as options name them
    r"|\b(?:cn|ap|us)-[a-z]+(?:-\d)?"  # regions
    r"|X-DashScope[\w-]*|sha256|Qwen-\w+"
)
SERVER = re.compile(r"(?:服务端返回|客户端报错)：.*")
LOG_LINE = re.compile(r"\s*\+[\d,]+ ms|\d\d:\d\d:\d\d\.\d{3} [A-Z]")
"""The server's own words, and lines of the log: data, not ours."""


def english_in(text):
    """Words of an answer that should have been Chinese; commands, code and log lines are left out."""
    found, fenced, logged = [], False, False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced, logged = not fenced and line != "```text", False
            continue
        if re.match(LOG_LINE, line):
            logged = True
        elif logged and not re.match(r"\s|…", line):  # the end of its continuation
            logged = False
        if fenced or logged or re.search(r"\bllmops [a-z]+|^LLMOPS_|^\[throttle|^\w+ = ", line):
            continue
        rest = NOT_PROSE.sub(" ", SERVER.sub(" ", re.sub(r"`[^`]*`", " ", line)))
        found += [word for word in re.findall(r"[A-Za-z]{2,}", rest) if word not in {*TERMS, *INCIDENT_TYPES}]
    return found
