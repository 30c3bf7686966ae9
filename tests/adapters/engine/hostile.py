"""Names that must never become part of a request."""

_ID = "a" * 64

#: What was found to reach other endpoints, or to mean another container.
_FOUND: tuple[str, ...] = (
    "prune?",
    "../images/prune?",
    "web/kill?signal=9#",
    "..",
    ".",
    "",
    " ",
    "/",
    "//",
    "web",
    "a",
    "abc123",
    "a" * 12,
    "a" * 63,
    "a" * 65,
    "A" * 64,
    "g" * 64,
    "0x" + "a" * 62,
    _ID + "\n",
    "\n" + _ID,
    _ID + "\x00",
    _ID + "/../" + _ID,
    _ID[:-1] + "/",
    _ID[:-1] + "?",
    _ID[:-1] + "#",
    _ID[:-1] + "%",
    _ID[:-1] + ".",
    _ID[:-1] + " ",
    _ID[:-1] + "é",
    # Digits and letters of other scripts that "is it a digit?" may say yes to.
    "１" * 64,
    "а" * 64,
    "²" * 64,
    _ID[:-3] + "%2f",
    "..%2f..%2fimages%2fprune%3f",
    "create?name=x",
    "json?all=1",
    f"{_ID}?t=0",
    f"{_ID}#x",
    f"{_ID}/../../volumes/prune?",
    f"../containers/{_ID}",
    f"http://example.test/{_ID}",
    f"sha256:{_ID}",
    f"{_ID};rm -rf /",
    "$(id)",
    "`id`",
    "' OR 1=1 --",
    "\ud800" * 64,
    "\u202e" + _ID[1:],
    "\ufeff" + _ID[1:],
)

#: Ways to leave the path that a name is pasted into …
_TRICKS = ("../{}", "../../{}", "%2e%2e/{}", "..%2f{}", "./{}", "/{}", "//{}", "\\{}", "{}#", "{}?",
           "{}%00", "x/../{}", _ID + "/../{}", _ID + "/../../{}", _ID + "?x=/../{}")  # fmt: skip
#: … and where to.
_PLACES = ("containers/prune", "images/prune", "networks/prune", "volumes/prune", "system/prune",
           "build/prune", "containers/create", "swarm/leave", "swarm/init", "secrets/create",
           "plugins/pull", "auth", "exec/a/start", "commit", "session", "_ping",
           f"containers/{_ID}/kill", f"containers/{_ID}/exec", f"containers/{_ID}/archive",
           f"images/{_ID}", f"volumes/{_ID}", f"networks/{_ID}/disconnect")  # fmt: skip

#: More than 500 names, none of which may cause a request.
HOSTILE: tuple[str, ...] = (
    *_FOUND,
    *(trick.format(place) for trick in _TRICKS for place in _PLACES),
    # Every prefix of an id: the engine itself would take it for the id.
    *(_ID[:length] for length in range(1, 64)),
    # An id with one character of every other kind in its middle.
    *(
        f"{_ID[:31]}{chr(code)}{_ID[32:]}"
        for code in range(128)
        if chr(code) not in "0123456789abcdef"
    ),
)
