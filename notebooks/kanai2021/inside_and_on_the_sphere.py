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
# # The worst attack glides, until it leaps
#
# *Does the optimal attack move smoothly with the parameters, inside the ball and on the L2 sphere, and does a flatter loss in the
# input make it move faster?*
#
# A loss $\ell(x,\theta)$ depends on an input $x\in\mathbb R^d$ and parameters $\theta\in\mathbb R^m$. The adversary looks for the worst input
# within $\lVert x'-x\rVert_p\le\varepsilon$; a local maximum there is written $x'(\theta)$. A norm without an index is Euclidean for vectors and
# spectral for matrices.
#
# :::{prf:definition} Definition 1 of Kanai et al.
# :label: kanai2021-def1
# :nonumber:
#
# On a set $\Theta$, a function $f$ is $C_l$-*Lipschitz* if $\lVert f(\theta_1)-f(\theta_2)\rVert\le C_l\lVert\theta_1-\theta_2\rVert$ for all
# $\theta_1,\theta_2\in\Theta$, and $C_s$-*smooth* if its gradient is $C_s$-Lipschitz there, with finite constants. For gradient
# descent on $L$ from $\theta^0$, smoothness on the sublevel set $\{L\le L(\theta^0)\}$, assumed bounded, is enough ({cite:t}`kanai2021`,
# section 2.1, equations 2 to 4).
# :::
#
# :::{prf:definition} Assumption 1 of Kanai et al.
# :label: kanai2021-assump1
# :nonumber:
#
# There are finite constants such that, for all parameters and all inputs,
#
# $$
# \begin{aligned}
# |\ell(x,\theta_1)-\ell(x,\theta_2)|&\le C_\theta\lVert\theta_1-\theta_2\rVert,\\
# \lVert\nabla_\theta\ell(x,\theta_1)-\nabla_\theta\ell(x,\theta_2)\rVert&\le C_{\theta\theta}\lVert\theta_1-\theta_2\rVert,\\
# \lVert\nabla_\theta\ell(x_1,\theta)-\nabla_\theta\ell(x_2,\theta)\rVert&\le C_{\theta x}\lVert x_1-x_2\rVert .
# \end{aligned}
# $$
#
# All norms are Euclidean (section 2.1, equations 5 to 7).
# :::
#
# :::{prf:proposition} Proposition 1 of Kanai et al.
# :label: kanai2021-prop1
# :nonumber:
#
# Let $L_\varepsilon(\theta)$ be the mean over the data of $\max_{\lVert\delta\rVert_p\le\varepsilon}\ell(x+\delta,\theta)$. Under Assumption 1
#
# $$
# \begin{aligned}
# |L_\varepsilon(\theta_1)-L_\varepsilon(\theta_2)|&\le C_\theta\lVert\theta_1-\theta_2\rVert,\\
# \lVert\nabla L_\varepsilon(\theta_1)-\nabla L_\varepsilon(\theta_2)\rVert&\le C_{\theta\theta}\lVert\theta_1-\theta_2\rVert+2\varepsilon C_{\theta x}
# \end{aligned}
# $$
#
# (section 2.1, equations 8 and 9, after {cite:t}`liu2020`; sketch of proof in equation 14).
# :::
#
# :::{prf:lemma} Lemma 4 of Kanai et al.
# :label: kanai2021-lem4
# :nonumber:
#
# Let $\nabla_x\ell$ be continuously differentiable and let $x'^*$, strictly inside the feasible set, be a local maximum with
# $\nabla_x^2\ell\prec0$. If all eigenvalues of $\nabla_x^2\ell$ are at most $-c<0$, then near $\theta$ the maximum is a continuously
# differentiable function and $\lVert x'(\theta_1)-x'(\theta_2)\rVert\le\frac{C_{\theta x}}c\lVert\theta_1-\theta_2\rVert$. By Lemma 1 of the paper
# the adversarial loss is then locally $(C_{\theta\theta}+C_{\theta x}^2/c)$-smooth (section 3.2.1, equation 19; appendix A,
# equations 38 to 41).
# :::
#
# :::{prf:lemma} Lemma 5 of Kanai et al.
# :label: kanai2021-lem5
# :nonumber:
#
# Let a local maximum $x'^*$ lie on the sphere $\lVert x'^*-x\rVert_2=\varepsilon$, with Lagrange multiplier $\mu^*$. Put
# $J=\ell-\mu(\lVert x'-x\rVert_2-\varepsilon)$ and $\tilde x=(\mu,x')$. If the bordered Hessian $\nabla^2_{\tilde x}J$ has a positive
# determinant there and its singular values are at least $c>0$, then near $\theta$ the maximum is a continuously differentiable function
# and $\lVert x'(\theta_1)-x'(\theta_2)\rVert\le\frac{C_{\theta x}}c\lVert\theta_1-\theta_2\rVert$. The sign of the determinant is called a
# sufficient condition for a maximum (section 3.2.2, equations 20 to 22; appendix A, equations 42 to 45).
# :::
#
# :::{prf:proposition} Flat in the input, rough in the parameters: section 3.2.2 of Kanai et al.
# :label: kanai2021-obs-flatness-tradeoff
# :nonumber:
#
# Flattening the loss in the input makes the singular values of $\nabla_x^2\ell$, and with them $c$, small; so the smoothness constant
# $C_{\theta\theta}+C_{\theta x}^2/c$ of the adversarial loss increases, which would explain why adversarial training is hard even
# where its loss is smooth (section 3.2.2, last paragraph).
# :::
#
# :::{prf:proposition} Limits of the analysis, section 3.2.3 of Kanai et al.
# :label: kanai2021-limits
# :nonumber:
#
# With several local maxima the attack can change from one to another, and the adversarial loss may be non-smooth even with the L2
# constraint. With PGD and the maximum norm it is conjectured not to be globally smooth. The adversarial loss is expected to be
# non-smooth more often than the clean loss, above all with the maximum norm (section 3.2.3).
# :::
#
# **In short.** Lemma 4 is right. Lemma 5 needs another condition than its determinant, which has the wrong sign in every odd dimension
# and misses that the constraint must push ($\mu^*>0$); with "negative definite on the tangent space and $\mu^*>0$" it holds, even with a
# better constant. A flat loss in the input does not by itself make the attack fast, because the sphere has a curvature of its own; what breaks
# smoothness is two maxima of equal height, in both norms.

# %% tags=["hide-input"]
import itertools
import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sympy as sp
import torch
import z3

from advsmooth import checks, claims, plotting, settings
from advsmooth.attacks import ball
from advsmooth.attacks.gradient import PGD
from advsmooth.theory import linear, smoothness
from advsmooth.theory import optimal_attack as oa

plotting.use_theme()

# %% tags=["parameters"]
scale: str = "quick"  # quick (seconds) | cpu (more networks, loops and critical points, minutes)
seed: int = 0  # seed of networks, loops, critical points and pairs
units: int = None  # hidden units of the networks
networks: int = None  # random networks in the search for local maxima
kept: int = None  # maxima of each kind that are followed
critical: int = None  # random critical points on the sphere, in each dimension
loops: int = None  # closed loops in parameter space
eps: float = None  # budget of the networks on two inputs
pairs: int = None  # random pairs of parameters

# %% tags=["hide-input"]
cfg = settings.resolve(
    globals(),
    units=settings.count(at_least=3, at_most=16, quick=6),
    networks=settings.count(at_least=100, at_most=20_000, quick=400, cpu=4000),
    kept=settings.count(at_least=3, at_most=400, quick=12, cpu=100),
    critical=settings.count(at_least=100, at_most=50_000, quick=1000, cpu=10_000),
    loops=settings.count(at_least=20, at_most=1000, quick=40, cpu=300),
    eps=settings.number(at_least=0.3, at_most=3, quick=1.0),
    pairs=settings.count(at_least=100, at_most=100_000, quick=2000, cpu=20_000),
)
cfg

# %% [markdown]
# ## One loop through parameter space
#
# Before any formula, look at the attack itself. The picture takes a small tanh network of two inputs, moves its parameters around a closed
# loop and follows the *global* maximum of the loss over the disc $\lVert x'\rVert_2\le\varepsilon$. Three things happen. Inside the disc the worst
# input glides freely. On the circle it slides along the edge. And now and then it leaps across the disc, in no time at all.

