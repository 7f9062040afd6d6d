"""Logback patterns: what they read, what they refuse, and that every engine reads the same."""

import re
from datetime import UTC

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.calls.pattern import STANDARD_PATTERN, PatternError, compile_pattern

DATE = "%d{yyyy-MM-dd HH:mm:ss.SSS}"
TIME = "2025-07-09 14:23:24.748"
SUCCESS = (
    "2025-07-09 14:23:24.748 INFO [traceId:41ea65e3-0b4c-4b65-8567-325a6128eddf] "
    "[c.a.c.s.i.ChatServiceImpl#chat():67] [http-nio-8080-exec-1] - bailian-log,Chat,qwen-plus,"
    "llm-6qtsrlugmu6wanfs,6c958db4-d489-9de8-b5d4-9fc872f24ce2,200,1141,24,9,33,,"
)
FAILURE = (
    "2025-07-09 08:26:33.833 ERROR [traceId:63384a39-bbfe-489b-a290-6635975fc633] "
    "[c.a.c.s.i.ChatServiceImpl#chat():72] [http-nio-8080-exec-3] - bailian-log,Chat,qwen-plus,"
    "llm-6qtsrlugmu6wanfs,83a0cb5d-07f9-9fd2-9985-1c05b339f5d5,401,38,0,0,0,InvalidApiKey,Invalid API-key provided."
)
ESCAPED = STANDARD_PATTERN.replace("()", r"\(\)")


def read(pattern, line):
    header = compile_pattern(pattern).header(line)
    assert header is not None, (pattern, line)
    return header


def duck_groups(pattern, lines):
    """What DuckDB's RE2 reads of each line: a dict of groups, all empty where nothing matches, and LIKE's answer."""
    values = ", ".join("(?)" for _ in lines)
    rows = duckdb.execute(
        f"select regexp_extract(line, ?, {list(pattern.groups)!r}), line like ? escape '\\' from (values {values}) t(line)",
        [pattern.re2, pattern.like, *lines],
    ).fetchall()
    return [row[0] for row in rows], [row[1] for row in rows]


def assert_engines_agree(pattern, lines):
    extracted, liked = duck_groups(pattern, lines)
    for line, groups, like in zip(lines, extracted, liked, strict=True):
        match = pattern.regex.match(line)
        expected = match.groupdict("") if match else dict.fromkeys(pattern.groups, "")
        assert groups == expected, line
        if match:
            assert like, line
            assert re.fullmatch(pattern.begin_regex, line, re.DOTALL), line
            logtail = re.fullmatch(pattern.logtail_regex, line)
            assert logtail is not None, line
            assert dict(zip(pattern.keys, logtail.groups(""), strict=True)) == expected


@pytest.mark.parametrize("pattern", [STANDARD_PATTERN, ESCAPED])
def test_the_two_sample_lines_of_the_standard(pattern):
    success, failure = read(pattern, SUCCESS), read(pattern, FAILURE)
    assert success.time_text == TIME
    assert success.level == "INFO"
    assert success.trace_id == "41ea65e3-0b4c-4b65-8567-325a6128eddf"
    assert success.logger == "c.a.c.s.i.ChatServiceImpl"
    assert success.thread == "http-nio-8080-exec-1"
    assert success.message.startswith("bailian-log,Chat,")
    assert success.message.endswith(",33,,")
    assert failure.trace_id == "63384a39-bbfe-489b-a290-6635975fc633"
    assert failure.message.endswith(",InvalidApiKey,Invalid API-key provided.")


@pytest.mark.parametrize("pattern", [STANDARD_PATTERN, ESCAPED])
@pytest.mark.parametrize(
    "site", ["chat():67", "%PARSER_ERROR[method]:67", "?():?", "%PARSER_ERROR[method]:?", "<init>():9"]
)
@pytest.mark.parametrize("level", ["INFO", "INFO ", "ERROR", "WARN   "])
def test_each_shape_of_the_call_site_and_any_padding(pattern, site, level):
    line = f"{TIME} {level} [traceId:] [a.B#{site}] [main] - hello"
    header = read(pattern, line)
    assert (header.level, header.trace_id, header.logger, header.thread) == (level.strip(), "", "a.B", "main")
    assert header.message == "hello"
    assert_engines_agree(compile_pattern(pattern), [line])


