"""Digest one slice of a PostgreSQL csvlog: which statements ran, how often, how long.

The function reads the entries of the slice, keeps those that carry a statement and its duration, and groups them by
the statement's normal form (see `normalise`). Digests of several slices add up to the digest of the whole log: counts
and sums add, extremes compare, histograms add bucket by bucket. Only the standard library is needed.
"""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from typing import Any, Iterator, NamedTuple

SAMPLE_CHARS_MAX = 400
# Four buckets per doubling: a bucket's upper bound is 19 % above its lower one, so that a percentile read from the
# middle of its bucket is off by 9 % at most.
BUCKETS_PER_DOUBLING = 4


def handler(event: bytes, context: Any) -> dict:
    """The entry point: `event` is a slice of a csvlog, cut at entry boundaries."""
    return digest(event)


# --- From bytes to a digest ------------------------------------------------------------------------------------------


def digest(log: bytes) -> dict:
    """Digest a log. Every entry is counted once: `entries` = all calls + `skipped` + `malformed`.

    `skipped` entries are sound but carry no statement with a duration: errors, checkpoints, connections, and the parse
    and bind steps that precede the execution of a prepared statement. `malformed` ones could not be read at all.
    """
    counts = {"entries": 0, "skipped": 0, "malformed": 0}
    statements: dict[str, Statement] = {}
    for text in entries(log.decode("utf-8", errors="replace")):
        counts["entries"] += 1
        message = message_of(text)
        if message is None:
            counts["malformed"] += 1
            continue
        timing = timing_of(message)
        if timing is None:
            counts["skipped"] += 1
            continue
        key = normalise(timing.statement)
        if key not in statements:
            statements[key] = Statement()
        statements[key].add(timing)
    listed = [statement.to_json(key) for key, statement in statements.items()]
    return {**counts, "statements": sorted(listed, key=lambda item: (-item["totalMs"], item["statement"]))}


class Timing(NamedTuple):
    """One statement as it was executed. Microseconds are what the log resolves, and integers add up exactly."""

    us: int
    statement: str


class Statement:
    """What is known about all the executions of one normalised statement."""

    def __init__(self) -> None:
        self.calls = 0
        self.total_us = 0
        self.max_us = -1
        self.min_us = sys.maxsize
        self.sample = ""
        self.histogram: dict[int, int] = {}

    def add(self, timing: Timing) -> None:
        """Count one execution. The slowest one is the sample, because it is the one worth explaining."""
        if timing.us > self.max_us:
            self.max_us = timing.us
            self.sample = truncated(timing.statement)
        self.calls += 1
        self.total_us += timing.us
        self.min_us = min(self.min_us, timing.us)
        bucket = bucket_of(timing.us)
        self.histogram[bucket] = self.histogram.get(bucket, 0) + 1

    def to_json(self, statement: str) -> dict:
        """The form in which a digest travels; JSON wants the histogram's keys to be strings."""
        return {
            "statement": statement,
            "calls": self.calls,
            "totalMs": self.total_us / 1000,
            "maxMs": self.max_us / 1000,
            "minMs": self.min_us / 1000,
            "sample": self.sample,
            "histogram": {str(bucket): self.histogram[bucket] for bucket in sorted(self.histogram)},
        }


def bucket_of(us: int) -> int:
    """The histogram bucket b of a duration: 2^(b/4) <= milliseconds < 2^((b+1)/4). Negative below one millisecond."""
    return math.floor(math.log2(max(us, 1) / 1000) * BUCKETS_PER_DOUBLING)


def truncated(statement: str) -> str:
    """The statement, cut when it is too long to be read anyway."""
    text = statement.strip()
    return text if len(text) <= SAMPLE_CHARS_MAX else text[: SAMPLE_CHARS_MAX - 1] + "…"


# --- Entries ---------------------------------------------------------------------------------------------------------

# PostgreSQL 9.0 to 12 write 23 columns, 13 writes 24 and 14 onwards 26; the message has always been the fourteenth.
COLUMNS_MIN = 23
MESSAGE_COLUMN = 13
# The csv module refuses columns over 128 KiB unless told otherwise; a statement may be longer.
csv.field_size_limit(2**31 - 1)