# %% tags=["hide-input"]
g = settings.generator(cfg.seed)
plane = oa.network(2, cfg.units)
loop = oa.Loops(*(size * oa.draw_networks(cfg.loops, 2, cfg.units, g) for size in (1.0, 0.7, 0.7)))
leap_row, leap_time, leap_before, leap_after = loop.leaps(plane, cfg.eps, "l2", edges=120, rings=12)
coarse = torch.linspace(0, 1, 61, dtype=torch.float64)[:-1]
every = torch.arange(cfg.loops).repeat_interleave(60)
here = oa.best_candidate(plane, loop.at(every, coarse.repeat(cfg.loops)), oa.candidates(cfg.eps, "l2", 12))
inside_share = (here.norm(dim=1) < 0.999 * cfg.eps).reshape(cfg.loops, 60).double().mean(1)
leap_count = torch.bincount(leap_row, minlength=cfg.loops)
shown = int(((inside_share - 0.3).abs() + 0.2 * (leap_count - 3).abs().clamp(min=1)).argmin())
own = leap_row == shown
order = leap_time[own].argsort()
leaps = leap_time[own][order].tolist()
print(
    f"{len(leap_row)} leaps on {cfg.loops} loops; drawn is loop {shown}: {len(leaps)} leaps, the attack inside for {inside_share[shown]:.0%} of the time"
)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The worst input of a tanh network of two inputs while its parameters make one loop. Left: its path, from dark to bright; inside the disc it glides, on the circle it slides, and along the numbered dashed arrows it leaps (white dots: every quarter of the loop). Right, against the time on the loop: its distance from the centre; its speed, which stays below the bounds of the lemmas wherever it does not leap; and the slope of the adversarial loss along the loop, which jumps at every leap and nowhere else. Of the loops tried, one with a few leaps and about a third of its time inside."}, "image": {"alt": "Left, a disc with a coloured path that runs partly along the circle and partly through the interior, with dashed numbered arrows for the leaps. Right, three aligned panels against time: distance from the centre, equal to the budget for most of the time; speed below two bounds on a log scale; and a slope curve with jumps at the numbered leaps."}}
ends = sorted({0.0, *leaps, 1.0})
stretches = [loop.course(plane, shown, *part, cfg.eps) for part in itertools.pairwise(ends)]
fig = plt.figure(figsize=(plotting.WIDTH, 4.6))
grid = fig.add_gridspec(3, 2, width_ratios=[1.15, 1])
disc, panels = fig.add_subplot(grid[:, 0]), [fig.add_subplot(grid[k, 1]) for k in range(3)]
disc.add_patch(plt.Circle((0, 0), cfg.eps, fill=False, color=plotting.INK, lw=1))
shade = plt.get_cmap("viridis")
for piece in stretches:
    t, x = piece.t, piece.x
    for k in range(0, len(t) - 1, 4):
        disc.plot(*x[k : k + 5].T, color=shade(0.95 * float(t[k])), lw=5, solid_capstyle="round", zorder=3)
    panels[0].plot(t, x.norm(dim=1) / cfg.eps, color=plotting.BLUE)
    panels[1].semilogy(t, piece.printed, color=plotting.ORANGE, ls="--", lw=1.2)
    panels[1].semilogy(t, piece.borderless, color=plotting.GREEN, ls="-.", lw=1.2)
    panels[1].semilogy(t, piece.speed, color=plotting.BLUE)
    panels[2].plot(t, piece.slope, color=plotting.BLUE)
for number, (a, b) in enumerate(zip(leap_before[own][order], leap_after[own][order], strict=True), start=1):
    disc.annotate(
        "", b.tolist(), a.tolist(), arrowprops={"arrowstyle": "->", "ls": "--", "color": plotting.INK}, zorder=4
    )
    disc.text(
        *(0.5 * (a + b)).tolist(),
        str(number),
        bbox={"fc": "white", "ec": plotting.INK, "boxstyle": "circle,pad=0.15"},
        ha="center",
        va="center",
        fontsize=8,
        zorder=5,
    )
    for ax in panels:
        ax.axvline(leaps[number - 1], color=plotting.GREY, lw=0.9, ls=":")
    panels[0].text(leaps[number - 1], 1.12, str(number), ha="center", fontsize=8)
for time in (0, 0.25, 0.5, 0.75):
    piece = next(p for p in stretches if float(p.t[-1]) >= time)
    disc.plot(*piece.x[(piece.t - time).abs().argmin()], "o", ms=4, mfc="white", mec=plotting.INK, zorder=6)
disc.set(aspect="equal", xlim=(-1.1 * cfg.eps, 1.1 * cfg.eps), ylim=(-1.1 * cfg.eps, 1.1 * cfg.eps))
disc.grid(False)
plotting.label(disc, "Where the worst input is", "first input", "second input")
plotting.label(panels[0], "Distance from the centre", "", "in budgets")
panels[0].set_ylim(0, 1.3)
plotting.label(panels[1], "Speed and its two bounds", "", "per loop")
panels[1].plot([], [], color=plotting.ORANGE, ls="--", label="paper's")
panels[1].plot([], [], color=plotting.GREEN, ls="-.", label="no border")
panels[1].set_ylim(top=2e5)
panels[1].legend(fontsize=8, loc="upper right", ncols=2, borderaxespad=0)
panels[1].minorticks_off()
plotting.label(panels[2], "Slope of the adversarial loss", "time on the loop", "nats per loop")
for ax in panels[:2]:
    ax.set_xticklabels([])
fig.align_ylabels(panels)
plotting.finish(
    fig, f"{cfg.scale} scale, {cfg.units} tanh units, loop {shown} of {cfg.loops}, budget {cfg.eps:g}, seed {cfg.seed}"
)

# %% [markdown]
# ## The words of the question
#
# **Smooth on a set.** For $f=\frac12\theta^TQ\theta$ the gradient is $Q\theta$, and the best constant is the largest absolute eigenvalue of $Q$. So the
# estimator of this page, the largest difference quotient over pairs that are moved uphill, can be tested exactly. Why a *set*: $\frac14\lVert\theta\rVert^4$
# is smooth on no unbounded set, yet on $\{\lVert\theta\rVert\le r\}$ its constant is $3r^2$, and gradient descent from there with step $1/(3r^2)$ never leaves that
# set and loses at least $\frac{1}{6r^2}\lVert\nabla f\rVert^2$ in every step.
#
# **Assumption 1.** For the logistic loss with label $y$ and $m=y\theta^Tx$, $\sigma$ the sigmoid,
#
# $$
# \frac{\partial^2\ell}{\partial x_i\,\partial\theta_j}=-y\,\sigma(-m)\,\delta_{ij}+\sigma(m)\,\sigma(-m)\,\theta_i x_j .
# $$
#
# The second term grows with $\lVert\theta\rVert$ unless $d=1$: no $C_{\theta x}$ serves *all* parameters (erratum L9, as for
# {doc}`Liu et al. </notebooks/liu2020/scattered_gradients>`). For $\lVert x\rVert\le R$ and $\lVert\theta\rVert\le T$ one may take $C_\theta=R$,
# $C_{\theta\theta}=R^2/4$ and $C_{\theta x}=1+RT/4$.
#
# **Proposition 1.** Liu et al. measure the input in the attack's own norm; here it is Euclidean. Two attacks are at most $2\varepsilon$ apart in the
# attack norm, hence $2\varepsilon\sqrt d$ apart in the Euclidean norm if $p=\infty$, and the constant term has to be
#
# $$
# 2\varepsilon\sqrt d\,C_{\theta x}\quad(p=\infty),\qquad 2\varepsilon\,C_{\theta x}\quad(p=2)
# $$ (kanai2021-inside-diameter)
#
# (a case of erratum K4). The pair that shows it: logistic loss at $x=0$, and $\theta_1=-\theta_2$ with entries of one tiny size. The gradient of the loss jumps by
# $\varepsilon\sqrt d$ between them, $C_{\theta x}$ on such small parameters is $\frac12$, and the printed bound is $\varepsilon$.

# %% tags=["hide-input"]
g = settings.generator(cfg.seed + 1)
quadratic = torch.randn(6, 6, generator=g, dtype=torch.float64)
quadratic = quadratic + quadratic.T
top = torch.linalg.eigvalsh(quadratic).abs().max()
anywhere = [torch.randn(cfg.pairs, 6, generator=g, dtype=torch.float64) for _ in "ab"]
random_pairs = smoothness.quotients(lambda v: v @ quadratic, *anywhere) / top
climbed = smoothness.climb(lambda v: v @ quadratic, *(v[:30] for v in anywhere), lambda v: v, steps=400)
climbed = smoothness.quotients(lambda v: v @ quadratic, *climbed) / top
spot, losses, pace = torch.tensor([1.0, 2.0, -2.0], dtype=torch.float64), [], []
for _ in range(200):
    slope = spot.square().sum() * spot
    losses.append(spot.square().sum() ** 2 / 4)
    pace.append(slope.square().sum() / (2 * 3 * 9.0))
    spot = spot - slope / (3 * 9.0)
losses, pace = torch.stack(losses), torch.stack(pace)

