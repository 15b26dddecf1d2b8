"""Write one file of a megabyte again and again, each time with other content."""

from pathlib import Path

from advsmooth.atomic import write_atomically

SIZE = 2**20


def main(path, how, times):
    write = write_atomically if how == "atomically" else Path.write_bytes
    for number in range(int(times)):
        write(Path(path), bytes([number % 251]) * SIZE)


def whole(path):
    found = path.read_bytes()
    assert len(found) == SIZE == found.count(found[:1]), f"{len(found)} bytes of {SIZE}"
