"""Put on PYTHONPATH, this makes every Python process refuse to leave the machine, and write down that it tried.

Python imports it when it starts, in children and kernels as well. The names of those who tried go to $OFFLINE_LOG.
"""

import os
import sys

_LOCAL = ("127.", "::1", "localhost", "0.0.0.0")


def _watch(event, arguments):
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        if isinstance(address, str | bytes):  # of this machine's file system
            return
        host = str(address[0])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = "" if arguments[0] is None else str(arguments[0])
    else:
        return
    if host and not host.startswith(_LOCAL):
        with open(os.environ["OFFLINE_LOG"], "a", encoding="utf-8") as log:  # noqa: PTH123 - loads nothing more
            log.write(f"{event} {host}: {' '.join(sys.argv)[:200]}\n")
        raise OSError(101, "Network is unreachable", host)


if "OFFLINE_LOG" in os.environ:
    sys.addaudithook(_watch)