R, T, d = 1.0, 1.5, 5
logistic_x = smoothness.annulus(100, d, 0.05, R, g)
logistic_theta = smoothness.annulus(100, d, 0.01, T, g)
near_x = linear.project(logistic_x + 1e-4 * torch.randn(100, d, generator=g, dtype=torch.float64), R, "l2")
near_theta = linear.project(logistic_theta + 1e-4 * torch.randn(100, d, generator=g, dtype=torch.float64), T, "l2")
ones = torch.ones(100, dtype=torch.float64)
apart_theta, apart_x = (near_theta - logistic_theta).norm(dim=1)[:, None], (near_x - logistic_x).norm(dim=1)[None]
clean = [f(logistic_theta, logistic_x, ones, 0.0, "l2") for f in (linear.losses, linear.gradients)]
moved = [f(near_theta, logistic_x, ones, 0.0, "l2") for f in (linear.losses, linear.gradients)]
shifted = linear.gradients(logistic_theta, near_x, ones, 0.0, "l2")
bounded = torch.cat(
    [
        ((clean[0] - moved[0]).abs() / apart_theta / R).ravel(),
        ((clean[1] - moved[1]).norm(dim=2) / apart_theta / (R**2 / 4)).ravel(),
        ((clean[1] - shifted).norm(dim=2) / apart_x / (1 + R * T / 4)).ravel(),
    ]
)


def logistic(x, theta):
    return torch.nn.functional.softplus(-(x * theta).sum(-1))


tau = torch.logspace(0, 8, 9, dtype=torch.float64)
long_theta = tau[:, None] * torch.eye(2, dtype=torch.float64)[:1]
unit_x = torch.eye(2, dtype=torch.float64)[1:].repeat(9, 1)
crossing = torch.linalg.matrix_norm(oa.expand(logistic, unit_x, long_theta).x_theta, 2)

