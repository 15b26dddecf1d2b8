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


def test_the_replay_of_detecting_by_gradient_is_the_same_twice_and_sees_its_arguments():
    first = replays.detecting_by_gradient(images=60)
    assert first == replays.detecting_by_gradient(images=60)
    assert set(first) == {f"score, {source}" for source in ("CW", "PGD", "evasive 0.1", "joint 1")}
    assert first != replays.detecting_by_gradient(images=60, seed=1)


def test_the_replay_of_two_numbers_is_the_same_twice_and_sees_its_arguments():
    first = replays.two_numbers(images=60)
    assert first == replays.two_numbers(images=60)
    assert {"undefended: distance, all", "l2-TV 0.1 + Lip 1: steepest in the box"} <= set(first)
    assert first != replays.two_numbers(images=60, seed=1)


def test_the_replay_of_one_table_is_the_same_twice_and_sees_its_arguments():
    first = replays.one_table(images=300)
    assert first == replays.one_table(images=300)
    assert {"standard, as trained: slope", "TV 0.01, as trained: robust"} <= set(first)
    assert first != replays.one_table(images=300, seed=1)
    assert all(value == value for value in replays.one_table().values()), "a NaN is equal to nothing, not to itself"
