"""The one exception a user's mistake raises, and the sentence that offers close matches."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class StatementError(ValueError):
    """A mistake in what the user wrote, told in one line: the value, the reason and the remedy.

    The command line prints the text and exits with 2; nothing else in the library ends a run this way.
    """


def suggest(name: str, known: Iterable[str]) -> str:
    """The end of an error text about an unknown name: what there is, and the closest of it.

    >>> suggest("wal", ["wall", "inlet"])
    "; it has: 'wall', 'inlet'. Did you mean 'wall'?"
    """
    names = list(dict.fromkeys(str(entry) for entry in known))
    if not names:
        return "; it has none"
    text = "; it has: " + ", ".join(repr(entry) for entry in names)
    close = get_close_matches(str(name), names, n=1, cutoff=0.5)
    return f"{text}. Did you mean {close[0]!r}?" if close else text
