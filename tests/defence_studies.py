"""Studies of defences whose answer is known, for the tests of :mod:`advsmooth.analysis.defences` and for controls."""

import pandas as pd

from advsmooth.analysis import defences


def made(effect=1.0, seeds=3, blind=0.1):
    """A study in which every difference has the sign of ``effect``, a little apart in the seeds.

    Row ``k`` of the table differs from the first by ``effect k``, growing by a tenth from seed to seed: distances and
    times by that, clean errors by a thousandth of it, errors under attack downward. AutoAttack breaks ``blind`` more.
    """
    parts = []
    for seed in range(seeds):
        for k, model in enumerate((*defences.MODELS, defences.LARGE_TV)):
            name, more = (model, seed), effect * k * (1 + 0.1 * seed)
            apart = effect * (1 + 0.1 * seed)
            lipschitz = 0.7 * effect if model == defences.MILD else 0.0
            single = {
                "l2_median": 10 + more + lipschitz,
                "l2_any": 10 + more,
                "l2_calls": 100 + more,
                "clean_error": 0.1 + 0.001 * more,
                "max_grad_model": 64 * 2.0 ** (-more),
                "l2_margin": 10 + more + lipschitz - apart,
                **{f"{n} median {a}": 5 + apart for n in ("l2", "linf") for a in defences.ATTACKS},
                "l2 median PGD": 5.0,
                "linf median I-FGSM": 5.0,
                **{f"climbing {n}": 0.5 - 0.01 * more for n in ("l2", "linf")},
                **{f"AutoAttack {n}": 0.5 + blind - 0.01 * more for n in ("l2", "linf")},
            }
            parts += [defences.rows(name, quantity, [value]) for quantity, value in single.items()]
            parts.append(defences.rows(name, "error l2", [0.1, 0.9 - 0.01 * more], [0.0, 20.0]))
    return pd.concat(parts, ignore_index=True)
