"""Where in a text are credentials? Every text that leaves a run (message, note, status, log) goes through here.

Nothing is allowed, and the rule errs on hiding: of a URL the scheme, host and path are shown, of `name=value` the name.
What is hidden is one `…`. It is looked for in

- URLs: what stands before the host, behind the question mark and behind the `#`, where there is no scheme too;
- (of a database, `table=` and `key=` are shown: which table, and which column finds a row)
- names that speak of a secret, with their value: `api_key=…`, `"password": …`, `--token …`, `Authorization: …`;
- commands, in a shell's words and as a list: what `mysql -p…`, `curl -u …`, `vault login …` and forty others take;
- a secret in words: `token 'abc'`, `Incorrect API key provided: abc`, `Bearer abc`;
- texts of a known shape: JSON web tokens, private keys, the keys that large services hand out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

HIDDEN = "…"

# Without one of these in it, in lower case, a text has no secret that is known here. Most have none, and looking for
# signs takes 3 µs where the patterns take 100.
_PLACES = ("@", "?", "://", ":/", "#")
_WORDY = (
    *("pass", "pwd", "secret", "token", "auth", "credential", "signature", "sig=", "sig:", "session"),
    *("cookie", "key", "bearer", "basic", "digest", "negotiate", "ntlm", "hmac", "otp", "pin"),
    *("-u ", "-u'", '-u"', "user"),
)
_SHAPED = (
    *("eyj", "akia", "asia", "aiza", "ghp", "gho", "ghs", "ghu", "ghr", "github_pat", "glpat", "xox", "sk-", "sk_"),
    *("rk_", "pk_", "hf_", "npm_", "pypi-", "sg.", "ya29.", "private key", "bot", "hooks"),
)

# Patterns, which `re` compiles at their first use.
_SCHEME = r"\b[a-zA-Z][a-zA-Z0-9+.-]{0,30}:/{1,3}(?=[^\s/])"
_HOST = r"(?:localhost|[\w-]+(?:\.[\w-]+)*\.[a-zA-Z][\w-]+|\d+(?:\.\d+){3})\.?"
_QUERY = r"(?<=[^\s?(=])\?(?=[^\s?])|(?<=[\w/])#(?=[\w-]*[=&])"
_LOGIN = r"(?<![\w/…])[^\s:@/'\"<>(){}\[\],;=…]{1,64}:(?!//)[^\s@'\"<>]{1,200}@(?=[\w\[])"
_NAME = (
    r"(?:passw(?:or)?d|passphrase|(?<!by)(?<!com)(?<!sur)pass(?:in|out)?(?=\\?[\"']?\s?[=:])|pwd|"
    r"secret|token|api[-_. ]?key|(?-i:(?<![a-zA-Z])key|Key|KEY)(?![a-z])|"
    r"(?<!un)auth(?!or(?!iz))|credential|signature|(?<![a-z])sig(?![a-z])|session[-_]?id|session(?=\\?[\"']?[=:])|cookie|"
    r"bearer|(?<![a-z])(?:otp|pin)(?![a-z]))"
)
_QUOTED = r"""[bru]{0,2}"(?:\\.|[^"\\\n])*"?|[bru]{0,2}'(?:\\.|[^'\\\n])*'?"""
# What was hidden before may have words of our own behind it: `… (row 7 of hosts.txt)`, `… for {"id":7}`.
_WHOLE_LINE = r"(?i)([\w-]{0,40}(?:authorization|cookie)[\"']?\s?:\s?)(?![\"'\s]|… (?:\(|for ))[^\n]+"
_BETWEEN = r"""(?:\\*["']|%22)?\s{0,2}(?:%(?:25)*3[ad]|=>|:=|=(?!>)|[:>]|(?<=["']),|\((?=["']))\s{0,2}"""
_VALUE = rf"(?i)({_NAME}[\w.\[\]-]{{0,40}}{_BETWEEN})({_QUOTED}|[^\s…]+)"
# Between two words of a command, as a shell has them and as a list has.
_NEXT = r"""(?:[^\S\n]+|\\*["'],\s{1,2}(?=\\*["'](?!-)))"""
_THEN = r"""(?:[^\S\n]+|\\*["']?,\s{0,2}(?=\\*["']))"""  # the same, whatever the words are
_WORD = r"""\\"(?:(?!\\").)*\\"|\\'(?:(?!\\').)*\\'|""" + _QUOTED
_FLAG = (
    rf"(?i)(?<![^\s\"'])(?!--journal-key|--header-)(--?[\w-]{{0,40}}(?:{_NAME}[\w-]{{0,40}}|(?<!by)pass(?:in|out)?){_NEXT}|"
    rf"(?:-u|--(?:[\w-]{{1,40}}-)?user)(?:=|{_NEXT})(?=\\*[\"']?[^\s:\"']+:\S))"
    rf"({_WORD}|[^\s…-]\S*)"
)
# Commands that take a secret behind a letter, which means something else to others; may it be the next word?
_COMMANDS = (
    (r"(?:mysql|maria)\w*(?:-\w+)?|7z[ar]{0,2}", "p", False),
    (r"(?:un)?rar", "h?p", False),
    (r"sshpass|mongo\w*|cqlsh|twine|poetry|az|ncftp\w*|rabbitmqadmin|"
     r"(?:docker|podman|nerdctl|oras|skopeo|oc|helm\W+registry)\W+login", "p", True),
    (r"(?:un)?zip|sqlcmd|bcp|ipmitool|mosquitto_\w+", "P", True),
    (r"(?:redis|valkey|keydb)-cli|https?|xhs?", "a", True),
    (r"curl|lftp", "[a-zA-Z#]{0,9}?[uUb]", True),
    (r"smb\w+|rpcclient|net", "U", True),
    (r"ldap\w+", "w", True),
    (r"snmp\w+", "[cAX]", True),
    (r"openssl", "[kK]", True),
)  # fmt: skip
# Commands that take one as a plain word: whatever follows them is hidden, but for options.
_PLAIN = (
    r"htpasswd|vault\W+login|openssl\W+passwd|rclone\W+obscure|ansible-vault\W+encrypt_string|"
    r"net\W+user|mysqladmin\b[^\n]{0,200}?\Wpassword|(?:redis|valkey|keydb)-cli\b[^\n]{0,200}?\W(?:auth|AUTH)"
)
_COMMAND = r"(?:(?<![\w.-])|(?<=\\[nrt]))(?:%s)(?:\.exe)?(?=[\s\"'\\])"
_LETTER = r"""(?<=[\s"'])-\w"""
_SAID = r"(?:\s+(?:is|was|provided|given|used|value|not|unknown|invalid)){0,3}"
_WORDS = rf"(?i)\b({_NAME}s?{_SAID}:?\s+)(\"[^\"\n]+\"|'[^'\n]+'|`[^`\n]+`|(?=\S*\d)[^\s…]{{6,}}|(?<=:\s)[^\s…]+)"
_SCHEMES = (
    r"(?i)\b((?:basic|bearer|digest|negotiate|ntlm|apikey|aws4-hmac-sha256)\s+)"
    r"((?=\S*[\d=+/._-]|\S*(?-i:[A-Z]))[^\s…'\",;)]{5,})"
)
_SHAPES = (
    r"\beyJ[\w-]{5,}(?:\.[\w-]*){0,4}|"
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)|"
    r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}|\bAIza[\w-]{20,}|\b(?:gh[pousr]|github_pat|glpat|hf|npm)[_-][\w-]{8,}|"
    r"\bbot\d{6,}:[\w-]{16,}|(?<=hooks\.slack\.com/services/)[\w/-]+|(?<=/api/webhooks/)\d+/[\w-]+|"
    r"\bxox[a-z]-[\w-]{8,}|\b(?:sk|rk|pk)[-_][\w-]{8,}|\bpypi-[\w-]{16,}|\bSG\.[\w-]{8,}\.[\w-]+|\bya29\.[\w-]{8,}"
)
# Which table of a database, found by which column: no secret, and what messages speak of.
_DATABASE = r"\b(?:sqlite|postgres(?:ql)?)(?:\+\w+)?://[^\s?]*\?(?:(?:table|key)=[\w.%-]+&)*$"
_TABLE = r"(?:(?:table|key)=[\w.%-]+(?:&|(?=\W*$)))+\W*"
_TRAILING = r"[)\]}>\"'`.,:;]+$"
_CLOSING = {'"': '"', "'": "'", "`": "`", "<": ">"}


