"""Confines a query to the series of one namespace, whatever it selects itself.

Pure. The query is read to its end by PromQL's grammar, and every selector gets one more matcher,
beside those that it has. What comes out is written anew, without comments and with all strings in
one kind of quotes. So no server finds the tokens in other places than they were found here, and
what isn't understood, such as other dialects, is refused instead of passed on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from canarium.queries.promql import escape, unescape

LABEL = "namespace"
"The label that says whose a series is: whoever scrapes pods of Kubernetes sets it."

# Possessive, so that no text takes longer than its length. A number that touches what is no part
# of it is no token: servers cut such a thing differently.
_TOKEN = re.compile(
    r"(?P<Space>[ \t\r\n]++|\#[^\r\n]*+)"
    r"|(?P<Raw>`[^`]*+`)"
    r'|(?P<Quoted>"(?:[^"\\\n]|\\.)*+"|\'(?:[^\'\\\n]|\\.)*+\')'
    r"|(?P<Number>(?:0[xX][0-9a-fA-F]++|(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?"
    r"|(?:[0-9]++(?:ms|[smhdwy]))++)(?![A-Za-z0-9_.:]))"
    r"|(?P<Name>[A-Za-z_:][A-Za-z0-9_:]*+)"
    r"|(?P<Range>\[[^]\[\"'`{}#]*+\])"
    r"|(?P<Operator>=~|!~|!=|==|>=|<=|</|>/|[-+*/%^<>=])"
    r"|(?P<Mark>[(){},@])",
    re.ASCII,
)
_RANGE_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+|[0-9.][0-9A-Za-z_.]*+", re.ASCII)
_RANGE_NUMBER = re.compile(r"[0-9]*\.?[0-9]+(?:e[0-9]+)?|(?:[0-9]+(?:ms|[smhdwy]))+", re.ASCII)
_RANGE_MARKS = frozenset(" \t\r\n:+-*/%^(),")

_SIGNS = ("+", "-")
_SYMBOLS = ("+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<=", "</", ">/")
_BINARY = frozenset((*_SYMBOLS, "and", "or", "unless", "atan2"))
_MATCHERS = frozenset(("=", "!=", "=~", "!~"))
_FILLS = ("fill", "fill_left", "fill_right")
_END = ""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str

    @property
    def word(self) -> str:
        """A keyword or a mark; keywords are written in any case."""
        return "" if self.kind in ("Raw", "Quoted") else self.text.lower()


def confine(query: str, namespace: str) -> str:
    """Have every selector of a query match `namespace` besides.

    Raises ValueError, with what to write instead, for what cannot be read to its end.
    """
    return _Reader(query, f'{LABEL}="{escape(namespace, _QUOTE)}"').read()


_QUOTE = '"'


class _Reader:
    """Reads one query from its start to its end, and writes what was read."""

    def __init__(self, query: str, matcher: str) -> None:
        self._tokens = [*_tokenize(query), _Token("End", _END)]
        self._at = 0
        self._depth = 0
        self._matcher = matcher
        self._written: list[str] = []

    def read(self) -> str:
        """Read operand after operand, each with what follows it, until nothing is left."""
        while True:
            self._read_operand()
            while self._read_suffix():
                pass
            if self._next.kind == "End" and not self._depth:
                return _join(self._written)
            if not self._read_joint():
                raise self._refuse()

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _peek(self, offset: int) -> str:
        index = self._at + offset
        return self._tokens[index].word if index < len(self._tokens) else _END

    def _take(self) -> None:
        token = self._next
        self._written.append(_write_string(token) if _is_string(token) else token.text)
        self._at += 1

    def _take_word(self, *words: str) -> None:
        if self._next.word not in words:
            raise self._refuse()
        self._take()

    def _refuse(self) -> ValueError:
        token = self._next
        found = "its end" if token.kind == "End" else f"{token.text[:40]!r}"
        return ValueError(
            f"the query cannot be kept to its namespace: {found} is not understood; write plain"
            " PromQL"
        )

    # What stands for a value

    def _read_operand(self) -> None:
        """One value: its signs, the parentheses that open before it, and the value itself."""
        while True:
            if self._next.word in _SIGNS:
                self._take()
            elif self._next.word == "(":
                self._open()
            elif self._next.kind == "Name" and self._begins_call():
                if self._read_call():
                    return
            else:
                self._read_value()
                return

    def _open(self) -> None:
        self._take_word("(")
        self._depth += 1

    def _begins_call(self) -> bool:
        grouped = self._peek(1) in ("by", "without") and self._peek(2) == "("
        return grouped or self._peek(1) == "("

    def _read_call(self) -> bool:
        """The name of a function up to its parenthesis; whether that closes at once."""
        if self._next.word == "info":
            raise ValueError("info() reads series that no selector names: join them by * on (...)")
        self._take()
        self._read_grouping()
        self._open()
        if self._tokens[self._at - 2].kind == "Name":
            self._written[-2:] = ["".join(self._written[-2:])]  # as people write it
        if self._next.word != ")":
            return False
        self._close()
        return True

    def _read_grouping(self) -> None:
        if self._next.word in ("by", "without"):
            self._take()
            self._read_labels()

    def _close(self) -> None:
        self._take_word(")")
        self._depth -= 1
        self._read_grouping()

    def _read_value(self) -> None:
        token = self._next
        if token.word == "{" or (token.kind == "Name" and self._peek(1) == "{"):
            self._read_selector("" if token.word == "{" else token.text)
        elif token.kind == "Number" or token.word in ("inf", "nan") or _is_string(token):
            self._take()
        elif token.kind == "Name":
            self._at += 1
            self._written.append(f"{token.text}{{{self._matcher}}}")
        else:
            raise self._refuse()

    def _read_selector(self, name: str) -> None:
        """Matchers in braces, one after a comma: some dialects have others, which widen them."""
        self._at += 2 if name else 1
        matchers = []
        while self._next.word != "}":
            matchers.append(self._read_matcher())
            if self._next.word == ",":
                self._at += 1
            elif self._next.word != "}":
                raise self._refuse()
        self._at += 1
        self._written.append(f"{name}{{{','.join([*matchers, self._matcher])}}}")

    def _read_matcher(self) -> str:
        """One label's matcher, or a metric's name in quotes."""
        label = self._next
        if label.kind != "Name" and not _is_string(label):
            raise self._refuse()
        self._at += 1
        name = _write_string(label) if _is_string(label) else label.text
        if self._next.word not in _MATCHERS:
            if _is_string(label):
                return name
            raise self._refuse()
        operator, value = self._next.text, self._tokens[self._at + 1]
        self._at += 1
        if not _is_string(value):
            raise self._refuse()
        self._at += 1
        return f"{name}{operator}{_write_string(value)}"

    def _read_labels(self) -> None:
        self._take_word("(")
        while self._next.word != ")":
            if self._next.kind != "Name" and not _is_string(self._next):
                raise self._refuse()
            self._take()
            if self._next.word != ")":
                self._take_word(",")
        self._take_word(")")

    # What follows a value

    def _read_suffix(self) -> bool:
        """What changes when a value is read, or closes its parentheses; whether there was any."""
        readers: dict[str, Callable[[], None]] = {
            "@": self._read_moment,
            "offset": self._read_offset,
            "anchored": self._take,
            "smoothed": self._take,
        }
        if self._next.kind == "Range":
            self._read_range()
        elif self._next.word == ")" and self._depth:
            self._close()
        elif self._next.word in readers:
            readers[self._next.word]()
        else:
            return False
        return True

    def _read_range(self) -> None:
        text = self._next.text[1:-1]
        words, rest = _RANGE_WORD.findall(text), _RANGE_WORD.sub("", text)
        functions = ("step", "range", "min", "max", "min_of", "max_of")
        known = (word.lower() in functions or _RANGE_NUMBER.fullmatch(word) for word in words)
        if not words or not all(known) or not _RANGE_MARKS.issuperset(rest):
            raise self._refuse()
        self._written.append(f"[{' '.join(text.split())}]")
        self._at += 1

    def _read_moment(self) -> None:
        self._take()
        if self._next.word in ("start", "end"):
            self._take()
            self._take_word("(")
            self._take_word(")")
        else:
            self._read_number()

    def _read_offset(self) -> None:
        self._take()
        self._read_number()

    def _read_number(self) -> None:
        if self._next.word in _SIGNS:
            self._take()
        if self._next.kind != "Number":
            raise self._refuse()
        self._take()

    # What joins two values

    def _read_joint(self) -> bool:
        """A comma within parentheses, or an operator with all that says how it matches."""
        if self._next.word == "," and self._depth:
            self._take()
            return True
        if self._next.word not in _BINARY:
            return False
        self._take()
        if self._next.word == "bool":
            self._take()
        if self._next.word in ("on", "ignoring"):
            self._take()
            self._read_labels()
            self._read_group()
        while self._is_filled():
            self._take()
            self._open()
            self._read_number()
            self._close()
        return True

    def _read_group(self) -> None:
        if self._next.word in ("group_left", "group_right"):
            self._take()
            if self._next.word == "(":
                self._read_labels()

    def _is_filled(self) -> bool:
        """Whether a number for missing matches follows; a metric may be named like it."""
        return self._next.word in _FILLS and self._peek(1) == "("


def _tokenize(query: str) -> Iterator[_Token]:
    position = 0
    while position < len(query):
        found = _TOKEN.match(query, position)
        if found is None:
            raise ValueError(
                "the query cannot be kept to its namespace:"
                f" {query[position : position + 20]!r} is not understood; write plain PromQL"
            )
        if found.lastgroup != "Space":
            yield _Token(str(found.lastgroup), found[0])
        position = found.end()


def _join(written: list[str]) -> str:
    """Leave a space where one may be needed, and none where people leave none."""
    text = ""
    for piece in written:
        glued = piece[0] in "),[" or text.endswith("(")
        text += piece if glued else f" {piece}"
    return text.strip()


def _is_string(token: _Token) -> bool:
    return token.kind in ("Raw", "Quoted")


def _write_string(token: _Token) -> str:
    """Write a string anew: in double quotes, and by ASCII alone."""
    inner = token.text[1:-1]
    return f'"{escape(inner if token.kind == "Raw" else unescape(inner), _QUOTE)}"'
