"""PromQL with typed placeholders, so that no value can change what a query asks.

Pure. A template is cut into tokens once. In a label's value a placeholder is written as part of
that string, escaped (and regex-quoted where the matcher takes a regex); outside of strings it is a
number or a duration. Everywhere else it is refused when the template is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

ArgumentType: TypeAlias = Literal["String", "Duration", "Number", "Pattern"]
"""What a value may be: any text, a duration such as `5m` or `1h30m`, a number, or a regular
expression, which is only ever one of ours."""


class Pattern(str):
    """A regular expression (RE2) of our own making, that goes unquoted into a regex."""

    __slots__ = ()


BUILT_IN: Mapping[str, ArgumentType] = {
    "namespace": "String",
    "model": "String",
    "version": "String",
    "revision": "String",
    "service": "String",
    "pods": "Pattern",
    "interval": "Duration",
}
"""The arguments that every query has, of the revision that is being asked about."""

MAX_QUERY = 10_000
MAX_VALUE = 1_000

_Context: TypeAlias = Literal["Bare", "Equal", "Regex"]

# As Prometheus' own lexer: a quoted string ends with its line, a raw one doesn't, a comment does.
# Possessive throughout, so that no text takes longer than its length.
_TOKEN = re.compile(
    r"(?P<Space>\s++)"
    r"|(?P<Comment>\#[^\r\n]*+)"
    r"|(?P<Raw>`[^`]*+`)"
    r'|(?P<Quoted>"(?:[^"\\\n]|\\.)*+"|\'(?:[^\'\\\n]|\\.)*+\')'
    r"|(?P<Placeholder>\{\{[ ]*+(?P<name>[A-Za-z][A-Za-z0-9_-]*+)[ ]*+\}\})"
    r"|(?P<Operator>=~|!~|!=|==|>=|<=|=)"
    r"|(?P<Word>[A-Za-z0-9_:.]++)"
    r"|(?P<Other>[^\"'`])"
)
_PLACEHOLDER = re.compile(r"\{\{[ ]*+([A-Za-z][A-Za-z0-9_-]*+)[ ]*+\}\}")
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\\"'])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.?))"
)
_CONTROLS = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))
_MATCHERS: Mapping[str, _Context] = {"=": "Equal", "!=": "Equal", "=~": "Regex", "!~": "Regex"}

# Without leading zeros, which Prometheus would take for octal.
_NUMBER = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,19})(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,3})?")
_DURATION = re.compile(
    r"(?=.)(?:[0-9]{1,9}y)?(?:[0-9]{1,9}w)?(?:[0-9]{1,9}d)?(?:[0-9]{1,9}h)?"
    r"(?:[0-9]{1,9}m)?(?:[0-9]{1,9}s)?(?:[0-9]{1,9}ms)?"
)
_REGEX_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$-]")

# What makes something else than growing counts out of counters.
_NOT_COUNTERS = re.compile(
    r"(?:avg|count|group|limitk|max|min|quantile|stddev|stdvar|sum|topk|bottomk|limit_ratio)"
    r"|count_values|delta|idelta|deriv|rate|irate|increase|histogram_quantile|[a-z]+_over_time"
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class _Slot:
    """A place where a value goes, and what it has to be there."""

    name: str
    context: _Context
    quote: str = ""


class Template:
    """A query with placeholders `{{name}}`.

    Raises ValueError, with what to write instead, for text that can't be filled in safely.
    """

    def __init__(self, text: str) -> None:
        if not text.strip() or len(text) > MAX_QUERY:
            raise ValueError(f"a query has 1 to {MAX_QUERY} characters")
        self.text = text
        self._parts: tuple[str | _Slot, ...] = tuple(_cut(text))

    @property
    def names(self) -> frozenset[str]:
        """The names of all placeholders."""
        return frozenset(slot.name for slot in self._slots())

    def check(self, arguments: Mapping[str, ArgumentType]) -> tuple[str, ...]:
        """List what is wrong with these arguments' names and types for this query."""
        return tuple(dict.fromkeys(self._find_problems(arguments)))

    def render(self, values: Mapping[str, str]) -> str:
        """Write the values in. Raises ValueError for one that is missing, or of no use there."""
        return "".join(
            part if isinstance(part, str) else _fill(part, values) for part in self._parts
        )

    def _find_problems(self, arguments: Mapping[str, ArgumentType]) -> Iterator[str]:
        for slot in self._slots():
            if slot.name not in arguments:
                known = ", ".join(sorted(arguments))
                yield f"{{{{{slot.name}}}}} is not an argument; there are: {known}"
            elif arguments[slot.name] == "Pattern" and slot.context != "Regex":
                yield (
                    f"{{{{{slot.name}}}}} is a regular expression: write it after =~ or !~"
                    f' (pod=~"{{{{{slot.name}}}}}")'
                )
            elif slot.context == "Bare" and arguments[slot.name] == "String":
                yield (
                    f"{{{{{slot.name}}}}} is a String, which goes into a label's value in quotes"
                    ' (model="{{model}}"); outside of quotes write a Number or a Duration'
                )

    def _slots(self) -> Iterator[_Slot]:
        return (part for part in self._parts if isinstance(part, _Slot))


