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
# # Errata of Liu et al. 2020
#
# *What in {cite:t}`liu2020` is wrong, loose or unstated, and what should stand there instead?*
#
# Each section states one erratum, proves the correction, has its algebra checked by machine, and shows the printed statement failing on an example small enough to redo by hand.
# *Expected to fail* are the checks of the role *printed*; all others must hold. The longer arguments, figures and experiments are on the pages linked from each section.
#
# Notation: $g_\varepsilon(x,\theta)$ is the largest loss of an example within the budget $\varepsilon$ in the norm $p$, $\mathcal L_\varepsilon$ its mean over the data, $q$ the exponent dual to $p$.
# Assumption 1: $\nabla_\theta g$ is $L_{\theta\theta}$-Lipschitz in $\theta$ and $L_{\theta x}$-Lipschitz in $x$. For Theorem 2, $b=\varepsilon L_{\theta x}$, $\hat g$ is the stochastic gradient, of mean
# $v=\nabla\mathcal L_\varepsilon(\theta_t)$ and variance at most $\sigma^2$, $g=\lVert v\rVert$, and $P$ and $E$ average over the $T$ iterations and the noise. $\sigma(t)=1/(1+e^{-t})$.
#
# **In short.** Theorems 1 and 2 are true and their proofs are not (L1, L2, L4). Theorem 3 is about a surrogate: the curvature of the adversarial loss itself *falls* along the weights (L7).
# Of the rest, the reading of Theorem 2 as quadratic growth (L3) matters most.

# %% tags=["hide-input"]
import itertools
import math

import numpy as np
import sympy as sp
import torch
import z3

from advsmooth import checks, claims, errata, settings
from advsmooth.models import table2
from advsmooth.theory import budget_curvature as bc
from advsmooth.theory import gradient_scattering as gs
from advsmooth.theory import large_gradients as lg
from advsmooth.theory import linear
from advsmooth.theory import version_space as vs

# %% tags=["parameters"]
scale: str = "quick"  # quick
seed: int = 0  # seed of the random models, data and gradient noise

# %% tags=["hide-input"]
cfg = settings.resolve(globals())
seeded = f"seed {cfg.seed}"


def draw(*shape, offset=0):
    """Standard normal numbers, float64."""
    return torch.randn(*shape, generator=settings.generator(cfg.seed + offset), dtype=torch.float64)


def sgd(wave, steps, *, start=0.0, noise=0.0, runs=16):
    """Runs of SGD on x sin(theta) + eps |sin(theta)| + kappa (1 - cos(theta)), whose inner maximum is exact."""
    generator = settings.generator(cfg.seed)
    return lg.on_wave(lg.Wave(*wave), start=start, noise=noise, steps=steps, runs=runs, generator=generator)


# %% [markdown]
# ## L1. The last step of Theorem 2's proof clears a fraction wrongly
#
# :::{prf:remark} Theorem 2, step from (25) to (26), appendix B.3
# :label: liu2020-L1
# :nonumber:
#
# **As printed.** With $b=\varepsilon L_{\theta x}$ and $g$ the norm of the gradient, $E[\frac12g^2-2bg]\le0$ and (25) give
# $P(g>\gamma b)<\frac4{\gamma^2-2\gamma+4}$ for all $\gamma>2$.
#
# **What is wrong.** They give $P\le\frac4{\gamma^2-4\gamma+4}$: when the fraction was cleared, $2\gamma$ was not doubled. This says nothing up to
# $\gamma=4$, and no cleverer argument gets the printed bound from these premises.
#
# **Corrected.** From the printed premises, $P\le\frac4{(\gamma-2)^2}$, and no better. If (21) keeps all of the descent, its limit is $E[g^2-2bg]\le0$,
# which gives $P\le\frac1{(\gamma-1)^2}$ for $\gamma>1$; for $\gamma\ge2$ this is at most the printed bound.
#
# *Severity: proof* (the proof has a gap or a wrong step; the statement can be saved).
# :::
#
# *Derivation.* $h=\frac12g^2-2bg$ is never below $-2b^2$, and at least $(\frac12\gamma^2-2\gamma)b^2$ where $g>\gamma b$, $\gamma\ge2$. With $E\,h\le0$,
#
# $$
# \big(\tfrac12\gamma^2-2\gamma\big)P-2(1-P)\le0\iff P\,(\gamma-2)^2\le4 .
# $$
#
# The laws $\{4b\}$ (for $\gamma\le4$) and $\{2b,\gamma b\}$ with $P=4/(\gamma-2)^2$ have $E\,h=0$ and attain it. *Repair.* The last line of (21) replaces the factor $1-\frac1{2\sqrt T}$ of $-\alpha g^2$ by $\frac12$.
# Kept, it tends to 1, so the limit is $E[g^2-2bg]\le0$, that is $E(g-b)^2\le b^2$, and $(\gamma-1)^2P\le1$. Finally $4(\gamma-1)^2-(\gamma^2-2\gamma+4)=3\gamma(\gamma-2)\ge0$. $\square$
#
# Claim: {doc}`Gradients that do not vanish </notebooks/liu2020/gradients_that_do_not_vanish>`.

