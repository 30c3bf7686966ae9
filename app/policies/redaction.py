"""
Secrets leave the case file before it is kept: by the key that names them, or by their own form.

Every pattern is read once from left to right (possessive, or bounded), so that no log line can
keep us busy: it was written by a stranger.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from app.domain.casefile import CaseFile

#: Stands where a secret was.
GONE = "[redacted]"

#: Bytes of text that a case file may hold, and how many of them its processes may.
_MOST = 128 * 1024
_MOST_OF_PROCESSES = 64 * 1024

#: Tell a secret wherever they stand in a key.
_TELLING = re.compile(
    r"""passw(?:or)?d | passphrase | passcode | requirepass | masterauth | credential
    | secret(?!ar)                  # no secretary
    | token(?!i[sz])                # no tokenizer
    | sess(?:ion)?[_-]?id
    | (?:api|access|account|private|encryption|signing|auth|ssh|master|license)[ _-]?key""",
    re.VERBOSE | re.IGNORECASE,
)
#: Tell a secret as words of their own: no compass, no sidecar.
_WORDS = frozenset({"pass", "pwd", "pw", "psk", "jwt", "dsn", "sid"})
#: Last words of keys that speak about a secret and hold none: ``PASSWORD_FILE``, ``token_type``.
_ABOUT = frozenset(
    {"file", "path", "dir", "stdin", "type", "name", "url", "uri", "endpoint", "count", "limit"}
    | {"length", "size", "min", "max", "ttl", "age", "expires", "expired", "expiry", "policy"}
)
_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
#: Most lines hold none of these; they need no closer look.
_HINT = re.compile(
    r"pass|pwd|pw|psk|jwt|dsn|sid|auth|secret|token|credential|key|sess|cookie|identified",
    re.IGNORECASE,
)

#: ``key=value``, ``key: value``, ``"key": "value"``, ``:key => "value"``, ``\"key\": \"value\"``.
_ASSIGNED = re.compile(
    r"""(?<![\w.-]) (?P<key>(?:(?:api|access|private|secret)[ ])?[\w.-]++)
    \\*+["'`\]]{0,2}[ \t]*+ (?P<sep>=>|:=|={1,3}|:(?!:)) [ \t]*+""",
    re.VERBOSE | re.IGNORECASE,
)
#: ``--key value``, ``"--key", "value"``.
_OPTION = re.compile(
    r"""(?<![\w.-]) (?P<key>--?[a-z][\w.-]*+) (?P<sep>["']?,[ \t]*+|[ \t]++) (?![\s=:-])""",
    re.VERBOSE | re.IGNORECASE,
)
#: ``"name": "DB_PASSWORD", "value": "…"``, as environments are listed.
_NAMED = re.compile(
    r"""\b(?:name|key)["']?[ ]?[:=][ ]?["']?(?P<key>[\w.-]++)["']?,?[ ]?
    ["']?value["']?[ ]?(?P<sep>[:=])[ ]?""",
    re.VERBOSE | re.IGNORECASE,
)
#: What stands behind a key. A quote that is never closed holds the rest of its line.
_VALUE = re.compile(
    r"""(?:[bru]{1,2}|\w{1,40}\()?(?P<quote>["'`])(?P<quoted>(?:\\.|(?!(?P=quote))[^\\\r\n])*+)
    | \\++["'`](?P<escaped>(?:[^"'`\\\r\n]|\\++(?!["'`]))*+)
    | (?P<list>\[[^\]\r\n]{0,500}+\]|\{[^{}\r\n]{0,500}+\})(?=[\s,;&"'`}\])>]|$)
    | (?![\[{(][ ]*(?:["'`\[{]|$))
      (?P<bare>(?:[^\s"'`,;&]
        |["'`](?=\w)
        |[,;&](?![\w.\[\]-]*+["'`]?[ ]?[:=])(?=[^\s"'`,;&]))++)""",
    re.VERBOSE,
)
#: A header's value goes on to the end of its line, or of the string that holds all of it.
_HEADERS = re.compile(r"(?:set-)?cookie2?|(?:proxy-)?authorization", re.IGNORECASE)
_IS_COOKIE = re.compile(r"\[?[\w.-]++=")
_HAS_SCHEME = re.compile(
    r"\[?(?i:Bearer|Basic|Digest|Negotiate|NTLM|Token|ApiKey|Hawk|AWS4-\S++)[ ]"
)
#: Values that hide nothing.
_PLAIN = re.compile(
    r"(?i:true|false|yes|no|on|off|null|none|nil|undefined|enabled|disabled|required|optional"
    r"|missing|invalid|expired|ok|failed)?"
)
_NUMBER = re.compile(r"\d[\d.,_]*+")
_PLURAL = re.compile(r"(?:token|secret|password|key|credential)s(?![a-z])", re.IGNORECASE)
#: Has a digit, a sign or a capital within: no word of a sentence.
_RANDOM = re.compile(r"[0-9=+/_:]|[a-z][A-Z]")