def check_value(kind: ArgumentType, value: str) -> str | None:
    """Say what is wrong with an argument's value, or None."""
    if kind == "Number" and _NUMBER.fullmatch(value) is None:
        return f"{value!r} is not a number; write one such as 0.95"
    if kind == "Duration" and not _is_duration(value):
        return f"{value!r} is not a duration; write one such as 5m or 1h30m"
    if len(value) > MAX_VALUE:
        return f"is longer than {MAX_VALUE} characters"
    if not _is_unicode(value):
        return "is not text that can be written as UTF-8"
    return None


def check_counters(text: str) -> str | None:
    """Say why what a query gives can't be tracked as counters, series by series; or None.

    A sum falls when a pod goes, which looks like a restart; a rate or a quotient is no count. What
    is summed is summed here, after each series' increase is known.
    """
    cure = "write the counter's series themselves; their increases are added up here"
    tokens = [token for token in _tokenize(text) if token.kind not in ("Space", "Comment")]
    for token, following in pairwise([*tokens, _Token("Other", "")]):
        called = following.text.lower() in ("(", "by", "without")
        if token.kind == "Word" and called and _NOT_COUNTERS.fullmatch(token.text.lower()):
            return f"{token.text} doesn't give counters: {cure}"
        if token.kind == "Other" and token.text in "+-*/%^":
            return f"{token.text} doesn't give counters: {cure}"
    return None


_LISTING = frozenset(("on", "ignoring", "group_left", "group_right", "by", "without"))
"What labels are listed after, in parentheses."
_KEYWORDS = _LISTING | {"and", "or", "unless", "offset", "bool", "inf", "nan", "start", "end"}


def find_metrics(text: str) -> frozenset[str]:
    """The metrics that a query for counters names, as far as it writes their names outside of {}.

    What an operator lists in parentheses (`on (instance)`) are labels.
    """
    tokens = [token for token in _tokenize(text) if token.kind not in ("Space", "Comment")]
    names, depth, listing = set[str](), 0, False
    for token, following in pairwise([*tokens, _Token("Other", "")]):
        depth += (token.text in ("{", "[")) - (token.text in ("}", "]"))
        lists = token.text.lower() in _LISTING and following.text == "("
        listing = (listing and token.text != ")") or lists
        is_name = token.kind == "Word" and not depth and not listing and following.text != "("
        if is_name and token.text.lower() not in _KEYWORDS and token.text[0] not in "0123456789.":
            names.add(token.text)
    return frozenset(names)


def quote_regex(value: str) -> str:
    """Write a regex (RE2, as Prometheus takes it) that matches exactly this text, as one unit."""
    return "(?:" + _REGEX_SPECIAL.sub(r"\\\g<0>", value) + ")"


def escape(value: str, quote: str) -> str:
    """Escape text for a PromQL string in these quotes; what isn't printable ASCII as a number."""
    return "".join(_escape_character(character, quote) for character in value)


def unescape(text: str) -> str:
    r"""Undo the escapes of a PromQL string. `\x` and octal ones mean bytes, which must be ASCII."""
    return _ESCAPE.sub(_unescape_match, text)


def _escape_character(character: str, quote: str) -> str:
    if character in (quote, "\\"):
        return "\\" + character
    if character.isascii() and character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _unescape_match(matched: re.Match[str]) -> str:
    character, byte, short, long, octal, unknown = matched.groups()
    if unknown is not None:
        raise ValueError(f"an unknown escape in a string: \\{unknown}")
    if character is not None:
        return _CONTROLS.get(character, character)
    code = int(octal, 8) if octal else int(byte or short or long, 16)
    if (octal or byte) and code > 127:
        raise ValueError(r"an escape beyond ASCII in a string: write \u and four digits")
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise ValueError("an escape in a string that is no character")
    return chr(code)


