"""The study of the four attacks: parts of the data that do not overlap, rows that repeat, and known directions."""

import numpy as np
import pandas as pd
import torch

from advsmooth import data
from advsmooth.analysis import other_attacks
from advsmooth.analysis.other_attacks import Setting, against_darts, groups, images, measure, oriented
from advsmooth.training import searched

SMALL = Setting(
    "digits", 8, images=96, epochs=1, parameters=15_000, wrong=0.3, marked=0.05, trigger=1, tests=60
)  # fmt: skip


def test_no_image_is_member_and_non_member_or_tested():
    parts = images(SMALL)
    rows = [{tuple(row) for row in part.x.flatten(1).tolist()} for part in vars(parts).values()]
    assert [len(part) for part in vars(parts).values()] == [96, 96, 60]
    assert not rows[0] & rows[1]
    assert not (rows[0] | rows[1]) & rows[2]
    assert len({part.checksum for part in vars(parts).values()}) == 3


def test_whole_images_give_the_networks_of_the_other_pages():
    """Same data, so the same entry of the cache."""
    ours = searched.run("VGG-7", images(SMALL).train, epochs=2, parameters=15_000, seed=1)
    theirs = searched.run("VGG-7", data.load("digits").take(96, seed=0), epochs=2, parameters=15_000, seed=1)
    assert torch.equal(ours.data.x, theirs.data.x)
    assert ours.key() == theirs.key()


def test_a_row_is_the_same_with_the_cache_without_it_and_when_read_again(tmp_path):
    first, again = (measure("VGG-7", 0, SMALL, folder=tmp_path) for _ in range(2))
    assert first == again == measure("VGG-7", 0, SMALL, folder=None)
    assert len(list(tmp_path.glob("*.safetensors"))) == 5  # victim, two thieves, wrong labels, back door
    assert first["theft"] >= first["entropy"]
    assert first["theft_common"] >= first["entropy"]
    assert 0 <= first["membership"] <= 1


def test_a_study_has_one_row_for_each_network_and_measures_the_same(tmp_path):
    table = other_attacks.study(["VGG-7"], [0, 1], SMALL, folder=tmp_path)
    assert list(table.seed) == [0, 1]
    assert table.iloc[1].to_dict() == measure("VGG-7", 1, SMALL, folder=tmp_path)
    assert set(other_attacks.EASE) | set(other_attacks.CAUSES) <= set(table.columns)


TABLE = pd.DataFrame(
    [
        {"architecture": a, "kind": k, "seed": s, "theft": v + s}
        for a, k, v in (("DARTS", "searched", 1.0), ("DARTS-i (deeper)", "remedy", 4.0), ("VGG-7", "manual", 2.0))
        for s in (0, 1)
    ]
)


def test_groups_are_of_architectures_and_remedies_are_paired_by_seed():
    of_searched, manual = groups(TABLE, "theft")
    assert (of_searched.tolist(), manual.tolist()) == ([1.5], [2.5])
    assert against_darts(TABLE, "DARTS-i (deeper)", "theft").tolist() == [3, 3]


def test_what_is_oriented_is_larger_where_the_attack_is_easier():
    columns = {**other_attacks.EASE, **other_attacks.CAUSES}
    turned = oriented(pd.DataFrame({name: [1.0, 2.0] for name in columns}))
    assert all(np.sign(turned[name].diff().iloc[1]) == sign for name, sign in columns.items())


def test_the_replay_repeats():
    assert other_attacks.replay() == other_attacks.replay()
