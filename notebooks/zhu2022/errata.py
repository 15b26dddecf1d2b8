# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Errata of Zhu et al. 2022
#
# *Which statements of {cite:t}`zhu2022` on width, depth and initialisation stand, which do not, and what should stand there instead?*
#
# :::{admonition} Errata of a reconstruction
# :class: warning
# The text we worked from has lost every formula. What is stated below *as printed* was **rebuilt** from the words around it; a mismatch with the published paper may be ours, and
# an erratum may be one of the reconstruction. Three of the seven (Z1, Z3, Z7) are statements we doubted and found to be right.
# :::
#
# The network is $f(x)=\frac1\alpha W_L\phi(W_{L-1}\cdots\phi(W_1x))$, $\phi$ the ReLU, without biases, with $d$ inputs, $o$ outputs, width $m$ and depth $L$; $\beta_1,\beta,\beta_L$ are the standard deviations of the entries of the first, hidden and last weights at the
# start, and $\gamma=\beta\sqrt{m/2}$. The perturbation stability $\mathcal P(f,\epsilon)$ is the mean of $\lVert\nabla_xf(x)^T(x-\hat x)\rVert$, $\hat x$ uniform in the ball of radius $\epsilon$ around $x$; **larger is less robust.**
# The initialisations have the variances $(\beta_1^2,\beta^2,\beta_L^2)$: LeCun $(\frac1d,\frac1m,\frac1m)$, He $(\frac2d,\frac2m,\frac2m)$, NTK $(\frac2m,\frac2m,\frac1o)$. The longer arguments and experiments are on the pages linked from each section.
#
# **In short.** What the paper proves about fresh networks is right, often with exact constants (Z1, Z3). What it says of trained ones is not: a network that has learned responds at least in proportion to its outputs, so no bound can vanish with width or depth (Z5),
# and tendencies of a bound are not those of networks (Z4).

# %% tags=["hide-input"]
# ruff: noqa: N803, N806 - the paper's own symbols
import itertools
import math

import matplotlib.pyplot as plt
import numpy as np
import sympy as sp
import torch
import z3

from advsmooth import checks, claims, errata, plotting, settings
from advsmooth.analysis import gradient_change, homogeneity, stability
from advsmooth.models import fcn
from advsmooth.theory import gram, lazy_bound, rescaling
from advsmooth.theory import initialisation as theory
from advsmooth.training import layer_rates, two_layers

# %% tags=["parameters"]
scale: str = "quick"  # quick
seed: int = 0  # seed of the random networks and inputs

# %% tags=["hide-input"]
cfg = settings.resolve(globals())
seeded = f"seed {cfg.seed}"
g = settings.generator(cfg.seed)
D, OUT = 16, 4  # inputs and outputs of the networks of Monte Carlo checks
unit_inputs = torch.nn.functional.normalize(torch.randn(50, D, generator=g), dim=1)
schemes = ("lecun", "he", "ntk")


def response(scheme, m, L, d=D, o=OUT):
    """The exact law of the response of fresh networks."""
    return theory.Response(fcn.initialisation(scheme, d, m, o), m, o, L)


# %% [markdown]
# ## Z1. Lemmas 1 and 2 hold for correlated vectors too
#
# :::{prf:remark} Lemmas 1 and 2, appendix B.1 (reconstructed)
# :label: zhu2022-Z1
# :nonumber:
#
# **As printed.** For a Gaussian vector $w$, $\langle w,u\rangle^2\,\mathbb 1\{\langle w,v\rangle\ge0\}$ has the law of $\langle w,u\rangle^2$ times an
# independent fair coin; so the energy that a layer of $m$ units lets through is $\beta^2\chi^2_\omega$ with $\omega\sim\mathrm{Bin}(m,\frac12)$.
#
# **What was doubted.** In a network the input sets the gates and the perturbation passes through them, and the two may point the same way. Then
# $\langle w,u\rangle$ and $\langle w,v\rangle$ are not independent, and a coin seems to claim too much.
#
# **What holds.** Both lemmas hold at every angle between $u$ and $v$, because $w$ and $-w$ have the same law and the same square, and exactly one of
# them opens the gate. The mean is $\frac m2\beta^2$, the variance $\frac54m\beta^4$.
#
# *Severity: none* (doubted, and found to be right).
# :::
#
# *Derivation.* Let $A$ be the event $\langle w,u\rangle^2\le s$. Reflection $w\to-w$ keeps the law of $w$ and the event $A$, and exchanges open and closed gates (up to probability 0). So $P(A,\text{open})=P(A,\text{closed})=\frac12P(A)$, and the distribution function of the gated square is
# $P(\text{closed})+P(A,\text{open})=\frac12+\frac12P(A)$, that of the coin. The rows of a layer are independent: $\beta^2\sum_ib_iz_i^2$. Each term has mean $\frac12$ and mean square $\frac32$, hence variance $\frac54$. $\square$
#
# Claim: {doc}`How far does a fresh network move its output? </notebooks/zhu2022/perturbation_stability>`.

# %% tags=["hide-input"]
opened, closed, event, open_all, closed_all = z3.Reals("opened closed event open_all closed_all")
M, DRAWS = 8, 20_000
law = theory.GatedChiSquare(M)
found, errors, exact = [], [], []
for degrees in (0, 60, 90):
    h = torch.zeros(3, dtype=torch.float64)
    h[0], h[1] = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    W = torch.randn(DRAWS, M, 3, generator=g, dtype=torch.float64)
    energy = ((W @ h).square() * (W[..., 0] >= 0)).sum(1)  # the gates are set by the first unit vector
    square = (energy - energy.mean()).square()
    for values, true in (
        (energy, law.mean),
        (square, law.variance),
        ((energy > 4).double(), 1 - law.cdf(torch.tensor(4.0))),
    ):
        found.append(values.mean().item())
        errors.append(values.std().item() / DRAWS**0.5)
        exact.append(float(true))
