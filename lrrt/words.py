"""Put values into words: rates, scores and durations; hint at near names; remove control characters from text."""

import difflib
from collections.abc import Iterable

LARGE = 1e7  # from here on, a number is shorter with an exponent


def rate_text(rate: float | None) -> str:
    """Return a learning rate as short text.

    >>> rate_text(0.0123), rate_text(None)
    ('1.2e-02', '-')
    """
    return "-" if rate is None else f"{rate:.1e}"


def score_text(score: float | None) -> str:
    """Return a loss or another score as short text.

    >>> score_text(0.123456), score_text(10873.4), score_text(None)
    ('0.1235', '10870', '-')
    """
    return "-" if score is None else digits_text(score, 4)


def digits_text(value: float, num_digits: int) -> str:
    """Return a number rounded to so many digits; it has an exponent only from ten millions on, or far below 1.

    >>> digits_text(172.4, 2), digits_text(3288.1, 3), digits_text(0.5, 3), digits_text(2e8, 3)
    ('170', '3290', '0.5', '2e+08')
    """
    rounded = float(f"{value:.{num_digits}g}")
    return f"{rounded:.0f}" if 10**num_digits <= abs(rounded) < LARGE else f"{value:.{num_digits}g}"


def duration_text(seconds: float) -> str:
    """Return a duration as short text.

    >>> duration_text(2.51), duration_text(75), duration_text(4000)
    ('2.5 s', '1 min 15 s', '1 h 06 min')
    """
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min {rest:02} s"


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return a hint at the nearest known name, or at one with the same words and more, or nothing if none is near.

    >>> did_you_mean("One-Cycle", ["fixed", "one_cycle"])
    " Did you mean 'one_cycle'?"
    >>> did_you_mean("sparse_crossentropy", ["binary_crossentropy", "sparse_categorical_crossentropy"])
    " Did you mean 'sparse_categorical_crossentropy'?"
    """
    given, names = str(name).lower().replace("-", "_"), list(known)
    words = set(given.split("_"))
    with_more = [one for one in names if len(words) > 1 and words < set(one.lower().split("_"))]
    close = sorted(with_more, key=len) or difflib.get_close_matches(given, names, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def printable(text: str) -> str:
    r"""Return text without control characters, so that no name in it can move a cursor; lines stay lines.

    >>> printable("two\nlines and \x1b[31mred")
    'two\nlines and ?[31mred'
    """
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def capitalised(text: str) -> str:
    """Return text as the beginning of a sentence; other letters stay as they are.

    >>> capitalised("its AUC rose")
    'Its AUC rose'
    """
    return text[:1].upper() + text[1:]


def on_one_line(text: str) -> str:
    r"""Return text on one line and without control characters.

    >>> on_one_line("two\nlines and \x1b[31mred")
    'two lines and ?[31mred'
    """
    return printable(" ".join(text.split()))