#: Secrets of a form of their own.
_FORMS = re.compile(
    r"""(?<![\w-])(?:
      (?:AKIA|ASIA|AROA|AIDA)[0-9A-Z]{16}                           # AWS
    | gh[oprsu]_\w{20,}+ | github_pat_\w{20,}+ | glpat-[\w-]{20,}+
    | xox[abeoprs]-[\w-]{10,}+ | [rs]k_(?:live|test)_\w{10,}+       # Slack, Stripe
    | sk-[\w-]{32,}+ | AIza[\w-]{35} | hf_\w{30,}+                  # models' and Google's
    | eyJ[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]++)?                       # a JSON web token
    ) | (?<=hooks\.slack\.com/services/)[\w/]++
      | (?<=[?&]sig=)[^\s"'&]++ | (?<=[?&]X-Amz-Signature=)\w++     # of signed addresses""",
    re.VERBOSE,
)
_SCHEME = re.compile(r"\b(Bearer|Basic)([ \t]++)([\w.~+/=-]{6,}+)", re.IGNORECASE)
_AFTER_SCHEME = re.compile(r"""://(?:(?!://)[^\s"'`<>])++""")
_HOST_AND_PORT = re.compile(r"^[^:]*+$|[:\]]\d*+$")
_MYSQL_DSN = re.compile(r"(?<![\w.-])([\w.-]++):[^\s:@]++@(?=(?:tcp6?|unix)\()")
#: ``curl -u jane:secret``; a user and group (``docker run -u 1000:1000``) are numbers.
_USER_OPTION = re.compile(
    r"(?<!\S)(?P<head>(?:-u|--user|--proxy-user)[ =]?[^\s:=]{1,100}+:)(?!\d++(?!\S))\S++"
)
_SQL = re.compile(
    r"""\b(?P<head>(?:identified[ ]by|password)[ ]++)(?:'(?:''|[^'\n])++'?|"[^"\n]++"?)""",
    re.VERBOSE | re.IGNORECASE,
)
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_ENDS = re.compile(r"-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
#: A line within one, whatever a logger has put before it; and the last, which is shorter.
_KEY_LINE = re.compile(
    r"(?:^|[\s|])[A-Za-z0-9+/]{40,}+=*+\s*+$|(?:^|[|:\]])\s*+$|(?:Proc-Type|DEK-Info):[ ]"
)
_KEY_REST = re.compile(r"(?:^|[\s|])(?:[A-Za-z0-9+/=]{4})++\s*+$")


def redacted(text: str) -> str:
    """Take secrets out of a text; what has been taken out once stays as it is."""
    text = _without_key(text)
    text = _AFTER_SCHEME.sub(_address, text)
    text = _FORMS.sub(GONE, text)
    text = _SCHEME.sub(_scheme, text)
    text = _MYSQL_DSN.sub(rf"\1:{GONE}@", text)
    text = _USER_OPTION.sub(rf"\g<head>{GONE}", text)
    if _HINT.search(text) is None:
        return text
    text = _SQL.sub(rf"\g<head>'{GONE}'", text)
    for keys in (_NAMED, _OPTION, _ASSIGNED):
        text = _without_values(text, keys)
    return text


def fit_to_keep(file: CaseFile) -> CaseFile:
    """
    Redact a case file and make it small enough.

    The newest log lines stay; what no JSON can hold (halves of characters) becomes a ``?``.
    """
    missing = tuple(_text(sentence)[:1000] for sentence in file.missing)
    health_log = tuple(replace(probe, output=_text(probe.output)) for probe in file.health_log)
    room = _MOST - sum(map(_bytes, missing)) - sum(_bytes(probe.output) for probe in health_log)
    rows = [tuple(_text(cell[:2000])[:1000] for cell in row) for row in file.processes[:200]]
    processes = _first(rows, min(room, _MOST_OF_PROCESSES))
    room -= sum(_bytes(*row) for row in processes)
    logs = [_text(line) for line in _without_keys(file.logs)]
    newest = _first([(line,) for line in reversed(logs)], room)
    return replace(
        file,
        logs=tuple(line for (line,) in reversed(newest)),
        processes=tuple(processes),
        health_log=health_log,
        missing=missing,
        is_cut=file.is_cut or len(newest) < len(logs) or len(processes) < len(file.processes),
    )


def _text(text: str) -> str:
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return "\n".join(redacted(line) for line in _without_keys(whole.split("\n")))


def _bytes(*texts: str) -> int:
    return sum(len(text.encode("utf-8", "replace")) for text in texts)


def _first(rows: Iterable[tuple[str, ...]], room: int) -> list[tuple[str, ...]]:
    """Take rows as long as they have room."""
    kept: list[tuple[str, ...]] = []
    for row in rows:
        room -= _bytes(*row)
        if room < 0:
            break
        kept.append(row)
    return kept


def _without_keys(lines: Sequence[str]) -> list[str]:
    """
    Take private keys out that spread over lines, but for the line that they begin with.

    The end of one whose beginning was cut off is followed backwards.
    """
    kept: list[str] = []
    within = False
    for line in lines:
        begins, ends = _KEY_BEGINS.search(line), _KEY_ENDS.search(line)
        if ends and not begins:
            if not within and kept and _KEY_REST.search(kept[-1]):
                kept.pop()
            while not within and kept and _KEY_LINE.search(kept[-1]):
                kept.pop()
            line = _KEY_ENDS.sub(GONE, line)
        elif within and (_KEY_LINE.search(line) or _KEY_REST.search(line)):
            within = _KEY_LINE.search(line) is not None
            continue
        within = begins is not None and ends is None
        kept.append(line)
    return kept


def _without_key(text: str) -> str:
    """Take private keys out of one line, where their lines are joined by ``\\n``."""
    kept, done = [], 0
    for begins in _KEY_BEGINS.finditer(text):
        if begins.start() < done:
            continue
        ends = _KEY_ENDS.search(text, begins.end())
        kept += [text[done : begins.start()], GONE]
        done = len(text) if ends is None else ends.end()
    return "".join([*kept, text[done:]])


def _address(found: re.Match[str]) -> str:
    """Take the password out of ``://user:password@host``."""
    rest = found[0].removeprefix("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, at, _ = authority.rpartition("@")
    if not at and "@" in rest and _HOST_AND_PORT.search(authority) is None:
        user = rest[: rest.index("@")]  # a password with a slash in it
    name, colon, _ = user.partition(":")
    if colon:
        return f"://{name}:{GONE}{rest[len(user) :]}"
    if re.fullmatch(r"[\w-]{20,}", user):  # no name is that long, a token is
        return f"://{GONE}{rest[len(user) :]}"
    return found[0]


def _scheme(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}{GONE}" if _RANDOM.search(found[3]) else found[0]


def _without_values(text: str, keys: re.Pattern[str]) -> str:
    """Take the values of secret keys out."""
    kept: list[str] = []
    done = 0
    for found in keys.finditer(text):
        if found.start() < done:
            continue  # within the value before it
        span = _header(text, found) or _value(text, found)
        if span is not None:
            kept += [text[done : span[0]], GONE]
            done = span[1]
    return "".join([*kept, text[done:]]) if kept else text


def _header(text: str, found: re.Match[str]) -> tuple[int, int] | None:
    """Find the value of a header that may have blanks in it; None where there is none."""
    if _HEADERS.fullmatch(found["key"]) is None:
        return None
    is_cookie = "cookie" in found["key"].lower()
    if (_IS_COOKIE if is_cookie else _HAS_SCHEME).match(text, found.end()) is None:
        return None
    before = text[found.start() - 1 : found.start()]
    stops = rf"[\r\n{before}]" if before in ("'", '"', "`") else r"[\r\n]"
    end = re.compile(stops).search(text, found.end())
    return found.end(), len(text) if end is None else end.start()


def _value(text: str, found: re.Match[str]) -> tuple[int, int] | None:
    """Find the value of a key; None where it is no secret."""
    key = found["key"]
    if not _may_be_secret(key):
        return None
    value = _VALUE.match(text, found.end())
    if value is None or value.lastgroup is None:
        return None
    start, end = value.span(value.lastgroup)
    if value.lastgroup == "bare":
        end = start + len(value["bare"].rstrip(")}]>"))
        is_path = text[found.start() - 1 : found.start()] == "/"
        if is_path and found["sep"] == ":":  # ``/etc/passwd: Permission denied``
            return None
    return (start, end) if _is_secret(key, found["sep"], text[start:end]) else None


def _words(key: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(_HUMP.sub("_", key))]


def _may_be_secret(key: str) -> bool:
    if _HEADERS.fullmatch(key) or _TELLING.search(key):
        return True
    words = _words(key) if _HINT.search(key) else []
    return words[-1:] == ["auth"] or not _WORDS.isdisjoint(words)


def _is_secret(key: str, separator: str, value: str) -> bool:
    """Tell whether a value is what its key promises."""
    words = _words(key)
    if _PLAIN.fullmatch(value) or words[-1] in _ABOUT or words[0] == "no":
        return False
    if _NUMBER.fullmatch(value) and (_PLURAL.search(key) or (words, separator) == (["pass"], ":")):
        return False  # how many there are: "tokens: 5", "pass: 12"
    # "auth: user jane" is a sentence.
    return words[-1] != "auth" or separator != ":" or _RANDOM.search(value) is not None