# %% tags=["hide-input"]
data_x = torch.randn(6, 3, generator=g, dtype=torch.float64)
data_y = torch.tensor([1.0, -1] * 3, dtype=torch.float64)
first, second, third = {}, {}, {}
for norm in linear.NORMS:
    ratios = [[], [], []]
    for reach in (1e-6, 0.01, 0.3, 3.0):
        one, two = (smoothness.annulus(cfg.pairs // 10, 3, 1e-3 * reach, reach, g) for _ in "ab")
        side = reach * torch.ones(1, 3, dtype=torch.float64) / 3**0.5
        one, two = torch.cat([one, side]), torch.cat([two, -side])
        apart = (one - two).norm(dim=1)[:, None]
        for x, y in ((data_x, data_y), (torch.zeros(1, 3, dtype=torch.float64), data_y[:1])):
            c = linear.constants(x, 0.5, norm, reach)
            change = [f(one, x, y, 0.5, norm) - f(two, x, y, 0.5, norm) for f in (linear.losses, linear.gradients)]
            ratios[0].append((change[0].abs() / (c.theta * apart)).ravel())
            for k, wide in ((1, 1.0), (2, 3**0.5)):
                ratios[k].append((change[1].norm(dim=2) / (c.theta_theta * apart + 2 * 0.5 * wide * c.theta_x)).ravel())
    first[norm], second[norm], third[norm] = map(torch.cat, ratios)
dimensions = (2, 4, 16, 64, 784, 3072)
opposite = []
for d in dimensions:
    tiny = torch.full((1, d), 1e-11, dtype=torch.float64)
    nowhere, plus = torch.zeros(1, d, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    gap = linear.gradient(tiny, nowhere, plus, 0.1, "linf") - linear.gradient(-tiny, nowhere, plus, 0.1, "linf")
    c = linear.constants(nowhere, 0.1, "linf", float(tiny.norm()))
    opposite.append(float(gap.norm() / (c.theta_theta * 2 * tiny.norm() + 2 * 0.1 * c.theta_x)))
pd.DataFrame(
    {"change of the gradient, over the printed bound": [f"{v:.3g}" for v in opposite]},
    index=pd.Index(dimensions, name="d"),
)

# %% [markdown]
# ## Inside the ball: Lemma 4
#
# Write $H=\nabla_x^2\ell\prec0$ for the Hessian in the input and $B=\nabla_\theta\nabla_x\ell$ for the cross derivative ($d$ by $m$), both at $x'(\theta)$. Inside, the
# gradient in $x$ vanishes. Because $H$ is invertible, the implicit function theorem gives a continuously differentiable $x'(\theta)$, and differentiating
# $\nabla_x\ell(x'(\theta),\theta)=0$ gives
#
# $$
# Dx'=(-H)^{-1}B .
# $$ (kanai2021-inside-jacobian)
#
# *Speed.* For a direction $h$ put $v=Dx'h$, so that $-Hv=Bh$. Then $c\lVert v\rVert^2\le-v^THv=v^TBh\le\lVert v\rVert\,C_{\theta x}\lVert h\rVert$, and the speed is at most
# $C_{\theta x}/c$. Integrated along a segment within a ball around $\theta$ on which the eigenvalues stay below $-c$, this is (19). $\square$
#
# *Curvature.* The gradient of $\ell_\varepsilon(\theta)=\ell(x'(\theta),\theta)$ is $\nabla_\theta\ell(x'(\theta),\theta)$; differentiate once more:
#
# $$
# \nabla^2\ell_\varepsilon=\nabla_\theta^2\ell+B^TRB,\qquad R=(-H)^{-1}\succ0 .
# $$ (kanai2021-inside-hessian)
#
# The adversary's answer can only *add* curvature, at most $C_{\theta x}^2/c$. Equality occurs for the bowl $\frac a2\lVert\theta\rVert^2+b\,\theta^Tx-\frac s2\lVert x\rVert^2$.
#
# The test: random tanh and softplus networks with one hidden layer, maxima found by ascent and polished by Newton's method to a residual below $10^{-11}$,
# then followed under small changes of the parameters. Central differences of the followed maximum know nothing of $R$.

# %% tags=["hide-input"]
KINDS = ((2, "tanh"), (3, "tanh"), (2, "softplus"), (3, "softplus"), (4, "tanh"))
RADIUS = 1.5  # of the ball in this search
g = settings.generator(cfg.seed + 2)
found = {"inside": {}, "sphere": {}}
for d, activation in KINDS:
    net = oa.network(d, 4, activation)
    theta = oa.draw_networks(cfg.networks, d, 4, g)
    for place, maxima in zip(found, oa.find_maxima(net, theta, d, RADIUS, g), strict=True):
        if len(maxima.x):
            found[place][f"{activation}, d = {d}"] = oa.follow_some(net, maxima, RADIUS, cfg.kept, g)


def over(place, f):
    """One number of every followed maximum of a place, in a row."""
    return torch.cat([f(case).reshape(-1) for case in found[place].values()])


pd.DataFrame(
    [
        {
            "where": place,
            "networks": name,
            "maxima found": case.of,
            "followed": len(case.higher),
            "largest speed / (paper's bound)": f"{(case.speed / case.printed).max():.2f}",
            "largest speed / (bound without border)": f"{(case.speed / case.borderless).max():.2f}",
        }
        for place in found
        for name, case in found[place].items()
    ]
).set_index(["where", "networks"])

# %% [markdown]
# ## On the sphere: Lemma 5, with another condition
#
# Put the centre at the origin. At a critical point on the sphere the gradient is along the normal $n=x'/\varepsilon$: $\nabla_x\ell=\mu n$. Let $T$ be an orthonormal basis of the tangent
# space and
#
# $$
# H_L=H-\frac\mu\varepsilon(I-nn^T),\qquad K=\begin{pmatrix}0&n^T\\n&H_L\end{pmatrix},\qquad S=T^TH_LT=T^THT-\frac\mu\varepsilon I ;
# $$ (kanai2021-inside-bordered)
#
# $K$ is the bordered Hessian (its border has a minus sign in the derivative of $J$, which changes neither determinant nor singular values).
#
# **When is it a maximum?** A feasible $x'+v$ has $2\varepsilon\,n^Tv+\lVert v\rVert^2\le0$, so $n^Tv=-w-\lVert v\rVert^2/(2\varepsilon)$ with $w\ge0$. Let $\tau$ be the tangent part of
# $v$. By Taylor's theorem the loss changes by
#
# $$
# -\mu w+\tfrac12\tau^TS\tau+E,\qquad |E|\le\eta\,(w+\lVert\tau\rVert^2),
# $$
#
# where $\eta\to0$ as $v\to0$. If $\mu>0$ and $S$ is *negative definite*, this is negative for all small $v\ne0$: a strict local maximum. If $\mu<0$, going inwards pays; if
# $S$ has a positive eigenvalue, sliding along the sphere does. So the condition is
#
# $$
# \mu^*>0\quad\text{and}\quad S=T^TH_LT\prec0 .
# $$ (kanai2021-inside-condition)
#
# **And the determinant?** In the basis $(n,T)$ expand along the border: $\det K=-\det S$. A negative definite $S$ of size $d-1$ has a determinant of sign
# $(-1)^{d-1}$, so every strict maximum has $\operatorname{sign}\det K=(-1)^d$. "$\det K>0$" excludes *every* maximum for odd $d$, is necessary for even $d$, and is
# sufficient for $d=2$ only, if also $\mu^*>0$: for $d=4$ and $S=\mathrm{diag}(1,1,-1)$ it is $+1$ at a saddle (erratum K1).

# %% tags=["hide-input"]
g = settings.generator(cfg.seed + 3)
census = {}
for d in range(2, 7):
    points = oa.draw_critical(cfg.critical, d, 1.0, g)
    census[d] = {
        "points": points,
        "back": points.climbs_back(g),
        "condition": points.is_strict_maximum(),
        "positive": torch.linalg.det(points.bordered) > 0,
        "pushed": points.multiplier > 0,
    }
saddle = oa.Critical(  # d = 4: normal e_1, multiplier 1, tangent Hessian of the Lagrangian diag(1, 1, -1)
    torch.eye(4, dtype=torch.float64)[:1].repeat(50, 1),
    torch.ones(50, dtype=torch.float64),
    torch.diag(torch.tensor([-1.0, 2, 2, 0], dtype=torch.float64)).repeat(50, 1, 1),
    1.0,
)
saddle_det, saddle_back = torch.linalg.det(saddle.bordered), saddle.climbs_back(g)
pd.DataFrame(
    {
        d: {
            "maxima (ascent returns)": int(c["back"].sum()),
            "of these with a positive determinant": int((c["back"] & c["positive"]).sum()),
            "positive determinant and multiplier": int((c["positive"] & c["pushed"]).sum()),
            "of these, maxima": int((c["back"] & c["positive"] & c["pushed"]).sum()),
        }
        for d, c in census.items()
    }
).rename_axis(f"of {cfg.critical:,} critical points on the sphere; d =")

# %% [markdown]
# **What the lemma needs.** Nonsingular $K$ is enough for a smooth branch of *critical points on the sphere*. That the branch consists of maxima of the
# *ball* is what {eq}`kanai2021-inside-condition` adds: both conditions are open, so they persist near $\theta$. Without $\mu^*>0$ the lemma is false as printed, in $d=2$, where the
# determinant is right. Take $\ell=\theta_1x_1-\frac h2x_1^2-\frac12x_2^2$ at $\theta_1=h\varepsilon$: the maximum $(\varepsilon,0)$ lies on the circle, $\mu^*=0$, $\det K=1$, and $C_{\theta x}=1$,
# $c=\frac12(\sqrt{h^2+4}-h)\approx1$ for small $h$. As $\theta_1$ falls, the maximum leaves the circle as $(\theta_1/h,0)$: at the speed $1/h$, as large as you like, and with a kink at $\theta_1=h\varepsilon$.
#
# **Speed.** In the same basis the lower right block of $K^{-1}$ is $TS^{-1}T^T$, so
#
# $$
# Dx'=R\,B,\quad R=T(-S)^{-1}T^T,\qquad\lVert Dx'\rVert\le\frac{\lVert T^TB\rVert}{c_T},\quad c_T=-\lambda_{\max}(S),
# $$ (kanai2021-inside-sphere-jacobian)
#
# and {eq}`kanai2021-inside-hessian` holds with this $R$. A block of $K^{-1}$ is no larger than $K^{-1}$: $c_T\ge c$, and the printed bound follows. The border costs something. Its entries have
# length 1 whatever the loss, so $c$ never exceeds 1, and multiplying the loss by 100, which moves no maximum, makes the printed bound up to 100 times larger. $\lVert T^TB\rVert/c_T$
# does not change, and for $\ell=\theta^Tx$ it is exact: $\varepsilon/\lVert\theta\rVert$, as in {doc}`linear_smoothness`.

# %% tags=["hide-input"]
g = settings.generator(cfg.seed + 4)


def uneven(h):
    """The loss of the counterexample: curvature h along the first input, 1 along the second."""
    return lambda x, theta: theta[..., 0] * x[..., 0] - h / 2 * x[..., 0] ** 2 - x[..., 1] ** 2 / 2


leaving = []
for h in (1.0, 0.3, 0.1, 0.03, 0.01):
    edge_x, edge_theta = torch.tensor([[1.0, 0]], dtype=torch.float64), torch.tensor([[h, 0]], dtype=torch.float64)
    o = oa.optimum(uneven(h), edge_x, edge_theta, 1.0, on_sphere=True)
    k = oa.bordered(torch.tensor([[[-h, 0], [0, -1.0]]], dtype=torch.float64), edge_x)
    inner = oa.polish(uneven(h), edge_x, 0.9 * edge_theta, 1.0, on_sphere=False)
    leaving.append(
        (float((inner - edge_x).norm() / (0.1 * h)), float(o.coupling / o.printed_c), float(torch.linalg.det(k)))
    )
leaving = torch.tensor(leaving, dtype=torch.float64)


def plain(x, theta):
    return (x * theta).sum(-1)


normal_theta = smoothness.annulus(300, 4, 0.01, 30.0, g)
steady = oa.optimum(plain, normal_theta / normal_theta.norm(dim=1, keepdim=True), normal_theta, 1.0, on_sphere=True)
exact_speed = torch.linalg.matrix_norm(steady.jacobian, 2)
bowl_theta = smoothness.annulus(300, 4, 0.01, 0.5, g)
bowl_at = oa.optimum(oa.bowl(0.3, 1.0, 0.8), bowl_theta / 0.8, bowl_theta, 1.0, on_sphere=False)
n1 = torch.nn.functional.normalize(torch.randn(100, 4, generator=g, dtype=torch.float64), dim=1)
multipliers = torch.logspace(-2, 1, 100, dtype=torch.float64)
flat = oa.Critical(n1, multipliers, torch.zeros(100, 4, 4, dtype=torch.float64), 0.5)

# %% [markdown]
# ## Does a flat landscape in the input hurt?
#
# The argument of the paper: flatten $\ell$ in the input, $\nabla_x^2\ell$ becomes small, so $c$ becomes small, so the constant $C_{\theta\theta}+C_{\theta x}^2/c$ grows. Three steps of it need a second
# look (erratum K2).
#
# - *On the sphere $c$ is not the curvature of the loss.* With $H=0$ the bordered Hessian has the eigenvalues $1,-1$ and, $d-1$ times, $-\mu/\varepsilon$. So $c=\min(1,\mu/\varepsilon)$ stays where it is: the
#   sphere curves instead of the loss, and the slope $\mu=\lVert\nabla_x\ell\rVert$ pulls the attack tight.
# - *$C_{\theta x}$ does not stand still.* Multiply $\ell$ by $s$: every quantity, $C_{\theta x}^2/c$ included, is multiplied by $s$ (inside).
# - *A bound that grows is no constant that grows.* So we measure.
#
# Five ways to flatten, each by a factor $s$ from 1 down to 0.01; the constant is the largest difference quotient of $\nabla\ell_\varepsilon$ between neighbouring parameters.
#
# 1. *Bowl, attack inside*: curvature $s$, everything else fixed, near $\theta=0$.
# 2. *Bowl, at a fixed $\theta\ne0$*: the attack hits the sphere when $s$ falls to $b\lVert\theta\rVert/\varepsilon$.
# 3. *Loss times $s$*: the bowl as a whole.
# 4. *Networks with inputs scaled*: $\ell(sx,\theta)$, slope times $s$ and curvature times $s^2$ at the centre; the same as a budget of $s\varepsilon$.
# 5. *Small weights*: logistic loss of a linear model at $\lVert\theta\rVert=s$, slope and curvature falling together.

# %% tags=["hide-input"]
g = settings.generator(cfg.seed + 5)
flatten = torch.logspace(0, -2, 9, dtype=torch.float64)
A, Bc, REACH = 0.3, 1.0, 0.5  # a and b of the bowl, |theta| of the second family; the budget is 1


def steepest_pairs(slope, centre, size):
    """Largest quotient of a gradient among neighbours of a point: random pairs and tangential ones."""
    drawn = torch.nn.functional.normalize(torch.randn(400, centre.shape[1], generator=g, dtype=torch.float64), dim=1)
    drawn[200:] = smoothness.tangents(centre.expand(200, -1) + (centre.norm() == 0), g)
    return float(smoothness.quotients(slope, centre + size * drawn, centre - size * drawn).max())


zero3, away3 = torch.zeros(1, 3, dtype=torch.float64), REACH * torch.eye(3, dtype=torch.float64)[:1]
corner, label = torch.zeros(1, 3, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
measured = {name: [] for name in ("bowl, inside", "bowl, at fixed θ", "loss times s", "small weights")}
formula = {name: [] for name in measured}
for s in flatten.tolist():
    bend = lambda th, s=s: A * th + Bc * linear.project(Bc / s * th, 1.0, "l2")  # noqa: E731
    measured["bowl, inside"].append(steepest_pairs(bend, zero3, 1e-3 * s))
    measured["bowl, at fixed θ"].append(steepest_pairs(bend, away3, 1e-4))
    whole = lambda th, s=s: s * (A * th + Bc * linear.project(Bc * th, 1.0, "l2"))  # noqa: E731
    measured["loss times s"].append(steepest_pairs(whole, zero3, 1e-3))
    small = lambda th: linear.gradient(th, corner, label, 1.0, "l2")  # noqa: E731
    measured["small weights"].append(steepest_pairs(small, 2 * s * away3, 1e-4 * s))
    inside = s >= Bc * REACH
    spots = {
        "bowl, inside": (oa.bowl(A, Bc, s), zero3, zero3, False),
        "bowl, at fixed θ": (oa.bowl(A, Bc, s), Bc / s * away3 if inside else away3 / REACH, away3, not inside),
        "loss times s": (lambda x, th, s=s: s * oa.bowl(A, Bc, 1.0)(x, th), zero3, zero3, False),
        "small weights": (logistic, -away3 / REACH, 2 * s * away3, True),
    }
    for name, (loss, x, theta, on_sphere) in spots.items():
        formula[name].append(oa.optimum(loss, x, theta, 1.0, on_sphere=on_sphere))
exact = {
    name: torch.tensor([float(torch.linalg.matrix_norm(o.hessian, 2)) for o in list_])
    for name, list_ in formula.items()
}
measured = {name: torch.tensor(values, dtype=torch.float64) for name, values in measured.items()}

# %% tags=["hide-input"]
nets = oa.scale_inputs(plane, oa.draw_networks(40, 2, cfg.units, g), 1.0, flatten)


def paper(o):
    """The paper's constant at one point."""
    return float(torch.linalg.matrix_norm(o.frozen_hessian, 2) + o.coupling**2 / o.printed_c)


ratios = {"c at s = 1": 0, "c at s = 0.01": -1}
table = {
    name: {column: float(o[k].printed_c) for column, k in ratios.items()}
    | {"paper's bound, last / first": paper(o[-1]) / paper(o[0])}
    | {"measured, last / first": float(measured[name][-1] / measured[name][0])}
    for name, o in formula.items()
}
table["inputs scaled (median)"] = {column: float(nets.c[:, k].median()) for column, k in ratios.items()} | {
    "paper's bound, last / first": float((nets.bound[:, -1] / nets.bound[:, 0]).median()),
    "measured, last / first": float((nets.measured[:, -1] / nets.measured[:, 0]).median()),
}
described = f"{len(nets.c)} networks, 4 families in closed form"
pd.DataFrame(table).T.map(lambda v: f"{v:.3g}").rename_axis(described)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Five ways to flatten a loss in the input by the factor $s$ (to the right: flatter), and the measured smoothness constant of the adversarial loss in the parameters, relative to its value at $s=1$. In one family it grows like $1/s$ because the attack stays inside and loses its curvature; in one because the slope vanishes too, which is the kink of the linear model at zero weights. It stops growing where the attack reaches the sphere, and falls where flattening also weakens the coupling of input and parameters. Band: middle half of the networks."}, "image": {"alt": "Log-log plot of five curves against the flattening factor from 1 to 0.01. Two curves rise together to about 80 and 100, one rises slightly to below 2 and stays flat, the networks fall below 1, and the scaled loss falls in proportion to s."}}
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 3.7))
curves = {name: (values / values[0]).numpy() for name, values in measured.items()}
relative = nets.measured / nets.measured[:, :1]
curves["networks, inputs scaled"] = relative.median(0).values.numpy()
ends = {"bowl, inside": 7, "small weights": -9, "bowl, at fixed θ": 0, "loss times s": 0, "networks, inputs scaled": 0}
for (name, values), style in zip(curves.items(), plotting.styles(), strict=False):
    ax.loglog(flatten, values, **style)
    ax.annotate(
        name, (0.01, values[-1]), (6, ends[name]), textcoords="offset points", color=style["color"], va="center"
    )
    if "networks" in name:
        plotting.band(ax, flatten, relative.quantile(0.25, dim=0), relative.quantile(0.75, dim=0), style["color"])
ax.axhline(1, color=plotting.GREY, lw=0.8)
ax.set(xlim=(1.05, 0.0016), xticks=(1, 0.1, 0.01), xticklabels=("1", "0.1", "0.01"))
ax.minorticks_off()
plotting.label(
    ax,
    "Flatter in the input: rougher in the parameters?",
    "flattening s (flatter to the right)",
    "smoothness constant, relative",
)
plotting.finish(fig, f"{cfg.scale} scale, {len(nets.measured)} tanh networks of {cfg.units} units, seed {cfg.seed}")

# %% [markdown]
# So there *is* a trade-off, in the first and fifth family: the attack becomes fast where nothing holds it, neither the curvature of the loss nor the slope that pulls it to the sphere. It
# is the pull $\mu/\varepsilon$ that has to vanish as well. A network that is flat in the input only because its inputs matter less becomes smoother, and so does the paper's own bound.
#
# ## Leaps
#
# The lemmas follow one local maximum. The adversarial loss follows the highest. The simplest loss with two is
#
# $$
# \ell=\theta^Tx-\tfrac14(x_1^2-1)^2-\tfrac12\textstyle\sum_{i>1}x_i^2,
# $$ (kanai2021-inside-bumps)
#
# with $C_{\theta\theta}=0$, $C_{\theta x}=1$ and $\nabla\ell_\varepsilon=x'$. At $\theta=0$ both bumps are equally high and the maxima are $\pm\min(1,\varepsilon)\,e_1$. So the gradient jumps by exactly
# $2\min(1,\varepsilon)$, with $p=2$: inside the ball if $\varepsilon>1$, on the sphere if $\varepsilon\le1$, where Proposition 1 holds with equality. Each single branch obeys its lemma.
#
# **PGD does something worse.** A finite attack does not know which bump is higher; it goes uphill from where it starts. From $x_1=x_0>0$ it reaches the right bump as long as the valley
# between the bumps lies to its left, that is until $\theta_1=x_0^3-x_0$. By then the left bump is higher by about $2|\theta_1|$. The loss of the *attack* is therefore discontinuous itself, not only its gradient, and so with both norms. The paper's
# reason, that the projection $\Pi_\varepsilon$ is discontinuous, is not the right one: projections have Lipschitz constant 1 (erratum K5). Sign and
# normalised gradient are discontinuous, and so is the limit of an ascent at the edge of its basin.

# %% tags=["hide-input"]
g = settings.generator(cfg.seed + 6)
X0, PGD_EPS = 0.2, 1.5


def attacked(theta_1, norm, start=X0):
    """Where PGD ends and the loss there, for rows of theta = (theta_1, 0)."""
    theta = torch.stack([theta_1, torch.zeros_like(theta_1)], 1)
    attack = PGD(eps=PGD_EPS, steps=300, step_size=0.01, norm=norm, loss=lambda z, _: z[:, 0], box=ball.UNBOUNDED)
    centre = torch.zeros_like(theta)
    first = torch.stack([torch.full_like(theta_1, start), torch.zeros_like(theta_1)], 1)
    x = attack(
        lambda x: oa.two_bumps(x, theta)[:, None], centre, torch.zeros(len(theta), dtype=torch.int64), start=first
    )
    return x, oa.two_bumps(x, theta)


def strongest(theta_1, eps=PGD_EPS):
    """The global maximum for rows of theta = (theta_1, 0), polished."""
    theta = torch.stack([theta_1, torch.zeros_like(theta_1)], 1)
    x = oa.global_maximum(oa.two_bumps, theta, eps)
    return oa.polish(oa.two_bumps, x, theta, eps, on_sphere=eps <= 1), theta


tie = torch.tensor([-1e-9, 1e-9], dtype=torch.float64)
budgets = (0.3, 0.6, 1.0, 1.5, 3.0)
jumps = [float((strongest(tie, e)[0].diff(dim=0)).norm()) for e in budgets]
threshold = X0**3 - X0
sides = threshold + torch.tensor([-1e-6, 1e-6], dtype=torch.float64)
roots = np.sort(np.roots([-1, 0, 1, threshold]).real)  # the two peaks (outer roots) and the valley at x0
peak = [float(oa.two_bumps(torch.tensor([r, 0.0]), torch.tensor([threshold, 0.0]))) for r in (roots[0], roots[2])]
pgd_jump = {norm: -attacked(sides, norm)[1].diff() for norm in linear.NORMS}
random_theta = [torch.randn(cfg.pairs, 5, generator=g, dtype=torch.float64) for _ in "ab"]
projected = torch.cat(
    [smoothness.quotients(lambda v, n=n: linear.project(v, 1.0, n), *random_theta) for n in linear.NORMS]
)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The loss with two bumps along $\\theta_1$, L2 budget 1.5. Left: the exact adversarial loss (solid) has a kink at 0; the loss that PGD reaches from $x_1=0.2$ (dashed) stays on the right bump too long and then jumps. Right: the slope of the exact loss jumps at the tie by 2, the slope of PGD's loss jumps elsewhere."}, "image": {"alt": "Left, a V-shaped solid curve and a dashed curve that continues the right branch to the left of zero and then jumps up to the left branch. Right, the slope of each: steps from about minus 1 to plus 1, at 0 for the exact loss and at minus 0.19 for PGD."}}
span = torch.linspace(-0.35, 0.25, 61, dtype=torch.float64)
fig, axes = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.1))
exact_style, pgd_style = (s | {"marker": ""} for s, _ in zip(plotting.styles(), range(2), strict=False))
for part in (torch.cat([span[span < -1e-9], tie[:1]]), torch.cat([tie[1:], span[span > 1e-9]])):
    x, theta = strongest(part)
    end = part.abs().argmin()
    axes[1].plot(part[end], x[end, 0], "o", ms=5, mfc="white", color=exact_style["color"], zorder=4)
    axes[0].plot(part, oa.two_bumps(x, theta), label="exact maximum" if float(part[0]) < 0 else None, **exact_style)
    axes[1].plot(part, x[:, 0], **exact_style)