theta, phi = sp.symbols("theta phi", real=True)
cosine = [sp.expand(sp.expand_trig(sp.cos(phi - theta)) ** k) for k in (2, 4)]
z1 = [
    checks.agrees(
        "any-angle",
        "gates set by a vector at 0, 60 and 90 degrees: mean m/2, variance 5m/4 and P(> 4) of the energy are those of the lemma",
        estimate=found,
        standard_error=errors,
        exact=exact,
        sample=f"m = 8, {DRAWS:,} layers for each angle, {seeded}; exact P(> 4) = {exact[2]:.4f}",
        scale=cfg.scale,
    ),
    checks.implies(
        "reflection",
        "if reflection exchanges open and closed, the distribution function is 1/2 + P(A)/2",
        assumptions=[
            opened >= 0,
            opened == closed,
            event == opened + closed,
            open_all == closed_all,
            open_all + closed_all == 1,
        ],
        conclusion=closed_all + opened == z3.RealVal(1) / 2 + event / 2,
    ),
    checks.identity(
        "half-circle",
        "at any angle theta the second and fourth powers over the open half circle are half of those over the circle",
        left=sum(
            phi_k * sp.integrate(c, (phi, -sp.pi / 2, sp.pi / 2))
            for phi_k, c in zip(sp.symbols("p q"), cosine, strict=True)
        ),
        right=sum(
            phi_k * sp.integrate(c, (phi, 0, 2 * sp.pi)) / 2 for phi_k, c in zip(sp.symbols("p q"), cosine, strict=True)
        ),
    ),
    checks.identity(
        "variance",
        "half of the fourth moment 3, less the square of half of the second moment 1, is 5/4",
        left=sp.Rational(3, 2) - sp.Rational(1, 2) ** 2,
        right=sp.Rational(5, 4),
    ),
]

# %% [markdown]
# ## Z2. Rescaled layers need a learning rate each
#
# :::{prf:remark} Lemma 3, equations 8 and 9, appendix B.1 (reconstructed)
# :label: zhu2022-Z2
# :nonumber:
#
# **As printed.** If the weights of each layer are multiplied by a constant $c_l$ and the output is divided by $\prod_lc_l$, gradient descent with an
# appropriate learning rate (in the singular) keeps the two networks the same.
#
# **What is wrong.** Divided by $c_l$, the step of layer $l$ at a common rate $r\eta$ is $r/c_l^2$ times what it should be. One rate serves only if all
# layers with a gradient have the same constant.
#
# **Corrected.** With the rate $c_l^2\eta$ for layer $l$, $\tilde W_l(t)=c_lW_l(t)$ at every step, for any loss. The lost formula may say so.
#
# *Severity: condition* (true only under a condition that is not stated).
# :::
#
# *Derivation.* $\phi(cz)=c\,\phi(z)$ for $c>0$, so the two networks are the same function and have the same loss; by the chain rule $\nabla_{\tilde W_l}=\frac1{c_l}\nabla_{W_l}$. One step at the rate $c_l^2\eta$ is $c_lW_l-c_l^2\eta\frac1{c_l}\nabla_{W_l}=c_l(W_l-\eta\nabla_{W_l})$. $\square$
# At a common rate $r\eta$ the share $\sum_l(r/c_l^2-1)^2s_l/\sum_ls_l$ of the squared step is missed, $s_l=\lVert\nabla_{W_l}\rVert^2$; at the best $r$ this is $\sum_{k<l}s_ks_l(c_k^{-2}-c_l^{-2})^2$ over $\sum_ls_l\sum_ls_lc_l^{-4}$.
#
# *Example:* $f=w_2\,\phi(w_1)$, $w_1=w_2=1$, label 2, and $c=(2,\frac12)$. Both gradients are $-1$, so $s_1=s_2$. The twin's gradients are $-\frac12$ and $-2$: its layers need the rates $4\eta$ and $\frac14\eta$, and the best common one, $0.26\,\eta$, misses two thirds of the step.
#
# Claim: {doc}`Rescaling, and small moves </notebooks/zhu2022/rescaling>`, with momentum, weight decay and Adam.

# %% tags=["hide-input"]
c, w, grad, eta = sp.symbols("c w g eta", positive=True)
s1, s2, u1, u2 = sp.symbols("s1 s2 u1 u2", positive=True)
best = (s1 * u1 + s2 * u2) / (s1 * u1**2 + s2 * u2**2)
C1, C2, R, ETA, G1, G2 = z3.Reals("c1 c2 r eta g1 g2")
constants = (2.0, 0.5)
rate, missed = rescaling.best_common_rate(constants, (1.0, 1.0))


def trained(rates, scale_by, at=20, d=3):
    """Weights of a small twin after full-batch descent, divided by its constants."""
    W = fcn.draw_weights(d, 8, 1, 2, "he", settings.generator(cfg.seed), dtype=torch.float64)
    x, alpha = unit_inputs[:10, :d].double(), math.prod(scale_by)
    loss = lambda weights, _: (layer_rates.outputs(weights, x, alpha)[:, 0] - 1).square().sum() / 2  # noqa: E731
    ((_, end),) = layer_rates.descend(rescaling.rescaled(W, scale_by), loss, rates, [at])
    return torch.cat([(part / s).flatten() for part, s in zip(end, scale_by, strict=True)])


