"""Parameters of a page: scales, presets, and refusals in one line.

A page declares its parameters twice, each time saying something different. The ``parameters`` cell gives
name, type and meaning (what ``papermill --help-notebook`` shows) and leaves the value at ``None``; the
call of :func:`resolve` gives what is allowed and the preset of each scale::

    scale: str = "quick"  # quick | cpu
    seed: int = 0  # first seed
    eps: float = None  # attack radius, pixel scale

    cfg = settings.resolve(globals(), eps=settings.radius(quick=0.1, cpu=0.3))

A value given, by papermill, on the command line of the plain script or by editing the cell, wins over
the preset.
"""

from __future__ import annotations

import difflib
import html
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError
from threadpoolctl import threadpool_limits

from advsmooth import devices
from advsmooth.refusals import Refusal, in_one_line, quoted

SCALES = ("quick", "cpu", "gpu", "paper")
"""The scales, smallest first; what each may cost stands in the chapter on running the book."""

_FRACTION = re.compile(r"\s*([+-]?\d+(?:\.\d*)?)\s*/\s*(\d+(?:\.\d*)?)\s*")
_PLAIN = (str, int, float, bool, list, tuple, dict, type(None))
_KERNEL_NAMES = {"In", "Out", "exit", "quit", "get_ipython"}


LARGEST_COUNT = 10**12
"""A count above it is a slip of the finger, and would overflow somewhere below."""

LARGEST_SEED = 2**31 - 1
"""Every generator behind this library takes it, also when a page counts on from it."""


class SettingsError(Refusal):
    """A parameter was refused; the message is one line: the value, what is allowed, what to do."""


def read_number(value: Any) -> Any:
    """Turn ``"8/255"`` or ``"0.03"`` into a float; leave every other value to pydantic.

    Raises:
        ValueError: for a boolean (``True`` is not the number 1) and for a fraction over zero.
    """
    if isinstance(value, bool):
        raise ValueError("a truth value is not a number")
    if isinstance(value, str) and (match := _FRACTION.fullmatch(value)):
        numerator, denominator = (float(part) for part in match.groups())
        if denominator == 0:
            raise ValueError("division by zero")
        return numerator / denominator
    return value


def _split(value: Any) -> Any:
    """Read ``"1, 2, 3"`` (or ``"[1, 2, 3]"``) as a list, as command lines pass it."""
    if isinstance(value, str):
        return [part.strip() for part in value.strip().strip("[]").split(",") if part.strip()]
    return value if isinstance(value, list | tuple) else [value]


@dataclass(frozen=True)
class Parameter:
    """What one parameter may be, and what it is at each scale when it is not given.

    Attributes:
        adapter: pydantic's validator of the value.
        allowed: the allowed values in words, for the refusal.
        presets: scale -> value. A scale without an entry takes the next smaller scale's.
    """

    adapter: TypeAdapter[Any]
    allowed: str
    presets: Mapping[str, Any]

    def preset(self, scale: str) -> Any:
        """The value at ``scale`` when none is given."""
        candidates = [s for s in SCALES[: SCALES.index(scale) + 1] if s in self.presets]
        return self.presets[candidates[-1]]

    def validate(self, name: str, value: Any) -> Any:
        """Return ``value`` in its proper type.

        Raises:
            SettingsError: one line naming the value and what is allowed.
        """
        try:
            return self.adapter.validate_python(value)
        except ValidationError:
            raise SettingsError(f"{name}={quoted(value)}: allowed is {self.allowed}") from None


def _parameter(kind: Any, allowed: str, presets: Mapping[str, Any]) -> Parameter:
    unknown = [scale for scale in presets if scale not in SCALES]
    if unknown:
        raise SettingsError(f"preset for scale {unknown[0]!r}: {_suggest(unknown[0], SCALES)}")
    if "quick" not in presets:
        raise SettingsError("a parameter needs a preset for scale 'quick'")
    parameter = Parameter(TypeAdapter(kind), allowed, dict(presets))
    for scale, value in presets.items():
        parameter.validate(f"preset at {scale}", value)
    return parameter


def _number(ge: float | None, le: float | None, integer: bool = False) -> Any:
    kind: Any = int if integer else float
    field = Field(ge=ge, le=le) if integer else Field(ge=ge, le=le, allow_inf_nan=False)
    return Annotated[kind, BeforeValidator(read_number), field]


def _list_of(kind: Any) -> Any:
    return Annotated[list[kind], BeforeValidator(_split), Field(min_length=1)]


