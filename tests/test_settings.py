"""Parameters: presets, what wins, and refusals in one line."""

import subprocess
import sys

import pytest
import threadpoolctl
import torch
from hypothesis import given
from hypothesis import strategies as st

from advsmooth import settings

EPS = {
    "eps": settings.radius(quick=0.1, cpu=0.3),
    "n": settings.count(quick=5),
    "norm": settings.choice("l2", "linf", quick="l2"),
}
CELL = {"scale": "quick", "seed": 0, "eps": None, "n": None, "norm": None}


def resolve(**changes):
    return settings.resolve(CELL | changes, **EPS)


def test_a_parameter_left_at_none_takes_the_preset_of_its_scale():
    assert (resolve().eps, resolve(scale="cpu").eps) == (0.1, 0.3)


def test_a_scale_without_a_preset_takes_the_next_smaller_one():
    assert resolve(scale="cpu").n == 5


def test_a_value_given_wins_over_the_preset():
    cfg = resolve(scale="cpu", eps=0.2)
    assert cfg.eps == 0.2
    assert cfg.given == {"scale", "eps"}


@pytest.mark.parametrize(
    ("text", "value"), [("8/255", 8 / 255), (" 1 / 2 ", 0.5), ("0.25", 0.25), ("0", 0.0), (1, 1.0)]
)
def test_numbers_are_read_from_text(text, value):
    assert resolve(eps=text).eps == value


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epsilon": 0.1}, ["epsilon=0.1", "unknown parameter", "did you mean 'eps'", "scale, seed, eps, n, norm"]),
        ({"eps": 8}, ["eps=8", "pixel scale", "from 0 to 1", "'8/255'"]),
        ({"eps": -0.1}, ["eps=-0.1", "from 0 to 1"]),
        ({"eps": "8/0"}, ["eps='8/0'", "pixel scale"]),
        ({"eps": float("nan")}, ["eps=nan"]),
        ({"eps": True}, ["eps=True"]),
        ({"n": 0}, ["n=0", "an integer, at least 1"]),
        ({"n": 2.5}, ["n=2.5", "an integer"]),
        ({"norm": "l3"}, ["norm='l3'", "one of l2, linf"]),
        ({"scale": "gpu"}, ["scale='gpu'", "one of quick, cpu"]),
        ({"seed": -1}, ["seed=-1", "an integer from 0 to"]),
    ],
)
def test_a_bad_value_is_refused_in_one_line_that_says_what_is_allowed(changes, words):
    with pytest.raises(settings.SettingsError) as refusal:
        resolve(**changes)
    message = str(refusal.value)
    assert "\n" not in message
    assert all(word in message for word in words), message
    assert refusal.value._render_traceback_() == [f"SettingsError: {message}"]


def test_constants_modules_and_kernel_names_are_not_parameters():
    namespace = CELL | {"PAGE": "x", "In": [], "Out": {}, "_i": "text", "settings": settings}
    assert settings.resolve(namespace, **EPS).seed == 0


def test_a_parameter_missing_from_the_cell_is_the_authors_mistake():
    with pytest.raises(settings.SettingsError, match="n: not in the parameters cell"):
        settings.resolve({k: v for k, v in CELL.items() if k != "n"}, **EPS)


def test_a_gpu_asked_for_and_absent_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(settings.SettingsError, match="needs a CUDA GPU.*use scale=quick"):
        settings.resolve({"scale": "gpu", "seed": 0, "n": None}, n=settings.count(quick=1, gpu=2))


@pytest.mark.parametrize(
    "make",
    [
        lambda: settings.count(cpu=3),
        lambda: settings.count(quick=0),
        lambda: settings.radius(quick=0.1, fast=0.2),
        lambda: settings.choice("a", quick="b"),
    ],
)
def test_impossible_presets_are_refused(make):
    with pytest.raises(settings.SettingsError):
        make()


def test_lists_and_names_are_read_from_text():
    cfg = settings.resolve(
        {"scale": "quick", "seed": 0, "radii": "[0, 8/255]", "widths": "16,64", "sets": "digits"},
        radii=settings.numbers(at_least=0, quick=[0.1]),
        widths=settings.counts(quick=[1]),
        sets=settings.names(quick=["mnist"]),
    )
    assert (cfg.radii, cfg.widths, cfg.sets) == ([0.0, 8 / 255], [16, 64], ["digits"])


@given(st.text() | st.integers() | st.floats() | st.booleans() | st.lists(st.integers()) | st.none())
def test_any_value_is_read_or_refused_and_never_crashes(value):
    try:
        eps = resolve(eps=value).eps
    except settings.SettingsError as refusal:
        eps, message = 0, str(refusal)
    else:
        message = ""
    assert "\n" not in message
    assert 0 <= eps <= 1


@given(st.fractions(min_value=0, max_value=1))
def test_every_fraction_in_range_is_read_as_the_number_it_is(fraction):
    assert resolve(eps=f"{fraction.numerator}/{fraction.denominator}").eps == fraction.numerator / fraction.denominator


def test_the_table_shows_every_parameter_and_where_it_comes_from():
    cfg = resolve(eps=0.2)
    assert repr(cfg).splitlines()[2] == "eps   = 0.2  (given)"
    assert cfg._repr_html_().count("<tr>") == 1 + len(CELL)


SCRIPT = """
from advsmooth import settings
scale = "quick"
seed = 0
eps = None
cfg = settings.resolve(globals(), eps=settings.radius(quick=0.1))
print(cfg.seed, round(cfg.eps, 4))
"""


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["seed=3", "eps=8/255"], 0, "3 0.0314\n"),
        ([], 0, "0 0.1\n"),
        (
            ["eps=8"],
            1,
            "SettingsError: eps='8': allowed is a radius in pixel scale, from 0 to 1, such as 0.1 or '8/255'\n",
        ),
        (["--eps"], 1, "SettingsError: '--eps': arguments are written name=value, such as seed=3\n"),
    ],
)
def test_a_plain_script_reads_its_arguments_and_refuses_in_one_line(tmp_path, arguments, status, said):
    script = tmp_path / "page.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (status, said)


def test_generators_are_fresh_and_seeds_count_up():
    import torch

    assert torch.equal(torch.rand(3, generator=settings.generator(7)), torch.rand(3, generator=settings.generator(7)))
    assert settings.seeds(4, 3) == [4, 5, 6]
    with pytest.raises(settings.SettingsError):
        settings.generator(-1)


@pytest.mark.parametrize("wanted", ["0", "-1", "two", "1.5"])
def test_a_wrong_number_of_threads_is_refused(wanted, monkeypatch):
    monkeypatch.setenv("ADVSMOOTH_THREADS", wanted)
    with pytest.raises(settings.SettingsError, match=f"ADVSMOOTH_THREADS='{wanted}': allowed is an integer"):
        settings.resolve({"scale": "quick", "seed": 0})


@pytest.mark.parametrize(("scale", "wanted", "threads"), [("quick", "", 1), ("quick", "2", 2), ("cpu", "2", 3)])
def test_quick_computes_in_one_thread_whatever_the_machine_offers(scale, wanted, threads, monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setenv("ADVSMOOTH_THREADS", wanted)
    try:
        settings.use_threads(3)
        settings.resolve({"scale": scale, "seed": 0, "n": None}, n=settings.count(quick=1, cpu=2))
        assert torch.get_num_threads() == threads
        pools = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
        assert set(pools) <= {threads}
    finally:
        settings.use_threads(before)