def test_what_the_fast_readers_need_of_the_standard():
    pattern = compile_pattern(STANDARD_PATTERN)
    assert pattern.groups == ("time", "level", "trace_id", "logger", "method", "line", "thread", "message")
    assert pattern.keys == pattern.groups
    assert pattern.time_first
    assert pattern.time.width == 23
    assert pattern.time.strptime == "%Y-%m-%d %H:%M:%S.%g"
    assert pattern.message_separator == "] - "
    assert pattern.header_commas == 0
    assert pattern.regex.match(SUCCESS)["method"] == "chat"
    assert pattern.regex.match(SUCCESS)["line"] == "67"


@pytest.mark.parametrize(
    ("pattern", "commas", "separator", "time_first"),
    [
        ("%d %p - %m%n", 1, " - ", True),
        ("%d{ISO8601},%p,%m", 3, ",", True),
        ("[%d] [%t] %m", 1, "] ", False),
        (f"%highlight({DATE}) %m", 0, " ", False),
        (f"{DATE} [%X] %m", None, "] ", True),
        (f"{DATE} %-5p %m", 0, " ", True),
        (f"{DATE}%m", 0, "", True),
    ],
)
def test_commas_separator_and_place_of_the_time(pattern, commas, separator, time_first):
    compiled = compile_pattern(pattern)
    assert (compiled.header_commas, compiled.message_separator, compiled.time_first) == (commas, separator, time_first)


@pytest.mark.parametrize(
    ("pattern", "line", "expected"),
    [
        ("%d %-5level [%thread] %logger{36} - %msg%n", f"{TIME[:19]},748 INFO  [main pool] a.B - hi - ho", ("INFO", "", "a.B", "main pool", "hi - ho")),
        (f"{DATE} [%15.15t] %5p %-40.40logger{{39}} : %m", f"{TIME} [           main]  WARN a.B                                      : x", ("WARN", "", "a.B", "main", "x")),
        (f"{DATE} [%t] %m", f"{TIME} [C3P0[pool]-#0] x", ("", "", "", "C3P0[pool]-#0", "x")),
        (f"{DATE} %c - %m", f"{TIME} o.a.c.c.C.[Tomcat].[localhost].[/] - x", ("", "", "o.a.c.c.C.[Tomcat].[localhost].[/]", "", "x")),
        (f"{DATE} [%X{{X-B3-TraceId:-}},%X{{X-B3-SpanId:-}}] %m", f"{TIME} [aa,bb] x", ("", "aa", "", "", "x")),
        (f"{DATE} [%X{{requestId}}] [%X{{trace_id}}] %m", f"{TIME} [r] [t] x", ("", "t", "", "", "x")),
        (f"{DATE} [%X{{EagleEye-TraceID:-none}}] %m", f"{TIME} [none] x", ("", "none", "", "", "x")),
        (f"{DATE} [%X] %m", f"{TIME} [user=Anna Berg, traceId=t-1, spanId=2] x", ("", "t-1", "", "", "x")),
        (f"{DATE} [%X] %m", f"{TIME} [] x", ("", "", "", "", "x")),
        (f"{DATE} [%X] %m", f"{TIME} [user=Anna] x", ("", "", "", "", "x")),
        (f"{DATE} [%tid] %m", f"{TIME} [TID: N/A] x", ("", "N/A", "", "", "x")),
        (f"{DATE} [%tid] %m", f"{TIME} [TID:abc.1.2] x", ("", "abc.1.2", "", "", "x")),
        (f"{DATE} 100%% %m", f"{TIME} 100% x", ("", "", "", "", "x")),
        (f"{DATE} %-30(%p [%t]) %m", f"{TIME} INFO [main]                   x", ("INFO", "", "", "main", "x")),
        (f"{DATE} \\(%p\\) %m", f"{TIME} (INFO) x", ("INFO", "", "", "", "x")),
        (f"{DATE} (%p) %m", f"{TIME} (INFO) x", ("INFO", "", "", "", "x")),
        (f"{DATE} %r %sn %m", f"{TIME} 12 3 x", ("", "", "", "", "x")),
        (f"{DATE} %clr(%5p){{faint}} %m", f"{TIME} \x1b[2m INFO\x1b[0m x", ("INFO", "", "", "", "x")),
        (f"{DATE} %clr(%5p){{faint}} %m", f"{TIME} INFO x", ("INFO", "", "", "", "x")),
        (f"%red({DATE} %p - %m)%n", f"\x1b[31m{TIME} INFO - x y\x1b[0m", ("INFO", "", "", "", "x y")),
        (f"{DATE} ${{LEVEL:-%5p}} ${{PID:- }} --- %m%n${{EX:-%wEx}}", f"{TIME}  INFO 4711 --- x", ("INFO", "", "", "", "x")),
        (f"{DATE} %p %m [%X{{traceId}}]%n", f"{TIME} INFO x [y] z [t-1]", ("INFO", "t-1", "", "", "x [y] z")),
        (f"{DATE} %p %m [%X{{traceId}}]%n", f"{TIME} INFO first of two lines", ("INFO", "", "", "", "first of two lines")),
        (f"{DATE} [%property{{HOST}}] [%marker] [%contextName] %m", f"{TIME} [a b] [] [c] x", ("", "", "", "", "x")),
        (f"{DATE}{{\t}} %m", f"{TIME}{{\t}} x", ("", "", "", "", "x")),
    ],
)  # fmt: skip
def test_conversions(pattern, line, expected):
    header = read(pattern, line)
    assert (header.level, header.trace_id, header.logger, header.thread, header.message) == expected
    assert_engines_agree(compile_pattern(pattern), [line, line + "\u2028", " " + line, line[1:], ""])