plain = trained([0.05, 0.05], (1.0, 1.0))
z2 = [
    checks.equal(
        "one-rate",
        "two scalar layers, c = (2, 1/2): at the best common learning rate nothing of the step is missed",
        measured=missed,
        expected=0.0,
        atol=1e-12,  # rounding
        sample=f"one step; best rate {rate:.3g} eta",
        scale=cfg.scale,
    ),
    checks.identity(
        "step",
        "a step of the twin at the rate c^2 eta is c times the step of the other",
        left=c * w - c**2 * eta * (grad / c),
        right=c * (w - eta * grad),
    ),
    checks.implies(
        "one-rate-only-if",
        "one rate r moves two layers with a gradient rightly only if c1 = c2",
        assumptions=[
            C1 > 0,
            C2 > 0,
            ETA > 0,
            G1 != 0,
            G2 != 0,
            R * G1 == C1 * C1 * ETA * G1,
            R * G2 == C2 * C2 * ETA * G2,
        ],
        conclusion=C1 == C2,
    ),
    checks.identity(
        "best-rate",
        "what the best common rate misses, with u = 1/c^2 and s the squared gradients",
        left=(best * u1 - 1) ** 2 * s1 + (best * u2 - 1) ** 2 * s2,
        right=s1 * s2 * (u1 - u2) ** 2 / (s1 * u1**2 + s2 * u2**2),
    ),
    checks.every(
        "rate-per-layer",
        "with the rates c_l^2 eta the twin's weights over c are the others, bit for bit (powers of two)",
        cases=trained([0.05 * s**2 for s in constants], constants) == plain,
        sample=f"d = 3, m = 8, 20 steps, float64, {seeded}",
        role="corrected",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## Z3. Lemma 5 has exact constants
#
# :::{prf:remark} Lemma 5 and equation 13, appendix B.1 (reconstructed)
# :label: zhu2022-Z3
# :nonumber:
#
# **As printed.** At the start, $\mathbb E\lVert\nabla_xf(x)^T(x-\hat x)\rVert\le\Theta(\sqrt m\,\beta_L\beta_1\gamma^{L-2})\,\epsilon$ with
# $\gamma=\beta\sqrt{m/2}$.
#
# **What was doubted.** The factors of successive layers depend on one another through the gates, and a constant hidden in $\Theta$ might depend on $m$
# or $L$.
#
# **What holds.** It does not: the constant $\sqrt{o/2}$ will do. For a fixed vector $v$ the mean of $\lVert\nabla_xf(x)^Tv\rVert^2$ is exactly
# $\frac o2\,m\,\beta_L^2\beta_1^2\gamma^{2(L-2)}\lVert v\rVert^2$, the same for every input; the mean norm falls below the root of this by
# $c(m)^{L-1}B(o)/\sqrt o$, where $B(o)$ is the mean norm of $o$ standard normals and $c(m)<1$.
#
# *Severity: none* (doubted, and found to be right).
# :::
#
# *Derivation.* Follow $v$ through the gates that $x$ sets: $t_0=v$, $t_l=D_lW_lt_{l-1}$. Given the layers below, $W_l$ is independent of $h_{l-1}$ and $t_{l-1}$, so by Z1 $\lVert t_l\rVert^2/\lVert t_{l-1}\rVert^2$ has the law $\beta_{(l)}^2\chi^2_\omega$, *whatever happened below*; the last layer, without gates, gives
# $\beta_L^2\chi^2_o$. A product of independent factors: its mean is $o\beta_L^2\cdot\frac m2\beta_1^2\cdot(\frac m2\beta^2)^{L-2}$. A mean is at most the root of the mean square, and $\mathbb E\lVert x-\hat x\rVert\le\epsilon$: the lemma, with the constant $\sqrt{o/2}$ (for $\alpha=1$). The mean norm
# is the product of the means of the roots; relative to the roots of the means these are $c(m)=\mathbb E\sqrt{\chi^2_\omega}/\sqrt{m/2}$ for each of $L-1$ layers, and $B(o)/\sqrt o$. $\square$
#
# Claim: {doc}`How far does a fresh network move its output? </notebooks/zhu2022/perturbation_stability>`.

# %% tags=["hide-input"]
o_, m_, b1, bh, bl = sp.symbols("o m beta_1 beta beta_L", positive=True)
mean_, square_, spread_, root_ = z3.Reals("mean square variance root")
grid = [(s, m, L) for s in schemes for m in (8, 64) for L in (2, 3, 5)]
sampled = [
    stability.estimate(stability.initial_fcn(unit_inputs, m, OUT, L, s, initialisations=6000, generator=g))
    for s, m, L in grid
]
wide = [(s, m, L) for s in schemes for m in (2, 16, 1024) for L in (2, 8, 32)]
z3_ = [
    checks.at_most(
        "bound",
        "the exact mean norm is at most sqrt(o/2) times the order of Lemma 5",
        measured=[response(*cell).first_moment for cell in wide],
        bound=[math.sqrt(OUT / 2) * response(*cell).order for cell in wide],
        sample="3 initialisations, m = 2, 16, 1,024, L = 2, 8, 32; formulas, tested next",
        scale=cfg.scale,
    ),
    checks.identity(
        "second-moment",
        "the product of the means of the factors is o/2 times the square of the order",
        left=o_ * bl**2 * (m_ / 2 * b1**2) * (m_ / 2 * bh**2) ** 3,
        right=o_ / 2 * (sp.sqrt(m_) * bl * b1 * (bh * sp.sqrt(m_ / 2)) ** 3) ** 2,
    ),
    checks.implies(
        "mean-below-root",
        "a mean is at most the root of the mean square, because a variance is not negative",
        assumptions=[spread_ >= 0, square_ == mean_ * mean_ + spread_, root_ >= 0, root_ * root_ == square_],
        conclusion=mean_ <= root_,
    ),
    checks.agrees(
        "mean-square",
        "fresh networks have the exact mean square, times d/(d + 2) for the ball",
        estimate=[one.square for one in sampled],
        standard_error=[one.square_error for one in sampled],
        exact=[response(*cell).second_moment * theory.ball_mean_square(D) for cell in grid],
        sample=f"3 initialisations, m = 8, 64, L = 2, 3, 5, 6,000 networks each, {seeded}",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.agrees(
        "mean-norm",
        "and the exact mean norm, times d/(d + 1)",
        estimate=[one.mean for one in sampled],
        standard_error=[one.mean_error for one in sampled],
        exact=[response(*cell).stability(D) for cell in grid],
        sample="the same networks",
        role="corrected",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## Z4. The tendencies in depth and width are those of an upper bound
#
# :::{prf:remark} Table 1 and the discussion of Theorem 1, section 4.1 (reconstructed)
# :label: zhu2022-Z4
# :nonumber:
#
# **As printed.** The perturbation stability increases with the depth under the He and NTK initialisations and, under all three, first rises and then
# falls with the width; both are read off the bound of Theorem 1.
#
# **What is wrong.** A bound may rise and fall where the quantity does neither. Before training the mean norm *falls* with the depth under all three
# initialisations, and *only rises* with the width.
#
# **Corrected.** Before training $\mathcal P=\mathcal P_\infty\,c(m)^{L-1}$, with $\mathcal P_\infty$ free of $m$, and free of $L$ under He and NTK,
# falling like $2^{-L/2}$ under LeCun; $c(m)<1$ increases with $m$ to 1. What trained networks do must be measured on trained networks.
#
# *Severity: interpretation* (a true formula is said to mean what it does not).
# :::
#
# *Derivation.* By Z3, $\mathcal P/\epsilon=\frac d{d+1}\frac{B(o)}{\sqrt o}\sqrt{\frac o2}\,\sqrt m\,\beta_L\beta_1\gamma^{L-2}\,c(m)^{L-1}$. Insert the variances: $\sqrt m\,\beta_L\beta_1$ does not contain $m$, and $\gamma$ is $\frac1{\sqrt2}$ (LeCun) or 1. The factor per layer is $\gamma\,c(m)<1$.
# *$c$ increases:* it is $\mathbb E\sqrt{\bar Y_m}$ for the average of $m$ independent copies of $2bz^2$, of mean 1 and variance 5. Given $\bar Y_{m+1}$, each of its terms is equally likely to be the one left out, so $\mathbb E[\bar Y_m\mid\bar Y_{m+1}]=\bar Y_{m+1}$, and the root is strictly concave. *It tends to 1:*
# $\sqrt y\ge1+\frac{y-1}2-\frac{(y-1)^2}2$ gives $1-\frac5{2m}\le c(m)\le1$. $\square$ (In particular depth harms from $\gamma>1/c(m)$ on, not from $\gamma>1$.)
#
# The figure is the erratum: what the bound does, and what fresh networks do.
#
# Claims: {doc}`What the bound says </notebooks/zhu2022/what_the_bound_says>`, {doc}`Width, depth, initialisation </notebooks/zhu2022/width_depth_initialisation>` (trained networks, on which this section is silent).

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Bound and fresh networks (He initialisation), each relative to its first point. Left: against the depth, at width 16. Right: against the width, at depth 3. Dashed: the bound of Theorem 1 (reconstructed). Solid: the exact perturbation stability before training. Where the bound rises with the depth the networks fall, and where it rises and falls with the width they only rise."}, "image": {"alt": "Two panels on logarithmic axes. Left, a dashed curve climbs with the depth while a solid one sinks. Right, a dashed curve climbs to a hump and then drops, while a solid one rises slightly and levels off."}}
depths, widths = [2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64], [2**k for k in range(1, 10)]


def bound(scheme, m, L):
    """The bound of Theorem 1 with constant 1."""
    return lazy_bound.LazyBound(fcn.initialisation(scheme, D, m, OUT), m, L).value


plotting.use_theme()
fig, axes = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.1), sharey=True)
for ax, xs, cell, title, unit in (
    (axes[0], depths, lambda L: ("he", 16, L), "Depth", "depth L"),
    (axes[1], widths, lambda m: ("he", m, 3), "Width", "width m"),
):
    for values, word, style in (
        ([bound(*cell(v)) for v in xs], "bound of Theorem 1", {"ls": "--", "marker": "s", "color": plotting.ORANGE}),
        (
            [response(*cell(v)).stability(D) for v in xs],
            "fresh networks, exact",
            {"ls": "-", "marker": "o", "color": plotting.BLUE},
        ),
    ):
        ax.loglog(xs, np.array(values) / values[0], label=word, ms=4, **style)
    ax.set_xticks([2, 4, 8, 16, 32, 64] if ax is axes[0] else [2, 8, 32, 128, 512])
    ax.xaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
    plotting.label(ax, title, unit, "relative to the first point" if ax is axes[0] else "")
axes[1].legend(fontsize=8)
plotting.finish(fig, "exact formulas; He initialisation, larger is less robust")

# %% tags=["hide-input"]
s_ = z3.Real("s")
y1, y2, y3 = sp.symbols("y1 y2 y3", positive=True)
roots = np.array([theory.contraction(m) for m in range(1, 401)])
ms = np.arange(1, 401)
by_depth = {s: np.array([response(s, 16, L).stability(D) for L in depths]) for s in schemes}
by_width = {s: np.array([response(s, m, 8).stability(D) for m in widths]) for s in schemes}
z4 = [
    checks.every(
        "depth-harms",
        "before training, the stability of He and NTK networks of width 16 increases from depth to depth",
        cases=np.concatenate([np.diff(by_depth[s]) > 0 for s in ("he", "ntk")]),
        evidence={f"{s}, depth 2 and 64:": f"{by_depth[s][0]:.3g}, {by_depth[s][-1]:.3g}" for s in ("he", "ntk")},
        sample="depths from 2 to 64; exact (Z3)",
        scale=cfg.scale,
    ),
    checks.every(
        "rise-and-fall",
        "before training, at depth 8, it falls somewhere as the width grows from 2 to 512",
        cases=[(np.diff(by_width[s]) < 0).any() for s in schemes],
        sample="3 initialisations; exact (Z3)",
        scale=cfg.scale,
    ),
    checks.implies(
        "root",
        "sqrt(y) >= 1 + (y - 1)/2 - (y - 1)^2/2 for y = s^2, s >= 0",
        assumptions=[s_ >= 0],
        conclusion=s_ >= 1 + (s_ * s_ - 1) / 2 - (s_ * s_ - 1) * (s_ * s_ - 1) / 2,
    ),
    checks.identity(
        "leave-one-out",
        "averages of m of m + 1 numbers, averaged over the one left out, are their average (m = 2)",
        left=((y1 + y2) / 2 + (y1 + y3) / 2 + (y2 + y3) / 2) / 3,
        right=(y1 + y2 + y3) / 3,
    ),
    checks.every(
        "contraction",
        "c(m) increases strictly and lies between 1 - 5/(2m) and 1",
        cases=[*(np.diff(roots) > 0), *(roots < 1), *(roots >= 1 - 2.5 / ms)],
        evidence={"c(1), c(16), c(400):": f"{roots[0]:.3f}, {roots[15]:.4f}, {roots[-1]:.4f}"},
        sample="m from 1 to 400",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.equal(
        "factor",
        "one more layer multiplies the stability by c(m), under LeCun by c(m)/sqrt(2)",
        measured=[
            response(s, m, 6).stability(D) / response(s, m, 5).stability(D) / theory.contraction(m)
            for s in schemes
            for m in widths
        ],
        expected=[2**-0.5 if s == "lecun" else 1.0 for s in schemes for _ in widths],
        atol=1e-12,  # rounding
        sample="m from 2 to 512",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.equal(
        "free-of-width",
        "without that factor the stability is the same at every width",
        measured=[response(s, m, 8).rms / response(s, 2, 8).rms for s in schemes for m in widths],
        expected=1.0,
        atol=1e-12,  # rounding
        sample="m from 2 to 512",
        role="corrected",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## Z5. No bound on trained networks can vanish with width or depth
#
# :::{prf:remark} Lemma 4, equations 10 to 12, and Theorem 1 (reconstructed)
# :label: zhu2022-Z5
# :nonumber:
#
# **As printed.** Training in the lazy regime changes $\nabla f(x)^T(x-\hat x)$ by at most
# $\Theta(\sqrt{L^3m^2}\,e^{-m/L^3}\beta_1\gamma^{L-2})\,\epsilon$ in the mean; hence the bound of Theorem 1, which under LeCun tends to 0 with the
# depth of wide networks.
#
# **What is wrong.** Without biases $\nabla f(x)^Tx=f(x)$: the gradient must change at least as much as the output, and a small loss needs large
# outputs, whatever the width, depth and initialisation.
#
# **Corrected.** With $\kappa_d=\mathbb E\lvert v_1\rvert$ for $v$ uniform in the unit ball of $\mathbb R^d$, the mean change is at least
# $\kappa_d\lVert f_t(x)-f_0(x)\rVert\,\epsilon/\lVert x\rVert$, and for labels $y$ learned to a mean error $\delta$, from a start as likely as its
# negative, at least $\kappa_d(\lVert y\rVert-\delta)\,\epsilon/\lVert x\rVert$. With a mean cross-entropy $\ell$ on inputs of one norm,
# $\mathcal P/\epsilon\ge F(\ell)=\frac{\kappa_d}{\lVert x\rVert}\sqrt{\frac{o-1}o}\log\frac{o-1}{e^\ell-1}$.
#
# *Severity: statement* (the statement as printed is false, and no added condition of its kind saves it).
# :::
#
# *Derivation.* Without biases $f(cx)=cf(x)$ for $c>0$ with the same gates, so the Jacobian satisfies $Jx=f(x)$ (Euler), before training and after. Let $A=J_t-J_0$, $u$ the unit vector along $Ax=f_t-f_0$, $v$ uniform in the unit ball:
#
# $$
# \mathbb E\lVert Av\rVert\ge\mathbb E\lvert u^TAv\rvert=\kappa_d\lVert A^Tu\rVert\ge\kappa_d\frac{u^TAx}{\lVert x\rVert}=\kappa_d\frac{\lVert f_t(x)-f_0(x)\rVert}{\lVert x\rVert}.
# $$
#
# The Gaussian last layer is as likely as its negative, so $f_0$ comes with $-f_0$, and $\frac12(\lVert y-f_0\rVert+\lVert y+f_0\rVert)\ge\lVert y\rVert$: with an error $\delta$ at the end the output has changed by $\lVert y\rVert-\delta$ or more. No width stands there.
#
# The same with $J$ for $A$: $\mathcal P/\epsilon\ge\kappa_d\lVert f(x)\rVert/\lVert x\rVert$. And for a cross-entropy $\ell$ the gaps $g_k=f_y-f_k$ satisfy $\sum_ke^{-g_k}=e^\ell-1$, so by Jensen their mean is at least $\log\frac{o-1}{e^\ell-1}$; the mean gap is $\sqrt{o/(o-1)}$ times the product of $f$ with a unit vector. $\square$
#
# *Example:* NTK initialisation, $L=2$, $m=100$, constant 1: the claimed change is $1.5\cdot10^{-4}\epsilon$, at $m=200$ it is $8\cdot10^{-10}\epsilon$. To raise $f(x)$ from 0 to 1 at a point with $\lVert x\rVert=1$, $d=16$, takes at least $\kappa_d\epsilon=0.19\,\epsilon$.
#
# Claims: {doc}`Rescaling, and small moves </notebooks/zhu2022/rescaling>` (Lemma 4, and what is true: the limit of infinite width), {doc}`What the bound says </notebooks/zhu2022/what_the_bound_says>` (Theorem 1). That very wide deep networks do reach small losses lazily is a theorem of {cite:t}`allenzhu2019`.

# %% tags=["hide-input"]
points = unit_inputs[:5].double()
labels = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0], dtype=torch.float64)
lazy = gradient_change.lazy_sweep(
    [(2, m) for m in (64, 128, 256, 512)],
    settings.seeds(cfg.seed, 4),
    points,
    labels,
    unit_inputs[10:30].double(),
    steps=100,
)
lazy = lazy.groupby("m").mean()
order = np.array([gradient_change.claimed_order(m, 2) for m in lazy.index])
one_way = []
for L in (2, 4):
    start, line = gradient_change.one_direction(D, 16, 1, L, g)
    on_line = line[None]
    loss = lambda weights, _, p=on_line: (layer_rates.outputs(weights, p)[0, 0] - 1).square() / 2  # noqa: E731
    ((_, end),) = layer_rates.descend(start, loss, [0.02] * L, [50])
    A = fcn.jacobian(end, on_line) - fcn.jacobian(start, on_line)
    least = gradient_change.least_change(
        layer_rates.outputs(end, on_line), layer_rates.outputs(start, on_line), on_line
    )
    one_way.append((least / gradient_change.exact_change(A)).item())
fcn_weights = [fcn.draw_weights(D, 16, 1, L, s, g, dtype=torch.float64) for s in schemes for L in (2, 4, 8)]
at = unit_inputs.double()
single = [
    (homogeneity.floor(fcn.forward(W, at), at) / gradient_change.exact_change(fcn.jacobian(W, at))).max()
    for W in fcn_weights
]
logits = 3 * torch.randn(2000, 10, generator=g, dtype=torch.float64)
logits[0] = torch.tensor([4.0] + [0.0] * 9)
logits = logits - logits.mean(1, keepdim=True)
entropy = torch.nn.functional.cross_entropy(logits, torch.zeros(2000, dtype=torch.int64), reduction="none")
needed = torch.tensor([homogeneity.logit_norm(float(e), 10) for e in entropy], dtype=torch.float64)
deep = [2, 4, 8, 16, 32]
allowed = [
    10 * lazy_bound.least_constant(784, 10) * lazy_bound.LazyBound(fcn.lecun(784, 10**9, 10), 1e9, L).initial
    for L in deep
]
floor = homogeneity.floor_at_loss(0.1, d=784, o=10, norm=1.0)

z, f1, f2, f3, w1, w2 = sp.symbols("z f1 f2 f3 w1 w2", real=True)
p, q, S, y0, fa = z3.Reals("p q S y f")
size = lambda t: z3.If(t >= 0, t, -t)  # noqa: E731
a1, a2, x1, x2 = sp.symbols("a1 a2 x1 x2", real=True)
z5 = [
    checks.at_most(
        "exponential",
        "NTK, two layers, five points learned: the change of the gradient obeys the claimed order, its constant fitted at m = 64",
        measured=lazy.change,
        bound=lazy.change.iloc[0] * order / order[0],
        sample=f"m = 64, 128, 256, 512; 4 mirrored pairs of networks each, seeds from {cfg.seed}",
        scale=cfg.scale,
    ),
    checks.at_most(
        "vanishing-bound",
        "LeCun, infinite width, 784 inputs: with ten times the least constant the bound allows a loss of 0.1 at depths 2 to 32",
        measured=[floor] * len(deep),
        bound=allowed,
        sample="formulas",
        scale=cfg.scale,
    ),
    checks.identity(
        "cauchy",
        "|a|^2 |x|^2 - (a.x)^2 is a square, hence |a| >= a.x / |x|",
        left=(a1**2 + a2**2) * (x1**2 + x2**2) - (a1 * x1 + a2 * x2) ** 2,
        right=(a1 * x2 - a2 * x1) ** 2,
    ),
    checks.implies(
        "mirror",
        "|y - f| + |y + f| >= 2 |y|",
        assumptions=[size(y0) == S],
        conclusion=size(y0 - fa) + size(y0 + fa) >= 2 * S,
    ),
    checks.implies(
        "jensen",
        "two positive numbers of sum S have a product of at most S^2/4 (o = 3: exponentials of the gaps)",
        assumptions=[p > 0, q > 0, p + q == S],
        conclusion=4 * p * q <= S * S,
    ),
    checks.identity(
        "mean-gap",
        "o = 3: the mean gap is o/(o - 1) times the product of f with e_y - 1/o",
        left=f1 - (f2 + f3) / 2,
        right=sp.Rational(3, 2) * (sp.Rational(2, 3) * f1 - f2 / 3 - f3 / 3),
    ),
    checks.identity(
        "its-norm",
        "and e_y - 1/o has the squared norm (o - 1)/o",
        left=sp.Rational(2, 3) ** 2 + 2 * sp.Rational(1, 3) ** 2,
        right=sp.Rational(2, 3),
    ),
    checks.at_most(
        "least-change",
        "in the trained networks the lower bound over the change of the gradient is at most 1, at every point",
        measured=np.concatenate([lazy.closest, lazy.train_closest]),
        bound=1.0,
        sample="the networks of the first check, means over the pairs of the largest ratio",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.equal(
        "tight",
        "it is 1 in networks that look along one line",
        measured=one_way,
        expected=1.0,
        atol=1e-9,  # rounding
        sample=f"L = 2, 4, 50 steps, {seeded}",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.at_most(
        "floor",
        "fresh networks with one output: the floor over the exact stability is at most 1, at every input",
        measured=torch.stack(single),
        bound=1.0,
        sample=f"3 initialisations, L = 2, 4, 8, m = 16, 50 inputs, {seeded}",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.at_most(
        "outputs-for-a-loss",
        "what the cross-entropy asks of the norm of ten outputs, over that norm, is at most 1; equal wrong outputs attain it",
        measured=needed / logits.norm(dim=1),
        bound=1.0,
        sample=f"2,000 random outputs, one of them with equal wrong outputs, {seeded}",
        role="corrected",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## Z6. Weights may slide along the border of a gate
#
# :::{prf:remark} Lemma 6, appendix D.1 (reconstructed)
# :label: zhu2022-Z6
# :nonumber:
#
# **As printed.** Under gradient flow on $\frac12\lVert f-y\rVert^2$ the predictions of a two-layer network obey $\dot f=-(H+G)(f-y)$, with gates
# $\mathbb 1\{w_r^Tx_i\ge0\}$ in $H$.
#
# **What is wrong.** Two points at an acute angle with opposite labels can push a weight back to the border $w_r^Tx_i=0$ from both sides. There it stays
# and slides, the gate is neither open nor closed, and the identity fails with either value.
#
# **Corrected.** It holds while no weight slides, and throughout with fractional gates: $H_{ij}=\frac{x_i^Tx_j}{\alpha^2}\sum_ra_r^2s_{ri}s_{rj}$, where
# $s_{ri}\in[0,1]$ is the gate, and on the border the number for which $w_r^Tx_i$ stays 0.
#
# *Severity: condition* (true only under a condition that is not stated).
# :::
#
# *Derivation.* With gates $s_{ri}$, $\dot w_r=-\frac{a_r}\alpha\sum_je_js_{rj}x_j$ and $\dot a_r=-\frac1\alpha\sum_je_j\phi(w_r^Tx_j)$, $e=f-y$. Where $w_r^Tx_i\ne0$, the chain rule gives the contribution of neuron $r$ to $\dot f_i$. While $w_r$ slides along the border of $x_i$, $\phi(w_r^Tx_i)=0$ does not change, and
# $a_rs_{ri}\dot w_r^Tx_i=0$ as well, because $\dot w_r^Tx_i=0$; so the same formula holds, with the fraction $s_{ri}$ that makes it so. $\square$
#
# *Example:* one neuron, $a=\alpha=1$, points $x_1=(1,0)$ and $x_2$ at $60^\circ$ to it, labels $1,-1$, and $w$ with $w^Tx_1=0.2$, $w^Tx_2=0$. Then $e=(-0.8,1)$ and $\frac d{dt}w^Tx_2=0.4-s_2$: an open gate closes, a closed one opens. So $s_2=0.4$, and $\dot f=(0.632,0)$. With the gate open the formula
# says $(0.332,-0.6)$, with the gate closed $(0.832,0)$.
#
# Claim: {doc}`Two layers, early training </notebooks/zhu2022/two_layers_early>`.

# %% tags=["hide-input"]
pair = torch.tensor([[1.0, 0.0], [0.5, 0.75**0.5]], dtype=torch.float64)
signs = torch.tensor([1.0, -1.0], dtype=torch.float64)
W0 = 0.2 / 0.75**0.5 * torch.tensor([[0.75**0.5, -0.5]], dtype=torch.float64)
a0 = torch.ones(1, dtype=torch.float64)
STEP, STEPS = 5e-6, 2000
((_, W1, a_end),) = two_layers.descend(W0, a0, pair, two_layers.squared(signs), 1.0, STEP, [STEPS])
f0 = torch.tensor([0.2, 0.0], dtype=torch.float64)
moved = (two_layers.predictions(W1, a_end, pair) - f0) / (STEP * STEPS)


def by_formula(gate):
    """-(H + G)(f - y) at the start, with this gate of the second point."""
    H = gram.gated(torch.tensor([[1.0], [gate]], dtype=torch.float64), a0, pair)
    G = torch.tensor([[0.04, 0.0], [0.0, 0.0]], dtype=torch.float64)  # phi(w.x_1) = 0.2, phi(w.x_2) = 0
    return -(H + G) @ (f0 - signs)


a_, e1, e2, c12, h1, h2, g1, g2 = sp.symbols("a e1 e2 c h1 h2 s1 s2", real=True)
velocity_x = [-a_ * (e1 * g1 + e2 * g2 * c12), -a_ * (e1 * g1 * c12 + e2 * g2)]  # of w.x_1 and w.x_2
velocity_a = -(e1 * h1 + e2 * h2)
rows = [
    -((a_**2 * g1 * g1 + h1 * h1) * e1 + (a_**2 * g1 * g2 * c12 + h1 * h2) * e2),
    -((a_**2 * g1 * g2 * c12 + h1 * h2) * e1 + (a_**2 * g2 * g2 + h2 * h2) * e2),
]
slide = {g2: -c12 * g1 * e1 / e2}
common = {
    "sample": "0.01 units of time in steps of 0.000005",
    "scale": cfg.scale,
    "atol": 0.02,
}  # the rates change by 1 % in that time
z6 = [
    *[
        checks.equal(
            name,
            f"the rates of f in the example are those of the formula with the second gate {word}",
            measured=moved,
            expected=by_formula(gate),
            role=role,
            **common,
        )
        for name, word, gate, role in (
            ("gate-open", "open", 1.0, "printed"),
            ("gate-closed", "closed", 0.0, "printed"),
            ("gate-fractional", "at 0.4", 0.4, "corrected"),
        )
    ],
    checks.equal(
        "stays",
        "and the weight stays at the border: w.x_2 = 0 at the end",
        measured=(W1 @ pair[1]).abs(),
        expected=0.0,
        atol=1e-4,  # 20 steps; a gate that stays open would move it by 0.006
        sample="the same",
        role="corrected",
        scale=cfg.scale,
    ),
    *[
        checks.identity(
            f"chain-rule-{i + 1}",
            f"point {i + 1}: the chain rule with any gates gives the row of -(H + G)(f - y)",
            left=a_ * (g1, g2)[i] * velocity_x[i] + velocity_a * (h1, h2)[i],
            right=rows[i],
        )
        for i in (0, 1)
    ],
    checks.identity(
        "slide",
        "with s2 = -c s1 e1 / e2 the weight stays at the border of the second point",
        left=velocity_x[1].subs(slide),
        right=0,
    ),
]

# %% [markdown]
# ## Z7. Theorem 2 is true, from a weaker condition
#
# :::{prf:remark} Theorem 2, section 4.2 and appendix C (reconstructed)
# :label: zhu2022-Z7
# :nonumber:
#
# **As printed.** If $\alpha\gg\big(m^{3/2}\sum_l\beta_l\big)^L$, training to a small risk moves the weights of every layer by many times their own
# norm.
#
# **What was doubted.** The power of $m$ is reconstructed; neither the conclusion for *every* layer nor the role of the width is plain from what is left
# of the proof.
#
# **What holds.** Under gradient flow every layer moves by at least $p^{1/L}/\max_k\lVert W_k(0)\rVert_F-1$ times its norm, where
# $p=\alpha\lvert f(x)\rvert$ at the end for any input with $\lVert x\rVert\le1$. So $\alpha^{1/L}\gg\max_k\lVert W_k(0)\rVert_F$ suffices, at any
# width.
#
# *Severity: none* (doubted, and found to be right).
# :::
#
# *Derivation.* ReLUs shorten vectors, so $\alpha\lvert f(x)\rvert\le\prod_l\lVert W_l\rVert_F$ for $\lVert x\rVert\le1$. The network is homogeneous in each layer, so under gradient flow $\frac d{dt}\lVert W_l\rVert_F^2=-2\sum_i\frac{\partial R}{\partial f_i}f_i$ is the same for all layers: $\lVert W_l(t)\rVert_F^2=N_l+s(t)$ with
# $N_l=\lVert W_l(0)\rVert_F^2$. Let $X=p^{2/L}$, $A=\max_kN_k$. From $\prod_l(N_l+s)\ge p^2$ follows $A+s\ge X$, so $N_l+s\ge N_l+X-A\ge\frac XAN_l$ if $X\ge A$; the movement is at least $\sqrt{N_l+s}-\sqrt{N_l}\ge\big(\sqrt{X/A}-1\big)\sqrt{N_l}$. (If $X<A$ there is nothing to show.)
# Since $\max_k\lVert W_k(0)\rVert_F\le2m\sum_l\beta_l$ with high probability for $m\ge d$, the condition as reconstructed is stronger, by $\sqrt m$ for each layer. $\square$ Equality: two scalar layers that start equal.
#
# Claim: {doc}`When training leaves the lazy regime </notebooks/zhu2022/leaving_lazy>`.

# %% tags=["hide-input"]
n1, n2, top, shift, X = z3.Reals("N1 N2 A s X")
wa, wb, slope_, xin = sp.symbols("w a r x", real=True)
target = torch.ones(1, dtype=torch.float64)


def movements(beta, m):
    """Relative movement of both layers, and its bound, when two layers learn f = 0.9 at one point."""
    point = torch.nn.functional.normalize(torch.ones(1, 2, dtype=torch.float64), dim=1)
    W, a = two_layers.draw(2, m, beta, beta, settings.generator(cfg.seed))
    for _, now, outs in two_layers.descend(W, a, point, two_layers.squared(target), 1.0, 0.02, range(1, 5000)):
        if two_layers.predictions(now, outs, point)[0] > 0.9:
            break
    reached = float(two_layers.predictions(now, outs, point)[0]) ** 0.5
    bound_ = reached / max(W.norm(), a.norm()) - 1
    return [float((now - W).norm() / W.norm()), float((outs - a).norm() / a.norm())], float(bound_)


steep = [movements(m**-2.0, m) for m in (16, 64, 256)]
gentle = [movements(m**-1.0, m) for m in (16, 64, 256)]
ends = torch.tensor([[0.01]], dtype=torch.float64), torch.tensor([0.01], dtype=torch.float64)
for _, w_end, a_now in two_layers.descend(*ends, target[None], two_layers.squared(target), 1.0, 0.01, range(1, 3000)):
    if a_now[0] * w_end[0, 0] > 0.9:
        break
scalar = float((a_now - 0.01) / 0.01), float((a_now[0] * w_end[0, 0]) ** 0.5 / 0.01 - 1)
z7 = [
    checks.every(
        "moves-far",
        "from weights of standard deviation m^-2, as the condition asks, both layers move by more than their norm, and more the wider",
        cases=[min(moved_) > 1 for moved_, _ in steep] + [min(b[0]) > min(a[0]) for a, b in itertools.pairwise(steep)],
        evidence={"least relative movement:": ", ".join(f"{min(moved_):.3g}" for moved_, _ in steep)},
        sample=f"one point, m = 16, 64, 256, {seeded}",
        scale=cfg.scale,
    ),
    checks.identity(
        "balance",
        "two layers, f = a w x: w^2 - a^2 is constant under gradient flow on any loss with the slope r",
        left=2 * wa * (-slope_ * wb * xin) - 2 * wb * (-slope_ * wa * xin),
        right=0,
    ),
    checks.implies(
        "common-growth",
        "(N1 + s)(N2 + s) >= X^2 with N1, N2 <= A gives A + s >= X",
        assumptions=[
            n1 > 0,
            n2 > 0,
            top >= n1,
            top >= n2,
            n1 + shift >= 0,
            n2 + shift >= 0,
            X >= 0,
            (n1 + shift) * (n2 + shift) >= X * X,
        ],
        conclusion=top + shift >= X,
    ),
    checks.implies(
        "every-layer",
        "A + s >= X >= A >= N gives (N + s) A >= X N",
        assumptions=[n1 > 0, top >= n1, top <= X, top + shift >= X],
        conclusion=(n1 + shift) * top >= X * n1,
    ),
    checks.at_most(
        "bound",
        "both layers move at least as far as the bound says, from m^-2 and from m^-1, which the reconstructed condition does not cover",
        measured=[b for _, b in steep + gentle],
        bound=[min(moved_) for moved_, _ in steep + gentle],
        sample="the same and its like; gradient descent with steps of 0.02",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.equal(
        "equality",
        "two equal scalar layers move exactly so far",
        measured=scalar[0],
        expected=scalar[1],
        atol=1e-9,  # rounding
        sample="from 0.01 to f = 0.9",
        role="corrected",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## Outcome
#
# *Shown* follows by rule: the printed statement fails one check (holds all, where the severity is *none*), and every check of the derivation and of the correction holds.

# %% tags=["hide-input"]
claims.report(
    errata.judge("Z1", z1),
    errata.judge("Z2", z2),
    errata.judge("Z3", z3_),
    errata.judge("Z4", z4, note="About fresh networks; trained ones are measured on the page of the sweep."),
    errata.judge("Z5", z5, note="Of the reconstructed bounds; the lower bounds hold whatever the lost formulas were."),
    errata.judge("Z6", z6),
    errata.judge("Z7", z7),
)

# %% [markdown]
# ## Limits, and one thing to try
#
# The lower bounds of Z5 do not depend on the reconstruction: *any* bound on trained networks that vanishes with the width or the depth contradicts them. Biases are excluded, as in the paper; with them $Jx=f(x)$ no longer holds. Machine-checked is the algebra, some of it in two dimensions or for three outputs; the inequalities of
# Jensen and Cauchy-Schwarz and the properties of Gaussian vectors are standard facts.
#
# Another seed must change no outcome:
#
# ```bash
# papermill notebooks/zhu2022/errata.ipynb out.ipynb -p seed 7
# ```
