"""Attacks, ``attack(model, x, y, generator=g) -> x_adv``, and what they say of a model."""