def test_the_trace_key_can_be_chosen():
    pattern = compile_pattern(f"{DATE} [%X{{traceId}}] [%X{{ticket}}] %m", trace_key="ticket")
    assert pattern.header(f"{TIME} [a] [b] x").trace_id == "b"
    with pytest.raises(PatternError, match=r"%X\{order\}"):
        compile_pattern(f"{DATE} %m", trace_key="order")


def test_a_header_stands_at_the_start_of_the_line_only():
    pattern = compile_pattern(STANDARD_PATTERN)
    assert pattern.header(" " + SUCCESS) is None
    assert pattern.header("prompt:" + SUCCESS) is None
    assert pattern.header("") is None


def test_the_message_reaches_over_every_line_separator_but_the_line_break():
    assert read(STANDARD_PATTERN, SUCCESS + "a\u2028b\x85c\rd\r\n").message.endswith(",,a\u2028b\x85c\rd")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("%p %m%n", "no %d"),
        ("%d %p%n", "no %m"),
        ("%d %m %msg", "column 7: %m stands twice"),
        ("%m %d", "%d stands after %m"),
        ("%d %foo %m", "column 4: unknown conversion %foo"),
        ("%d %replace(%m){'a', 'b'}", "column 4: %replace cannot be read back"),
        ("%d %foo(%p) %m", "column 4: unknown conversion %foo"),
        ("%d %method(%p) %m", "column 4: %method takes no group"),
        ("%d %-30(%p %m", "column 8: this group is not closed"),
        ("%d{yyyy %m", "column 3: this { is not closed"),
        ("%d %", "column 4: % without a conversion word"),
        ("%d %n %m", "column 4: %n before %m"),
        ("%d{HH:mm:ss.SSS} %m", "column 1: the date format 'HH:mm:ss.SSS' has no date"),
        ("%p %d{MM-dd HH:mm} %m", "column 4: the date format 'MM-dd HH:mm' has no year"),
        ("%d{yyyy-MM-dd} %m", "has no time of day"),
        ("%d{yyyy-MM-dd hh:mm:ss} %m", "needs HH (24 h), or hh together with a (AM/PM)"),
        ("%d{yyyy-MM-dd'T HH:mm} %m", "is not closed"),
        ("%d{YYYY-MM-dd HH:mm} %m", "'YYYY' is not supported"),
        ("%d{yyyyMd HH:mm} %m", "run together"),
        ("%d{yyyy-MM-dd yyyy HH:mm} %m", "has the year twice"),
        ("%d{yyyy-MM-dd HH:mm:ss, Mars/Olympus} %m", "unknown time zone 'Mars/Olympus'"),
        ("${LOG_PATTERN}", "column 1: ${LOG_PATTERN} has no value here"),
        ("", "no %d"),
    ],
)
def test_a_pattern_that_cannot_be_read_back_says_what_and_where_in_one_line(pattern, message):
    with pytest.raises(PatternError) as caught:
        compile_pattern(pattern)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


