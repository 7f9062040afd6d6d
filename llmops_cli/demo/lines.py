"""What an application writes around its calls: requests received, prompts, results, retries, stack traces."""

from __future__ import annotations

import json
from random import Random

from llmops_cli.evidence import CallRecord, LogLine, Where

MARK = "llmops demo: made-up traffic"
"""What the first line of every file of the demo holds, so that nobody takes it for a real one."""

LOGGERS = {
    "Chat": ("c.a.c.s.i.ChatServiceImpl", "chat"),
    "RAG": ("c.a.c.s.i.RagServiceImpl", "answer"),
    "Summarize": ("c.a.c.s.i.SummaryServiceImpl", "summarize"),
    "Agent": ("c.a.c.s.i.AgentServiceImpl", "step"),
    "Extract": ("c.a.c.s.i.ExtractServiceImpl", "extract"),
}

_PROMPTS = (
    "Which of these two plans fits a family of four, and what does it cost a month?",
    "请用三句话总结下面的会议记录, 并列出待办事项。",
    "Extract amount, currency and due date as JSON. Answer with JSON only.",
    'The customer writes: "the parcel arrived open", what do we offer?\n\nRules:\n- be brief\n- no promises',
    "根据检索到的段落回答: 退货期限是几天? 不知道就说不知道。",
    "Compare the contract, clause by clause, with the template [template v3] and name every difference.",
)
_ANSWERS = (
    "The second plan, 34 a month.",
    "会议决定: 推迟上线, 周五复查。",
    '{"amount": 1280.5, "currency": "CNY", "due": "2025-08-01"}',
    "We are sorry. Please send a photo, then we replace it.",
)
_QUOTED = (
    "Explain this line of our log: 2025-07-09 08:26:33.833 ERROR [traceId:63384a39-bbfe-489b-a290-6635975fc633] "
    "[c.a.c.s.i.ChatServiceImpl#chat():72] [http-nio-8080-exec-3] - bailian-log,Chat,qwen-plus,"
    "llm-6qtsrlugmu6wanfs,83a0cb5d-07f9-9fd2-9985-1c05b339f5d5,401,38,0,0,0,InvalidApiKey,Invalid API-key provided."
)
COMMENTS_DOWN = ("wrong answer", "does not know our products, at all", "答非所问", "too slow, and not what I asked", "")
COMMENTS_UP = ("", "", "thanks", "很有帮助", "good, but long")


def thread(trace_id: str) -> str:
    """Name the thread that serves a trace, the same for all its lines."""
    return f"http-nio-8080-exec-{int(trace_id[:4], 16) % 20 + 1}" if trace_id else "main"


def logger(module: str, line: int) -> str:
    """Write logger, method and source line as the standard's header shows them."""
    name, method = LOGGERS[module]
    return f"{name}#{method}():{line}"


def _line(ms: int, level: str, trace_id: str, at: str, message: str) -> LogLine:
    return LogLine(ms, level, trace_id, at, thread(trace_id), message, "")


def opening(ms: int, name: str, seed: int, calls: int) -> LogLine:
    """Open a log with a line that says that all of it is made up, and from what."""
    return _line(ms, "INFO", "", "l.d.Traffic#main():1", f"{MARK}, {name}, seed {seed}, {calls} calls")


def received(rng: Random, ms: int, trace_id: str, where: Where) -> LogLine:
    """Log the request that started a trace."""
    path = LOGGERS[where.module][1]
    return _line(
        ms,
        "INFO",
        trace_id,
        "c.a.c.w.ApiController#handle():41",
        f"received POST /{path}, {300 + int(rng.random() * 2400)} bytes",
    )


def prompt(rng: Random, ms: int, trace_id: str, where: Where) -> LogLine:
    """Log a prompt before its call, as the standard has it; one in fifty quotes a whole line of the log."""
    text = _QUOTED if rng.random() < 0.02 else _PROMPTS[int(rng.random() * len(_PROMPTS))]
    return _line(ms, "DEBUG", trace_id, logger(where.module, 58), "prompt:" + text)


def result(rng: Random, call: CallRecord) -> LogLine:
    """Log a result after its call, as the standard has it."""
    answer = {
        "requestId": call.request_id,
        "usage": {"input_tokens": call.input_tokens, "output_tokens": call.output_tokens},
        "output": {
            "choices": [{"message": {"role": "assistant", "content": _ANSWERS[int(rng.random() * len(_ANSWERS))]}}]
        },
    }
    text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    return _line(call.time_ms, "DEBUG", call.trace_id, logger(call.module, 70), "result:" + text)


def retrying(ms: int, call: CallRecord, wait_ms: int, attempt: int) -> LogLine:
    """Log that the client will try again."""
    why = call.error_code or "no answer"
    return _line(ms, "WARN", call.trace_id, logger(call.module, 75), f"retry {attempt} in {wait_ms} ms after {why}")


def stack_trace(call: CallRecord) -> LogLine:
    """Log an exception that nobody caught, with its frames on lines of their own."""
    name, method = LOGGERS[call.module]
    text = (
        f"request failed\njava.lang.RuntimeException: {call.error_message}\n"
        f"\tat com.alibaba.cloud.service.impl.{name.rsplit('.', 1)[1]}.{method}({name.rsplit('.', 1)[1]}.java:78)\n"
        "\tat java.base/java.lang.Thread.run(Thread.java:840)\n"
        f"Caused by: com.alibaba.dashscope.exception.ApiException: {call.error_code}\n\t... 2 more"
    )
    return _line(call.time_ms, "ERROR", call.trace_id, "c.a.c.w.ApiController#handle():55", text)
