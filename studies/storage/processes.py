"""Find the machine on which a process runs, and whether it still runs."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def place() -> str:
    """Return the host and the namespace of process ids, since containers may share the name of their host."""
    namespace = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()} {namespace.readlink() if namespace.exists() else ''}".strip()


def is_running(pid: int) -> bool:
    """Say whether a process of this machine runs; a process that has ended does not, even before its parent notices."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # The state follows the name, which is in parentheses and may have any letter.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return True
