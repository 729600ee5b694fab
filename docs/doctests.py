"""Show the doctests of docstrings as code: a Griffe extension, named in mkdocs.yml."""

import re
from typing import Any

import griffe

DOCTEST = re.compile(r"(?:^>>> .*\n?)(?:^.+\n?)*", re.MULTILINE)  # up to an empty line


class Doctests(griffe.Extension):
    """Put a fence around each doctest, which stands in docstrings without one."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Change one docstring; Griffe calls this for each object that it has read."""
        if obj.docstring is not None:
            obj.docstring.value = DOCTEST.sub(
                lambda found: f"```pycon\n{found[0].rstrip()}\n```\n", obj.docstring.value
            )
