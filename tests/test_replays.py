from advsmooth import replays


def test_the_replay_of_sharper_minima_is_the_same_twice_and_sees_its_arguments():
    small = {"steps": 3, "images": 50, "k": 2}
    first = replays.sharper_minima(**small)
    assert first == replays.sharper_minima(**small)
    assert set(first) == {"training loss", "loss", "eigenvalue 1", "eigenvalue 2"}
    assert first != replays.sharper_minima(eps=0.05, **small)


def test_the_replay_of_flat_or_well_trained_is_the_same_twice_and_sees_its_arguments():
    first = replays.flat_or_well_trained(images=60)
    assert first == replays.flat_or_well_trained(images=60)
    assert set(first) == {f"{name} at {a}" for name in ("AT", "AWP+EnSGD") for a in (-0.5, 0.0, 0.5)}
    assert first != replays.flat_or_well_trained(images=60, seed=1)