def _tokenize(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        matched = _TOKEN.match(text, position)
        if matched is None:
            raise ValueError("a quote that isn't closed")
        yield _Token(str(matched.lastgroup), matched[0], matched["name"] or "")
        position = matched.end()


def _cut(text: str) -> Iterator[str | _Slot]:
    """Cut a template into what stays as it is and where values go."""
    tokens = list(_tokenize(text))
    matcher: _Context | None = None
    depth = 0
    for index, token in enumerate(tokens):
        depth += (token.text == "{") - (token.text == "}")
        if token.kind == "Placeholder":
            _check_neighbours(tokens, index)
            yield _Slot(token.name, "Bare")
        elif token.kind == "Quoted":
            yield from _cut_string(token.text, matcher if depth > 0 else None)
        elif "{{" in token.text:
            raise ValueError(f"a placeholder can't be in a {_name(token)}: {token.text[:40]}")
        else:
            yield token.text
        if token.kind == "Other" and token.text == "{" and _is_next(tokens, index, "{"):
            raise ValueError("{{ has to be followed by a name and }}")
        if token.kind not in ("Space", "Comment"):
            matcher = _MATCHERS.get(token.text) if token.kind == "Operator" else None


def _name(token: _Token) -> str:
    return {"Comment": "comment", "Raw": "string in backquotes"}[token.kind]


def _is_next(tokens: list[_Token], index: int, text: str) -> bool:
    return index + 1 < len(tokens) and tokens[index + 1].text == text


def _check_neighbours(tokens: list[_Token], index: int) -> None:
    """Refuse what would grow together with the value: `{{n}}m`, `rate{{n}}`."""
    before = "".join(token.text for token in tokens[max(index - 1, 0) : index])
    after = "".join(token.text for token in tokens[index + 1 : index + 2])
    opened = [token.text for token in tokens[:index] if token.text in ("[", "]")]
    # In brackets a colon parts the range from the step; elsewhere it belongs to a name.
    free = " \t\r\n+-*/%^,()[]<>=!@" + (":" if opened[-1:] == ["["] else "")
    if any(neighbour not in free for neighbour in before[-1:] + after[:1]):
        raise ValueError(
            f"{{{{{tokens[index].name}}}}} touches what is next to it: put it into quotes as a"
            " label's value, or leave a space (for a time, use a Duration)"
        )


def _cut_string(literal: str, matcher: _Context | None) -> Iterator[str | _Slot]:
    if "{{" not in literal:
        yield literal
        return
    if matcher is None:
        raise ValueError(
            f"a placeholder in a string that isn't a label's value: {literal[:40]};"
            ' only label="{{name}}" (or =~, !=, !~) can be filled in'
        )
    quote, start, before = literal[0], 0, ""
    for matched in _PLACEHOLDER.finditer(literal):
        fixed = literal[start : matched.start()]
        before += unescape(fixed.removeprefix(quote) if start == 0 else fixed)
        if matcher == "Regex":
            _check_place(before)
        yield from (_check_fixed(fixed), _Slot(matched[1], matcher, quote))
        start = matched.end()
        before += "x"
    unescape(literal[start:-1])
    yield _check_fixed(literal[start:])


def _check_fixed(text: str) -> str:
    if "{{" in text:
        raise ValueError("{{ has to be followed by a name and }}")
    return text


_REGEX_PIECE = re.compile(r"\\Q|\\.|\[:\^?[a-z]+:\]|\[\^?\]?|\(\?|.", re.DOTALL)


def _check_place(regex: str) -> None:
    """Refuse a place where even a quoted value would not stand for itself."""
    if _is_inside(regex):
        raise ValueError(
            "in a regex a placeholder can't be in [...], {...} or (?...), nor follow a backslash"
        )


def _is_inside(regex: str) -> bool:
    r"""Whether a regex ends within a class, a count, a group's flags, or an escape."""
    closing = ""
    for matched in _REGEX_PIECE.finditer(regex):
        piece = matched[0]
        if closing:
            closing = "" if piece in closing else closing
        elif piece in (r"\Q", "\\"):
            return True
        elif piece[0] == "[":
            closing = "]"
        elif piece == "{":
            closing = "}"
        elif piece == "(?":
            closing = ":>)"
    return bool(closing) or regex.endswith(("\\x", "\\p", "\\P"))


def _fill(slot: _Slot, values: Mapping[str, str]) -> str:
    if slot.name not in values:
        raise ValueError(f"no value for {{{{{slot.name}}}}}")
    value = values[slot.name]
    problem = check_value("String", value)
    if problem is not None:
        raise ValueError(f"{slot.name} {problem}")
    if isinstance(value, Pattern):
        return _fill_pattern(slot, value)
    if slot.context == "Bare":
        return _fill_bare(slot.name, value)
    return escape(quote_regex(value) if slot.context == "Regex" else value, slot.quote)


def _fill_pattern(slot: _Slot, value: Pattern) -> str:
    if slot.context != "Regex":
        raise ValueError(f"{slot.name} is a regular expression, which goes after =~ or !~")
    return escape(f"(?:{value})", slot.quote)


def _fill_bare(name: str, value: str) -> str:
    if _is_duration(value):
        return value
    if _NUMBER.fullmatch(value) is None:
        raise ValueError(f"{name} has to be a Number or a Duration, not {value[:40]!r}")
    # In parentheses, for -1 ^ 2 is -(1 ^ 2).
    return f"({value})" if value[0] in "+-" else value


def _is_duration(value: str) -> bool:
    return _DURATION.fullmatch(value) is not None and any(digit in value for digit in "123456789")


def _is_unicode(value: str) -> bool:
    return not any(0xD800 <= ord(character) < 0xE000 for character in value)
