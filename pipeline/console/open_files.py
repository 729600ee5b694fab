"""Let a command open as many files as it needs, and say so if it may not."""

from __future__ import annotations

import errno
import os
import resource

ENOUGH = 1024  # programs that wait for files with select() can handle no more
NEEDED = 64  # a run has some 30 files open at once; libraries that may not open theirs end in many ways


def allow_open_files() -> None:
    """Raise this process's own limit of open files, as far as it may without asking anybody."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def lack_of_files() -> str:
    """Return that this process may open too few files, or no further ones, as a sentence; "" if it may open enough."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit != resource.RLIM_INFINITY and limit < NEEDED:
        return f"a process must be allowed to have {NEEDED} files open at once, got {limit}."
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            return f"no further file can be opened, since {limit} are open, or too many on this machine."
    return ""