def without_secrets(text: str) -> str:
    """Leave out what may be a credential; hiding twice is hiding once.

    >>> without_secrets("no route to https://me:p@ss/word@host/path?key=secret#top")
    'no route to https://…@host/path?…'
    >>> without_secrets("Max retries exceeded with url: /v1/7?api_key=abc (Caused by ...)")
    'Max retries exceeded with url: /v1/7?… (Caused by ...)'
    >>> without_secrets("{'password': 'hunter2', 'user': 'me'}")
    "{'password': '…', 'user': 'me'}"
    """
    lower = text.lower()
    if any(sign in lower for sign in _SHAPED):
        text = re.sub(_SHAPES, HIDDEN, text)
    if any(sign in lower for sign in _PLACES):
        text = _each(_QUERY, _each(_SCHEME, text, _url), _query)
        text = re.sub(_LOGIN, f"{HIDDEN}@", text)
    if any(sign in lower for sign in _WORDY):
        text = re.sub(_WHOLE_LINE, rf"\1{HIDDEN}", text)
        for pattern, shown in ((_SCHEMES, _value), (_VALUE, _value), (_FLAG, _hidden), (_WORDS, _value)):
            text = re.sub(pattern, shown, text)
    if re.search(_LETTER, text) and re.search(_COMMAND % "|".join(each[0] for each in _COMMANDS), text):
        for names, letter, may_be_next in _COMMANDS:
            hidden = partial(_behind, rf"-{letter}", may_be_next)
            text = re.sub(_COMMAND % names + r"(?:[^\n\\]|\\[\s\S])*", hidden, text)
    if re.search(_COMMAND % _PLAIN, text):
        text = re.sub(rf"{_COMMAND % _PLAIN}(?:{_THEN}(?:{_WORD}|[^\s\"'\\]\S*))+", _without_words, text)
    return text


