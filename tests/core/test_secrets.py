"""No secret is in what is shown, and what is none is shown."""

from __future__ import annotations

import time

import pytest
from canaries import CANARY, TEXTS
from hypothesis import given
from hypothesis import strategies as st

from whilst.core.outcome import short
from whilst.core.secrets import HIDDEN, bounded, without_secrets, without_secrets_in

HARMLESS = [
    "done: 151 ok in 0.5 s (280/s)",
    "done: 3 failed (2 429, 1 KeyError) in 1.0 s",
    "KeyError: 'token'",
    "KeyError: 'id'",
    "TypeError: f() got an unexpected keyword argument 'token'",
    "StatusError: 404 Not Found: GET https://pokeapi.co/api/v2/pokemon/nobody: Not Found (row 2 of names.txt)",
    "http://localhost:8080/a/b: 404",
    "https://registry.example/@scope/package is not there",
    "user@example.com is no number",
    "Why? because. What?! x ? y : z",
    "401 Unauthorized: Basic authentication required",
    "password authentication failed for user me",
    "try: --header-env Authorization=API_TOKEN",
    "try: --header-env x-api-key=X_API_KEY, with the whole value in the variable X_API_KEY",
    "authors: Jane, keys: 3, monkey: 5, donkey=7",
    'File "/home/me/jobs.py", line 12, in fetch',
    "fetch() needs 'url' and 'token', which the row does not have",
    "its fields are 'token', 'url', 'id'",
    "--journal-key needs a journal",
    "Command '['docker', 'run', '-p', '8080:80', 'image']' returned non-zero exit status 1.",
    "ssh -p 2222 me@host; cp -p a b; mkdir -p c",
    "mysql -h db -P 3306 shop",
    "mysql -p shop",
    "curl -sSf -o out.json https://host.example/a",
    "python -u app.py -a 1",
    "error: whilst get has no option --user\n  try: whilst get --header-env Authorization=NAME",
    "error: whilst get has no option --password\n  try: whilst get --header-env Authorization=NAME",
    "python -u\n  try: python",
    "unzip -o a.zip -d out",
    "redis-cli -h db get name",
    "--header Authorization looks like a secret, and secrets must not be in a flag",
    "run.db tells inputs apart with a key, this run does it otherwise (key=…)",
    "row 1 of a.csv has no field '', which --journal-key names",
    "row 1 of a.csv has no field authorization, which --limit-by names",
    "row 1 of a.csv has no field token, which --fields names",
    "key=… gave ['a']; the journal knows no canonical form of it",
    "first: ValueError: Authorization: … (jobs.py line 3; row 1 of abc.txt)",
    '1 ValueError  e.g. Set-Cookie: … for "a"',
    "try: sqlite:///f.db?table=t_out",
    "vault read kv/shop",
    "error: --passes 3 is no option; bypass: no",
    "psql -U me -w -d shop",
    "403 Forbidden: GET https://host/a?api_key=…&page=…: no",
    "",
]


def test_there_are_a_hundred_texts_and_each_has_its_secret() -> None:
    assert len(TEXTS) >= 100
    assert [text for text in TEXTS if CANARY not in text] == []


@pytest.mark.parametrize("text", TEXTS)
def test_no_secret_is_shown(text: str) -> None:
    assert CANARY not in without_secrets(text)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("around", ["error: {} (row 5)", '"{}"', "'{}'", "x\n{}\ny", "RuntimeError({!r})", "[{!r}, 1]"])
def test_no_secret_is_shown_whatever_stands_around_it(text: str, around: str) -> None:
    assert CANARY not in without_secrets(around.format(text))


@pytest.mark.parametrize("text", [*TEXTS, *HARMLESS])
def test_hiding_twice_is_hiding_once(text: str) -> None:
    once = without_secrets(text)
    assert without_secrets(once) == once


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_is_shown(text: str) -> None:
    assert without_secrets(text) == text


def test_what_a_url_is_of_stays() -> None:
    shown = without_secrets("GET https://me:pw@host.example:8443/a/b?key=x: 403 Forbidden")
    assert shown == f"GET https://{HIDDEN}@host.example:8443/a/b?{HIDDEN}: 403 Forbidden"


@pytest.mark.parametrize("text", TEXTS)
def test_a_cut_hits_no_secret(text: str) -> None:
    for cut in range(1, len(text) + 2):
        shown = bounded(text, cut)
        assert len(shown) <= cut
        assert CANARY not in shown
        assert CANARY[:5] not in shown  # nor the beginning of one
        assert CANARY[:5] not in short(text, max(cut, 2))


@given(st.integers(1, 9000), st.sampled_from(TEXTS))
def test_a_cut_far_behind_hits_no_secret(before: int, text: str) -> None:
    assert CANARY[:5] not in bounded("x" * (before % 97) + " " + "word " * (before // 5) + text, 4500)


@pytest.mark.parametrize("before", ["Authorization: …", "Cookie: … ", "Authorization: …(", "Authorization: … … "])
def test_what_was_hidden_before_hides_no_less_behind_it(before: str) -> None:
    assert "abc" not in without_secrets(f"{before}abc")
    assert "abc" not in without_secrets(f"{before}Basic abc")


def test_words_of_a_command_are_hidden_where_a_flag_says_what_follows() -> None:
    argv = [
        "map",
        "--token",
        "abc",
        "--api-key=abc",
        "https://h/?k=abc",
        "-o",
        "postgresql://me:abc@h/d",
        "--retry",
        "5",
    ]
    assert "abc" not in " ".join(without_secrets_in(argv))
    assert without_secrets_in(argv)[-2:] == ("--retry", "5")
    assert "abc" not in " ".join(without_secrets_in(["app.py", "-u", "me:abc", "--db-pass", "abc"]))
    sources = ("get", "--header-env", "Authorization=API_TOKEN", "--journal-key", "id")
    assert without_secrets_in(sources) == sources


@given(st.text(st.sampled_from("abc:/@?#=&'\"\\ \n-.token"), max_size=200))
def test_any_text_can_be_looked_through(text: str) -> None:
    once = without_secrets(text)
    assert len(once) <= len(text) + text.count("=") + text.count("?") + text.count("@") + 4


@pytest.mark.parametrize(
    "part",
    [
        "a",
        "a.a-",
        "://",
        "?a=b/",
        "'",
        "a:",
        "key ",
        "-",
        "https://a@",
        'key="\\',
        "basic ",
        "eyJ",
        "@",
        "#a=",
        "curl -u ",
        "mysql '-p",
        "mysqladmin ",
        "vault login",
    ],
)
def test_a_long_text_takes_no_more_than_its_length(part: str) -> None:
    text = part * (16_000 // len(part)) + "@key ?="
    began = time.process_time()
    without_secrets(text)
    assert time.process_time() - began < 1.0  # 0.03 s; what grows with the square takes 10 and more


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:///in.db?table=tt has no such table",
        "  try: sqlite:///f.db?table=t&key=id",
        "(postgresql://host/db?key=id&table=a.b)",
    ],
)
def test_which_table_and_column_of_a_database_is_no_secret(text: str) -> None:
    assert without_secrets(text) == text


@pytest.mark.parametrize(
    "text",
    ["sqlite:///f.db?table=t&password=CANARY", "https://h/?table=t&key=CANARY", "key=CANARY", "x://h/db?key=CANARY"],
)
def test_a_table_beside_it_hides_no_secret_less(text: str) -> None:
    assert "CANARY" not in without_secrets(text)
