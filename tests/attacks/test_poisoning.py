"""Wrong labels and triggers: what changes, what must not, and that the cache can tell."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from advsmooth import data
from advsmooth.attacks.poisoning import Trigger, backdoored, mislabelled, sent_to

DIGITS = data.load("digits").take(200, seed=0)


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 1), st.integers(0, 50))
def test_only_the_chosen_labels_change_and_each_becomes_wrong(fraction, seed):
    wrong, mask = mislabelled(DIGITS, fraction, seed)
    assert torch.equal(wrong.x, DIGITS.x)
    assert torch.equal(wrong.y[~mask], DIGITS.y[~mask])
    assert (wrong.y[mask] != DIGITS.y[mask]).all()
    assert mask.sum() == round(fraction * len(DIGITS))
    assert wrong.y.min() >= 0
    assert wrong.y.max() < 10


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 0.8), st.integers(0, 9), st.integers(0, 50), st.integers(1, 8), st.floats(0, 1))
def test_a_back_door_changes_the_patch_and_the_label_of_images_of_other_classes(fraction, target, seed, size, value):
    marked, mask = backdoored(DIGITS, fraction, Trigger(size, value), target=target, seed=seed)
    assert mask.sum() == round(fraction * len(DIGITS))
    assert (DIGITS.y[mask] != target).all()
    assert (marked.y[mask] == target).all()
    assert torch.equal(marked.y[~mask], DIGITS.y[~mask])
    assert torch.equal(marked.x[~mask], DIGITS.x[~mask])
    outside = torch.ones(8, 8, dtype=torch.bool)
    outside[-size:, -size:] = False
    assert torch.equal(marked.x[..., outside], DIGITS.x[..., outside])
    assert (marked.x[mask][..., ~outside] == torch.tensor(value)).all()
    assert marked.x.min() >= 0
    assert marked.x.max() <= 1


def test_a_larger_fraction_adds_to_the_marked_images():
    few, many = (backdoored(DIGITS, fraction, Trigger(2), seed=3)[1] for fraction in (0.1, 0.3))
    assert (many | ~few).all()


def test_the_data_given_is_left_alone_and_the_same_seed_gives_the_same():
    x, y = DIGITS.x.clone(), DIGITS.y.clone()
    first, again = (backdoored(DIGITS, 0.2, Trigger(2), seed=1)[0] for _ in range(2))
    mislabelled(DIGITS, 0.5, 1)
    assert torch.equal(DIGITS.x, x)
    assert torch.equal(DIGITS.y, y)
    assert torch.equal(first.x, again.x)
    assert first.describe() == again.describe()


def test_poisoned_data_is_never_taken_for_clean():
    """A trained network is cached under the description of its data."""
    made = [DIGITS, mislabelled(DIGITS, 0.2, 0)[0], mislabelled(DIGITS, 0.2, 1)[0]]
    made += [backdoored(DIGITS, 0.05, Trigger(size), seed=seed)[0] for size, seed in ((1, 0), (2, 0), (2, 1))]
    assert len({d.describe()["sha256"] for d in made}) == len(made)


def test_success_does_not_count_images_of_the_target_class():
    y = torch.tensor([0, 0, 1, 2])
    assert sent_to(torch.tensor([0, 0, 0, 2]), y, 0) == 0.5
    assert sent_to(torch.tensor([5, 5, 0, 0]), y, 0) == 1.0
    assert sent_to(y, y, 0) == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Trigger(0), "size of at least 1"),
        (lambda: Trigger(2, 1.5), r"value in \[0, 1\]"),
        (lambda: Trigger(9).stamp(DIGITS.x), "does not fit"),
        (lambda: Trigger(1).stamp(DIGITS.x.flatten(1)), "does not fit"),
        (lambda: backdoored(DIGITS, 0.99, Trigger(1)), "share of the other classes"),
        (lambda: backdoored(DIGITS, 0.1, Trigger(1), target=10), "class below 10"),
        (lambda: mislabelled(DIGITS, 1.2), "from 0 to 1"),
        (lambda: sent_to(torch.tensor([1]), torch.tensor([0]), 0), "no image of another class"),
    ],
)
def test_refusals_say_what_is_allowed(call, message):
    with pytest.raises(ValueError, match=message) as refused:
        call()
    assert "\n" not in str(refused.value)
