"""The command line of this library, as ``python -m advsmooth`` calls it."""

from advsmooth.__main__ import main as command_line


def main(*arguments):
    status = command_line(arguments)
    assert status == 0, status
