"""Files are whole or not there; parts that killed processes left are removed, those of living ones are not."""

import os

import pytest

from advsmooth.atomic import write_atomically


def test_text_and_bytes_come_back_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "a[1] *.json"
    write_atomically(path, "ä\n")
    assert path.read_bytes() == "ä\n".encode()
    write_atomically(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("moment", ["os.fsync", "pathlib.Path.replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_part(tmp_path, monkeypatch, moment):
    path = tmp_path / "a.json"
    write_atomically(path, "old")

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(moment, fail)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_old_parts_go_and_nothing_else_does(tmp_path):
    old, fresh = tmp_path / ".b.csv.0123abcd.partial", tmp_path / ".b.csv.4567abcd.partial"
    others = [tmp_path / name for name in ("b.csv.0123abcd.partial", ".b.partial", ".b.csv.0123abcd.partial.csv")]
    for part in (old, fresh, *others):
        part.write_text("half")
    (tmp_path / ".folder.0123abcd.partial").mkdir()
    for part in tmp_path.iterdir():
        os.utime(part, (0, 0))
    os.utime(fresh)
    write_atomically(tmp_path / "a.json", "whole")
    assert not old.exists()
    assert fresh.exists()
    assert all(other.exists() for other in others)
    assert len(list(tmp_path.iterdir())) == 6


def test_a_folder_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "nowhere" / "a", "x")


def test_the_mode_is_that_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("x")
    write_atomically(tmp_path / "whole", "x")
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode
