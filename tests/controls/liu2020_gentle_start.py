"""Negative controls of notebooks/liu2020/gentle_start."""

from negative_controls import control

from advsmooth import checks


def no_difference(name):
    """Differences over the seeds that scatter around zero."""
    return checks.positive(name, "", differences=[0.02, -0.03, 0.01], sample="")


control("liu2020-fig4", "cosine-lower", "linear-lower", "cosine-broader", "linear-broader")(no_difference)
control("liu2020-fig13", "rate-warm-up-worse")(lambda: no_difference("rate-warm-up-worse"))
control("liu2020-fig14", "cosine-at-every-width", "linear-at-every-width")(no_difference)
control("liu2020-tab1", *(f"mnist-{kind}-{name}" for kind in ("clean", "robust") for name in ("cosine", "linear")))(
    no_difference
)


@control("liu2020-fig14", "constant-fails", "warm-up-converges")
def one_that_does_the_other(name):
    return checks.every(name, "", cases=[True, True, False], sample="")


@control("liu2020-fig4", "control-weaker", "control-late", "control-backwards", "control-twice")
def control_no_worse(name):
    return no_difference(name)


@control("liu2020-fig4", "here-cosine", "here-linear")
def a_clear_gain(name):
    return checks.positive(name, "", differences=[0.2, 0.25, 0.22], sample="")


@control("liu2020-fig14", "widest-constant-starts")
def all_that_start():
    return checks.every("widest-constant-starts", "", cases=[True, True, True], sample="")
