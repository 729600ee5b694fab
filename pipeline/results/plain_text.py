"""Write text of others into tables and pages so that it is text there: no formula, no control characters."""

from __future__ import annotations

import re

from lrrt.words import printable

FORMULA = ("=", "+", "-", "@")  # what spreadsheets take for the beginning of one
# The tab and the end of a line stay; U+0080 to U+009F are control characters too. The last two rows of letters turn the
# direction of what follows, so that text is shown in another order than it has.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def cell(value: object) -> object:
    r"""Return a value of a CSV table: a number as it is, text on one line that no spreadsheet computes.

    >>> cell("=cmd|' /C calc'!A0"), cell("two\nlines\x1b[2J"), cell(-1.5)
    ("'=cmd|' /C calc'!A0", 'two?lines?[2J', -1.5)
    """
    if not isinstance(value, str):
        return value
    text = printable(value).replace("\n", "?")
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def without_control(text: str) -> str:
    r"""Return a page without control characters.

    >>> without_control("a\x1b[31m\n")
    'a?[31m\n'
    >>> without_control("a\u202eb")
    'a?b'
    """
    return CONTROL.sub("?", text)