for part in (torch.cat([span[span < threshold], sides[:1]]), torch.cat([sides[1:], span[span > threshold]])):
    x, values = attacked(part, "l2")
    end = (part - threshold).abs().argmin()
    for ax, value in zip(axes, (values[end], x[end, 0]), strict=True):
        ax.plot(part[end], value, "s", ms=5, mfc="white", color=pgd_style["color"], zorder=4)
    axes[0].plot(part, values, label="PGD" if float(part[0]) < -0.2 else None, **pgd_style)
    axes[1].plot(part, x[:, 0], **pgd_style)
for ax in axes:
    ax.axvline(threshold, color=plotting.GREY, lw=0.8, ls=":")
axes[0].annotate(
    "", (threshold, peak[0]), (threshold, peak[1]), arrowprops={"arrowstyle": "<->", "color": plotting.INK}
)
axes[0].text(threshold + 0.01, 0.02, "jump", va="bottom")
axes[0].legend(loc="upper right", fontsize=8)
plotting.label(axes[0], "Adversarial loss", "θ₁", "loss")
plotting.label(axes[1], "Its slope", "θ₁", "slope in θ₁")
plotting.finish(fig, "PGD: 300 steps of 0.01 from (0.2, 0); deterministic")

# %% [markdown]
# How often do real, if small, networks leap? On the loops of the first figure the clean loss is smooth everywhere: a tanh network has derivatives of all orders. The two adversarial losses are not; to compare the
# norms fairly, the square $\lVert x'\rVert_\infty\le\varepsilon\sqrt\pi/2$ has the area of the disc.