# %% tags=["hide-input"]
P, gamma, b = z3.Reals("P gamma b")
share = [P >= 0, P <= 1]
premise = (gamma**2 / 2 - 2 * gamma) * P - 2 * (1 - P) <= 0
norms, weights = np.array([2.0, 6.0]), np.array([0.75, 0.25])
gammas = np.array([2.5, 3.0, 4.5, 6.0])
l1 = [
    checks.implies(
        "step-26",
        "(25) and E h <= 0 give P (gamma^2 - 2 gamma + 4) <= 4",
        assumptions=[*share, gamma > 2, premise],
        conclusion=P * (gamma**2 - 2 * gamma + 4) <= 4,
        role="printed",
    ),
    checks.at_most(
        "law",
        "norms 2b (three times in four) and 6b have E h = 0, and P(g > 5.99 b) is at most the printed bound",
        measured=[weights @ (norms**2 / 2 - 2 * norms), weights[norms > 5.99].sum()],
        bound=[0.0, lg.printed_bound(5.99)],
        sample="one law of gradient norms",
        scale=cfg.scale,
    ),
    checks.implies(
        "true-step",
        "they give P (gamma - 2)^2 <= 4",
        assumptions=[*share, gamma > 2, premise],
        conclusion=P * (gamma - 2) ** 2 <= 4,
    ),
    checks.implies(
        "repair",
        "E[g^2 - 2bg] <= 0 gives P (gamma - 1)^2 <= 1",
        assumptions=[*share, gamma > 1, (gamma**2 - 2 * gamma) * P - (1 - P) <= 0],
        conclusion=P * (gamma - 1) ** 2 <= 1,
    ),
    checks.implies(
        "saved",
        "P (gamma - 1)^2 <= 1 and gamma >= 2 give the printed bound",
        assumptions=[*share, gamma >= 2, P * (gamma - 1) ** 2 <= 1],
        conclusion=P * (gamma**2 - 2 * gamma + 4) <= 4,
    ),
    checks.equal(
        "attained",
        "the worst law on a grid of norms has the share 4/(gamma - 2)^2 (at most 1), with the repair 1/(gamma - 1)^2",
        measured=[[lg.largest_share(c, centre) for c in gammas] for centre in (2, 1)],
        expected=[lg.tail_bound(gammas, centre) for centre in (2, 1)],
        atol=1e-6,  # the solver's own tolerance
        sample="linear programmes, 4 thresholds from 2.5 to 6",
        role="corrected",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## L2. Jensen's inequality is used in the wrong direction
#
# :::{prf:remark} Theorem 2, inequality (21), appendix B.3
# :label: liu2020-L2
# :nonumber:
#
# **As printed.** In the bound on one step of SGD, $E\lVert\hat g\rVert$ is replaced by $\lVert\nabla\mathcal L_\varepsilon\rVert$, with the remark that
# the variance matters mainly in the squared norm.
#
# **What is wrong.** $E\lVert\hat g\rVert\ge\lVert E\hat g\rVert$, so an upper bound is replaced by something smaller. The error, up to $2b\sigma$ a
# step for gradient noise of variance $\sigma^2$, does not shrink as $T$ grows.
#
# **Corrected.** For $b>0$ and a clean loss bounded below, following the *clean* loss needs no such step: with
# $\Delta=\mathcal L_0(\theta_0)-\inf\mathcal L_0$, $(1-\frac1{\sqrt T})E[g^2]\le b^2+(2L_{\theta\theta}\Delta+\sigma^2)/\sqrt T$. Hence the printed
# bound holds for every $\gamma\ge2$ as soon as $T>T_0=\big(\frac{2L_{\theta\theta}\Delta+\sigma^2+4b^2}{3b^2}\big)^2$, and $P\le1/\gamma^2$ in the
# limit.
#
# *Severity: proof* (the proof has a gap or a wrong step; the statement can be saved).
# :::
#
# *The slip in numbers.* On $\lvert\theta\rvert$, just beside the kink, with $b=L_{\theta\theta}=1$, $\sigma=10$, $T=400$: a step takes the loss from 0 to $\alpha\lvert\hat g\rvert$, so the left side of (21) is $\alpha E\lvert\hat g\rvert=8.0\,\alpha$; its right side
# is $4.0\,\alpha$.
#
# *Derivation of the correction.* Let $u=\nabla\mathcal L_0(\theta_t)$. As $v$ averages gradients at inputs within $\varepsilon$ of the clean ones, $\lVert u-v\rVert\le b$, and
# $\langle u,v\rangle=\frac12(\lVert u\rVert^2+g^2-\lVert u-v\rVert^2)\ge\frac12(\lVert u\rVert^2+g^2-b^2)$. The clean loss is $L_{\theta\theta}$-smooth, so
#
# $$
# E\mathcal L_0(\theta_{t+1})\le\mathcal L_0(\theta_t)-\alpha\langle u,v\rangle+\tfrac12L_{\theta\theta}\alpha^2(g^2+\sigma^2).
# $$
#
# Sum over the run, divide by $\frac12\alpha T$, insert $\alpha=1/(L_{\theta\theta}\sqrt T)$, drop $E\lVert u\rVert^2$: the inequality. For $T>T_0$ it gives $E[g^2]<4b^2$; by Markov's inequality $P<4/\gamma^2\le4/(\gamma^2-2\gamma+4)$. $\square$
# It is attained in the limit: on $\varepsilon\lvert\sin\theta\rvert$ gradient descent stays at the kink, where $g=b$.
#
# Claim: {doc}`Gradients that do not vanish </notebooks/liu2020/gradients_that_do_not_vanish>`.

# %% tags=["hide-input"]
A, U, S, L, drop, r = z3.Reals("A U S L Delta r")
u, v = sp.symbols("u1 u2", real=True), sp.symbols("v1 v2", real=True)
rise, printed_side = lg.one_step_from_the_kink(10.0, 400, 100_000, settings.generator(cfg.seed))
kink, noisy = sgd((0.0, 1.0, 0.0), 4096, start=1e-9), sgd((0.9, 1.0, 4.0), 4096, start=2.5, noise=1.0)
l2 = [
    checks.at_most(
        "step-21",
        "the expected rise of |theta| in one step from its kink, over alpha, is at most the right side of (21)",
        measured=rise,
        bound=printed_side,
        sample=f"sigma = 10, T = 400; 100,000 draws, {seeded}",
        scale=cfg.scale,
    ),
    checks.identity(
        "angle",
        "<u, v> is half of |u|^2 + |v|^2 - |u - v|^2",
        left=sum(a * c for a, c in zip(u, v, strict=True)),
        right=sum(a**2 + c**2 - (a - c) ** 2 for a, c in zip(u, v, strict=True)) / 2,
    ),
    checks.implies(
        "moment",
        "summed descent, with A = E g^2, U = E|u|^2, S = sigma^2, r = 1/sqrt(T): (1 - r) A <= b^2 + r (2 L Delta + S)",
        assumptions=[r > 0, U >= 0, (A + U - b**2) / 2 <= L * drop * r + r * (A + S) / 2],
        conclusion=(1 - r) * A <= b**2 + r * (2 * L * drop + S),
    ),
    checks.implies(
        "large-enough",
        "T > T_0, that is r (R + 4 b^2) < 3 b^2 with R = 2 L Delta + S, gives E g^2 < 4 b^2",
        assumptions=[r > 0, r < 1, b > 0, r * (S + 4 * b**2) < 3 * b**2, (1 - r) * A <= b**2 + r * S],
        conclusion=4 * b**2 > A,
    ),
    checks.implies(
        "all-gamma",
        "E g^2 < 4 b^2 and Markov's inequality give (4), strictly, for every gamma >= 2",
        assumptions=[*share, b > 0, gamma >= 2, 4 * b**2 > A, P * gamma**2 * b**2 <= A],
        conclusion=P * (gamma**2 - 2 * gamma + 4) < 4,
    ),
    checks.at_most(
        "second-moment",
        "the mean of g^2 / b^2 over runs of SGD, upper end of its 99 % interval, is at most the bound",
        measured=[one.moment()[1] for one in (kink, noisy)],
        bound=[one.constants.moment(one.steps) / one.constants.jump**2 for one in (kink, noisy)],
        sample=f"kink without noise, wave with noise 1; T = 4,096, 16 runs, {seeded}",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.equal(
        "second-moment-limit",
        "at the kink it is 1, the limit of the bound",
        measured=kink.moment()[0],
        expected=1.0,
        atol=1e-3,  # cos(theta)^2 within a step of the kink
        sample="T = 4,096",
        role="corrected",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## L3. The probability of large gradients does not grow quadratically with the budget
#
# :::{prf:remark} Section 3.2, paragraph after Theorem 2
# :label: liu2020-L3
# :nonumber:
#
# **As printed.** For a fixed $C=\gamma b>2b$, inequality (4) is said to indicate that $P(g>C)$ increases quadratically with $\varepsilon$.
#
# **What is wrong.** Only an upper bound has such a shape, and the printed one has it only for $b\ll C$. The probability itself tends to 0 as
# $T\to\infty$, for every $\varepsilon$ with $2b<C$. (In the proof, "$\theta_t\ge2b$" must read $g\ge2b$.)
#
# **Corrected.** $P(g>\gamma b)\le\frac{9\,(L_{\theta\theta}\Delta+\sigma^2+4b^2)}{2\sqrt T\,(\gamma-2)^2b^2}\to0$ for every $\gamma>2$ and $T>T_0$,
# with $\Delta$ here a bound on the initial excess of $\mathcal L_0$ and of $\mathcal L_\varepsilon$; the threshold 2 cannot be lowered. What may grow
# with the budget is the size of a typical gradient, whose root mean square is at most $b$ in the limit.
#
# *Severity: interpretation* (a true formula is said to mean what it does not).
# :::
#
# *Derivation.* With $e=b/C$ the printed bound is $4e^2/(1-2e+4e^2)$; its local exponent in $e$ is $\frac{2-2e}{1-2e+4e^2}$, which is 2 only as $e\to0$. For the probability itself, write $L=L_{\theta\theta}$. A maximum of $L$-smooth functions
# is $L$-weakly convex, so $\hat\theta=\arg\min_z\{\mathcal L_\varepsilon(z)+L\lVert z-\theta_t\rVert^2\}$ is unique; let $\varphi(\theta_t)$ be the minimum, $d=\lVert\theta_t-\hat\theta\rVert$, and $\xi=2L(\theta_t-\hat\theta)$, a subgradient at $\hat\theta$. Weak convexity, and strong convexity of the
# problem for $\hat\theta$, say {cite}`davis2019`
#
# $$
# \mathcal L_\varepsilon(\hat\theta)\ge\mathcal L_\varepsilon(\theta_t)+\langle v,\hat\theta-\theta_t\rangle-\tfrac L2d^2,\qquad
# \mathcal L_\varepsilon(\theta_t)\ge\mathcal L_\varepsilon(\hat\theta)+\tfrac32Ld^2,
# $$
#
# so $\langle v,\hat\theta-\theta_t\rangle\le-Ld^2$. As $\hat\theta$ may stand in for the next minimiser, $E\varphi(\theta_{t+1})\le\mathcal L_\varepsilon(\hat\theta)+L\,E\lVert\hat\theta-\theta_t+\alpha\hat g\rVert^2\le\varphi(\theta_t)-\frac\alpha2\lVert\xi\rVert^2+L\alpha^2E\lVert\hat g\rVert^2$. By L2,
# $E\lVert\hat g\rVert^2\le4b^2+\sigma^2$ for $T>T_0$; summed, $E\lVert\xi\rVert^2\le\frac2{\sqrt T}(L\Delta+\sigma^2+4b^2)$. Two subgradients differ by at most $Ld+2b$ (the paper's (3)) and $Ld=\frac12\lVert\xi\rVert$, so $g\le\frac32\lVert\xi\rVert+2b$, and Markov's inequality for
# $\lVert\xi\rVert^2$ at $\frac49(\gamma-2)^2b^2$ ends the proof. $\square$ *The threshold is sharp:* on $0.99\,\theta+\lvert\theta\rvert$ the slopes are $1.99\,b$ and $-0.01\,b$; to stay in place, descent must spend 0.5 % of its time on the steep side.
#
# Claim: {doc}`Gradients that do not vanish </notebooks/liu2020/gradients_that_do_not_vanish>`.

# %% tags=["hide-input"]
alpha, new, old, best, p, G2, xi, d, g = z3.Reals("alpha new old best p G2 xi d g")
e = sp.Symbol("e", positive=True)
printed_e = 4 * e**2 / (1 - 2 * e + 4 * e**2)
budgets = [0.1, 0.2, 0.4]
level = 2.2 * max(budgets)
above = [float(sgd((0.0, eps, 4.0), 4096, noise=0.5).runs.shares(np.array([level])).mean()) for eps in budgets]
growing = [sgd((0.9, 1.0, 4.0), n, start=2.5, noise=1.0) for n in (4096, 16_384)]
beyond = np.array([3.0, 4.0, 6.0])
steep = sgd((0.99, 1.0, 0.0), 4096, start=1e-9, runs=2)
l3 = [
    checks.every(
        "quadratic-growth",
        "the share above C = 2.2 b (of the largest budget) grows with the budget, with an exponent between 1 and 3",
        cases=[small > 0 and 2 * small <= large <= 8 * small for small, large in itertools.pairwise(above)],
        evidence={"largest share above C": max(above)},
        sample=f"budgets 0.1, 0.2, 0.4; wave with noise 0.5, T = 4,096, 16 runs, {seeded}",
        scale=cfg.scale,
    ),
    checks.identity(
        "exponent",
        "the local exponent of the printed bound is (2 - 2e)/(1 - 2e + 4e^2)",
        left=e * sp.diff(printed_e, e) / printed_e,
        right=(2 - 2 * e) / (1 - 2 * e + 4 * e**2),
    ),
    checks.implies(
        "envelope",
        "the two convexity inequalities give <v, proximal point - theta> <= -L d^2",
        assumptions=[L > 0, best >= old + p - L * d**2 / 2, old >= best + L * d**2 + L * d**2 / 2],
        conclusion=p <= -L * d**2,
    ),
    checks.implies(
        "envelope-step",
        "the envelope falls by alpha |xi|^2 / 2 less L alpha^2 E|g^|^2",
        assumptions=[
            L > 0,
            alpha > 0,
            p <= -L * d**2,
            new <= best + L * (d**2 + 2 * alpha * p + alpha**2 * G2),
            old == best + L * d**2,
            xi == 2 * L * d,
        ],
        conclusion=new <= old - alpha * xi**2 / 2 + L * alpha**2 * G2,
    ),
    checks.implies(
        "envelope-norm",
        "|v - xi| <= L d + 2b gives g <= 3/2 |xi| + 2b",
        assumptions=[L > 0, d >= 0, xi == 2 * L * d, g <= xi + L * d + 2 * b],
        conclusion=g <= 3 * xi / 2 + 2 * b,
    ),
    checks.at_most(
        "tail",
        "the share of gradients above gamma b, upper end of its 99 % interval, is at most the bound that vanishes with T",
        measured=[one.shares(beyond)[2] for one in growing],
        bound=[one.constants.envelope_tail(beyond, one.steps) for one in growing],
        sample=f"gamma = 3, 4, 6; wave with noise 1, T = 4,096, 16,384, 16 runs, {seeded}",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.equal(
        "threshold",
        "slopes of 1.99 b and -0.01 b: half a percent of the gradients stays above 1.98 b",
        measured=steep.shares(1.98)[0],
        expected=0.005,
        atol=5e-4,  # a period has 200 iterations, and T need not be a multiple of it
        sample="T = 4,096, no noise",
        role="corrected",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## L4. The budget offered in the proof of Theorem 1 depends on the weights, without bound
#
# :::{prf:remark} Theorem 1, appendix B.1, after (13)
# :label: liu2020-L4
# :nonumber:
#
# **As printed.** With $v=w_m-w_y$, $m$ the class of the largest $\lVert w_j-w_y\rVert_q$, the budget
# $\bar\varepsilon=\frac{\log(K-1)-v^Tx}{\lVert v\rVert_q}$ serves for all $W$; section 3.1 calls it a lower bound of the budget of Theorem 1.
#
# **What is wrong.** It serves for the $W$ from which it is computed. Membership in $\mathcal T_\varepsilon$ needs one budget for all multiples $tW$,
# and theirs is unbounded as $t\to0$ if $K\ge3$. It is neither a lower nor an upper bound of the exact budget.
#
# **Corrected.** Theorem 1 holds for one input with the exact budget $\bar\varepsilon=\lVert x\rVert_p$: from there on no $W$ has a worst-case loss
# below $\log K$, and below it some $W$ has. For a data set $\max_i\lVert x_i\rVert_p$ therefore suffices.
#
# *Severity: proof* (the proof has a gap or a wrong step; the statement can be saved).
# :::
#
# *Derivation.* With the signs of L5, $x'=x+\varepsilon\delta$ has $v^Tx'=v^Tx+\varepsilon\lVert v\rVert_q$. Beyond $\bar\varepsilon(W)$ this exceeds $\log(K-1)$: one exponential alone is at least $K-1$, and the loss at least $\log K$. That is right *for each* $W$. But
#
# $$
# \bar\varepsilon(tW)=\frac{\log(K-1)-t\,v^Tx}{t\lVert v\rVert_q}=\bar\varepsilon(W)+\Big(\frac1t-1\Big)\frac{\log(K-1)}{\lVert v\rVert_q}\longrightarrow\infty\qquad(t\to0).
# $$
#
# *Correction.* For $\varepsilon\ge\lVert x\rVert_p$ the input $x'=0$ is allowed; it gives equal logits, so $g_\varepsilon(x,W)\ge g(0,W)=\log K$ for every $W$, hence along every ray. For $\varepsilon<\lVert x\rVert_p$ take $w_y=Ru$ with $\lVert u\rVert_q=1$, $u^Tx=\lVert x\rVert_p$,
# and the other rows 0: the loss is $\log\big(1+(K-1)e^{-R(\lVert x\rVert_p-\varepsilon)}\big)<\log K$. $\square$ For data sets of balanced classes the exact budget is smaller than $\max_i\lVert x_i\rVert_p$: the Chebyshev radius of the class means.
#
# Claim: {doc}`The budget at which training becomes useless </notebooks/liu2020/constant_classifier>`.

# %% tags=["hide-input"]
kinds = {(1.0, 5): 4, (2.0, 3): 2, (math.inf, 3): 4}  # (p, classes): dimension
t, log_k, size, inner = sp.symbols("t L n c", positive=True)
exponential, others, K_ = z3.Reals("E others K")
offered, shrunk, needed, tight = [], [], [], []
for number, ((p_, classes), dim) in enumerate(kinds.items()):
    x = draw(dim, offset=number)
    length, best_rows = vs.norm(x, p_), vs.separating_weights(x, 0, classes, p_)
    models = vs.random_models(40, classes, dim, cfg.seed + number, towards=best_rows)
    offered += [float(vs.printed_budget(x, 0, W, p_) / length) for W in models]
    shrunk += [float(vs.printed_budget(x, 0, W / 100, p_) / length) for W in models]
    needed.append(vs.needed_budget(x, 0, models, p_) / length)
    tight.append(vs.needed_budget(x, 0, torch.stack([s * best_rows for s in (0.01, 1.0, 10.0)]), p_) / length)
drawn = f"40 models for each of p = 1, 2, infinity, {seeded}"
printed_budget = lambda s: (log_k - s * inner) / (s * size)  # noqa: E731
l4 = [
    checks.equal(
        "one-for-all",
        "the offered budget is the same for W and W / 100, which lie in the same T_eps (in units of |x|_p)",
        measured=shrunk,
        expected=offered,
        atol=1e-9,  # rounding
        sample=drawn,
        scale=cfg.scale,
    ),
    checks.at_most(
        "lower-bound",
        "it is a lower bound of the exact budget: at most 1 in these units",
        measured=offered,
        bound=1.0,
        sample=drawn,
        scale=cfg.scale,
    ),
    checks.identity(
        "diverges",
        "the offered budget of t W is that of W plus (1/t - 1) log(K - 1) / |v|_q",
        left=printed_budget(t),
        right=printed_budget(1) + (1 / t - 1) * log_k / size,
    ),
    checks.implies(
        "one-exponential",
        "one exponential of at least K - 1, with 1 and the others, sums to at least K",
        assumptions=[exponential >= K_ - 1, others >= 0, K_ >= 3],
        conclusion=1 + exponential + others >= K_,
    ),
    checks.at_most(
        "norm-suffices",
        "the smallest budget with worst-case loss log K, by bisection of the exact maximum, is at most |x|_p",
        measured=torch.cat(needed),
        bound=1.0,
        sample=drawn,
        role="corrected",
        scale=cfg.scale,
    ),
    checks.equal(
        "norm-needed",
        "and it is |x|_p for the weights that separate best, small or large",
        measured=torch.cat(tight),
        expected=1.0,
        atol=1e-5,  # the search for the maximum leaves 1e-10 of the loss open, over a slope of 0.01 / 2
        sample="sizes 0.01, 1, 10 for each p",
        role="corrected",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## L5. The worst-case step has lost its signs
#
# :::{prf:remark} Appendix B.1, the perturbation before (13)
# :label: liu2020-L5
# :nonumber:
#
# **As printed.** The step $\varepsilon\,v^{q/p}/\lVert v\rVert_q^{q/p}$, the power taken entry by entry, is allowed and gains
# $\varepsilon\lVert v\rVert_q$.
#
# **What is wrong.** A negative entry needs its sign outside the power. As printed the step is right for $p=2$ and for non-negative $v$; for $p=3$ it
# has no real value, and for $p=\infty$ it adds $\varepsilon$ to every pixel.
#
# **Corrected.** The step is $\varepsilon\,\mathrm{sign}(v)\,\lvert v\rvert^{q/p}/\lVert v\rVert_q^{q/p}$.
#
# *Severity: typo* (a slip of the pen; a reader can mend it alone).
# :::
#
# *Derivation.* With $q=p/(p-1)$: $\frac qp+1=q$, so $\delta=\mathrm{sign}(v)\lvert v\rvert^{q/p}/\lVert v\rVert_q^{q/p}$ has $v^T\delta=\sum\lvert v_i\rvert^{q}/\lVert v\rVert_q^{q/p}=\lVert v\rVert_q^{\,q-q/p}=\lVert v\rVert_q$ because $q-\frac qp=1$; and $\lVert\delta\rVert_p^p=\sum\lvert v_i\rvert^q/\lVert v\rVert_q^q=1$. $\square$
# For $p=\infty$ and $v=(1,-2,3)$ the printed step is $(1,1,1)$, which gains $2$; the signed one gains $\lVert v\rVert_1=6$.
#
# Claim: {doc}`The budget at which training becomes useless </notebooks/liu2020/constant_classifier>`.

# %% tags=["hide-input"]
power = sp.Symbol("p", positive=True)
dual = power / (power - 1)
example = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
exponents = (1.5, 2.0, 3.0, math.inf)
steps = [vs.dual_step(example, p_) for p_ in exponents]
ratio = [(float(vs.norm(s, p_)), float(s @ example / vs.norm(example, vs.dual_exponent(p_)))) for s, p_ in zip(steps, exponents, strict=True)]  # fmt: skip
l5 = [
    checks.equal(
        "as-printed",
        "p = infinity, v = (1, -2, 3): the printed step gains |v|_1",
        measured=vs.dual_step(example, math.inf, signed=False) @ example,
        expected=vs.norm(example, 1.0),
        atol=1e-9,  # rounding
        sample="one vector",
        scale=cfg.scale,
    ),
    checks.identity("exponent-gain", "q/p + 1 = q", left=dual / power + 1, right=dual),
    checks.identity("exponent-norm", "q - q/p = 1", left=dual - dual / power, right=1),
    checks.equal(
        "with-signs",
        "with signs its length and its gain over |v|_q are 1",
        measured=ratio,
        expected=1.0,
        atol=1e-9,  # rounding
        sample="the same vector, p = 1.5, 2, 3, infinity",
        role="corrected",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## L6. The two sets of linear models are complements only for one sign
#
# :::{prf:remark} Section 3.1, definition of T before Theorem 1
# :label: liu2020-L6
# :nonumber:
#
# **As printed.** For two classes, $\mathcal T_\varepsilon=\{W:0\in\arg\min_\gamma g_\varepsilon(x,\gamma W)\}$ is the complement of the version space
# $\mathcal V_\varepsilon$.
#
# **What is wrong.** The range of $\gamma$ is not given, and the proof of Theorem 1 uses both signs. Then the models that are wrong on the whole ball
# belong to neither set: turned round, they are right.
#
# **Corrected.** With $\gamma\ge0$ the two sets are complements, up to their common boundary. With $\gamma\in\mathbb R$ and $a=w_j-w_y$,
# $\mathcal T_\varepsilon=\{\lvert a^Tx\rvert\le\varepsilon\lVert a\rVert_q\}$, which leaves out $-\mathcal V_\varepsilon$ as well.
#
# *Severity: condition* (true only under a condition that is not stated).
# :::
#
# *Derivation.* For two classes $l(\gamma)=g(x',\gamma W)=\log(1+e^{\gamma a^Tx'})$ is convex with $l'(0)=\frac12a^Tx'$. By Hölder, $g_\varepsilon(x,\gamma W)=\max_{x'}l$ lies above $\log2+\frac\gamma2s$, $s=a^Tx+\varepsilon\lVert a\rVert_q$, for $\gamma\ge0$, and $\frac12s$ is its
# slope at $0+$. So 0 is best among $\gamma\ge0$ exactly if $s\ge0$; and $\mathcal V_\varepsilon=\{s\le0\}$. For $\gamma\le0$ put $-a$ for $a$: 0 is best among all $\gamma$ exactly if also $-a^Tx+\varepsilon\lVert a\rVert_q\ge0$. $\square$
# *Example:* $a=(1,0)$, $x=(2,0)$, $\varepsilon=\frac12$. The model is wrong by 1.5 at every allowed input, so it is not in $\mathcal V_\varepsilon$; and $\gamma=-1$ has a smaller loss than $\gamma=0$, so it is not in $\mathcal T_\varepsilon$.
#
# Claim: {doc}`The budget at which training becomes useless </notebooks/liu2020/constant_classifier>`.

# %% tags=["hide-input"]
m_, x_ = sp.symbols("m gamma", real=True)
n_, m, eps = z3.Reals("n m eps")
x2 = torch.tensor([2.0, 0.0], dtype=torch.float64)
model = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
pairs = torch.cat([model[None], vs.random_models(400, 2, 2, cfg.seed)])
in_v = vs.in_version_space(x2, 0, pairs, 0.5, 2.0)
in_t, in_t_plus = (vs.in_origin_set(x2, 0, pairs, 0.5, 2.0, both_signs=both) for both in (True, False))
l6 = [
    checks.every(
        "complement",
        "the example, and random two-class models, lie in exactly one of the two sets (gamma of both signs)",
        cases=in_v ^ in_t,
        evidence={"the example is in": f"V: {bool(in_v[0])}, T: {bool(in_t[0])}"},
        sample=f"{len(pairs)} models, p = 2, {seeded}",
        scale=cfg.scale,
    ),
    checks.identity(
        "slope",
        "the slope of log(1 + exp(gamma m)) at 0 is m / 2",
        left=sp.diff(sp.log(1 + sp.exp(x_ * m_)), x_).subs(x_, 0),
        right=m_ / 2,
    ),
    checks.identity(
        "convex",
        "its second derivative is the square m^2 times the product of the two probabilities",
        left=sp.diff(sp.log(1 + sp.exp(x_ * m_)), x_, 2),
        right=m_**2 * sp.exp(x_ * m_) / (1 + sp.exp(x_ * m_)) ** 2,
    ),
    checks.implies(
        "one-or-the-other",
        "m + eps n <= 0 or m + eps n >= 0, and both only where it is 0",
        assumptions=[n_ >= 0, eps >= 0],
        conclusion=z3.And(
            z3.Or(m + eps * n_ <= 0, m + eps * n_ >= 0),
            z3.Implies(z3.And(m + eps * n_ <= 0, m + eps * n_ >= 0), m + eps * n_ == 0),
        ),
    ),
    checks.every(
        "one-sign",
        "with gamma >= 0 they do",
        cases=in_v ^ in_t_plus,
        sample=f"the same {len(pairs)} models",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.every(
        "left-out",
        "with both signs, the models in neither set are those whose negative is in the version space",
        cases=(~in_v & ~in_t) == vs.in_version_space(x2, 0, -pairs, 0.5, 2.0),
        sample=f"{int((~in_v & ~in_t).sum())} of the same {len(pairs)} models are in neither",
        role="corrected",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## L7. Curvature along the weights falls with the budget
#
# :::{prf:remark} Theorem 3, appendices A.1 and B.4
# :label: liu2020-L7
# :nonumber:
#
# **As printed.** On data that are linearly separable under the budget $\hat\varepsilon$, the curvature $m^T\nabla^2\mathcal L_\varepsilon m$ does not
# decrease with $\varepsilon\le\hat\varepsilon$ in any direction $m$; $\lVert w\rVert_q=1$ is no loss of generality.
#
# **What is wrong.** The proof differentiates (7), in which $\varepsilon\lVert w\rVert_q$ is a constant; a Hessian sees how it changes. For the
# adversarial loss (6) of one input the curvature along $w$ falls to 0 as the budget reaches the margin. And separable data do not suffice: $w$ itself
# must have the margin.
#
# **Corrected.** At a $w$ with all margins $y_iw^Tx_i\ge\hat\varepsilon\lVert w\rVert_q$: the Hessian (29) of (7) grows in every direction. For (6), let
# $z_i=y_iw^Tx_i-\varepsilon\lVert w\rVert_q$. Where the norm is twice differentiable, curvature grows in every direction that keeps $\lVert w\rVert_q$
# to first order, and along $w$ it is the mean of $z_i^2\sigma(z_i)\sigma(-z_i)$, which falls while all $z_i$ are below $2.399$.
#
# *Severity: statement* (the statement as printed is false, and no added condition of its kind saves it).
# :::
#
# *Derivation.* Let $s(z)=\sigma(z)\sigma(-z)$, $u=\nabla\lVert w\rVert_q$, $v=yx-\varepsilon u=\nabla_wz$. One example contributes $s(z)\,xx^T$ to (29), and to the Hessian of (6)
#
# $$
# H=s(z)\,vv^T+\varepsilon\,\sigma(-z)\,\nabla^2\lVert w\rVert_q .
# $$
#
# As $\frac{dz}{d\varepsilon}=-\lVert w\rVert_q$ and $s'(z)=-s(z)\tanh\frac z2$, the coefficient of (29) grows at the rate $\lVert w\rVert_qs\tanh\frac z2\ge0$ as long as $z\ge0$: the theorem, for (7), at a $w$ with the margin. (The strict $e^z>1$ in its proof must be $\ge1$.) For (6), in a direction with
# $u^Tm=0$ the rate of $m^THm$ is the same times $(v^Tm)^2$, plus $(\sigma(-z)+\varepsilon\lVert w\rVert_qs)\,m^T\nabla^2\lVert w\rVert_qm\ge0$. Along $w$: $u^Tw=\lVert w\rVert_q$, so $v^Tw=z$, and $\nabla^2\lVert w\rVert_q\,w=0$; hence $w^THw=z^2s(z)$, whose derivative
# $z\,s(z)\,(2-z\tanh\frac z2)$ is positive up to the one root $z_*=2.399$ of $z\tanh\frac z2=2$. A larger budget means a smaller $z$, and a smaller curvature. $\square$
#
# *Example:* $x=w=y=1$, so that $z=1-\varepsilon$: the curvature is $0.197$, $0.059$, $0$ at $\varepsilon=0,\frac12,1$. Under the paper's own normalisation, $\lVert w\rVert_1=1$ and pixels in $[0,1]$, all $z$ are below 1.
#
# Claim: {doc}`Curvature grows with the budget, and when it does not </notebooks/liu2020/curvature_and_budget>`, with the exact condition for growth in *all* directions.

# %% tags=["hide-input"]
z_ = sp.Symbol("z", real=True)
s_of = sp.exp(z_) / (1 + sp.exp(z_)) ** 2
tanh_half = (sp.exp(z_) - 1) / (sp.exp(z_) + 1)
n1, s1, T1, q1, c1, k1 = z3.Reals("n s T q c k")
ladder = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
curvature = bc.along_weights(1 - ladder)
frozen_wrong = bc.slope(-1 - ladder)  # y w.x = -1: separable data, but this w errs
frozen, across, along, along_formula = [], [], [], []
for number in range(20):
    for norm in ("l2", "linf"):
        w, xs, ys = bc.separated(8, 3, 1.0, norm, cfg.seed + number)
        frozen.append(
            bc.not_smaller(bc.frozen_hessian(w, xs, ys, 1.0, norm)[0], bc.frozen_hessian(w, xs, ys, 0.5, norm)[0])
        )
        direction = linear.steepest(w, norm)
        keep = torch.eye(3).double() - direction.T @ direction / direction.square().sum()
        across += [bc.not_smaller(keep @ bc.rate(w, xs, ys, e_, norm)[0] @ keep, torch.zeros(3, 3).double()) for e_ in (0.1, 0.5, 0.95)]  # fmt: skip
        along.append(w[0] @ linear.hessian(w, xs, ys, 0.5, norm)[0] @ w[0])
        along_formula.append(bc.along_weights(linear.margins(w, xs, ys, 0.5, norm)).mean())
margins = bc.TURN * torch.rand(40, 8, generator=settings.generator(cfg.seed), dtype=torch.float64)
falling = bc.along_weights(0.9 * margins).mean(1) < bc.along_weights(margins).mean(1)
l7 = [
    checks.every(
        "one-weight",
        "x = w = y = 1: the curvature of loss (6) grows from budget 0 to 0.5 to 1",
        cases=curvature.diff() >= 0,
        evidence={f"at {float(a):g}": float(c) for a, c in zip(ladder, curvature, strict=True)},
        sample="one input, one weight",
        scale=cfg.scale,
    ),
    checks.every(
        "margin-of-w",
        "separable data, but y w.x = -1: the coefficient of (29) grows",
        cases=frozen_wrong.diff() >= 0,
        evidence={f"at {float(a):g}": float(c) for a, c in zip(ladder, frozen_wrong, strict=True)},
        sample="one input",
        scale=cfg.scale,
    ),
    checks.identity("slope-of-s", "s'(z) = -s(z) tanh(z/2)", left=sp.diff(s_of, z_), right=-s_of * tanh_half),
    checks.identity(
        "along-w",
        "the derivative of z^2 s(z) is z s(z) (2 - z tanh(z/2))",
        left=sp.diff(z_**2 * s_of, z_),
        right=z_ * s_of * (2 - z_ * tanh_half),
    ),
    checks.implies(
        "one-turn",
        "the derivative of z tanh(z/2), which is T + z (1 - T^2)/2 with T = tanh(z/2), is positive for z > 0: one root",
        assumptions=[k1 > 0, T1 > 0, T1 < 1],
        conclusion=T1 + k1 * (1 - T1 * T1) / 2 > 0,
    ),
    checks.implies(
        "tangent",
        "with u.m = 0 and z >= 0 the rate n s T q + c k is not negative (q = (v.m)^2, k of the norm's Hessian)",
        assumptions=[n1 > 0, s1 > 0, T1 >= 0, q1 >= 0, c1 >= 0, k1 >= 0],
        conclusion=n1 * s1 * T1 * q1 + c1 * k1 >= 0,
    ),
    checks.every(
        "frozen-grows",
        "at a w with the margin, (29) grows in every direction, up to the budget at which a worst-case margin is 0",
        cases=frozen,
        sample=f"20 data sets x 2 norms, seeds from {cfg.seed}",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.every(
        "tangent-grows",
        "there the Hessian of (6) grows in every direction with u.m = 0",
        cases=across,
        sample="the same data sets, 3 budgets",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.equal(
        "along-w-formula",
        "w.Hw is the mean of z^2 s(z)",
        measured=torch.stack(along),
        expected=torch.stack(along_formula),
        atol=1e-12,  # rounding
        sample="the same data sets, budget 0.5",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.every(
        "along-w-falls",
        "which falls when margins between 0 and 2.399 shrink by a tenth",
        cases=falling,
        sample=f"40 sets of 8 margins, {seeded}",
        role="corrected",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## L8. A factor of 2 in the logistic loss
#
# :::{prf:remark} Appendix A.1, before (6)
# :label: liu2020-L8
# :nonumber:
#
# **As printed.** Softmax cross-entropy with the logits $(w^Tx,-w^Tx)$ is $\log(1+e^{-y\,w^Tx})$.
#
# **What is wrong.** It is $\log(1+e^{-2y\,w^Tx})$.
#
# **Corrected.** The logits are $(\frac12w^Tx,-\frac12w^Tx)$; a change of units of $w$.
#
# *Severity: typo* (a slip of the pen; a reader can mend it alone).
# :::
#
# *Derivation.* The probability of the class $+1$ is $e^{t}/(e^{t}+e^{-t})=1/(1+e^{-2t})$ with $t=w^Tx$. At $t=1$, $y=1$ the loss is $0.127$; the printed formula gives $0.313$.
#
# Claim: {doc}`Curvature grows with the budget, and when it does not </notebooks/liu2020/curvature_and_budget>`.

# %% tags=["hide-input"]
logit = torch.linspace(-3, 3, 13, dtype=torch.float64)
zeros = torch.zeros(len(logit), dtype=torch.int64)
by_softmax = [
    torch.nn.functional.cross_entropy(c * torch.stack([logit, -logit], 1), zeros, reduction="none") for c in (1, 0.5)
]
l8 = [
    checks.equal(
        "as-printed",
        "cross-entropy of the logits (w.x, -w.x) is log(1 + exp(-y w.x))",
        measured=by_softmax[0],
        expected=torch.log1p(torch.exp(-logit)),
        atol=1e-12,  # rounding
        sample="y = 1, w.x from -3 to 3",
        scale=cfg.scale,
    ),
    checks.identity(
        "two",
        "one over the softmax probability of (t, -t) is 1 + exp(-2t)",
        left=(sp.exp(z_) + sp.exp(-z_)) / sp.exp(z_),
        right=1 + sp.exp(-2 * z_),
    ),
    checks.equal(
        "half-logits",
        "that of (w.x/2, -w.x/2) is",
        measured=by_softmax[1],
        expected=torch.log1p(torch.exp(-logit)),
        atol=1e-12,  # rounding
        sample="the same",
        role="corrected",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## L9. The smoothness assumption fails for unbounded parameters
#
# :::{prf:remark} Assumption 1, section 3.2; Assumption 2, appendix A.3
# :label: liu2020-L9
# :nonumber:
#
# **As printed.** One constant $L_{\theta x}$ serves all parameters; networks with sigmoid, tanh or ELU units satisfy the assumption.
#
# **What is wrong.** Already for the logistic loss $\log(1+e^{-\theta^Tx})$ in two dimensions the derivative of $\nabla_\theta g$ in $x$ grows like
# $\lVert\theta\rVert/4$; for a tanh unit it grows like the cube of its weights.
#
# **Corrected.** The assumption holds on bounded sets of parameters and inputs. For the logistic loss, with
# $\varrho=\lVert\theta\rVert_{\max}\lVert x\rVert_{\max}$ and $\varrho\tanh\frac\varrho2\le1$, the constant is
# $\sigma(\varrho)\big(1+\varrho\,\sigma(-\varrho)\big)$, and it is attained.
#
# *Severity: condition* (true only under a condition that is not stated).
# :::
#
# *Derivation.* For the logistic loss the derivative of $\nabla_\theta g$ in $x$ is $-\sigma(-z)I+s(z)\,x\theta^T$, $z=\theta^Tx$. At a unit $x$ orthogonal to $\theta$ it is $-\frac12I+\frac14x\theta^T$, whose largest singular value is $\frac\tau8+\sqrt{\frac{\tau^2}{64}+\frac14}$ with
# $\tau=\lVert\theta\rVert$: 25.0 at $\tau=100$. For one tanh unit, $f=a\tanh(bx+c)+d$ with $a=b=\tau$, $c=d=x=0$, its squared norm is $\frac1{16}\tau^4(\tau^2+1)+\frac12\tau^2$. *On a bounded set,* with $q=\sigma(-z)$, it is at most $q+\varrho\,q(1-q)$, which increases with $q$ up to
# $q=\frac{\varrho+1}{2\varrho}$; the largest $q$ is $\sigma(\varrho)$, at $x$ and $\theta$ opposite to each other, and it comes before that point if $\varrho\tanh\frac\varrho2\le1$. $\square$
#
# Claim: {doc}`Scattered gradients </notebooks/liu2020/scattered_gradients>`, also for networks.

# %% tags=["hide-input"]
tau, a_, b_, c_, d_, in_ = sp.symbols("tau a b c d x", positive=True)
unit = sp.log(1 + sp.exp(-(a_ * sp.tanh(b_ * in_ + c_) + d_)))
unit_square = sum(sp.diff(unit, k, in_) ** 2 for k in (a_, b_, c_, d_)).subs({in_: 0, c_: 0, d_: 0, a_: tau, b_: tau})
gram = sp.Matrix([[sp.Rational(1, 4), -tau / 8], [-tau / 8, sp.Rational(1, 4) + tau**2 / 16]])
rho = sp.Symbol("rho", positive=True)
one = torch.ones(1, dtype=torch.float64)
sizes = torch.logspace(0, 4, 5, dtype=torch.float64)
cross = [
    torch.linalg.svdvals(torch.func.jacrev(lambda at, s=s: linear.gradients(s * torch.eye(2)[:1].double(), at[None], one, 0.0, "l2")[0, 0])(torch.eye(2)[1].double()))[0]
    for s in sizes
]  # fmt: skip
opposite = torch.nn.functional.normalize(draw(1, 3), dim=1)
thetas = torch.cat([-1.5 * opposite, 1.5 * torch.nn.functional.normalize(draw(200, 3, offset=1), dim=1)])
inputs = torch.cat([opposite, (1 - 1e-4) * opposite, torch.nn.functional.normalize(draw(200, 3, offset=2), dim=1)])
slopes = linear.gradients(thetas, inputs, torch.ones(len(inputs)).double(), 0.0, "l2")
quotients = slopes.diff(dim=1).norm(dim=2) / inputs.diff(dim=0).norm(dim=1) / linear.cross_constant(1.5 * one)
l9 = [
    checks.at_most(
        "one-constant",
        "logistic loss in the plane, |x| = 1: the constant 25.1 serves all parameters",
        measured=torch.stack(cross),
        bound=25.1,  # any other constant fails in the same way, at larger weights
        sample="|theta| = 1, 10, 100, 1,000, 10,000, orthogonal to x; automatic differentiation",
        scale=cfg.scale,
    ),
    checks.identity(
        "logistic-growth",
        "tau/8 + sqrt(tau^2/64 + 1/4) is a singular value of -I/2 + x theta^T / 4 at x orthogonal to theta",
        left=sp.expand((gram - (tau / 8 + sp.sqrt(tau**2 / 64 + sp.Rational(1, 4))) ** 2 * sp.eye(2)).det()),
        right=0,
    ),
    checks.identity(
        "unit-growth",
        "the squared norm for one tanh unit is tau^4 (tau^2 + 1)/16 + tau^2/2",
        left=unit_square,
        right=tau**4 * (tau**2 + 1) / 16 + tau**2 / 2,
    ),
    checks.identity(
        "largest-q",
        "q + rho q (1 - q) has the slope 0 at q = (rho + 1)/(2 rho)",
        left=sp.diff(z_ + rho * z_ * (1 - z_), z_).subs(z_, (rho + 1) / (2 * rho)),
        right=0,
    ),
    checks.at_most(
        "bounded",
        "on a bounded set no difference quotient exceeds the constant",
        measured=quotients,
        bound=1.0,
        sample=f"rho = 1.5, 3 dimensions, {quotients.numel():,} quotients over the constant, {seeded}",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.equal(
        "reached",
        "and one attains it",
        measured=quotients.max(),
        expected=1.0,
        atol=1e-4,  # a quotient at a distance of 1e-4, not a derivative
        sample="x and theta opposite",
        role="corrected",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## L10. Without a budget, gradients vanish in the mean and not almost surely
#
# :::{prf:remark} Section 3.2, paragraph after Theorem 2
# :label: liu2020-L10
# :nonumber:
#
# **As printed.** At $\varepsilon=0$, (4) implies that the gradients along the run tend to zero almost surely.
#
# **What is wrong.** At $\varepsilon=0$, (4) would say that gradients are *exactly* zero most of the time, which with noise they never are. And the step
# $\alpha=1/(L_{\theta\theta}\sqrt T)$ is constant: a run that goes on with it stays noisy for ever. Almost sure convergence needs steps that shrink.
#
# **Corrected.** $E\lVert\nabla\mathcal L_0\rVert^2\le\frac{2L_{\theta\theta}\Delta+\sigma^2}{\sqrt T\,(2-1/\sqrt T)}$, averaged over the run, with
# $\Delta=\mathcal L_0(\theta_0)-\inf\mathcal L_0$: convergence in the mean, as the *length* $T$ of the run (and with it the step) is changed.
#
# *Severity: condition* (true only under a condition that is not stated).
# :::
#
# *Derivation.* Put $b=0$, $u=v$ in the sum of L2: $(2-\frac1{\sqrt T})E[g^2]\le(2L_{\theta\theta}\Delta+\sigma^2)/\sqrt T$. *It is tight, and shows both failures:* on $\frac\kappa2\theta^2$ with Gaussian noise, from $\theta_0=0$, the mean square $q_t=E[g_t^2]$ obeys $q_{t+1}=(1-r)^2q_t+r^2\sigma^2$ with
# $r=1/\sqrt T$. Its fixed point $\frac{r\sigma^2}{2-r}$ *is* the bound ($\Delta=0$). A run that goes on with this step tends to a normal law of this variance: no gradient is zero, and none tends to it. $\square$
#
# Claim: {doc}`Gradients that do not vanish </notebooks/liu2020/gradients_that_do_not_vanish>`.

# %% tags=["hide-input"]
lengths = (64, 1024, 16_384)
rates, over_run, after = [], [], []
for n in lengths:
    step = n**-0.5
    rates.append(0.25 * step / (2 - step))  # sigma = 1/2
    so_far = rates[-1] * (1 - (1 - step) ** (2 * np.arange(11 * n)))  # the recursion, solved
    over_run.append(so_far[:n].mean())
    after.append(so_far[-1])
r_, sigma = sp.symbols("r sigma", positive=True)
clean = sgd((0.0, 0.0, 4.0), 1024, noise=0.5)
l10 = [
    checks.at_most(
        "zero-threshold",
        "at budget 0, where gamma b = 0, the share of gradients above 0 is at most the printed bound",
        measured=[clean.runs.shares(np.array([0.0])).mean()] * 3,
        bound=lg.printed_bound(np.array([3.0, 4.0, 8.0])),
        sample=f"gamma = 3, 4, 8; noise 0.5, T = 1,024, 16 runs, {seeded}",
        scale=cfg.scale,
    ),
    checks.at_most(
        "goes-to-zero",
        "ten run lengths later the mean squared gradient is at most half of its mean over the run",
        measured=after,
        bound=[0.5 * mean for mean in over_run],
        sample="quadratic, exact; T = 64, 1,024, 16,384, sigma = 1/2",
        scale=cfg.scale,
    ),
    checks.implies(
        "clean-moment",
        "summed descent with u = v and b = 0: (2 - r) A <= r (2 L Delta + S)",
        assumptions=[r > 0, L > 0, drop >= 0, L * drop * r + r * (A + S) / 2 >= (A + A) / 2],
        conclusion=(2 - r) * A <= r * (2 * L * drop + S),
    ),
    checks.identity(
        "fixed-point",
        "r sigma^2 / (2 - r) is the fixed point of q -> (1 - r)^2 q + r^2 sigma^2",
        left=(1 - r_) ** 2 * r_ * sigma**2 / (2 - r_) + r_**2 * sigma**2,
        right=r_ * sigma**2 / (2 - r_),
    ),
    checks.at_most(
        "rate",
        "the mean over the run is at most the corrected bound, and nearly attains it",
        measured=over_run,
        bound=rates,
        sample="the same",
        role="corrected",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## L11. At gamma = 2 the bound of Corollary 2 fails
#
# :::{prf:remark} Corollary 2, inequality (10), appendix A.3
# :label: liu2020-L11
# :nonumber:
#
# **As printed.** Under Assumption 2, with $b=\varepsilon L_{\theta x}+\frac12D_{\theta\theta}+\frac12D_{\theta x}$, for large $T$ and all $\gamma\ge2$,
# $P(g>\gamma b)<\frac4{\gamma^2-2\gamma+4}$.
#
# **What is wrong.** At $\gamma=2$ the right side is 1, and a loss that Assumption 2 allows keeps every gradient above $2b$, at every $T$.
#
# **Corrected.** $\limsup P(g>\gamma b)\le\frac1{(\gamma-1)^2}$ for $\gamma>1$, which is below the printed bound for each $\gamma>2$. Under Assumption 2
# it cannot be improved.
#
# *Severity: condition* (true only under a condition that is not stated).
# :::
#
# *Counterexample* ($b=L_{\theta\theta}=1$). A loss on the line whose gradient is $2+\eta$ in tiny neighbourhoods of the points that the run visits and $\eta$ between them, with a positive, Lipschitz $\eta$ that falls so fast that the loss stays bounded below: gradients differ by at most $2b$ beyond the
# Lipschitz part, and *every* gradient of the run exceeds $2b$.
#
# *Derivation of the correction.* Let $\Lambda$ bound all gradients, and cut the run into blocks of $M$ iterations, over which the noise sums to $n$, $E\lVert n\rVert\le\sigma\sqrt M$. Leaving $n$ out costs at most $\Lambda\alpha\lVert n\rVert$ in the loss; along the remaining segment the loss changes by
# $-\alpha\sum_t\langle v_t,w\rangle$, $w$ an average of gradients that differ from $v_t$ by at most $2b+\eta$, $E\eta\le L_{\theta\theta}\alpha(M\Lambda+\sigma\sqrt M)$. By Cauchy and Schwarz $\langle v_t,w\rangle\ge g_t^2-(2b+\eta)g_t$. Summed, with $\Delta'=\mathcal L_\varepsilon(\theta_0)-\inf\mathcal L_\varepsilon$,
#
# $$
# E[g^2-2bg]\le\frac{L_{\theta\theta}\Delta'+\Lambda(M\Lambda+\sigma\sqrt M)}{\sqrt T}+\frac{\Lambda\sigma}{\sqrt M}\longrightarrow0\qquad(M\approx T^{1/3}),
# $$
#
# and L1 does the rest. $\square$ *Attained:* a loss that climbs with gradients $b$ and falls with gradients $\gamma b$ to where it started spends the share $1/(\gamma-1)^2$ of its time falling.
#
# Claim: {doc}`Gradients that do not vanish </notebooks/liu2020/gradients_that_do_not_vanish>`.

# %% tags=["hide-input"]
high = {n: lg.Spiked.of(lg.always_above_two(1.0, 1.0), 1.0, 1.0, n) for n in (256, 4096)}
turns = np.array([2.5, 4.0, 6.0])
climbs = [lg.Spiked.of(lg.climb_then_fall(c, 1.0, 1.0, 10_000), 1.0, 1.0, 10_000) for c in turns]
reached = [(one.norms >= c * (1 - 1e-12)).mean() for one, c in zip(climbs, turns, strict=True)]
l11 = [
    checks.every(
        "gamma-two",
        "at gamma = 2 the share of gradients above 2b is below 1",
        cases=[(one.norms > 2).mean() < lg.printed_bound(2.0) for one in high.values()],
        evidence={"lowest loss": min(one.losses.min() for one in high.values())},
        sample="a loss allowed by Assumption 2; T = 256, 4,096",
        scale=cfg.scale,
    ),
    checks.implies(
        "block",
        "Cauchy-Schwarz, with p = <v, v - w> <= g |v - w| and |v - w| <= 2b + eta: <v, w> >= g^2 - (2b + eta) g",
        assumptions=[g >= 0, d <= 2 * b + xi, d >= 0, p <= g * d],
        conclusion=g**2 - p >= g**2 - (2 * b + xi) * g,
    ),
    checks.implies(
        "strictly-below",
        "P (gamma - 1)^2 <= 1 and gamma > 2 give P (gamma^2 - 2 gamma + 4) < 4",
        assumptions=[*share, gamma > 2, P * (gamma - 1) ** 2 <= 1],
        conclusion=P * (gamma**2 - 2 * gamma + 4) < 4,
    ),
    checks.at_most(
        "mended",
        "in the worst runs the share of gradients of gamma b is at most 1/(gamma - 1)^2",
        measured=reached,
        bound=lg.tail_bound(turns, 1),
        sample="gamma = 2.5, 4, 6; T = 10,000",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.equal(
        "attained",
        "and equals it but for the share that the passage from b to gamma b takes",
        measured=reached,
        expected=lg.tail_bound(turns, 1),
        atol=math.log(6) / 100,  # the passage takes log(gamma) sqrt(T) of T iterations
        sample="the same runs",
        role="corrected",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## L12. Corollary 1 takes a gradient where there is none
#
# :::{prf:remark} Corollary 1, appendix A.3, proof carried over from appendix B.2
# :label: liu2020-L12
# :nonumber:
#
# **As printed.** The proof of Proposition 2 carries over to ReLU networks directly; it uses $\nabla g_\varepsilon(\theta)=\nabla_\theta g(x_1,\theta)$
# with $x_1$ the worst input.
#
# **What is wrong.** The worst input of a ReLU network may sit on a kink of the network; then $\nabla_\theta g(x_1,\theta)$ does not exist, although
# $\nabla g_\varepsilon(\theta)$ does.
#
# **Corrected.** $\nabla g_\varepsilon(\theta)$ is then an average of limits of gradients at nearby points, with weights $\lambda$ and $1-\lambda$ for
# the two sides of the kink. Averages and limits preserve (8), and Corollary 1 holds as printed.
#
# *Severity: proof* (the proof has a gap or a wrong step; the statement can be saved).
# :::
#
# *Example.* $f(x)=2\max(x+c,0)-\max(x+2,0)+2$, which is $\lvert x\rvert$ near 0 for $c=0$; label 1, clean input 0, $\varepsilon=\frac12$. The worst input is the kink, $x_1=-c$, and there $f=c$: so $g_\varepsilon=\log(1+e^{-c})$ has the derivative $-\frac12$ in $c$ at $c=0$. But $g(0,\cdot)$ has the one-sided
# derivatives $-1$ (unit on) and $0$ (off).
#
# *Derivation.* Where $g_\varepsilon$ has a gradient it is a subgradient of $g(x_1,\cdot)$, which lies below $g_\varepsilon$ and touches it at $\theta$. At a peak of the loss over a kink, with slopes $\rho\ge0$ before and $\rho+k\le0$ behind it, it is that of the network whose unit has the slope
# $\lambda=-\rho/k\in[0,1]$, for which the loss is stationary in $x$: the average of the two sides. (8) holds on each side, so by the triangle inequality for averages, going by $(x_1,\theta_2)$,
# the difference is at most $L_{\theta\theta}\lVert\theta_1-\theta_2\rVert+D_{\theta\theta}+2\varepsilon L_{\theta x}+D_{\theta x}$. $\square$
#
# Claim: {doc}`Scattered gradients </notebooks/liu2020/scattered_gradients>`.

# %% tags=["hide-input"]
centre, label = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)


def relu_network(c):
    """Parameters (a, b, c, d) of the example."""
    return torch.tensor([[2.0, -1.0, 1.0, 1.0, c, 2.0, 2.0]], dtype=torch.float64)


tiny = 1e-6
worst = gs.worst_case(relu_network(0.0), centre, label, 0.5, "relu")
at_kink = [gs.loss(relu_network(c), worst.x[:, None], label, "relu")[0, 0] for c in (-tiny, 0.0, tiny)]
worst_losses = [gs.worst_case(relu_network(c), centre, label, 0.5, "relu").loss[0] for c in (-tiny, 0.0, tiny)]
one_sided = [(at_kink[1] - at_kink[0]) / tiny, (at_kink[2] - at_kink[1]) / tiny]
of_maximum = [(worst_losses[1] - worst_losses[0]) / tiny, (worst_losses[2] - worst_losses[1]) / tiny]
sides = [gs.gradient(relu_network(c), worst.x[:, None], label, "relu")[0, 0] for c in (-tiny, tiny)]
outer, jump, lam, first, second, bound_ = z3.Reals("outer k lambda first second B")
l12 = [
    checks.equal(
        "gradient-at-worst-input",
        "the loss at the worst input has a derivative in c: its one-sided derivatives agree",
        measured=one_sided[0],
        expected=one_sided[1],
        atol=1e-4,  # difference quotients with steps of 1e-6
        sample="the example",
        scale=cfg.scale,
    ),
    checks.equal(
        "gradient-of-maximum",
        "the worst-case loss has one, the average of the two",
        measured=of_maximum,
        expected=sum(one_sided) / 2,
        atol=1e-4,  # the same
        sample="the example, both sides",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.equal(
        "average-of-sides",
        "its whole gradient is the average of the limits at the two sides, lambda = 1/2",
        measured=worst.gradient[0],
        expected=(sides[0] + sides[1]) / 2,
        atol=1e-4,  # the same
        sample="the example, 7 parameters",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.implies(
        "slope-of-a-kink",
        "slopes outer >= 0 before the peak and outer + k <= 0 behind it: lambda lies in [0, 1]",
        assumptions=[outer >= 0, outer + jump <= 0, jump < 0, lam * jump == -outer],
        conclusion=z3.And(lam >= 0, lam <= 1),
    ),
    checks.implies(
        "average-keeps-bound",
        "an average of two differences, each at most B, is at most B",
        assumptions=[lam >= 0, lam <= 1, first <= bound_, second <= bound_],
        conclusion=lam * first + (1 - lam) * second <= bound_,
    ),
]

# %% [markdown]
# ## L13. The VGG of Table 2 pools once too often
#
# :::{prf:remark} Table 2, appendix C.1
# :label: liu2020-L13
# :nonumber:
#
# **As printed.** On images of 32 x 32, VGG has five max-poolings and an average pooling, all of size 2, before its last layer.
#
# **What is wrong.** Five poolings take 32 to 1, and a sixth has nothing left to pool.
#
# **Corrected.** It fits without the average pooling, with one of size 1, or without the fifth max-pooling; all three have the stated last layer.
#
# *Severity: typo* (a slip of the pen; a reader can mend it alone).
# :::
#
# *Derivation.* $32/2^5=1$, and $\lfloor1/2\rfloor=0$. The last layer, $32w\to10$, needs $32w$ channels of side 1. (LeNet's row prints no pooling at all; its $196w=4w\cdot7\cdot7$ says that there are two.)
#
# Claim: {doc}`Schedules and sizes </notebooks/liu2020/schedules_and_sizes>`.

# %% tags=["hide-input"]
VGG, IMAGE = claims.claim("liu2020-tab2").published["VGG"], {"side": 32, "channels": 3}
mended = [{"average": None}, {"average": 1}, {"max_poolings": 4}]
l13 = [
    checks.every(
        "as-printed",
        "the layers of VGG fit on a 32 x 32 image, all poolings of size 2",
        cases=table2.follow(table2.vgg_row(VGG, 8), **IMAGE).fits.tolist(),
        sample="w = 8",
        scale=cfg.scale,
    ),
    checks.every(
        "mended",
        "they fit without the average pooling, with one of size 1, or without the fifth max-pooling",
        cases=[table2.fits(table2.vgg_row(VGG, 8, **change), **IMAGE) for change in mended],
        sample="w = 8",
        role="corrected",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## Outcome
#
# *Shown* follows by rule: the printed statement fails one check, and every check of the derivation and of the correction holds.

# %% tags=["hide-input"]
claims.report(
    errata.judge("L1", l1),
    errata.judge("L2", l2, note="The printed bound is true, by the argument in the section."),
    errata.judge("L3", l3),
    errata.judge("L4", l4, note="Theorem 1 is true."),
    errata.judge("L5", l5),
    errata.judge("L6", l6),
    errata.judge("L7", l7, note="True of loss (7), which is equal to (6) on the sphere and has another Hessian."),
    errata.judge("L8", l8),
    errata.judge("L9", l9),
    errata.judge("L10", l10),
    errata.judge("L11", l11, note="The first line of (20) is taken as the paper takes it."),
    errata.judge("L12", l12, note="Corollary 1 is true."),
    errata.judge("L13", l13),
)

# %% [markdown]
# ## Limits, and one thing to try
#
# *Machine-checked* is the algebra; the descent lemma, the inequalities of Markov, Jensen, Hölder and Cauchy-Schwarz and the subdifferential of a maximum are standard facts. L3 speaks of plain SGD with the step of Theorem 2, and of long runs: $T_0$ grows like $(\sigma/b)^4$. That L10 is a matter of the step
# is our reading of "as is known for smooth losses"; the theorems we know let the step shrink.
#
# Another seed must change no outcome:
#
# ```bash
# papermill notebooks/liu2020/errata.ipynb out.ipynb -p seed 7
# ```