def _range(ge: float | None, le: float | None, integer: bool) -> str:
    if integer:
        return f"an integer, at least {ge}" if le in (None, LARGEST_COUNT) else f"an integer from {ge} to {le}"
    noun = "a number"
    if ge is not None and le is not None:
        return f"{noun} from {ge:g} to {le:g}"
    return (
        noun if ge is None and le is None else f"{noun}, at least {ge:g}" if le is None else f"{noun}, at most {le:g}"
    )


def count(*, at_least: int = 1, at_most: int = LARGEST_COUNT, **presets: int) -> Parameter:
    """An integer, positive unless ``at_least`` says otherwise."""
    return _parameter(_number(at_least, at_most, integer=True), _range(at_least, at_most, integer=True), presets)


def number(*, at_least: float | None = None, at_most: float | None = None, **presets: float) -> Parameter:
    """A finite number; a fraction such as ``"8/255"`` is read as one."""
    return _parameter(_number(at_least, at_most), _range(at_least, at_most, integer=False), presets)


def radius(*, at_most: float = 1.0, **presets: float) -> Parameter:
    """An attack radius in pixel scale; above 1 it was probably meant in units of 0-255."""
    allowed = f"a radius in pixel scale, from 0 to {at_most:g}, such as 0.1 or '8/255'"
    return _parameter(_number(0.0, at_most), allowed, presets)


def choice(*options: str, **presets: str) -> Parameter:
    """One of the named options."""
    return _parameter(Literal[options], "one of " + ", ".join(options), presets)


def flag(**presets: bool) -> Parameter:
    """True or false."""
    return _parameter(bool, "true or false", presets)


def text(**presets: str) -> Parameter:
    """A text, such as the name of a data set, that another module validates."""
    return _parameter(Annotated[str, Field(min_length=1)], "a non-empty text", presets)


def names(**presets: Sequence[str]) -> Parameter:
    """A list of names, such as data sets that another module validates; also as text: ``"digits, mnist"``."""
    return _parameter(_list_of(Annotated[str, Field(min_length=1)]), "a list of names, separated by commas", presets)


def numbers(*, at_least: float | None = None, at_most: float | None = None, **presets: Sequence[float]) -> Parameter:
    """A list of finite numbers, also as text: ``"0, 0.1, 8/255"``."""
    return _parameter(
        _list_of(_number(at_least, at_most)), f"a list, each {_range(at_least, at_most, integer=False)}", presets
    )


def counts(*, at_least: int = 1, at_most: int = LARGEST_COUNT, **presets: Sequence[int]) -> Parameter:
    """A list of integers, also as text: ``"16, 64, 256"``."""
    return _parameter(
        _list_of(_number(at_least, at_most, integer=True)),
        f"a list, each {_range(at_least, at_most, integer=True)}",
        presets,
    )


@dataclass(frozen=True)
class Settings:
    """The resolved parameters of one run of a page, read as attributes: ``cfg.eps``.

    Attributes:
        values: name -> value, ``scale`` and ``seed`` first.
        given: the names whose value did not come from a preset.
    """

    values: Mapping[str, Any]
    given: frozenset[str]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self.values:
            raise AttributeError(name)
        return self.values[name]

    @property
    def device(self) -> str:
        """``"cuda"`` at the scales that want a GPU, else ``"cpu"``; see :func:`advsmooth.devices.choose`."""
        return devices.choose(self.values["scale"]).kind

    def rows(self) -> list[tuple[str, str, str]]:
        """Name, value and origin of each parameter, as texts."""
        preset = f"preset of {self.values['scale']}"
        return [(name, _show(v), "given" if name in self.given else preset) for name, v in self.values.items()]

    def __repr__(self) -> str:
        width = max(len(name) for name in self.values)
        return "\n".join(f"{name:<{width}} = {value}  ({origin})" for name, value, origin in self.rows())

    def _repr_html_(self) -> str:
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows()
        )
        head = "<tr><th>parameter</th><th>value</th><th>where from</th></tr>"
        return f'<table class="settings"><thead>{head}</thead><tbody>{body}</tbody></table>'


def _show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(_show(item) for item in value)
    return str(value)


