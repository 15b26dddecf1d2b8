import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from advsmooth import matrix_figure
from advsmooth.analysis.rank_matrix import rank_matrix


@pytest.mark.parametrize(
    ("value", "text"), [(0.456, ".46"), (-0.456, "−.46"), (1.0, "1"), (-0.999, "−1"), (0.0, ".00"), (-0.001, ".00")]
)
def test_two_digits(value, text):
    assert matrix_figure.two_digits(value) == text


def test_shades_are_white_at_zero_and_equally_dark_for_both_signs():
    assert matrix_figure.shade(0.0) == (1, 1, 1)
    grey = [np.dot(matrix_figure.shade(v), (0.299, 0.587, 0.114)) for v in (0.9, -0.9, 0.4, -0.4)]
    assert abs(grey[0] - grey[1]) < 0.12
    assert max(grey[:2]) < min(grey[2:])


def test_triangles_show_each_pair_once_as_trained_and_once_at_a_common_temperature():
    g = np.random.default_rng(0)
    x = np.repeat(np.arange(8.0), 3) + 0.1 * g.normal(size=24)
    t = pd.DataFrame({"slope": x, "slope*": -x, "margin": np.abs(x - 3.5), "robust": x})
    t["training"] = np.repeat(list("abcdefgh"), 3)
    found = rank_matrix(t, ["slope", "slope*", "margin", "robust"], draws=50)
    fig, ax = plt.subplots()
    names = ["slope", "margin", "robust"]
    matrix_figure.triangles(ax, found, names, {name: name for name in names})
    said = {(int(text.get_position()[1]), int(text.get_position()[0])): text for text in ax.texts}
    plt.close(fig)
    assert said[2, 0].get_text() == "1"
    assert said[0, 2].get_text() == "−1"
    assert (0, 1) not in said, "the margin is the same for all at a common temperature"
    assert said[1, 0].get_style() == "italic", "not settled"
    assert said[2, 0].get_style() == "normal"