def bounded(text: str, most: int) -> str:
    """Return the first `most` characters of a text without its secrets; one that the cut would hit is found first.

    >>> bounded("no route to https://me:secret@host", 22), bounded("0123456789", 4)
    ('no route to https://…@', '0123')
    """
    if len(text) <= most:
        return without_secrets(text)[:most]
    shown = without_secrets(text[: most + _BEYOND])
    if len(shown) <= most and len(text) > most + _BEYOND:  # so much was hidden that the end here is in sight
        shown = shown.rpartition(" ")[0]
    return shown[:most]


def without_secrets_in(argv: Sequence[str]) -> tuple[str, ...]:
    """Leave them out of the words of a command line, where a flag may stand before its value.

    >>> without_secrets_in(["get", "https://host/?key=abc", "--token", "abc"])
    ('get', 'https://host/?…', '--token', '…')
    """
    shown: list[str] = []
    for before, word in zip(("", *argv), argv, strict=False):
        is_value = not word.startswith("-") and re.match(_FLAG, f"{before} {word}")
        shown.append(word if before in _SOURCES else HIDDEN if is_value else without_secrets(word))
    return tuple(shown)


_BEYOND = 4000  # characters behind a cut that are looked at
_SOURCES = ("--header-env", "--header-file", "--journal-key")  # their values say where a secret is, or of which field


def _each(pattern: str, text: str, replaced: Callable[[str, int], tuple[str, int]]) -> str:
    """Replace what begins at each match, as far as `replaced` says; what it gives is not looked into again."""
    parts: list[str] = []
    at = 0
    for found in re.finditer(pattern, text):
        if found.start() < at:
            continue
        parts.append(text[at : found.end()])
        shown, at = replaced(text, found.end())
        parts.append(shown)
    return "".join([*parts, text[at:]])


def _url(text: str, at: int) -> tuple[str, int]:
    """Show host and path of the URL whose scheme ends here; a query is left to `_query`."""
    end = _end(text, at)
    rest = text[at:end]
    body = re.split(r"[?#]", rest, maxsplit=1)[0]
    if "@" not in rest:
        return body, at + len(body)
    first = re.split(r"[/?#@]", rest, maxsplit=1)[0]
    # `host/@scope/package` has no user-info; what has a colon, or does not look like a host, may have.
    if rest[len(first)] != "@" and ":" not in first and re.fullmatch(_HOST, first):
        return body, at + len(body)
    before = rest.rpartition("@")[0] if rest.rfind("@") < len(body) or not re.search(r"[?#]", rest) else rest
    if before is rest:  # the last `@` stands behind a question mark, which a password may have too
        before = rest[: rest.rfind("@")]
    after = rest[len(before) + 1 :]
    body = re.split(r"[?#]", after, maxsplit=1)[0]
    return f"{HIDDEN}@{body}", at + len(before) + 1 + len(body)