def resolve(namespace: Mapping[str, Any], **parameters: Parameter) -> Settings:
    """Validate the parameters of a page and fill those left at ``None`` from the presets of the scale.

    Args:
        namespace: ``globals()`` of the page, right after its parameters cell. Run as a plain script,
            ``name=value`` arguments of the command line override it.
        parameters: what each parameter may be; ``scale`` and ``seed`` are always there.

    At ``quick`` the page computes in one thread from here on, whatever the machine offers, or in
    ``$ADVSMOOTH_THREADS``: sums in another order differ in the last digit, and training under attack makes that a
    difference of percents.

    Raises:
        SettingsError: for an unknown name (with the nearest valid one), a value that is not allowed, a
            scale this page does not offer, or a GPU that is asked for and absent.
    """
    offered = tuple(s for s in SCALES if s == "quick" or any(s in p.presets for p in parameters.values()))
    declared = {
        "scale": choice(*offered, quick="quick"),
        "seed": count(at_least=0, at_most=LARGEST_SEED, quick=0),
        **parameters,
    }
    given = {name: value for name, value in namespace.items() if _is_parameter(name, value)}
    if namespace.get("__name__") == "__main__" and "get_ipython" not in namespace:
        sys.excepthook = _refuse_in_one_line
        given |= parse_arguments(sys.argv[1:])
    resolved = _resolved(declared, given)
    if resolved.scale == "quick":
        use_threads(_threads_at_quick())
    return resolved


def _threads_at_quick() -> int:
    wanted = os.environ.get("ADVSMOOTH_THREADS") or "1"
    if not wanted.isdigit() or int(wanted) < 1:
        raise SettingsError(f"ADVSMOOTH_THREADS={wanted!r}: allowed is an integer, at least 1")
    return int(wanted)


def use_threads(threads: int) -> None:
    """Compute in so many threads from here on: PyTorch, and the linear algebra of NumPy and SciPy."""
    torch.set_num_threads(threads)
    threadpool_limits(threads)


def _refuse_in_one_line(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """What a plain script prints when it stops: refusals as one line, anything else as usual."""
    line = in_one_line(error)
    if line is None:
        sys.__excepthook__(kind, error, traceback)
    else:
        print(line, file=sys.stderr)


def _resolved(declared: Mapping[str, Parameter], given: Mapping[str, Any]) -> Settings:
    for name, value in given.items():
        if name not in declared:
            raise SettingsError(f"{quoted(name)[1:-1]}={quoted(value)}: unknown parameter; {_suggest(name, declared)}")
    missing = [name for name in declared if name not in given]
    if missing:
        raise SettingsError(f"{missing[0]}: not in the parameters cell; add it there, with its type and meaning")
    scale = declared["scale"].validate("scale", given["scale"])
    presets = {name: parameter.preset(scale) for name, parameter in declared.items()}
    values = {
        name: preset if given[name] is None else declared[name].validate(name, given[name])
        for name, preset in presets.items()
    }
    settings = Settings(values, frozenset(name for name in declared if values[name] != presets[name]))
    try:
        device = devices.choose(scale)
    except devices.DeviceError as error:
        raise SettingsError(str(error)) from None
    if device.line:
        print(device.line)
    return settings


def _is_parameter(name: str, value: Any) -> bool:
    # Upper case is a constant of the page, by Python's convention.
    ignored = name.startswith("_") or name.isupper() or name in _KERNEL_NAMES
    return not ignored and isinstance(value, _PLAIN)


def parse_arguments(argv: Sequence[str]) -> dict[str, Any]:
    """Read ``name=value`` arguments; the values stay texts, which :func:`resolve` turns into their types.

    Raises:
        SettingsError: for an argument of another form.
    """
    pairs: dict[str, Any] = {}
    for argument in argv:
        name, equals, value = argument.partition("=")
        if not equals or not name.isidentifier():
            raise SettingsError(f"{quoted(argument)}: arguments are written name=value, such as seed=3")
        if name in pairs:
            raise SettingsError(f"{name}={quoted(value)}: given twice; give each parameter once")
        pairs[name] = None if value in ("None", "none", "") else value
    return pairs


def _suggest(name: str, allowed: Any) -> str:
    names = list(allowed)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}Allowed: {', '.join(names)}"


def seeds(first: int, n: int) -> list[int]:
    """The ``n`` seeds of a run that repeats itself: ``first, first + 1, ...``"""
    return list(range(first, first + n))


def generator(seed: int, device: str = "cpu") -> torch.Generator:
    """A fresh generator; nothing in this library reads the global random state."""
    if not 0 <= seed < 2**63:  # false for NaN, too
        raise SettingsError(f"seed={quoted(seed)}: allowed is an integer from 0 to 2**63 - 1")
    return torch.Generator(device).manual_seed(seed)
