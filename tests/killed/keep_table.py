"""Three tables of a cache, each made in several steps that take some time."""

import time
from pathlib import Path

import pandas as pd

from advsmooth import records


def make(seed):
    rows = []
    for k in range(20):
        rows.append({"seed": seed, "k": k, "third": (seed + k) / 3})
        time.sleep(0.002)
    return pd.DataFrame(rows)


def main(folder):
    for seed in range(3):
        records.kept_table(Path(folder) / f"{seed}.csv", lambda seed=seed: make(seed), digits=8)
