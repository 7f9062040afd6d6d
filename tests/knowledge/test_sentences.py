"""Sentences: complete, short, and safe with whatever values they are given."""

import re
import string
import tomllib
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.evidence import Message
from llmops_cli.knowledge import sentences
from llmops_cli.knowledge.errors import entries
from llmops_cli.knowledge.sentences import INCIDENT_TYPES, LANGUAGES, formatted, phrase, scope_text, sentence, told


def flat(tree, path=""):
    for key, value in tree.items():
        name = f"{path}.{key}" if path else key
        if isinstance(value, dict):
            yield from flat(value, name)
        else:
            yield name, value


def texts(lang):
    file = resources.files("llmops_cli.knowledge").joinpath(f"sentences.{lang}.toml")
    return dict(flat(tomllib.loads(file.read_text(encoding="utf-8"))))


ENGLISH, CHINESE = texts("en"), texts("zh")
PLACEHOLDER = re.compile(r"\{(\w+)(?::(\w+))?\}")
FORMS = {"", "count", "percent", "share", "change", "times", "number", "duration", "seconds", "si"}
FORMS |= {"scope", "dimension", "family", "source", "term"}


@pytest.mark.parametrize("kind", INCIDENT_TYPES)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_incident_type_has_its_sentences(kind, lang):
    for part in ("headline", "hypothesis", "refuted_by"):
        text = sentence(Message(f"incident.{kind}.{part}"), lang)
        assert text
        assert "incident." not in text
        assert "{" not in text
    assert f"family.{kind}" in (CHINESE if lang == "zh" else ENGLISH)


@pytest.mark.parametrize("kind", INCIDENT_TYPES)
def test_a_headline_fits_beside_its_severity(kind):
    values = {"scope": "qwen-plus", "since": "14:15:08", "for": "12 min"}
    line = sentence(Message(f"incident.{kind}.headline", values))
    assert len("CRITICAL  " + line) <= 80
    assert line.count("qwen-plus") == 1
    assert "14:15:08" in line
    assert line.endswith("(12 min)")
    alone = sentence(Message(f"incident.{kind}.headline", {"scope": ""}))
    assert "everything" in alone
    assert "?" not in alone
    assert "since" not in alone


@pytest.mark.parametrize("kind", INCIDENT_TYPES)
@pytest.mark.parametrize("part", ["hypothesis", "refuted_by"])
def test_hypothesis_and_refutation_stand_without_values(kind, part):
    line = sentence(Message(f"incident.{kind}.{part}"))
    assert "?" not in line.replace("?)", "")
    assert len(line) <= 110


def test_billing_never_says_retry():
    for name, text in (*ENGLISH.items(), *CHINESE.items()):
        if "billing" in name:
            assert "retry" not in text.lower()
            assert "重试" not in text


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_templates_are_well_formed(lang):
    for name, text in texts(lang).items():
        assert isinstance(text, str), name
        assert text.strip() == text != "", name
        assert "\n" not in text, name
        assert text.count("[[") == text.count("]]"), name
        bare = PLACEHOLDER.sub("", text)
        assert "{" not in bare, name
        assert "}" not in bare, name
        assert {form for _, form in PLACEHOLDER.findall(text)} <= FORMS, name


def test_the_second_language_uses_ids_and_values_of_the_first():
    for name, text in CHINESE.items():
        assert name in ENGLISH
        assert set(PLACEHOLDER.findall(text)) <= set(PLACEHOLDER.findall(ENGLISH[name])), name


def test_the_second_language_has_every_sentence():
    assert sorted(set(ENGLISH) - set(CHINESE)) == []
    assert [
        name
        for name, text in CHINESE.items()
        if text == ENGLISH[name] and re.search("[a-z]{4}", PLACEHOLDER.sub("", text))
    ] == []


def test_the_second_language_has_every_text_of_the_catalogue():
    families = resources.files("llmops_cli.knowledge").joinpath("families.tsv").read_text(encoding="utf-8")
    rows = [row.split("\t") for row in families.splitlines()[1:]]
    texts_told = [text for entry in entries() for text in (entry.cause, entry.remedy)]
    texts_told += [text for row in rows for text in row[2:]]
    assert [text for text in texts_told if not re.search(r"[\u4e00-\u9fff]", told(text, "zh"))] == []
    assert told("a text of nobody's", "zh") == "a text of nobody's"


def test_a_language_without_a_file_is_english():
    assert LANGUAGES == ("en", "zh")
    assert phrase("family.auth", "fr") == "authentication"
    assert told("no answer", "fr") == "no answer"


