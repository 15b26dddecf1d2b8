"""A download that is killed is continued, and no part of it is ever taken for the data."""

import functools
import http.server
import threading
import time
from pathlib import Path

import pytest
from killed import download_set
from killed.harness import SOAK, read_all_the_time, started

from advsmooth import data


class Slow(http.server.SimpleHTTPRequestHandler):
    """Sends files in small pieces, so that a kill falls into one."""

    def copyfile(self, source, outputfile):
        while piece := source.read(20_000):
            outputfile.write(piece)
            outputfile.flush()
            time.sleep(0.01)

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture
def address(tmp_path):
    (tmp_path / "archives").mkdir()
    download_set.write_archives(tmp_path / "archives")
    handler = functools.partial(Slow, directory=str(tmp_path / "archives"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None  # clients are killed
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def test_a_download_that_is_killed_is_continued(tmp_path, address, monkeypatch):
    for patch in download_set.small(tmp_path / "archives", address):
        monkeypatch.setattr(*patch)
    with started(Path(download_set.__file__), ADVSMOOTH_DATA=str(tmp_path / "data")) as program:
        arguments = (tmp_path / "archives", address)
        seconds = program.called_once(*arguments)
        monkeypatch.setenv("ADVSMOOTH_DATA", str(tmp_path / "data"))
        expected = [data.load("fashionmnist", split).checksum for split in data.SPLITS]

        def look():
            try:
                assert data.load("fashionmnist").checksum == expected[0]
            except data.DataError as refusal:
                if "not found" not in str(refusal):  # such as "corrupt"
                    raise

        total = 0
        for seed in range(2 * SOAK):
            (tmp_path / "data").rename(tmp_path / f"data{seed}")
            with read_all_the_time(look) as troubles:
                total += program.killed_until_it_ends(*arguments, seed=seed, within=0.6 * seconds)
            assert troubles == []
            assert [data.load("fashionmnist", split).checksum for split in data.SPLITS] == expected
            assert [path.name for path in (tmp_path / "data").iterdir()] == ["FashionMNIST"]
        print(f"download: {total} kills")
        assert total >= 2 * SOAK


def test_what_an_older_kill_cut_is_fetched_again(tmp_path, address, monkeypatch):
    for patch in download_set.small(tmp_path / "archives", address):
        monkeypatch.setattr(*patch)
    monkeypatch.setenv("ADVSMOOTH_DATA", str(tmp_path / "data"))
    whole = data.load("fashionmnist", download=True)
    path = tmp_path / "data" / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(data.DataError, match="corrupt"):
        data.load("fashionmnist", "test")
    assert data.load("fashionmnist").checksum == whole.checksum, "the other split is whole"
    assert len(data.load("fashionmnist", "test", download=True)) == download_set.N


def test_archives_that_arrived_are_not_fetched_again(tmp_path, monkeypatch):
    raw = tmp_path / "data" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    download_set.write_archives(raw)
    for patch in download_set.small(raw, "http://127.0.0.1:9/"):  # there is no server
        monkeypatch.setattr(*patch)
    monkeypatch.setenv("ADVSMOOTH_DATA", str(tmp_path / "data"))
    assert len(data.load("fashionmnist", "test", download=True)) == download_set.N
    (raw / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(data.DataError, match="could not fetch"):
        data.load("fashionmnist", "test", download=True)


def test_a_download_that_fails_is_refused_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "archives").mkdir()
    download_set.write_archives(tmp_path / "archives")
    for patch in download_set.small(tmp_path / "archives", "http://127.0.0.1:9/"):
        monkeypatch.setattr(*patch)
    monkeypatch.setenv("ADVSMOOTH_DATA", str(tmp_path / "data"))
    with pytest.raises(data.DataError, match="could not fetch http://127.0.0.1:9/.*try again") as refusal:
        data.load("fashionmnist", download=True)
    assert "\n" not in str(refusal.value)
