"""Second-order EntropySGD on a quadratic, in closed form (Kanai et al., appendix D, equation 77, algorithm 1).

With ``-Hess F = gamma I - gamma^2 Sigma`` and a diagonal ``Sigma``, Newton's step on ``-F`` is
``theta - eta gamma h (theta - mean)``, ``h = 1 / (gamma - gamma^2 variance)``. For ``L(t) = a/2 (t - c)^2`` the density
``p_theta`` is normal with variance ``1 / (a + gamma)`` and mean ``(gamma theta + a c) / (a + gamma)``, so that
``gamma h = (a + gamma) / a``: the variance reaches ``1 / gamma``, and ``h`` is infinite, where the loss is flat, and
``h`` is negative where it curves downwards. The closed forms of the mean and variance are in
:func:`advsmooth.theory.entropy.quadratic`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def newton_factor(variance: Tensor, gamma: float) -> Tensor:
    """``gamma h = 1 / (1 - gamma variance)``, by which the second order stretches ``mean - theta``.

    Args:
        variance: of ``p_theta`` along each coordinate, any shape.
        gamma: the scope, positive.

    Raises:
        ValueError: unless ``gamma`` is positive and finite.
    """
    if not 0 < gamma < math.inf:
        raise ValueError(f"gamma={gamma!r}: allowed is a positive number")
    return 1 / (1 - gamma * variance)


def newton_step(theta: Tensor, mean: Tensor, variance: Tensor, gamma: float, rate: float = 1.0) -> Tensor:
    """Line 18 of algorithm 1, with mean and variance given, coordinate by coordinate.

    Args:
        theta: where the step starts, any shape.
        mean: of ``p_theta``, same shape.
        variance: of ``p_theta``, same shape.
        gamma: the scope.
        rate: ``eta``.
    """
    return theta - rate * newton_factor(variance, gamma) * (theta - mean)


def stationary_variance(stiffness: float, rate: float, noise: float) -> float:
    """The variance to which line 11 of algorithm 1 settles on ``U(t) = s/2 t^2``.

    ``t <- (1 - rate s) t + sqrt(rate) noise N(0, 1)`` keeps ``v = (1 - rate s)^2 v + rate noise^2``, hence
    ``v = noise^2 / (s (2 - rate s))``. For small rates that is ``noise^2 / (2 s)``, the variance of the density
    proportional to ``exp(-2 U / noise^2)``; the density of the objective has ``1 / s``.

    Args:
        stiffness: ``s``, curvature of the loss plus the scope.
        rate: ``eta'``.
        noise: ``eps_E``.

    Raises:
        ValueError: unless ``0 < rate s < 2``; otherwise nothing settles.
    """
    if not 0 < rate * stiffness < 2:
        raise ValueError(f"rate={rate!r}, stiffness={stiffness!r}: their product must lie between 0 and 2")
    return noise**2 / (stiffness * (2 - rate * stiffness))


def growth(curvature: float, gamma: float, rate: float, sign: int) -> float:
    """By how much lines 10 and 11 multiply the distance to their fixed point on ``L(t) = a/2 (t - c)^2``, each step.

    ``1 - rate (a + gamma)`` with the mended sign (``+1``) and ``1 + rate (a - gamma)`` as printed (``-1``): as printed
    they run away from it wherever ``a > gamma``.

    Raises:
        ValueError: for another sign.
    """
    if sign not in (-1, 1):
        raise ValueError(f"sign={sign!r}: allowed is 1 (mended) or -1 (as printed)")
    return 1 - rate * (sign * curvature + gamma)


def quadratic_variance(curvature: Tensor, gamma: float) -> Tensor:
    """``1 / (a + gamma)``, the variance of ``p_theta`` for a quadratic of curvature ``a > -gamma``.

    It is above ``1 / gamma`` exactly where ``a < 0``.

    Raises:
        ValueError: for a curvature of ``-gamma`` or less, where there is no density.
    """
    if bool((curvature <= -gamma).any()):
        raise ValueError(f"curvature={torch.min(curvature).item():.4g}, gamma={gamma:g}: allowed is more than -gamma")
    return 1 / (curvature + gamma)