# %% tags=["hide-input"]
square_eps = cfg.eps * math.sqrt(math.pi) / 2
square_row, square_time, square_before, square_after = loop.leaps(plane, square_eps, "linf", edges=120, rings=12)
square_count = torch.bincount(square_row, minlength=cfg.loops)
drop = plane(leap_after, loop.at(leap_row, leap_time)) - plane(leap_before, loop.at(leap_row, leap_time))
square_theta = loop.at(square_row, square_time)
pd.DataFrame(
    {
        name: {
            "leaps": int(c.sum()),
            "per loop": f"{c.double().mean():.2f}",
            "loops without a leap": int((c == 0).sum()),
        }
        for name, c in (
            ("L2", leap_count),
            ("maximum norm, equal area", square_count),
        )
    }
).T

# %% [markdown]
# ## Checks of the definition, the assumption and Proposition 1

# %% tags=["hide-input"]
theta_ = sp.Matrix(sp.symbols("theta1:3", real=True))
x_ = sp.Matrix(sp.symbols("x1:3", real=True))
y_ = sp.Symbol("y", real=True)
margin = y_ * theta_.dot(x_)
sigma = lambda t: 1 / (1 + sp.exp(-t))  # noqa: E731
cross = sp.Matrix(2, 2, lambda i, j: sp.diff(sp.log(1 + sp.exp(-margin)), x_[i], theta_[j]))
stated = sp.Matrix(
    2, 2, lambda i, j: -y_ * sigma(-margin) * int(i == j) + y_**2 * sigma(margin) * sigma(-margin) * theta_[i] * x_[j]
)


def squares(matrix):
    """Sum of squared entries, each simplified first: zero if and only if the matrix is."""
    return sum(sp.simplify(entry) ** 2 for entry in matrix)