TIMING = re.compile(r"duration: (\d+)\.(\d{3}) ms  (?:statement|execute [^:]*): (.*)", re.DOTALL)
STARTS_WITH_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
# Inside a quoted column every quote is doubled, so no sound entry can hold a line that looks like this.
STARTS_SESSION_ENTRY = re.compile(r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.0-9]* [^,"]+,"[^",]+","[^",]+",\d+,')


def entries(log: str) -> Iterator[str]:
    """Cut a log into entries: an entry ends at the end of a line that leaves no quote open.

    A broken entry could leave its quote open and swallow all that follows, so a line that surely opens a session's
    entry starts a new one regardless.
    """
    lines: list[str] = []
    quotes = 0
    for line in log.split("\n"):
        if quotes % 2 == 1 and STARTS_SESSION_ENTRY.match(line):
            yield "\n".join(lines)
            lines, quotes = [], 0
        lines.append(line)
        quotes += line.count('"')
        if quotes % 2 == 0:
            if lines != [""]:
                yield "\n".join(lines)
            lines, quotes = [], 0
    if lines:
        yield "\n".join(lines)


def message_of(entry: str) -> str | None:
    """The message column of an entry, or None when the text is no entry."""
    if not STARTS_WITH_TIME.match(entry):
        return None
    try:
        rows = list(csv.reader([entry], strict=True))
    except csv.Error:
        return None
    if len(rows) != 1 or len(rows[0]) < COLUMNS_MIN:
        return None
    return rows[0][MESSAGE_COLUMN]


def timing_of(message: str) -> Timing | None:
    """The statement and its duration, or None when the message is about something else."""
    match = TIMING.match(message)
    if match is None:
        return None
    return Timing(int(match[1]) * 1000 + int(match[2]), match[3])


# --- Statements ------------------------------------------------------------------------------------------------------

# Alternatives in order: what opens a literal or a comment must be tried before the operator it begins with. Operators
# are read as PostgreSQL reads them: one made of - + * / < > = only cannot end in a sign, so that "=-1" is "=" and "-1".
# They have 63 characters at most; without that bound a long row of signs would take quadratic time.
TOKEN = re.compile(
    r"""
      (?P<space>     \s+ | --[^\n]* )
    | (?P<comment>   /\* )
    | (?P<literal>   [eE]'(?:[^'\\]|\\.|'')*'
                   | (?:[bBxXnN]|[uU]&)?'(?:[^']|'')*'
                   | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$
                   | (?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)? )
    | (?P<parameter> \$\d+ )
    | (?P<quoted>    (?:[uU]&)?"(?:[^"]|"")*" )
    | (?P<word>      [^\W\d][\w$]* )
    | (?P<operator>  :: | :=
                   | (?:(?!--|/\*)[-+*/<>=~!@\#%^&|`?]){0,62}[~!@\#%^&|`?](?:(?!--|/\*)[-+*/<>=~!@\#%^&|`?]){0,62}
                   | (?:(?!--|/\*)[-+*/<>=]){0,62}(?!/\*)[*/<>=]
                   | . )
    """,
    re.VERBOSE | re.DOTALL,
)

COMMENT_MARK = re.compile(r"/\*|\*/")

# After one of these words a value or a parenthesis begins, not the arguments of a function: it takes a space before
# "(", and a sign after it belongs to the number.
OPENING_WORDS = frozenset(
    """all and any array as between by case check conflict copy distinct else exists filter from having in intersect
    into join lateral like ilike limit not offset on or over returning select set some then union using values when
    where with within group""".split()
)

LIST_ITEM = r"(?:\?|\$\d+)(?:::\w+)?"
IN_LIST = re.compile(rf"\bin \({LIST_ITEM}(?:, {LIST_ITEM})*\)")
ARRAY_LIST = re.compile(rf"\barray\[{LIST_ITEM}(?:, {LIST_ITEM})*\]")
# "values (?, f(?)), (?, f(?))": rows whose text is the same.
VALUES_ROWS = re.compile(r"\bvalues (\((?:[^()]|\([^()]*\))*\))(?:, \1)+")


def normalise(statement: str) -> str:
    """The normal form of a statement: what all the executions of one piece of code have in common.

    Literals become ?, comments go, white space becomes canonical, unquoted words (PostgreSQL does not distinguish
    their case) lower case; a list of values becomes "...". Parameters such as $1 and quoted names stay.
    """
    text = joined(list(tokens(statement)))
    text = IN_LIST.sub("in (...)", text)
    text = ARRAY_LIST.sub("array[...]", text)
    return VALUES_ROWS.sub(r"values \1, ...", text)


def tokens(statement: str) -> Iterator[str]:
    """The tokens that matter, each in its normal form."""
    previous = ""
    held_sign = ""
    position = 0
    while position < len(statement):
        match = TOKEN.match(statement, position)
        assert match is not None, "the last alternative takes any character"
        kind, text = match.lastgroup, match[0]
        position = end_of_comment(statement, position) if kind == "comment" else match.end()
        if kind in ("space", "comment"):
            continue
        token = "?" if kind == "literal" else text if kind == "quoted" else text.lower()
        # "a - 1" subtracts, but "(-1" and "+ -1" are literals: hold such a sign back until we see what follows.
        if held_sign and kind != "literal":
            yield held_sign
        held_sign = token if token in ("-", "+") and not ends_value(previous) else ""
        if not held_sign:
            yield token
        previous = token
    if held_sign:
        yield held_sign


def end_of_comment(statement: str, start: int) -> int:
    """Where the block comment ends that starts here. They nest in PostgreSQL, which a regular expression cannot."""
    depth = 0
    for match in COMMENT_MARK.finditer(statement, start):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end()
    return len(statement)


def ends_value(token: str) -> bool:
    """Whether a token can be the end of a value, so that a sign after it is an operator."""
    if token in OPENING_WORDS:
        return False
    return token[-1:] in ("?", ")", "]", '"') or token[-1:].isalnum() or token[-1:] == "_"


def joined(parts: list[str]) -> str:
    """The tokens as one line, spaced in one way whatever the spacing was."""
    while parts and parts[-1] == ";":
        parts.pop()
    line: list[str] = []
    previous = ""
    for part in parts:
        if line and not sticks(previous, part):
            line.append(" ")
        line.append(part)
        previous = part
    return "".join(line)


def sticks(left: str, right: str) -> bool:
    """Whether two tokens stand together without a space."""
    if left in ("(", "[", ".", "::") or right in (")", "]", "[", ".", "::", ",", ";"):
        return True
    is_name = left[-1:].isalnum() or left[-1:] in ("_", '"')
    return right == "(" and is_name and left not in OPENING_WORDS


if __name__ == "__main__":
    # Outside Sluice: python3 index.py < slice.csv
    json.dump(handler(sys.stdin.buffer.read(), None), sys.stdout, indent=2, ensure_ascii=False)