@pytest.mark.parametrize(
    ("source", "english", "chinese"),
    [
        ("configuration", "configuration", "配置"),
        ("account, table 2026-05 (cn-beijing)", None, "账号额度，内置表 2026-05（cn-beijing）"),
        ("rpm: configuration, tpm: table 2026-05 (cn-beijing)", None, "rpm：配置，tpm：内置表 2026-05（cn-beijing）"),
        ("somewhere else", "somewhere else", "somewhere else"),
    ],
)
def test_the_source_of_a_limit_is_said_in_every_language(source, english, chinese):
    assert formatted(source, "source") == (english or source)
    assert formatted(source, "source", "zh") == chinese


def test_a_scope_that_was_named_in_english_can_be_named_again():
    name = scope_text({"app": "shop", "workspace": "llm-1"})
    assert name == "app shop in workspace llm-1"
    assert sentence(Message("incident.auth.headline", {"scope": name}), "zh").startswith(
        "应用 shop · 业务空间 llm-1 的 API Key"
    )
    assert formatted("app shop", "scope", "zh") == "app shop"  # text without its parts stays as it is


def test_blanks_stand_between_chinese_and_latin_only():
    for scope, start in (({}, "全部调用因欠费"), ({"app": "shop"}, "应用 shop 因欠费")):
        assert sentence(Message("incident.billing.headline", {"scope": scope_text(scope)}), "zh").startswith(start)
    said = sentence(Message("evidence.sample", {"message": "中 文"}), "zh")
    assert said == "服务端返回：中 文"


def test_words_of_ours_inside_values_are_translated():
    said = sentence(Message("evidence.also_failing", {"calls": 3, "family": "server error"}), "zh")
    assert said == "另有 3 次调用失败，属于服务端错误"
    assert sentence(Message("drill.every_call", {"code": "no answer"}), "zh") == "每次调用都是无应答"


def test_the_docstring_names_only_ids_that_exist():
    for table in ("headline", "evidence", "note"):
        described = re.search(rf"- `{table}\.`:(.*?)(?:\n- |\Z)", sentences.__doc__, re.DOTALL)[1]
        named = re.findall(r"`(\w+)`", described)
        assert named
        for name in named:
            assert f"{table}.{name}" in ENGLISH


def test_evidence_reads_as_in_a_chat():
    values = {"failures": 412, "calls": 1394, "rate": 412 / 1394, "before_failures": 0, "before_calls": 1101}
    assert sentence(Message("evidence.refused", values)) == "412 of 1,394 calls refused (29.6 %; before: 0 of 1,101)"
    del values["before_calls"]
    assert sentence(Message("evidence.refused", values)) == "412 of 1,394 calls refused (29.6 %)"
    peak = {"peak": 298, "limit": 228.0, "source": "configuration"}
    assert sentence(Message("evidence.busiest_minute_rpm", peak)) == (
        "busiest minute 298 requests, limit 228 (configuration)"
    )


def test_unknown_ids_and_missing_values_are_shown_not_raised():
    assert sentence(Message("no.such.id", {"calls": 3, "why": None, "who": "x"})) == "no.such.id (calls=3, who=x)"
    assert sentence(Message("no.such.id")) == "no.such.id"
    assert sentence(Message("")) == ""
    assert sentence(Message("evidence")) == "evidence"
    assert sentence(Message("evidence.code", {"code": "X"})) == "X: ? calls"


VALUES = st.one_of(
    st.none(),
    st.text(max_size=60),
    st.integers(),
    st.floats(),
    st.sampled_from(["{calls}", "[[", "]]", "{0.__class__}"]),
)


@given(
    name=st.sampled_from([*ENGLISH, "no.such", "evidence"]),
    lang=st.sampled_from(["en", "zh", "xx", "../en"]),
    data=st.data(),
)
def test_no_value_makes_a_sentence_fail(name, lang, data):
    keys = {key for key, _ in PLACEHOLDER.findall(ENGLISH.get(name, "{a}{b}"))}
    values = {key: data.draw(VALUES) for key in keys}
    assert isinstance(sentence(Message(name, values), lang), str)


@given(value=st.text(st.characters(codec=None), max_size=200))
def test_hostile_text_is_put_in_once_and_never_read_again(value):
    assert sentence(Message("evidence.sample", {"message": value})) == f"the service says: {value}"