@given(st.text(alphabet="%d{}()-.5pXctm\\n [,]$:'\"yMHs\u2028", max_size=40))
@settings(max_examples=300)
def test_any_text_compiles_or_is_refused(text):
    try:
        pattern = compile_pattern(text)
    except PatternError:
        return
    assert pattern.groups.count("time") == 1
    duck_groups(pattern, ["x"])


TOKEN = st.text(alphabet="abcXYZ019._-$", min_size=1, max_size=12)
CONVERSIONS = {
    "%-5p": ("level", st.sampled_from(["INFO", "WARN", "ERROR", "DEBUG"]), lambda value: value.ljust(5)),
    "%5level": ("level", st.sampled_from(["INFO", "WARN", "ERROR"]), lambda value: value.rjust(5)),
    "%X{traceId:-}": ("trace_id", st.one_of(st.just(""), TOKEN), str),
    "%-20X{traceId}": ("trace_id", TOKEN, lambda value: value.ljust(20)),
    "%c{3}": ("logger", TOKEN, str),
    "%-30.30logger{29}": ("logger", TOKEN, lambda value: value.ljust(30)),
    "%thread": ("thread", TOKEN, str),
    "%15.15t": ("thread", TOKEN, lambda value: value.rjust(15)),
}


@st.composite
def layouts(draw):
    """A pattern, a line that Logback would print with it, and the values in it."""
    chosen = draw(
        st.lists(st.sampled_from(sorted(CONVERSIONS)), max_size=5, unique_by=lambda word: CONVERSIONS[word][0])
    )
    pattern, line, values = DATE, TIME, {}
    for word in chosen:
        name, strategy, pad = CONVERSIONS[word]
        before, after = draw(st.sampled_from([(" [", "]"), (" ", " |"), (" key=", ";"), (" <", ">")]))
        values[name] = draw(strategy)
        pattern += before + word + after
        line += before + pad(values[name]) + after
    message = draw(st.text(alphabet=st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])))
    separator = draw(st.sampled_from([" - ", " : ", "] ", " "]))
    return pattern + separator + "%m%n", line + separator + message, values, message


@given(layouts())
@settings(max_examples=150, deadline=None)
def test_what_logback_prints_is_read_back(layout):
    text, line, values, message = layout
    pattern = compile_pattern(text)
    header = pattern.header(line)
    assert header is not None
    assert header.time_text == TIME
    assert {name: getattr(header, name) for name in values} == values
    assert header.message == message
    if "\0" not in line:  # DuckDB's LIKE and RE2 take it, the values clause is what is being spared
        assert_engines_agree(pattern, [line])


@pytest.mark.parametrize(
    "pattern",
    [
        STANDARD_PATTERN,
        "%d [%thread] [%logger] [%X{traceId}] [%X{user}] - %m",
        "%d %-5p %-20t %-20t [%marker] - %m",
        "%d %highlight(%-5p) %cyan(%-20t) %clr(%c) : %m",
        "%d %p %m [%X{traceId}] [%t]%n",
        "%d [%X] [%X] - %m",
    ],
)
@pytest.mark.parametrize(
    "filler", ["] [", " ", "]", "[", "] - ", "a, ", "\x1b[0m", "#", "()", "A", "traceId=", ", tid="]
)
def test_a_hostile_line_is_read_in_one_pass(pattern, filler):
    """A reader that tries every way to share out the line would not come back from these."""
    compiled = compile_pattern(pattern)
    date = f"{TIME[:19]},748" if "%d " in pattern else TIME
    for start in (f"{date} ", f"{date} INFO [", f"{date} INFO [traceId:x] [", f"{date} INFO x [", f"{date} ["):
        compiled.header(start + filler * (60_000 // len(filler)) + "\x00")


def test_a_time_zone_of_the_pattern_wins():
    pattern = compile_pattern("%d{yyyy-MM-dd HH:mm:ss, GMT+8} %m")
    assert pattern.time.fixed_zone == "GMT+8"
    assert pattern.time.to_epoch_ms("2025-07-09 14:23:24", UTC) == 1752042204000