total, part_1, part_2, apart_, moved_, c_tt, c_tx, budget_, root = z3.Reals("n n1 n2 apart moved Ctt Ctx eps r")
v1, v2, v3 = z3.Reals("v1 v2 v3")
def1 = [
    checks.at_most(
        "quadratic",
        "no difference quotient of a quadratic exceeds the largest absolute eigenvalue",
        measured=torch.cat([random_pairs, climbed]),
        bound=1.0,
        sample=f"{cfg.pairs:,} random pairs and 30 climbed ones, d = 6, seed {cfg.seed}; ratios",
        scale=cfg.scale,
    ),
    checks.equal(
        "quadratic-reached",
        "and the estimator reaches it",
        measured=climbed.max(),
        expected=1.0,
        atol=1e-3,
        sample=f"30 climbed pairs, seed {cfg.seed}; the best of the random pairs reaches {checks.show(random_pairs.max())}",
        scale=cfg.scale,
    ),
    checks.at_most(
        "sublevel",
        "with the constant of the sublevel set, descent on |theta|^4 / 4 loses |gradient|^2 / (2 C_s) in every step",
        measured=pace[:-1],
        bound=-losses.diff(),
        sample="200 steps from (1, 2, -2)",
        scale=cfg.scale,
    ),
]
assump1 = [
    checks.identity(
        "cross",
        "the cross derivative of the logistic loss is the one in the text (d = 2, sum of squared differences)",
        left=squares(cross - stated),
        right=0,
    ),
    checks.at_most(
        "everywhere",
        "the logistic loss satisfies the third line for all parameters, with the constant 1e6",
        measured=crossing,
        bound=1e6,
        sample="x of length 1 orthogonal to theta, |theta| from 1 to 1e8",
        scale=cfg.scale,
    ),  # any other constant fails in the same way
    checks.at_most(
        "bounded",
        "for |x| <= R, |theta| <= T no quotient exceeds R, R^2 / 4 and 1 + R T / 4",
        measured=bounded,
        bound=1.0,
        rtol=1e-7,
        sample=f"R = 1, T = 1.5, d = 5, {len(bounded):,} quotients at distances near 1e-4, seed {cfg.seed}; ratios",
        role="corrected",
        scale=cfg.scale,
    ),
]
prop_sample = f"{len(first['l2']):,} pairs for each norm, d = 3, four sizes of theta, seed {cfg.seed}; ratios"
chain = [total <= part_1 + part_2, part_1 <= c_tt * apart_, part_2 <= c_tx * moved_, c_tx >= 0, budget_ >= 0, root >= 1]
prop1 = [
    checks.implies(
        "diameter",
        "entries of at most 2 eps make a vector of Euclidean length at most 2 eps sqrt(d), d = 3",
        assumptions=[
            budget_ > 0,
            *(v <= 2 * budget_ for v in (v1, v2, v3)),
            *(v >= -2 * budget_ for v in (v1, v2, v3)),
        ],
        conclusion=v1 * v1 + v2 * v2 + v3 * v3 <= 3 * (2 * budget_) * (2 * budget_),
    ),
    checks.implies(
        "chain",
        "the triangle inequality of equation 14, with attacks at most 2 eps r apart",
        assumptions=[*chain, moved_ <= 2 * budget_ * root],
        conclusion=total <= c_tt * apart_ + 2 * budget_ * root * c_tx,
    ),
    checks.at_most(
        "first",
        "no pair violates the first inequality, either norm",
        measured=torch.cat([first["l2"], first["linf"]]),
        bound=1.0,
        rtol=1e-6,
        sample=prop_sample,
        scale=cfg.scale,
    ),  # losses rounded at 1e-16 over distances of 1e-9
    checks.at_most(
        "second-l2",
        "no pair violates the second inequality, p = 2",
        measured=second["l2"],
        bound=1.0,
        sample=prop_sample,
        scale=cfg.scale,
    ),
    checks.at_most(
        "second-linf",
        "no pair violates the second inequality as printed, p = infinity",
        measured=second["linf"],
        bound=1.0,
        sample=prop_sample,
        scale=cfg.scale,
    ),
    checks.at_most(
        "second-corrected",
        "with 2 eps sqrt(d) in place of 2 eps none does",
        measured=third["linf"],
        bound=1.0,
        sample=prop_sample,
        role="corrected",
        scale=cfg.scale,
    ),
    checks.equal(
        "root-d",
        "opposite parameters exceed the printed bound by the factor sqrt(d)",
        measured=[v / d**0.5 for v, d in zip(opposite, dimensions, strict=True)],
        expected=1.0,
        atol=1e-5,
        sample="d = 2 to 3072, entries of 1e-11",
        role="corrected",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## Checks of the two lemmas

# %% tags=["hide-input"]
mu_, eps_, lam = sp.symbols("mu epsilon lambda", real=True)
dets = sum(sp.expand(k.det() + s.det()) ** 2 for s, k in map(oa.symbolic_bordered, (1, 2, 3)))
s2, k2 = oa.symbolic_bordered(2)
inverse = k2.inv()[2:, 2:] - s2.inv()
a11, a12, a22, b11, b12, b21, b22, c11, c12, c22, t1, t2 = sp.symbols("a11 a12 a22 b11 b12 b21 b22 c11 c12 c22 t1 t2")
quad_a, quad_b = sp.Matrix([[a11, a12], [a12, a22]]), sp.Matrix([[b11, b12], [b21, b22]])
quad_c, quad_t = sp.Matrix([[c11, c12], [c12, c22]]), sp.Matrix([t1, t2])
quad_x = quad_c.inv() * quad_b * quad_t  # where the gradient in x of the quadratic loss vanishes
quad_max = (quad_t.T * quad_a * quad_t / 2 + quad_t.T * quad_b.T * quad_x - quad_x.T * quad_c * quad_x / 2)[0]
curved_by = sp.hessian(quad_max, [t1, t2]) - quad_a - quad_b.T * quad_c.inv() * quad_b
speed, curv, inner, push, len_h = z3.Reals("v c vHv C h")
w_, q_, s_, e_, eta, mu_z = z3.Reals("w q tSt E eta mu")
fast = checks.implies(
    "speed",
    "c |v|^2 <= -v.Hv <= |v| C |h| bounds the speed by C / c",
    assumptions=[
        speed >= 0,
        curv > 0,
        push >= 0,
        len_h >= 0,
        curv * speed * speed <= inner,
        inner <= speed * push * len_h,
    ],
    conclusion=curv * speed <= push * len_h,
)


def how_many(place):
    return f"{sum(len(case.higher) for case in found[place].values())} maxima of tanh and softplus networks, d = 2 to 4, seed {cfg.seed}"


def method(place):
    return checks.at_most(
        "maxima",
        "no feasible point near a polished maximum is higher",
        measured=over(place, lambda c: c.higher),
        bound=1e-12,
        sample=how_many(place) + ", 300 points around each",
        role="method",
        scale=cfg.scale,
    )


def followed(place):
    """The three comparisons with the followed maxima, for one place."""
    role = "printed" if place == "inside" else "corrected"
    return [
        checks.equal(
            "jacobian",
            "the implicit-function Jacobian is the finite-difference Jacobian of the followed maximum",
            measured=over(place, lambda c: c.jacobian_error),
            expected=0.0,
            atol=1e-4,
            sample=how_many(place) + ", steps of 1e-5; relative errors",
            role=role,
            scale=cfg.scale,
        ),  # h^2 times a third derivative that grows like 1 / c^3
        checks.equal(
            "hessian",
            "the Hessian of the adversarial loss is that of the text",
            measured=over(place, lambda c: c.hessian_error),
            expected=0.0,
            atol=1e-4,
            sample=how_many(place) + ", differences of its gradient; relative errors",
            role=role,
            scale=cfg.scale,
        ),
        checks.at_most(
            "lipschitz",
            "no followed maximum moves faster than C_theta_x / c, constants taken along the segment",
            measured=over(place, lambda c: c.speed / c.printed),
            bound=1.0,
            sample=how_many(place) + ", a random step and one along the fastest direction; ratios",
            role=role,
            scale=cfg.scale,
        ),
    ]


lem4 = [
    method("inside"),
    checks.identity(
        "schur",
        "the Hessian of the maximum of a quadratic loss is A + B'(-H)^(-1) B (d = m = 2, sum of squared differences)",
        left=squares(curved_by),
        right=0,
    ),
    fast,
    *followed("inside"),
    checks.equal(
        "attained",
        "the bowl attains the speed C_theta_x / c and the curvature C_theta_theta + C_theta_x^2 / c",
        measured=torch.cat(
            [
                torch.linalg.matrix_norm(bowl_at.jacobian, 2) * 0.8,
                torch.linalg.matrix_norm(bowl_at.hessian, 2) / (0.3 + 1 / 0.8),
            ]
        ),
        expected=1.0,
        atol=1e-9,
        sample=f"300 parameters, d = 4, seed {cfg.seed}; ratios",
        scale=cfg.scale,
    ),
    checks.every(
        "adds",
        "the adversary's answer only adds curvature: no eigenvalue of the difference is negative, to rounding",
        cases=over(
            "inside", lambda c: torch.linalg.eigvalsh(c.formula.hessian - c.formula.frozen_hessian)[:, 0] > -1e-9
        ),
        sample=how_many("inside"),
        role="observed",
        scale=cfg.scale,
    ),
]

# %% tags=["hide-input"]
both = torch.cat([c["back"] & c["pushed"] for c in census.values()])
positive = torch.cat([c["positive"] for c in census.values()])
pushed = torch.cat([c["pushed"] for c in census.values()])
back = torch.cat([c["back"] for c in census.values()])
parity = torch.cat([c["positive"] == (d % 2 == 0) for d, c in census.items()])
census_text = f"{cfg.critical:,} critical points in each dimension 2 to 6, seed {cfg.seed}"
hundred = oa.optimum(
    lambda x, th: 100 * plain(x, th),
    normal_theta / normal_theta.norm(dim=1, keepdim=True),
    normal_theta,
    1.0,
    on_sphere=True,
)
lem5 = [
    method("sphere"),
    checks.identity(
        "determinant", "det K = -det S, for d = 2, 3 and 4 (sum of squared differences)", left=dets, right=0
    ),
    checks.identity(
        "inverse-block",
        "the lower right block of the inverse of K is the inverse of S (d = 3)",
        left=squares(inverse),
        right=0,
    ),
    checks.implies(
        "maximum",
        "mu > 0 and tSt <= -c |t|^2: the loss falls as soon as eta is small enough",
        assumptions=[
            mu_z > 0,
            curv > 0,
            w_ >= 0,
            q_ >= 0,
            w_ + q_ > 0,
            s_ <= -curv * q_,
            e_ <= eta * (w_ + q_),
            eta <= mu_z / 2,
            eta <= curv / 4,
            eta >= 0,
        ],
        conclusion=-mu_z * w_ + s_ / 2 + e_ < 0,
    ),
    fast,
    checks.every(
        "determinant-necessary",
        "every local maximum on the sphere has a positive determinant",
        cases=positive[back],
        sample=census_text + "; those to which ascent returns",
        scale=cfg.scale,
    ),
    checks.every(
        "determinant-sufficient",
        "every critical point with a positive determinant and multiplier is a local maximum",
        cases=back[positive & pushed],
        sample=census_text,
        scale=cfg.scale,
    ),
    checks.at_most(
        "without-push",
        "a maximum on the sphere with a positive determinant moves at most C_theta_x / c, also if mu = 0",
        measured=leaving[:, 0],
        bound=leaving[:, 1],
        sample="d = 2, five losses with h from 1 to 0.01, determinant 1",
        scale=cfg.scale,
    ),
    checks.every(
        "saddle",
        "d = 4, S = diag(1, 1, -1): the determinant is 1 and ascent leaves",
        cases=((saddle_det - 1).abs() < 1e-12) & ~saddle_back,
        sample=f"50 starts, seed {cfg.seed}",
        role="observed",
        scale=cfg.scale,
    ),
    checks.every(
        "condition",
        "ascent returns exactly if mu > 0 and S is negative definite",
        cases=back == torch.cat([c["condition"] for c in census.values()]),
        evidence={"maxima": int(back.sum())},
        sample=census_text,
        role="corrected",
        scale=cfg.scale,
    ),
    checks.every(
        "parity",
        "at every local maximum the determinant has the sign of (-1)^d",
        cases=parity[back],
        sample=census_text,
        role="corrected",
        scale=cfg.scale,
    ),
    *followed("sphere"),
    checks.at_most(
        "no-border",
        "nor faster than |T'B| / c_T",
        measured=over("sphere", lambda c: c.speed / c.borderless),
        bound=1.0,
        sample=how_many("sphere") + "; ratios",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.at_most(
        "c-below",
        "the printed c is never larger than c_T",
        measured=over("sphere", lambda c: c.formula.printed_c / c.formula.curvature),
        bound=1.0,
        sample=how_many("sphere") + "; ratios",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.equal(
        "no-border-attained",
        "for theta.x the bound without the border is the speed, eps / |theta|",
        measured=torch.cat(
            [exact_speed * steady.curvature / steady.tangent_coupling, exact_speed * normal_theta.norm(dim=1)]
        ),
        expected=1.0,
        atol=1e-9,
        sample=f"300 parameters of length 0.01 to 30, d = 4, seed {cfg.seed}; ratios",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.equal(
        "rescaling",
        "100 times the loss: the bound without the border stays",
        measured=(hundred.tangent_coupling / hundred.curvature) / (steady.tangent_coupling / steady.curvature),
        expected=1.0,
        atol=1e-9,
        sample=f"the same 300 parameters; the printed bound grows up to {checks.show(float(((hundred.coupling / hundred.printed_c) / (steady.coupling / steady.printed_c)).max()))} times",
        role="observed",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## Checks of the trade-off and of the limits

# %% tags=["hide-input"]
flat_k = sp.zeros(4, 4)
flat_k[0, 1] = flat_k[1, 0] = 1
flat_k[2, 2] = flat_k[3, 3] = -mu_ / eps_
families = torch.tensor(
    [*(float(v[-1] / v[0]) for v in measured.values()), float((nets.measured[:, -1] / nets.measured[:, 0]).median())]
)
all_measured = torch.cat([*measured.values(), nets.measured.ravel()])
all_exact = torch.cat([*exact.values(), nets.exact.ravel()])
held_at = A + Bc * 1.0 / REACH
tradeoff = [
    checks.identity(
        "flat-spectrum",
        "with H = 0 the eigenvalues of K are 1, -1 and -mu/eps, d - 1 times (d = 3)",
        left=sp.expand((lam * sp.eye(4) - flat_k).det()),
        right=sp.expand((lam - 1) * (lam + 1) * (lam + mu_ / eps_) ** 2),
    ),
    checks.every(
        "grows",
        "in every family the measured constant is larger at s = 0.01 than at s = 1",
        cases=families > 1,
        sample=f"five families, {len(nets.measured)} networks (median), seed {cfg.seed}",
        scale=cfg.scale,
    ),
    checks.equal(
        "formula",
        "the measured constant is the norm of the exact Hessian, in every family",
        measured=all_measured / all_exact,
        expected=1.0,
        atol=1e-2,
        sample=f"{len(all_measured)} constants at nine values of s, seed {cfg.seed}; ratios",
        role="corrected",
        scale=cfg.scale,
    ),  # random directions miss the steepest by up to 1%
    checks.equal(
        "flat-c",
        "with zero input Hessian the printed c is min(1, mu / eps)",
        measured=torch.linalg.svdvals(flat.bordered)[:, -1],
        expected=(multipliers / 0.5).clamp(max=1),
        atol=1e-9,
        sample=f"100 critical points, d = 4, mu from 0.01 to 10, eps = 0.5, seed {cfg.seed}",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.equal(
        "inside",
        "inside, with fixed coupling, it grows like a + b^2 / s",
        measured=measured["bowl, inside"] / (A + Bc**2 / flatten),
        expected=1.0,
        atol=1e-6,
        sample="nine values of s; ratios",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.equal(
        "held-by-the-sphere",
        "at a fixed theta it ends at a + b eps / |theta|, whatever s",
        measured=measured["bowl, at fixed θ"][flatten < 0.9 * Bc * REACH],
        expected=held_at,
        atol=1e-4,
        sample="values of s below 0.45; attack on the sphere",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.equal(
        "in-proportion",
        "the loss times s has s times the constant",
        measured=measured["loss times s"] / (flatten * (A + Bc**2)),
        expected=1.0,
        atol=1e-6,
        sample="nine values of s; ratios",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.positive(
        "networks-smoother",
        "a network with inputs scaled down has a smaller constant: log of first over last",
        differences=(nets.measured[:, 0] / nets.measured[:, -1]).log(),
        sample=f"tanh networks of {cfg.units} units, seed {cfg.seed}",
        role="corrected",
        scale=cfg.scale,
    ),
]
limits = [
    checks.equal(
        "leaps-are-ties",
        "before and after a leap the loss is the same: two maxima tie",
        measured=drop,
        expected=0.0,
        atol=1e-9,
        sample=f"{len(drop)} leaps on {cfg.loops} loops, seed {cfg.seed}",
        role="method",
        scale=cfg.scale,
    ),
    checks.equal(
        "jump",
        "at the tie of the two bumps the gradient jumps by 2 min(1, eps), p = 2",
        measured=jumps,
        expected=[2 * min(1, e) for e in budgets],
        atol=1e-6,
        sample="budgets 0.3 to 3, global maxima at theta_1 = -1e-9 and 1e-9",
        scale=cfg.scale,
    ),
    checks.equal(
        "pgd-jump",
        "the loss that PGD reaches jumps by the difference of the two bumps where its start crosses the valley",
        measured=torch.cat(list(pgd_jump.values())),
        expected=peak[0] - peak[1],
        atol=1e-3,
        sample="both norms, 300 steps of 0.01, parameters 2e-6 apart",
        scale=cfg.scale,
    ),  # the last step overshoots a peak by up to 0.01
    checks.positive(
        "leaps",
        "the L2 adversarial loss of a network leaps, where the clean loss is smooth: leaps per loop",
        differences=leap_count.double(),
        sample=f"{cfg.units} tanh units, budget {cfg.eps:g}, seed {cfg.seed}",
        scale=cfg.scale,
    ),
    checks.positive(
        "more-in-the-square",
        "with the maximum norm it leaps more often: difference of leaps per loop, equal areas",
        differences=(square_count - leap_count).double(),
        sample=f"{cfg.loops} loops, {cfg.units} tanh units, seed {cfg.seed}",
        scale=cfg.scale,
    ),
    checks.at_most(
        "projection",
        "the projection is not the discontinuous part: no quotient exceeds 1, either norm",
        measured=projected,
        bound=1.0,
        sample=f"{2 * cfg.pairs:,} pairs, d = 5, seed {cfg.seed}",
        role="observed",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## Verdict

# %% tags=["hide-input"]
claims.report(
    claims.verdict("kanai2021-def1", def1),
    claims.verdict("kanai2021-assump1", assump1, note="Only for bounded parameters and inputs (L9)."),
    claims.verdict(
        "kanai2021-prop1",
        prop1,
        note="Right for p = 2. For the maximum norm and Euclidean constants the last term is 2 eps sqrt(d) C_theta_x (K4), and that is attained.",
    ),
    claims.verdict("kanai2021-lem4", lem4, note="Right and attained, for a local maximum that is followed."),
    claims.verdict(
        "kanai2021-lem5",
        lem5,
        note="Replace det > 0 by: S negative definite and mu > 0 (K1). With mu = 0 the printed bound can fail. The constant without the border is smaller and has the right scaling.",
    ),
    claims.verdict(
        "kanai2021-obs-flatness-tradeoff",
        tradeoff,
        note="Flattening the input hurts where neither curvature nor slope holds the attack; elsewhere the constant stays or falls (K2).",
    ),
    claims.verdict(
        "kanai2021-limits",
        limits,
        note="It jumps, by a closed form. PGD's own loss is discontinuous, for another reason than the projection (K5).",
    ),
)

# %% [markdown]
# ## Limits, and one thing to try
#
# The networks are tiny, random and smooth; with ReLU there is no Hessian, and most maxima have $H$ singular. Global maxima are exact only as far as a grid in two dimensions can tell, and a pair of bumps
# closer than a fifth of the budget is counted as one. Flattening here is what five formulas do to a loss, not what training does to a network: whether regularised training takes the first road or the fourth remains open. And how often training meets a tie says
# nothing yet about how much it suffers.
#
# A followed maximum that is faster than its bound, one critical point on which ascent and {eq}`kanai2021-inside-condition` disagree, or a family without a tie that jumps would change a verdict.
#
# A larger budget gives the attack more bumps to choose from, and more room inside:
#
# ```bash
# papermill notebooks/kanai2021/inside_and_on_the_sphere.ipynb out.ipynb -p eps 2 -p units 10 -p seed 3
# ```