@pytest.mark.parametrize(
    "value", ["{message.__class__}", "{message[0]}", "%(message)s", "{{message}}", "[[{x}]]", "{0!r:>9}"]
)
def test_no_format_language_inside_values(value):
    assert sentence(Message("evidence.sample", {"message": value})) == f"the service says: {value}"


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (1394, "count", "1,394"),
        (228.0, "count", "228"),
        (0.124, "percent", "12.4 %"),
        (0, "percent", "0 %"),
        (1.0, "percent", "100 %"),
        (0.00004, "percent", "<0.1 %"),
        (0.99996, "percent", ">99.9 %"),
        (1.31, "percent", "131.0 %"),
        (0.834, "share", "83 %"),
        (0.001, "share", "<1 %"),
        (0.999, "share", ">99 %"),
        (0.25, "change", "+25 %"),
        (-0.8, "change", "-80 %"),
        (40, "change", "×41"),
        (2.54, "times", "×2.5"),
        (38, "duration", "38 ms"),
        (2914, "duration", "2,914 ms"),
        (9999.7, "duration", "10 s"),
        (12_400, "duration", "12.4 s"),
        (90_000, "duration", "90 s"),
        (720_000, "duration", "12 min"),
        (3 * 3_600_000 + 300_000, "duration", "3 h 5 min"),
        (3 * 86_400_000 + 3_600_000, "duration", "3 d 1 h"),
        (502 * 86_400_000, "duration", "502 d"),
        (9_766, "seconds", "9.8 s"),
        (60_000, "seconds", "60 s"),
        (-38, "duration", "-38 ms"),
        (999, "si", "999"),
        (212_000, "si", "212 k"),
        (999_700, "si", "1 M"),
        (1_234_567, "si", "1.2 M"),
        (5_000_000, "si", "5 M"),
        (0, "si", "0"),
        (3.5, "number", "3.5"),
        (3.0, "number", "3"),
        ("", "scope", "everything"),
        (None, "scope", "everything"),
        ("qwen-plus", "scope", "qwen-plus"),
        (None, "count", "?"),
        (float("nan"), "percent", "?"),
        (float("inf"), "duration", "?"),
        (10**400, "percent", "?"),
        (-(10**400), "", "?"),
        ("n/a", "count", "n/a"),
        (7, "", "7"),
        (0.5, "", "0.5"),
        (7, "no_such_form", "7"),
    ],
)
def test_values_as_people_read_them(value, form, text):
    assert formatted(value, form) == text


@given(st.floats(min_value=0, max_value=1))
def test_a_percentage_claims_none_or_all_only_when_it_is_so(rate):
    text = formatted(rate, "percent")
    assert (text == "0 %") == (rate == 0)
    assert (text == "100 %") == (rate == 1)
    assert text not in ("0.0 %", "100.0 %")


@given(st.floats(min_value=0, max_value=1e12))
def test_a_duration_is_short_and_not_far_off(ms):
    text = formatted(ms, "duration")
    sizes = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
    words = text.replace(",", "").split()
    read = sum(float(n) * sizes[unit] for n, unit in zip(words[::2], words[1::2], strict=True))
    assert read == pytest.approx(ms, rel=0.02, abs=0.5)
    assert len(text) <= 12


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        ({}, "everything"),
        ({"model": "qwen-plus"}, "qwen-plus"),
        ({"workspace": "llm-1", "model": "qwen-plus"}, "qwen-plus in llm-1"),
        ({"app": "shop"}, "app shop"),
        ({"app": "shop", "model": "qwen-plus"}, "qwen-plus in app shop"),
        ({"app": "shop", "module": "Chat"}, "module Chat in app shop"),
        ({"workspace": "llm-1"}, "workspace llm-1"),
        ({"app": ""}, 'app ""'),
    ],
)
def test_a_scope_reads_like_a_name(scope, text):
    assert scope_text(scope) == text


def test_si_keeps_ascii_digits():
    assert set(formatted(123456.789, "si")) <= set(string.digits + " .kMG")


def test_every_id_in_the_code_has_its_sentence():
    """Ids are plain strings, so that nothing but this test notices one that is misspelt or was never written."""
    tables = "|".join(sorted({name.partition(".")[0] for name in ENGLISH} - {"request"}))
    literal = re.compile(rf'"((?:{tables})\.[a-z_][a-z_.]*[a-z])"')
    package = resources.files("llmops_cli")
    used = {
        (name, file.name)
        for file in package.rglob("*.py")
        for name in literal.findall(file.read_text(encoding="utf-8"))
    }
    assert len(used) > 20
    assert sorted((name, file) for name, file in used if name not in ENGLISH) == []


@pytest.mark.parametrize(
    ("ms", "english", "chinese"),
    [
        (38, "38 ms", "38 ms"),
        (12_000, "12 s", "12 秒"),
        (720_000, "12 min", "12 分钟"),
        (3 * 3_600_000, "3 h", "3 小时"),
        (3 * 3_600_000 + 300_000, "3 h 5 min", "3 小时 5 分钟"),
        (502 * 86_400_000, "502 d", "502 天"),
    ],
)
def test_a_duration_has_the_units_of_its_language(ms, english, chinese):
    for value in (ms, english):  # sop hands over some as text
        assert (formatted(value, "duration"), formatted(value, "duration", "zh")) == (english, chinese)
    said = sentence(Message("incident.latency.headline", {"scope": "", "since": "06:18:00", "for": english}), "zh")
    assert said == f"全部调用响应变慢，始于 06:18:00（{chinese}）"