def _query(text: str, at: int) -> tuple[str, int]:
    """Hide a query or fragment to its end; what closes the text around it stays."""
    end = _end(text, at)
    hidden = text[at:end]
    if re.match(r"(?:(?:[\w.\[\]-]{1,60}=)?…&?)+(?:[^\w=&…]|$)", hidden):
        return hidden, end  # names alone: it went through here before
    if re.fullmatch(_TABLE, hidden) and re.search(_DATABASE, text[max(0, at - 500) : at]):
        return hidden, end
    if "=" not in hidden and "/" not in text[max(0, at - 200) : at].rpartition(" ")[2]:
        return hidden, end  # `what?!` is no query
    trailing = re.search(_TRAILING, hidden)
    return HIDDEN + (trailing[0] if trailing and trailing.start() else ""), end


def _end(text: str, at: int) -> int:
    """Return where the URL ends that this place is in: at a space; if it began behind a quote, not before the next."""
    line = text.find("\n", at)
    line = len(text) if line < 0 else line
    space = re.compile(r"\s").search(text, at, line)
    end = space.start() if space else line
    start = at
    while start and not text[start - 1].isspace() and text[start - 1] not in _CLOSING:
        start -= 1
    closing = _CLOSING.get(text[start - 1], "") if start else ""
    if closing and (close := text.find(closing, at, line)) >= end:
        return close
    return end


def _is_first_of_pair(found: re.Match[str]) -> bool:
    """Whether a quoted name is the first thing in parentheses, as in `("token", "abc")`, or else one of many names."""
    before = found.string[max(0, found.start() - 60) : found.start()]
    return re.search(r"[(\[]\s?[bru]{0,2}\\*[\"'][\w.-]*$", before) is not None


def _behind(letter: str, may_be_next: bool, found: re.Match[str]) -> str:
    """Hide what stands behind a letter in the words of a command: in one word with it, or in the next."""
    text = re.sub(rf"""(\\*["'])({letter})(?:(?!\1)(?:\\.|.))+""", rf"\1\2{HIDDEN}", found[0])
    text = re.sub(rf"""(\s{letter})({_WORD}|[^\s"'\\…][^\s…]*)""", _hidden, text)
    return re.sub(rf"""((?<=[\s"']){letter}{_NEXT})({_WORD}|[^\s…-]\S*)""", _hidden, text) if may_be_next else text


def _without_words(found: re.Match[str]) -> str:
    """Hide the words behind a command that are no options."""
    command = re.match(_PLAIN, found[0])
    at = command.end() if command else 0
    return found[0][:at] + re.sub(rf"({_THEN})({_WORD}|[^\s\"'\\…-]\S*)", _hidden_unless_option, found[0][at:])


def _hidden_unless_option(found: re.Match[str]) -> str:
    return found[0] if found[2].lstrip("\\\"'").startswith("-") else _hidden(found)


def _value(found: re.Match[str]) -> str:
    before, value = found[1], found[2]
    if before == "key=" and re.search(_DATABASE, found.string[max(0, found.start() - 500) : found.start()]):
        return found[0]
    flag = re.search(r"(\S+)[ =][\w-]*$", found.string[max(0, found.start() - 100) : found.start()])
    if flag and flag[1] in _SOURCES and re.fullmatch(r"[\w./-]+,?", value):
        return found[0]
    if before.rstrip().endswith(",") and not _is_first_of_pair(found):
        return found[0]
    return _hidden(found)


def _hidden(found: re.Match[str]) -> str:
    before, value = found[1], found[2]
    quote = re.match(r"[bru]{0,2}([\"'`])", value)
    if quote:
        closed = len(value) > quote.end() and value.endswith(quote[1])
        return f"{before}{quote[0]}{HIDDEN}{quote[1] if closed else ''}"
    trailing = re.search(_TRAILING, value)
    return f"{before}{HIDDEN}{trailing[0] if trailing and trailing.start() else ''}"


def encodable(text: str) -> str:
    r"""Return a text that UTF-8 can hold: half of a character, as in a file name of another encoding, is escaped.

    >>> encodable("caf\udce9")
    'caf\\udce9'
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
