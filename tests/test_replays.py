from advsmooth import replays


def test_the_replay_of_sharper_minima_is_the_same_twice_and_sees_its_arguments():
    small = {"steps": 3, "images": 50, "k": 2}
    first = replays.sharper_minima(**small)
    assert first == replays.sharper_minima(**small)
    assert set(first) == {"training loss", "loss", "eigenvalue 1", "eigenvalue 2"}
    assert first != replays.sharper_minima(eps=0.05, **small)
