"""The rules of :mod:`advsmooth.checks` without sentence and sample, which no control needs."""

from advsmooth import checks


def implies(name, assumptions, conclusion, role="derivation"):
    return checks.implies(name, "", assumptions=assumptions, conclusion=conclusion, role=role)


def identity(name, left, right):
    return checks.identity(name, "", left=left, right=right)


def at_most(name, measured, bound):
    return checks.at_most(name, "", measured=measured, bound=bound, sample="")


def equal(name, measured, expected, atol, role="printed"):
    return checks.equal(name, "", measured=measured, expected=expected, atol=atol, sample="", role=role)


def every(name, cases):
    return checks.every(name, "", cases=cases, sample="")


def agrees(name, estimate, error, exact):
    return checks.agrees(name, "", estimate=estimate, standard_error=error, exact=exact, sample="")
