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
# # The budget at which training becomes useless
#
# *From which attack budget on can a linear classifier do no better than ignore its input?*
#
# The model has one weight vector $w_j\in\mathbb R^d$ for each of $K$ classes, together $W$, and logits $w_j^Tx$. For an input $x$ with
# label $y$ its softmax loss is $g(x,W)=\log\big(1+\sum_{j\ne y}e^{(w_j-w_y)^Tx}\big)$. The adversary may move $x$ within
# $\mathcal S_\varepsilon(x)=\{x':\lVert x'-x\rVert_p\le\varepsilon\}$; the *worst-case loss* is $g_\varepsilon(x,W)=\max_{x'\in\mathcal S_\varepsilon(x)}g(x',W)$, and
# $\mathcal L_\varepsilon(W)$ is its mean over a data set. The exponent $q$ is dual to $p$: $\frac1p+\frac1q=1$. A *constant classifier* has all
# $w_j$ equal; without a bias its loss is $\log K$, at every input.
#
# :::{prf:definition} The version space and its counterpart, section 3.1 of Liu et al.
# :label: liu2020-def-version-space
# :nonumber:
#
# For one labelled input $(x,y)$,
#
# $$
# \begin{aligned}
# \mathcal V_\varepsilon&=\{W:(w_j-w_y)^Tx'\le0\ \text{for all}\ j\ \text{and all}\ x'\in\mathcal S_\varepsilon(x)\},\\
# \mathcal T_\varepsilon&=\{W:\gamma=0\ \text{minimises}\ g_\varepsilon(x,\gamma W)\}.
# \end{aligned}
# $$
#
# $\mathcal V_\varepsilon$ holds the models that no attack defeats, ties allowed; $\mathcal T_\varepsilon$ those that are no better than a constant
# classifier at any size. For two classes the one is said to be the complement of the other ({cite:t}`liu2020`, before
# Proposition 1 and before Theorem 1).
# :::
#
# :::{prf:proposition} Proposition 1 of Liu et al.
# :label: liu2020-prop1
# :nonumber:
#
# If $\varepsilon_1\le\varepsilon_2$ then $\mathcal V_{\varepsilon_2}\subseteq\mathcal V_{\varepsilon_1}$. On $\mathcal V_\varepsilon$ the worst-case loss is at most $\log K$
# (section 3.1, with the remark after the proposition).
# :::
#
# :::{prf:theorem} Theorem 1 of Liu et al.
# :label: liu2020-thm1
# :nonumber:
#
# If $\varepsilon_1\ge\varepsilon_2$ then $\mathcal T_{\varepsilon_2}\subseteq\mathcal T_{\varepsilon_1}$. There is a finite $\bar\varepsilon$ such that, for every
# $\varepsilon\ge\bar\varepsilon$, $\mathcal T_\varepsilon$ holds all $W$, and $W=0$ minimises the worst-case loss. The same is said of the mean $\mathcal L_\varepsilon$ over
# a data set (section 3.1; proof in appendix B.1, equations 11 and 12).
# :::
#
# :::{prf:proposition} The budget of appendix B.1 of Liu et al.
# :label: liu2020-thm1-eps-bar
# :nonumber:
#
# Let $K\ge3$, let $m$ maximise $\lVert w_j-w_y\rVert_q$ and put $v=w_m-w_y$. The input $x'=x+\varepsilon\,v^{q/p}/\lVert v\rVert_q^{q/p}$, the power taken entry by
# entry, lies in $\mathcal S_\varepsilon(x)$, and its loss is at least $\log K$ for all $\varepsilon>\bar\varepsilon=\big(\log(K-1)-v^Tx\big)/\lVert v\rVert_q$. This $\bar\varepsilon$ is to
# serve in Theorem 1 (equation 13 and the lines after it).
# :::
#
# **In short.** The theorem is true, but not with the budget its proof offers: that one depends on $W$ and grows without bound as $W\to0$.
# The exact budget is $\lVert x\rVert_p$ for one input and, for a data set of equally many inputs a class, the Chebyshev radius of the class
# means; in the maximum norm this is *half the largest pixel difference between the mean images of two classes*, however the
# images scatter. Below it adversarial training always gains something, and on real digits the last thing it gains comes from a single pixel.

# %% tags=["hide-input"]
import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sympy as sp
import torch
import z3
from matplotlib.colors import BoundaryNorm, ListedColormap

from advsmooth import checks, claims, data, plotting, settings
from advsmooth.theory import constant_classifier as cc
from advsmooth.theory import version_space as vs
from advsmooth.theory import worst_case_training as wt

plotting.use_theme()

# %% tags=["parameters"]
scale: str = "quick"  # quick (the digits, seconds) | cpu (MNIST at 8 x 8 pixels and more random models, minutes)
seed: int = 0  # seed of the random inputs and models
norm: str = None  # the adversary's norm in the figures and on the digits: linf | l2 | l1
models: int = None  # random models in each test
dataset: str = None  # data set of the training runs: digits, mnist, fashionmnist, imagefolder:PATH
digits: list = None  # its two or three classes, such as "0, 7, 9"
per_class: int = None  # training images of each class
side: int = None  # pixels to a side; larger images are averaged
budgets: list = None  # budgets of the training runs, in units of the radius; 0.97 and 1 are added

# %% tags=["hide-input"]
cfg = settings.resolve(
    globals(),
    norm=settings.choice("linf", "l2", "l1", quick="linf"),
    models=settings.count(at_least=100, at_most=20_000, quick=1500, cpu=10_000),
    dataset=settings.text(quick="digits", cpu="mnist"),
    digits=settings.counts(at_least=0, quick=[0, 7, 9]),
    per_class=settings.count(at_least=20, quick=100),
    side=settings.count(at_least=2, at_most=64, quick=8),
    budgets=settings.numbers(
        at_least=0.05, at_most=3, quick=[0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99, 1, 1.02, 1.1]
    ),
)
p = {"linf": math.inf, "l2": 2.0, "l1": 1.0}[cfg.norm]
cfg

# %% [markdown]
# ## The worst case, exactly
#
# Everything below rests on exact inner maxima. Two are needed.
#
# *One logit difference.* It is linear in $x'$, so by Hölder's inequality and its case of equality
#
# $$
# \max_{x'\in\mathcal S_\varepsilon(x)}(w_j-w_y)^Tx'=(w_j-w_y)^Tx+\varepsilon\lVert w_j-w_y\rVert_q ,
# $$ (liu2020-constant-worst-difference)
#
# and $W\in\mathcal V_\varepsilon$ exactly if this is at most 0 for every $j$: membership is a formula.
#
# *The loss.* It is convex in $x'$ and increases in each of the $K-1$ logit differences, through which alone it sees $x'$. A convex
# function is largest at an extreme point of the ball: one of $2d$ vertices for $p=1$; one of $2^d$ for $p=\infty$, listed in small dimension. For three classes
# much less will do. The best vertex of the cube is $x+\varepsilon\,\mathrm{sign}(\cos\vartheta\,v_1+\sin\vartheta\,v_2)$ for some angle $\vartheta$, where $v_1,v_2$ are
# the two differences, and as $\vartheta$ turns the signs change at most $d$ times: $d+1$ candidates, exact for 64 pixels or 784. For $p=2$ and three
# classes, with $h(t)$ the entropy of $(1-t,t)$,
#
# $$
# g_\varepsilon(x,W)=\max_{0\le t\le1}\log\big(1+e^{\,h(t)+u_t^Tx+\varepsilon\lVert u_t\rVert_q}\big),\qquad u_t=(1-t)v_1+t\,v_2,
# $$ (liu2020-constant-one-number)
#
# for every $p$: write $\log(e^a+e^b)=\max_t\{h(t)+(1-t)a+tb\}$, exchange the two maxima, and use Hölder. One number is left, and the search over it
# ends with a certificate (branch and bound, to $10^{-10}$). Both are compared with plain listings of points of the ball.

# %% tags=["hide-input"]
g = settings.generator(cfg.seed)
cases = [
    (1.0, 3, 2),
    (2.0, 3, 2),
    (math.inf, 3, 2),
    (1.0, 5, 4),
    (math.inf, 5, 4),
    (2.0, 3, 6),
]  # p, classes, dimension
inputs = [torch.randn(d, generator=g, dtype=torch.float64) for _, _, d in cases]
formula, listed, exact, search = [], [], [], []
for p_, classes, d in [(1.0, 4, 5), (math.inf, 4, 5), (2.0, 3, 2), (math.inf, 3, 13)]:
    x, W = (
        torch.randn(d, generator=g, dtype=torch.float64),
        torch.randn(40, classes, d, generator=g, dtype=torch.float64),
    )
    points = x + 0.7 * vs.ball_points(p_, d, 4096, cfg.seed)
    logits = points @ W.transpose(-2, -1)
    formula.append(vs.worst_differences(x, 0, W, 0.7, p_).ravel())
    listed.append((logits[..., 1:] - logits[..., :1]).amax(-2).ravel())
    exact.append(vs.worst_case_loss(x, 0, W, 0.7, p_))
    search.append((logits.logsumexp(-1) - logits[..., 0]).amax(-1))
method = [
    checks.equal(
        name,
        sentence,
        measured=torch.cat(ours),
        expected=torch.cat(theirs),
        atol=1e-5,  # 4096 directions in the plane miss the best by an angle of at most pi/4096, a fraction 3e-7 of the gain
        sample=f"4 kinds of ball x 40 models, seed {cfg.seed}",
        role="method",
        scale=cfg.scale,
    )
    for name, sentence, ours, theirs in (
        ("difference-listing", "the largest logit differences are those of a listing of the ball", formula, listed),
        ("loss-listing", "the worst-case loss is that of a listing of the ball", exact, search),
    )
]

# %% [markdown]
# ## The two sets
#
# **The version space** shrinks because {eq}`liu2020-constant-worst-difference` grows with $\varepsilon$. On it all $K-1$ exponents are at most 0, so the loss
# is at most $\log(1+(K-1))=\log K$. That is all of Proposition 1.
#
# **The other set** has a formula, too, for any number of classes (the paper says it cannot be written down for $K\ge3$). Fix $x'$ and let $z_j=w_j^Tx'$. Then
# $l(\gamma)=g(x',\gamma W)=\log\sum_je^{\gamma z_j}-\gamma z_y$ has
#
# $$
# \begin{gathered}
# l(0)=\log K,\qquad l'(0)=a^Tx',\quad a=\bar w-w_y,\ \bar w=\tfrac1K\textstyle\sum_jw_j,\\
# l''(\gamma)=\dfrac{\sum_{j<k}e^{\gamma(z_j+z_k)}(z_j-z_k)^2}{\big(\sum_je^{\gamma z_j}\big)^2}\ge0 .
# \end{gathered}
# $$ (liu2020-constant-ray)
#
# A convex function lies above its tangent, so for $\gamma\ge0$, with the largest $a^Tx'$ from Hölder,
#
# $$
# g_\varepsilon(x,\gamma W)\;\ge\;\log K+\gamma\,s,\qquad s=a^Tx+\varepsilon\lVert a\rVert_q ,
# $$ (liu2020-constant-tangent)
#
# and $s$ is the slope of the left-hand side at $\gamma=0+$ (the slope of a maximum is the largest slope {cite}`danskin1966`). So $\gamma=0$ is best among
# $\gamma\ge0$ exactly if $s\ge0$. For $\gamma\le0$ put $-W$ for $W$. Hence
#
# $$
# \begin{aligned}
# \mathcal T_\varepsilon&=\big\{W:\lvert a^Tx\rvert\le\varepsilon\lVert a\rVert_q\big\}&&(\gamma\in\mathbb R),\\
# \mathcal T^+_\varepsilon&=\big\{W:a^Tx+\varepsilon\lVert a\rVert_q\ge0\big\}&&(\gamma\ge0).
# \end{aligned}
# $$ (liu2020-constant-origin-set)
#
# *Which range of $\gamma$ is meant?* The paper does not say in the definition, but its proof uses both signs (equation 11).
# For two classes $a=\frac12(w_j-w_y)$, so $\mathcal V_\varepsilon=\{a^Tx+\varepsilon\lVert a\rVert_q\le0\}$ is the complement of $\mathcal T^+_\varepsilon$ up to the common boundary, as the
# paper says; but $\mathcal T_\varepsilon$ also leaves out $-\mathcal V_\varepsilon$, the models that are *wrong* on the whole ball and become right when turned round (L6).

# %% tags=["hide-input"]
e1, e2, c, n, m, eps_1, eps_2, eps = z3.Reals("e1 e2 c n m eps_1 eps_2 eps")
z = sp.symbols("z1:4", real=True)
gamma = sp.Symbol("gamma", real=True)
total = sum(sp.exp(gamma * part) for part in z)
along = sp.log(total) - gamma * z[0]
squares = sum(sp.exp(gamma * (z[j] + z[k])) * (z[j] - z[k]) ** 2 for j in range(3) for k in range(j + 1, 3))
shrink = [
    checks.implies(
        "shrinks",
        "c + eps_2 n <= 0 and eps_1 <= eps_2 give c + eps_1 n <= 0, for c = (w_j - w_y).x and n = |w_j - w_y|_q",
        assumptions=[n >= 0, eps_1 >= 0, eps_1 <= eps_2, c + eps_2 * n <= 0],
        conclusion=c + eps_1 * n <= 0,
    ),
    checks.implies(
        "sum-at-most-K",
        "K - 1 exponentials of numbers at most 0 and a 1 sum to at most K (K = 3)",
        assumptions=[e1 > 0, e2 > 0, e1 <= 1, e2 <= 1],
        conclusion=1 + e1 + e2 <= 3,
    ),
]
ray = [
    checks.identity(
        "slope",
        "the derivative at gamma = 0 is the mean of the logits minus that of the label (K = 3)",
        left=sp.diff(along, gamma).subs(gamma, 0),
        right=sum(z) / 3 - z[0],
    ),
    checks.identity(
        "convex",
        "the second derivative is the sum of squares in the text (K = 3)",
        left=sp.expand(sp.simplify(sp.diff(along, gamma, 2) * total**2)),
        right=sp.expand(squares),
    ),
]
grow = checks.implies(
    "formula-grows",
    "|m| <= eps_2 n and eps_1 >= eps_2 give |m| <= eps_1 n, for m = a.x and n = |a|_q",
    assumptions=[n >= 0, eps_1 >= eps_2, eps_2 >= 0, m <= eps_2 * n, -m <= eps_2 * n],
    conclusion=z3.And(m <= eps_1 * n, -m <= eps_1 * n),
)
one_sided = checks.implies(
    "complement-algebra",
    "m + eps n <= 0 or m + eps n >= 0, and both only where it is 0",
    assumptions=[n >= 0, eps >= 0],
    conclusion=z3.And(
        z3.Or(m + eps * n <= 0, m + eps * n >= 0),
        z3.Implies(z3.And(m + eps * n <= 0, m + eps * n >= 0), m + eps * n == 0),
    ),
)

# %% [markdown]
# The picture shows planes of models for one input in the plane, with budgets in units of $\lVert x\rVert_p$.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Planes of models for one input in the plane. Left: two classes, the plane of the difference of the two rows, at half the budget; the version space and its counterpart leave out the hatched third region. Middle: three classes, the plane of the third row (first row, of the right class, and second row: dots). Shade: up to which budget the model is in the version space. The cone closes like a fan; at budget 1 only a half-line is left. Right: the same plane; shade: from which budget on the model is no better than a constant. At budget 1 the whole plane is."}, "image": {"alt": "Three panels. Left, four sectors: the version space on one side, its mirror image on the other, hatched, and two sectors between. Middle, nested cones with a common apex, narrowing to a half-line as the budget grows. Right, nested double cones that widen until they fill the plane."}}
span = torch.linspace(-2.6, 2.6, 241, dtype=torch.float64)
plane = torch.stack(torch.meshgrid(span, span, indexing="xy"), -1)
x = torch.tensor([1.0, 0.45], dtype=torch.float64)
size = float(vs.norm(x, p))
fig, axes = plt.subplots(1, 3, figsize=(plotting.WIDTH, 3.9))
two = torch.stack([torch.zeros_like(plane), plane], -2)
inside, mirrored = (vs.in_version_space(x, 0, sign * two, size / 2, p) for sign in (1, -1))
picture = {"origin": "lower", "extent": (-2.6, 2.6, -2.6, 2.6), "interpolation": "nearest"}
empty = axes[0].imshow(
    inside.int() + 2 * mirrored.int(), cmap=ListedColormap(["white", plotting.BLUE, "#f3c9a8"]), **picture
)
axes[0].contourf(span[::4], span[::4], mirrored[::4, ::4].int(), levels=[0.5, 1.5], colors="none", hatches=["///"])
for point, words, colour in (
    ((-1.5, -0.6), "$V_\\varepsilon$", "white"),
    ((1.55, 0.75), "neither", plotting.INK),
    ((-0.9, 1.7), "$T_\\varepsilon$", plotting.INK),
    ((0.9, -1.8), "$T_\\varepsilon$", plotting.INK),
):
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5} if words == "neither" else None
    axes[0].text(*point, words, color=colour, ha="center", va="center", fontsize=11 if box is None else 9, bbox=box)
plotting.label(axes[0], "K = 2, half budget", "first entry of $w_2-w_1$", "second entry")
fig.colorbar(empty, ax=axes[0], location="bottom", shrink=0.95).ax.set_visible(False)  # keeps the three panels level
first = vs.separating_weights(x, 0, 1, p)[0]
three = torch.stack([first.expand_as(plane), torch.zeros_like(plane), plane], -2)
a = vs.differences(three, 0).sum(-2)
shades = (
    (
        axes[1],
        vs.version_margin(x, 0, three, p) / size,
        "K = 3: $V_\\varepsilon$ shrinks",
        "in $V_\\varepsilon$ up to",
    ),
    (
        axes[2],
        (a @ x).abs() / vs.norm(a, vs.dual_exponent(p)) / size,
        "K = 3: $T_\\varepsilon$ grows",
        "in $T_\\varepsilon$ from",
    ),
)
levels = np.linspace(0, 1, 6)
for ax, shade, title, words in shades:
    shade = torch.where(shade < 0, torch.nan, shade)
    drawn = ax.imshow(shade, cmap="cividis", norm=BoundaryNorm(levels, 256), **picture)
    for point, name in ((first, "$w_y$"), (torch.zeros(2), "$w_2$")):
        ax.plot(*point, "o", color="white", markeredgecolor=plotting.INK)
        ax.annotate(name, point.tolist(), (-9, -13), textcoords="offset points", fontsize=9, ha="center")
    fig.colorbar(
        drawn, ax=ax, location="bottom", shrink=0.95, ticks=[0, 0.4, 0.8], label=f"{words} (budget / $\\|x\\|_p$)"
    )
    plotting.label(ax, title, "first entry of $w_3$", "")
for ax in axes:
    ax.set(xticks=[-2, 0, 2], yticks=[-2, 0, 2] if ax is axes[0] else [])
    ax.grid(False)
plotting.finish(fig, f"exact formulas; norm {cfg.norm}, x = (1, 0.45)")

# %% [markdown]
# The statements, on random models of sizes 0.01 to 30, a part of them tilted towards classifying $x$ robustly. Membership in $\mathcal V_\varepsilon$ at the
# smaller budget is decided by a listing of points of the ball, and membership in $\mathcal T_\varepsilon$ by its definition: the loss along the ray at 82 values
# of $\gamma$ from $10^{-6}$ to $100$ in both directions (models with a slope below $10^{-3}$ in absolute value, where the listing cannot tell, are set aside).

# %% tags=["hide-input"]
fraction = torch.rand(cfg.models, 2, generator=g, dtype=torch.float64).sort(1).values * 1.1
held, ratio = [], []
for (p_, classes, d), x in zip(cases, inputs, strict=True):
    W = vs.random_models(cfg.models, classes, d, cfg.seed, towards=vs.separating_weights(x, 0, classes, p_))
    small, large = (fraction * vs.norm(x, p_)).T
    member = vs.in_version_space(x, 0, W, large, p_)
    points = x + small[member, None, None] * vs.ball_points(p_, d, 64, cfg.seed)
    gaps = torch.einsum("nkd,nid->nik", vs.differences(W[member], 0), points)
    held.append((gaps <= 1e-9 * gaps.abs().amax()).all(-1).all(-1))
    for shrunk in (1, 1e-3):  # small weights are where log K is almost reached
        ratio.append(vs.worst_case_loss(x, 0, shrunk * W[member], large[member], p_) / math.log(classes))
defined, by_formula, monotone = [], [], []
for (p_, classes, d), x in zip(cases, inputs, strict=True):
    size, W = (
        vs.norm(x, p_),
        vs.random_models(60, classes, d, cfg.seed, towards=vs.separating_weights(x, 0, classes, p_)),
    )
    W = W / vs.norm(W.mean(-2) - W[:, 0], vs.dual_exponent(p_))[:, None, None]
    for share in (0.2, 0.5, 0.8):
        slopes = [vs.slope_at_origin(x, 0, sign * W, share * size, p_).abs() for sign in (1, -1)]
        clear = W[torch.minimum(*slopes) > 1e-3]
        defined.append(vs.origin_set_by_search(x, 0, clear, share * size, p_))
        by_formula.append(vs.in_origin_set(x, 0, clear, share * size, p_))
        monotone.append(vs.origin_set_by_search(x, 0, clear, (share + 0.2) * size, p_) | ~defined[-1])
held, ratio, defined = torch.cat(held), torch.cat(ratio), torch.cat(defined)
drawn = f"{len(cases)} combinations of norm, classes and dimension, seed {cfg.seed}"
proposition = [
    checks.every(
        "inclusion",
        "a model in the version space of the larger budget has no point with a larger wrong logit within the smaller one",
        cases=held,
        sample=f"{len(held):,} models inside, of {cfg.models:,} drawn for each of {drawn}",
        scale=cfg.scale,
    ),
    checks.at_most(
        "log-K",
        "in the version space, the worst-case loss over log K is at most 1",
        measured=ratio,
        bound=1.0,
        sample=f"the same {len(held):,} models and the same times 1/1000",
        scale=cfg.scale,
    ),
]
method.append(
    checks.every(
        "origin-set-by-definition",
        "the formula for T_eps agrees with its definition, a search along the ray in both directions",
        cases=torch.cat(by_formula) == defined,
        sample=f"{len(defined):,} pairs of a model and a budget, {int(defined.sum()):,} of them inside; {drawn}",
        role="method",
        scale=cfg.scale,
    )
)
theorem = [
    checks.every(
        "T-grows",
        "a model in T_eps (by definition) is still there at a budget larger by a fifth of |x|",
        cases=torch.cat(monotone),
        sample=f"the same pairs; {drawn}",
        scale=cfg.scale,
    )
]

# %% [markdown]
# For two classes, each random model should lie in exactly one of the two sets if they are complements.

# %% tags=["hide-input"]
p_, x = 2.0, inputs[1]
W = vs.random_models(cfg.models, 2, 2, cfg.seed + 1)
half = vs.norm(x, p_) / 2
in_v = vs.in_version_space(x, 0, W, half, p_)
in_t = vs.in_origin_set(x, 0, W, half, p_)
in_t_plus = vs.in_origin_set(x, 0, W, half, p_, both_signs=False)
three = vs.random_models(cfg.models, 3, 2, cfg.seed + 2)
outside = ~vs.in_version_space(x, 0, three, half, p_) & ~vs.in_origin_set(x, 0, three, half, p_, both_signs=False)
sets = [
    checks.every(
        "complement",
        "with gamma of both signs, every two-class model lies in exactly one of V_eps and T_eps",
        cases=in_v ^ in_t,
        sample=f"{cfg.models:,} models, p = 2, budget |x|/2, seed {cfg.seed + 1}",
        scale=cfg.scale,
    ),
    checks.every(
        "complement-one-sign",
        "with gamma >= 0 only, every two-class model lies in exactly one of them",
        cases=in_v ^ in_t_plus,
        sample=f"the same {cfg.models:,} models",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.every(
        "missing-third",
        "and the models in neither set, with both signs, are those whose negative is in V_eps",
        cases=(~in_v & ~in_t) == vs.in_version_space(x, 0, -W, half, p_),
        sample=f"the same {cfg.models:,} models, {int((~in_v & ~in_t).sum()):,} of them in neither",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.at_most(
        "three-classes",
        "for three classes the two sets do not hold all models, even with gamma >= 0: the share that lies in one of them",
        measured=1 - outside.double().mean(),
        bound=0.99,
        sample=f"{cfg.models:,} models of three classes, seed {cfg.seed + 2}",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## One input: the budget is its norm
#
# By Hölder, $\lvert a^Tx\rvert\le\lVert x\rVert_p\lVert a\rVert_q$ for all $a$, with equality for some $a\ne0$, and every $a$ occurs. So {eq}`liu2020-constant-origin-set` says at once that
# $\mathcal T_\varepsilon$ holds *all* models exactly if $\varepsilon\ge\lVert x\rVert_p$. Directly:
#
# - *From $\lVert x\rVert_p$ on nothing beats a constant*: $x'=0$ is allowed, every linear model gives it equal logits, and $g_\varepsilon(x,W)\ge g(0,W)=\log K$.
# - *Below, the loss can be made arbitrarily small*: take $w_y=Ru$ with $\lVert u\rVert_q=1$, $u^Tx=\lVert x\rVert_p$, and the other rows 0. Then
#   $g_\varepsilon(x,W)=\log\big(1+(K-1)e^{-R(\lVert x\rVert_p-\varepsilon)}\big)$.
#
# The second line is the best that weights of this size can do. If $\lVert w_j-w_y\rVert_q\le R$ for all $j$, move $x$ straight towards the origin, to
# $x'=(1-\varepsilon/\lVert x\rVert_p)\,x$: every wrong logit comes within $R(\lVert x\rVert_p-\varepsilon)$ of the right one. Hence, for $R>0$,
#
# $$
# \min_{\lVert w_j-w_y\rVert_q\le R}g_\varepsilon(x,W)=\log\Big(1+(K-1)\,e^{-R\,\max(\lVert x\rVert_p-\varepsilon,\,0)}\Big).
# $$ (liu2020-constant-least)
#
# For $\varepsilon>\lVert x\rVert_p$ the *only* minimisers are constant classifiers: the origin is then inside the ball, and $x'\mapsto g(x',W)$ is convex with value $\log K$ there,
# so it exceeds $\log K$ somewhere nearby unless it is flat, which needs all $w_j$ equal. At $\varepsilon=\lVert x\rVert_p$ itself there are others,
# such as the separating ones.
#
# ## What the appendix offers instead
#
# Two slips, one harmless and one not.
#
# **The step (L5).** With $q=p/(p-1)$ the exponents work out, $\frac qp+1=q$ and $q-\frac qp=1$, and give
# $\lVert\delta\rVert_p=1$ and $v^T\delta=\lVert v\rVert_q$ for $\delta=\mathrm{sign}(v)\,\lvert v\rvert^{q/p}/\lVert v\rVert_q^{q/p}$. As printed, the sign is missing: the step is right for $p=2$, has no
# real value for $p=3$ if an entry is negative, and for $p=\infty$ adds $\varepsilon$ to every pixel. With $v=(1,-2,3)$ the gain is $2$ instead of $\lVert v\rVert_1=6$.
#
# **The quantifier (L4).** With the sign mended, the inequality is right *for each $W$*: beyond $\bar\varepsilon(W)$ one exponential alone is at least $K-1$. But membership in
# $\mathcal T_\varepsilon$ needs one budget for all multiples of $W$, and
#
# $$
# \bar\varepsilon(tW)=\bar\varepsilon(W)+\Big(\frac1t-1\Big)\frac{\log(K-1)}{\lVert v\rVert_q}\;\longrightarrow\;\infty\quad(t\to0,\ K\ge3).
# $$ (liu2020-constant-diverges)
#
# The proof therefore shows no finite budget for any $W$, let alone for all. What each model really needs, the smallest $\varepsilon$ with $g_\varepsilon(x,tW)\ge\log K$, never exceeds
# $\lVert x\rVert_p$. (The text in section 3.1 calls the printed value a *lower bound* of $\bar\varepsilon$; it is neither a lower nor an upper bound.)

# %% tags=["hide-input"]
power, t, log_k, norm_v, inner = sp.symbols("p t L n c", positive=True)
dual = power / (power - 1)
exponential, rest, K_ = z3.Reals("E R K")
offered = lambda scale_: (log_k - scale_ * inner) / (scale_ * norm_v)  # noqa: E731
appendix = [
    checks.identity("exponent-gain", "q/p + 1 = q", left=dual / power + 1, right=dual),
    checks.identity("exponent-norm", "q - q/p = 1", left=dual - dual / power, right=1),
    checks.implies(
        "one-exponential",
        "if one exponential is at least K - 1, then 1 + it + the others is at least K",
        assumptions=[exponential >= K_ - 1, rest >= 0, K_ >= 3],
        conclusion=1 + exponential + rest >= K_,
    ),
    checks.identity(
        "diverges",
        "the offered budget of t W is that of W plus (1/t - 1) log(K - 1) / |v|_q",
        left=offered(t),
        right=offered(1) + (1 / t - 1) * log_k / norm_v,
    ),
]

# %% [markdown]
# First the step alone, then both slips on random models.

# %% tags=["hide-input"]
exponents, measured_steps = (1.5, 2.0, 3.0, math.inf), {True: [], False: []}
for p_ in exponents:
    for v in torch.randn(50, 4, generator=g, dtype=torch.float64):
        for signed, measured in measured_steps.items():
            step = vs.dual_step(v, p_, signed=signed)
            measured.append((float(vs.norm(step, p_)), float(step @ v / vs.norm(v, vs.dual_exponent(p_)))))
right_step = ((torch.tensor(measured_steps[False]) - 1).abs() <= 1e-9).all(-1)

tilted = [vs.separating_weights(x, 0, k, p_) for (p_, k, _), x in zip(cases, inputs, strict=True)]
pools = [
    vs.random_models(cfg.models, k, d, cfg.seed + 3, towards=W) for (_, k, d), W in zip(cases, tilted, strict=True)
]
sufficient, scaled, unscaled = [], [], []
for (p_, classes, _), x, W in zip(cases, inputs, pools, strict=True):
    for one in W[:200]:
        v, budget = vs.largest_difference(0, one, p_), vs.printed_budget(x, 0, one, p_)
        logits = one @ (x + budget.clamp_min(0) * vs.dual_step(v, p_))
        sufficient.append(math.log(classes) / float(logits.logsumexp(0) - logits[0]))
        unscaled.append(float(budget / vs.norm(x, p_)))
        scaled.append(float(vs.printed_budget(x, 0, 0.01 * one, p_) / vs.norm(x, p_)))

# %% [markdown]
# And the exact statements of the section before: the constant at budget $\lVert x\rVert_p$, the least loss for weights of size 3, and the budget that each model needs (by
# bisection of the exact worst case up to $3\lVert x\rVert_p$).

# %% tags=["hide-input"]
constant, sharp, formula_sharp, beaten, needed = [], [], [], [], []
for (p_, classes, _), x, separating, W in zip(cases, inputs, tilted, pools, strict=True):
    size = vs.norm(x, p_)
    constant.append(vs.worst_case_loss(x, 0, torch.cat([W, separating[None]]), size, p_) / math.log(classes))
    bounded = 3 * W / vs.norm(vs.differences(W, 0), vs.dual_exponent(p_)).amax(-1)[:, None, None]
    for share in (0.0, 0.5, 0.9, 0.99):
        formula_sharp.append(vs.least_loss(x, share * size, p_, classes=classes, size=3.0))
        sharp.append(vs.worst_case_loss(x, 0, 3 * separating, share * size, p_))
        beaten.append(formula_sharp[-1] / vs.worst_case_loss(x, 0, bounded, share * size, p_))
    needed.append(vs.needed_budget(x, 0, torch.cat([W[:300], separating[None]]), p_) / size)
theorem.append(
    checks.at_most(
        "constant-optimal",
        "at budget |x|_p, log K over the worst-case loss is at most 1, for all models",
        measured=1 / torch.cat(constant),
        bound=1.0,
        sample=f"{cfg.models + 1:,} models (the last separating) for each of {drawn}",
        scale=cfg.scale,
    )
)

# %% tags=["hide-input"]
sample = f"200 models for each of {drawn[: -len(f', seed {cfg.seed}')]}, seed {cfg.seed + 3}"
steps = f"50 random vectors of 4 entries for each p = 1.5, 2, 3, infinity, seed {cfg.seed}"
eps_bar = [
    checks.every(
        "step-printed",
        "the step as printed, without signs, has length 1 and gain |v|_q",
        cases=right_step,
        evidence={
            f"p = {p_:g}:": f"{int(part.sum())} of {len(part)}"
            for p_, part in zip(exponents, right_step.split(50), strict=True)
        },
        sample=steps,
        scale=cfg.scale,
    ),
    checks.equal(
        "step-signed",
        "the step with signs has length 1 and gain |v|_q (both ratios 1)",
        measured=measured_steps[True],
        expected=1.0,
        atol=1e-9,  # float64, a handful of operations
        sample=steps,
        role="corrected",
        scale=cfg.scale,
    ),
    checks.at_most(
        "sufficient",
        "with the signed step and the budget offered for that W, log K over the loss at x' is at most 1",
        measured=sufficient,
        bound=1.0,
        sample=sample,
        scale=cfg.scale,
    ),
    checks.equal(
        "uniform",
        "the offered budget is the same for W and W/100, which lie in the same T_eps (in units of |x|_p)",
        measured=scaled,
        expected=unscaled,
        atol=1e-9,  # rounding
        sample=sample,
        scale=cfg.scale,
    ),
    checks.equal(
        "least-loss",
        "the separating model of size 3 attains the least loss of the formula",
        measured=torch.stack(sharp),
        expected=torch.stack(formula_sharp),
        atol=1e-9,  # the certified width of the search is 1e-10
        sample=f"budgets 0, 0.5, 0.9, 0.99 of |x|; {drawn}",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.at_most(
        "least-loss-not-beaten",
        "and the least loss over that of any model of this size is at most 1",
        measured=torch.cat(beaten),
        bound=1.0,
        sample=f"{cfg.models:,} models x 4 budgets for each of {drawn}",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.at_most(
        "needed-budget",
        "the smallest budget with worst-case loss log K, over |x|_p, is at most 1 (and 1 for the separating model)",
        measured=torch.cat(needed),
        bound=1.0,
        sample=f"301 models for each of {drawn}",
        role="corrected",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# Left below: the least loss {eq}`liu2020-constant-least` with the best of the random models of the same size. The larger the weights may be, the closer the minimum stays
# to 0, and the harder it jumps: without a bound on $W$ it is 0 for every $\varepsilon<\lVert x\rVert_p$ and $\log K$ from there on. Right: what the appendix offers
# along a ray $tW$, and what is needed.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: least worst-case loss of one input over three-class models with weight differences of size at most R, minus log 3 (lines: formula; markers: best of the random models). All curves reach zero together at the norm of the input. Right: the budget offered by the appendix along rays tW (dashed), which diverges as t falls, and the budget that is needed (solid), which never exceeds the norm of the input."}, "image": {"alt": "Left, four curves that rise to zero exactly at budget 1, the steeper the larger R; the last is a step. Right, on log axes, dashed lines grow like 1/t towards small t while solid curves stay at or below 1."}}
kind = next(i for i, case in enumerate(cases) if case == (p, 3, 2))
x, size = inputs[kind], vs.norm(inputs[kind], p)
pool = vs.random_models(3000, 3, 2, cfg.seed + 4, towards=tilted[kind])
pool = pool / vs.norm(vs.differences(pool, 0), vs.dual_exponent(p)).amax(-1)[:, None, None]
smaller = torch.cat([part * pool for part in (0.01, 0.1, 0.3, 1.0)])
fig, (left, right) = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.3))
fine, coarse = torch.linspace(0, 1.3, 131, dtype=torch.float64), torch.linspace(0, 1.3, 14, dtype=torch.float64)
for weights, style in zip((1.0, 4.0, 16.0), plotting.styles(), strict=False):
    best = [float(vs.worst_case_loss(x, 0, weights * smaller, share * size, p).amin()) for share in coarse]
    least = vs.least_loss(x, fine * size, p, classes=3, size=weights)
    left.plot(fine, least - math.log(3), **(style | {"marker": ""}))
    left.plot(coarse, np.array(best) - math.log(3), label=f"$R={weights:g}$", **style | {"linestyle": ""})
left.step([0, 1, 1.3], [-math.log(3), 0, 0], where="post", color=plotting.PURPLE, linestyle=":", label="no bound")
left.axvline(1, color=plotting.GREY, linewidth=0.8)
left.set(xticks=[0, 0.5, 1], yticks=[-1, -0.5, 0])
plotting.label(left, "One input: least loss", "budget / $\\|x\\|_p$", "least worst-case loss − log 3")
left.legend(
    loc="upper left", bbox_to_anchor=(0.0, 0.97), ncols=2, columnspacing=0.6, handlelength=1.6, handletextpad=0.4
)
times = torch.logspace(-3, 2, 41, dtype=torch.float64)
a = vs.differences(pool, 0).sum(-2)
in_the_limit = -(a @ x) / vs.norm(a, vs.dual_exponent(p)) / size
rays = [tilted[kind], *(pool[(in_the_limit - share).abs().argmin()] for share in (0.7, 0.35))]
for number, (W, style) in enumerate(zip(rays, plotting.styles(), strict=False)):
    offer = [float(vs.printed_budget(x, 0, s * W, p) / size) for s in times]
    enough = vs.needed_budget(x, 0, times[:, None, None] * W, p) / size
    right.loglog(times, offer, markevery=(number, 6), **style | {"linestyle": "--", "linewidth": 1.2})
    right.loglog(times, enough, markevery=(number, 6), **style | {"linestyle": "-"})
right.axhline(1, color=plotting.GREY, linewidth=0.8)
right.set_ylim(0.2, 1500)
right.minorticks_off()
right.text(6e-3, 300, "offered (dashed)", fontsize=9)
right.text(1.2e-3, 1.15, "needed (solid) ≤ 1", fontsize=9)
plotting.label(right, "Three rays: offered, needed", "$t$ (size of the weights)", "budget / $\\|x\\|_p$")
plotting.finish(fig, f"norm {cfg.norm}; markers on the left: best of 12,000 random models, seed {cfg.seed + 4}")

# %% [markdown]
# ## A data set: the budget is the radius of the class means
#
# For a data set the paper only says that the theorem still applies. In fact the exact budget can be computed, and it depends on
# very little. Class $k$ makes up a share $\pi_k>0$ of the data and has the mean input $\mu_k$. Put $s_k=1/(K\pi_k)$, which is 1 if the classes
# are *balanced*, that is, of equal size.
#
# :::{prf:proposition} The exact budget for a data set (ours)
# :label: liu2020-collapse-radius
# :nonumber:
#
# Let $\varepsilon^*=\min_c\max_k\lVert\mu_k-s_kc\rVert_p$, and $a_k=\bar w-w_k$.
#
# 1. For all $W$ and all $\varepsilon$: $\ \mathcal L_\varepsilon(W)\ge\log K+(\varepsilon-\varepsilon^*)\sum_k\pi_k\lVert a_k\rVert_q$.
# 2. If $\varepsilon^*>0$, there are weights $D$, the same for all $\varepsilon$, with $\mathcal L_\varepsilon(tD)=\log K-(\varepsilon^*-\varepsilon)\,t+O(t^2)$ as $t\to0+$.
#
# Hence $W=0$ minimises $\mathcal L_\varepsilon$ if and only if $\varepsilon\ge\varepsilon^*$, and for $\varepsilon>\varepsilon^*$ only constant classifiers do. For balanced classes $\varepsilon^*$ is the
# *Chebyshev radius* of the class means: the radius of the smallest ball that holds them all.
#
# 3. If the model has a bias, the same holds with $s_k=1$ for *any* class sizes, with the best constant classifier (the one that predicts the
#    shares $\pi_k$) and its loss $-\sum_k\pi_k\log\pi_k$ in place of $\log K$, and $a_k=\sum_j\pi_jw_j-w_k$.
# :::
#
# *Proof of 1.* By {eq}`liu2020-constant-tangent`, $g_\varepsilon(x_i,W)\ge\log K+a_{y_i}^Tx_i+\varepsilon\lVert a_{y_i}\rVert_q$. Its mean over the data sees the inputs only through the class means:
#
# $$
# \mathcal L_\varepsilon(W)\ge\log K+S(W),\qquad S(W)=\sum_k\pi_k\big(a_k^T\mu_k+\varepsilon\lVert a_k\rVert_q\big).
# $$ (liu2020-constant-slope)
#
# Let $c$ attain the minimum in $\varepsilon^*$. Since $\sum_k\pi_ka_k^T(s_kc)=\frac1K\big(\sum_ka_k\big)^Tc=0$, we may put $\mu_k-s_kc$ for $\mu_k$; by Hölder
# $a_k^T(\mu_k-s_kc)\ge-\varepsilon^*\lVert a_k\rVert_q$.
#
# *Proof of 2.* $S(W)$ is also the slope of $\mathcal L_\varepsilon$ at 0 along $W$. It remains to find $D$ with slope $\varepsilon-\varepsilon^*$, and this is the dual problem of $\varepsilon^*$. A norm is the largest
# inner product with a vector of dual norm 1, and the maximum over $k$ is one over weights of sum 1, so
#
# $$
# \begin{aligned}
# \varepsilon^*&=\min_c\ \max_{\sum_k\lVert b_k\rVert_q\le1}\ -\sum_kb_k^T(\mu_k-s_kc)\\
# &=\max_{\sum_k\lVert b_k\rVert_q\le1}\ \min_c\Big(-\sum_kb_k^T\mu_k+c^T\sum_ks_kb_k\Big)
# =\max_{\substack{\sum_k\lVert b_k\rVert_q\le1\\\sum_ks_kb_k=0}}-\sum_kb_k^T\mu_k .
# \end{aligned}
# $$ (liu2020-constant-duality)
#
# (The function is linear in $b$ and in $c$, and the $b$ range over a compact convex set: minimum and maximum may be exchanged {cite}`boyd2004`.) Let $b$ attain the last
# maximum; if $\varepsilon^*>0$ it is of full size, $\sum_k\lVert b_k\rVert_q=1$. The rows $d_k=-b_k/\pi_k$ have sum $-K\sum_ks_kb_k=0$, so their $a_k$ are $b_k/\pi_k$, and
# $S(D)=\sum_kb_k^T\mu_k+\varepsilon=\varepsilon-\varepsilon^*$.
#
# *The two together.* For $\varepsilon\ge\varepsilon^*$, 1 gives $\mathcal L_\varepsilon\ge\log K$; for $\varepsilon<\varepsilon^*$, 2 gives less than $\log K$. For $\varepsilon>\varepsilon^*$ equality needs all $a_k=0$.
#
# *Proof of 3.* The loss of an input is convex in weights and biases together. At $w=0$, $\beta_k=\log\pi_k$ its slope along $(W,\beta)$ at $x'$ is $(\sum_j\pi_jw_j-w_y)^Tx'+\sum_j\pi_j\beta_j-\beta_y$. In the mean over
# the data the bias terms cancel, and now $\sum_k\pi_ka_k=0$, so any $c$ may be subtracted from all $\mu_k$. The rest is as before with $b_k=\pi_ka_k$ and $s_k=1$. $\square$
#
# **In words: one fixed step for each class.** Move every input of class $k$ by the same $s_kc-\mu_k$, of norm at most $\varepsilon^*$. The class means become proportional to one vector, and
# at $W=0$ the ordinary softmax loss of the moved data has gradient zero: no linear model can learn anything from them. The adversary needs no knowledge of the model, and none of the single image.
#
# **How much is left below the radius.** Hoeffding's lemma, $\log\frac1K\sum_je^{tz_j}\le t\bar z+\frac{t^2}8(\max_jz_j-\min_jz_j)^2$, turns 2 into a bound without an $O$:
# with $M$ the mean over the data of the largest squared range of the logits of $D$ on the ball,
#
# $$
# \min_W\mathcal L_\varepsilon(W)\le\min_{t\ge0}\big\{\log K-(\varepsilon^*-\varepsilon)t+\tfrac M8t^2\big\}=\log K-\frac{2(\varepsilon^*-\varepsilon)^2}{M}\qquad(\varepsilon<\varepsilon^*).
# $$ (liu2020-constant-drop)
#
# So training gains something at every budget below $\varepsilon^*$, if only quadratically little near it.
#
# **The radius itself.** For $p=\infty$ and balanced classes it is a formula: half the largest range of a coordinate over the class means, the centre being the middle of each range. With shares, the largest
# $\lvert s_l\mu_{ki}-s_k\mu_{li}\rvert/(s_k+s_l)$ over pairs of classes $k,l$ and coordinates $i$. For $p=1$ it is a linear program, for $p=2$ the smallest enclosing ball. Each solver returns $c$ and $b$, that is, an upper and a lower
# bound by {eq}`liu2020-constant-duality` that anyone can recompute; their difference is checked below.

# %% tags=["hide-input"]
shares = sp.symbols("pi1:4", positive=True)
n1, n2, n3, h1, h2, h3, r, pi1, pi2, pi3 = z3.Reals("n1 n2 n3 h1 h2 h3 r pi1 pi2 pi3")
rows, centre = sp.symbols("w1:4", real=True), sp.Symbol("c", real=True)
room, spread = sp.symbols("rho M", positive=True)
uniform = [sum(rows) / 3 - row for row in rows]
weighted = [sum(share * row for share, row in zip(shares, rows, strict=True)) - row for row in rows]
normalised = {shares[2]: 1 - shares[0] - shares[1]}
dataset_steps = [
    checks.identity(
        "centre-cancels",
        "sum pi_k a_k (s_k c) = 0 for s_k = 1 / (K pi_k) and a_k = mean(w) - w_k (K = 3, each coordinate)",
        left=sum(share * a * centre / (3 * share) for share, a in zip(shares, uniform, strict=True)),
        right=0,
    ),
    checks.identity(
        "bias-cancels",
        "sum pi_k (sum_j pi_j w_j - w_k) = 0 for shares of sum 1: for the bias terms, and for c with s_k = 1",
        left=sp.expand(sum(share * a for share, a in zip(shares, weighted, strict=True)).subs(normalised)),
        right=0,
    ),
    checks.implies(
        "hoelder-sum",
        "a_k.(mu_k - s_k c) >= -r |a_k| for each k gives S >= (eps - r) sum pi_k |a_k| (K = 3)",
        assumptions=[
            *(part >= 0 for part in (n1, n2, n3, r, eps)),
            *(part > 0 for part in (pi1, pi2, pi3)),
            h1 >= -r * n1,
            h2 >= -r * n2,
            h3 >= -r * n3,
        ],
        conclusion=pi1 * (h1 + eps * n1) + pi2 * (h2 + eps * n2) + pi3 * (h3 + eps * n3)
        >= (eps - r) * (pi1 * n1 + pi2 * n2 + pi3 * n3),
    ),
    checks.identity(
        "best-step",
        "-rho t + M t^2 / 8 is a square minus 2 rho^2 / M",
        left=-room * t + spread * t**2 / 8,
        right=spread / 8 * (t - 4 * room / spread) ** 2 - 2 * room**2 / spread,
    ),
]

# %% [markdown]
# ## Digits: the last pixel
#
# Now the real thing: softmax regression on images, trained against the exact worst case, to the optimum. The problem is convex; it is solved by smoothing {eq}`liu2020-constant-one-number` (library module
# `worst_case_training`), and each minimum comes with two bounds. The upper one is the exact adversarial loss of the model found. The lower one is the least ordinary loss against a fixed mixture of allowed
# perturbations, which no model can undercut.

# %% tags=["hide-input"]
if not 2 <= len(cfg.digits) <= 3:
    raise settings.SettingsError(f"digits={cfg.digits}: allowed are two or three classes")
images = data.load(cfg.dataset)
X, Y = cc.balanced(images, cfg.digits, cfg.per_class, side=cfg.side)
K = len(cfg.digits)
means, _ = cc.class_means(X, Y)
radius = cc.collapse_radius(means, p)
minima, found = {}, None
for budget in sorted({*cfg.budgets, 0.97, 1.0}, reverse=True):
    minima[budget] = found = wt.minimise(X, Y, budget * radius.upper, p, start=found)
grid = np.array(sorted(minima))
upper = np.array([minima[b].upper for b in grid])
lower = np.array([minima[b].lower for b in grid])
gain = math.log(K) - upper
promised = np.array([cc.guaranteed_drop(X, b * radius.upper, p, radius) for b in grid])
collapsed = gain == 0
clean = np.array([cc.accuracy(X, Y, minima[b].weights) for b in grid])
robust = np.array([cc.robust_accuracy(X, Y, minima[b].weights, b * radius.upper, p) for b in grid])
robust[collapsed] = 1 / K  # a constant classifier is right on one class, whatever the attack

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Top: half the range of each pixel over the class-mean images, whose largest value is the radius (white ring), and then what the best classifier still looks at as the budget grows: the size of the weights of each pixel, relative to the largest; pixels above one per cent of it are counted. Bottom left: least adversarial loss against the budget; it reaches log K exactly at the radius. Middle: how far it lies below log K, against the distance to the radius, with the guaranteed part of the text (dashed); both fall quadratically, and bars show the interval between the two bounds. Right: training accuracy of the minimisers, clean and against the attack they were trained for."}, "image": {"alt": "A row of small images: a grey image of half ranges, then images in which fewer and fewer pixels are dark until one is left, and an empty one. Below, a loss curve that rises to log K and is flat from the radius on, a straight line of slope two on log axes, and two accuracy curves that end at chance."}}
strength = {b: minima[b].weights.abs().amax(0) for b in grid}
used = {b: int((part > 0.01 * part.max()).sum()) for b, part in strength.items()}
chosen = sorted({count: b for b, count in used.items() if count}.values())  # the largest budget with so many pixels
chosen = [chosen[k] for k in sorted({round(k) for k in np.linspace(0, len(chosen) - 1, 5)})] if chosen else []
fig = plt.figure(figsize=(plotting.WIDTH, 4.6))
rows_ = fig.add_gridspec(2, 1, height_ratios=[1, 2.1])
strip = rows_[0].subgridspec(1, len(chosen) + 2)
half_range = (means.amax(0) - means.amin(0)) / 2
pictures = [(half_range, f"half ranges,\nup to r = {half_range.max():.2f}")]
for b in chosen:
    pictures.append((strength[b] / strength[b].max(), f"budget {b:g} r:\n{used[b]} pixel{'s' * (used[b] != 1)}"))
pictures.append((torch.zeros_like(half_range), "budget r:\nnothing"))
for k, (image, title) in enumerate(pictures if X.shape[1] == cfg.side**2 else []):
    ax = fig.add_subplot(strip[k])
    ax.imshow(image.reshape(cfg.side, cfg.side), cmap="gray_r", vmin=0, vmax=float(half_range.max()) if k == 0 else 1)
    if k == 0:
        row, column = divmod(int(half_range.argmax()), cfg.side)
        ax.plot(column, row, "o", markersize=7, markerfacecolor="none", markeredgecolor="white")
    ax.set_title(title, fontsize=8.5, fontweight="normal", loc="center")
    plotting.picture(ax)
left, middle, right = (fig.add_subplot(part) for part in rows_[1].subgridspec(1, 3))
left.plot(grid, upper, color=plotting.BLUE, marker="o")
left.axhline(math.log(K), color=plotting.GREY, linewidth=0.8, linestyle="--")
left.text(grid[0], math.log(K) * 1.015, "log K: constant", fontsize=8, va="bottom")
left.set(ylim=(0, 1.12 * math.log(K)), yticks=[0, 0.5, 1])
plotting.label(left, "Least adversarial loss", "budget / radius", "loss")
near = ~collapsed & (grid < 1)
bars = [np.zeros(near.sum()), np.maximum(upper - lower, 0)[near]]
middle.errorbar(1 - grid[near], gain[near], yerr=bars, color=plotting.BLUE, marker="o", label="gained")
middle.plot(1 - grid[near], promised[near], color=plotting.ORANGE, marker="s", linestyle="--", label="guaranteed")
middle.set_xscale("log")
middle.set_yscale("log")
middle.minorticks_off()
middle.set_xticks([0.5, 0.1, 0.02], ["0.5", "0.1", "0.02"])
middle.invert_xaxis()
middle.legend(loc="lower left")
plotting.label(middle, "log K − least loss", "1 − budget / radius", "loss")
for accuracy, words, style in zip((clean, robust), ("clean", "under attack"), plotting.styles(), strict=False):
    right.plot(grid, 100 * accuracy, label=words, **style)
right.axhline(100 / K, color=plotting.GREY, linewidth=0.8, linestyle="--")
right.set(ylim=(0, 102), yticks=[0, 50, 100])
right.legend(loc="lower left")
plotting.label(right, "Training accuracy", "budget / radius", "%")
for ax in (left, right):
    ax.axvline(1, color=plotting.GREY, linewidth=0.8)
plotting.finish(
    fig,
    f"{cfg.scale} scale; {images.name}: {', '.join(str(k) for k in cfg.digits)}; {len(Y) // K} images of each; norm {cfg.norm}; deterministic",
)

# %% [markdown]
# Near the radius the dual certificate $b$ says what the classifier must look like: in the maximum norm it lives on a single pixel and two classes, those with the largest range. The bottom right panel
# shows a price the theorem does not mention: well before the radius is reached, the model of least loss can be right on *fewer* attacked images than the constant one. Below the radius training always lowers the loss; it need not help in any other sense.
#
# All classes at once: with more than three the inner maximum is no longer exact in many dimensions, but neither side of the threshold needs it. Below the radius {eq}`liu2020-constant-drop` guarantees a gain for any
# number of classes. At the radius the shifted images of the proof are explicit, and the ordinary softmax loss on them, which bounds $\mathcal L_\varepsilon$ from below, has its minimum $\log K$ at $W=0$.

# %% tags=["hide-input"]
everything = sorted(torch.unique(images.y).tolist())
XA, YA = cc.balanced(images, everything, cfg.per_class, side=cfg.side)
all_means, _ = cc.class_means(XA, YA)
table, residuals, drops = [], [], []
for name, p_ in (("linf", math.inf), ("l2", 2.0), ("l1", 1.0)):
    whole = cc.collapse_radius(all_means, p_)
    moved = cc.shifted_towards(XA, YA, whole)
    onehot = torch.nn.functional.one_hot(YA).double()
    residuals.append((1 / len(everything) - onehot).T @ moved / len(YA))
    longest = vs.norm(moved - XA, p_).amax()
    drops += [cc.guaranteed_drop(XA, share * whole.upper, p_, whole) for share in (0.5, 0.9, 0.99)]
    table.append(
        {
            "norm": name,
            "radius": checks.show(whole.upper),
            "mean size of an image": checks.show(float(vs.norm(XA, p_).mean())),
            "longest shift / radius": checks.show(float(longest) / whole.upper),
            "gain at 0.5 of the radius": f"at least {drops[-3]:.1e}",
            "at 0.9": f"at least {drops[-2]:.1e}",
            "at 0.99": f"at least {drops[-1]:.1e}",
        }
    )
pd.DataFrame(table).set_index("norm")

# %% [markdown]
# Unequal classes and a bias, on three Gaussian clouds of very different sizes in the plane: below the radius of the proposition the loss is followed along $D$, above it the least loss is
# bounded from below. The radii with and without a bias differ, so that a wrong one would be noticed.

# %%
labels = torch.arange(3).repeat_interleave(torch.tensor([60, 30, 10]))
clouds = torch.randn(3, 2, generator=g, dtype=torch.float64)[labels]
clouds = clouds + 0.5 * torch.randn(100, 2, generator=g, dtype=torch.float64)
cloud_means, pi = cc.class_means(clouds, labels)
below, above, mixed = [], [], []
for p_ in vs.NORMS:
    for bias in (False, True):
        constant_loss = -float((pi * pi.log()).sum()) if bias else math.log(3)
        own, other = (cc.collapse_radius(cloud_means, p_, shares=pi, bias=b) for b in (bias, not bias))
        offset = pi.log() if bias else None
        least, _ = cc.least_along(clouds, labels, own.direction, 0.97 * own.upper, p_, bias=offset)
        below.append(least < constant_loss - 1e-9)
        above.append(wt.minimise(clouds, labels, 1.01 * own.upper, p_, bias=bias).lower - constant_loss)
        mixed.append({"p": p_, "bias": bias, "radius": checks.show(own.upper), "the other": checks.show(other.upper)})
pd.DataFrame(mixed).set_index(["p", "bias"])

# %% [markdown]
# The lower bound of part 1 for random models of three digits (the inner maximum is exact there), and along $D$, where it must be attained as $t\to0$.

# %%
pi_digits = torch.full((K,), 1 / K, dtype=torch.float64)
excess, bound, slopes, rates = [], [], [], []
for share in (0.5, 1.0, 1.5):
    eps_ = share * radius.upper
    for W in vs.random_models(60, K, X.shape[1], cfg.seed + 6, towards=radius.direction):
        bound.append(math.log(K) + float(cc.slope_bound(W, pi_digits, eps_, p, radius.upper)))
        excess.append(cc.adversarial_loss(X, Y, W, eps_, p))
    W = 1e-4 * radius.direction  # where the bound is almost attained
    bound.append(math.log(K) + float(cc.slope_bound(W, pi_digits, eps_, p, radius.upper)))
    excess.append(cc.adversarial_loss(X, Y, W, eps_, p))
    rates.append((cc.adversarial_loss(X, Y, 1e-6 * radius.direction, eps_, p) - math.log(K)) / 1e-6)
    slopes.append(eps_ - radius.upper)

# %% tags=["hide-input"]
on_digits = f"{len(Y)} images of {images.name}, norm {cfg.norm}"
certificates = [cc.collapse_radius(all_means, p_) for p_ in vs.NORMS]
certificates += [cc.collapse_radius(cloud_means, p_, shares=pi, bias=b) for p_ in vs.NORMS for b in (False, True)]
method += [
    checks.equal(
        "radius-duality",
        "the two bounds of the radius meet",
        measured=[one.lower for one in certificates],
        expected=[one.upper for one in certificates],
        atol=1e-7,  # what the solvers of the linear and the quadratic programme leave
        sample=f"all {len(everything)} classes of {images.name} and the unequal clouds, p = 1, 2, infinity",
        role="method",
        scale=cfg.scale,
    ),
    checks.every(
        "minimum-duality",
        "the two bounds of each minimum differ by at most 2 per cent of what is gained over the constant, or by 1e-6",
        cases=(upper - lower >= -1e-9) & (upper - lower <= np.maximum(0.02 * (math.log(K) - lower), 1e-6)),
        sample=f"{len(grid)} budgets, {on_digits}",
        role="method",
        scale=cfg.scale,
    ),
]
theorem += [
    checks.at_most(
        "slope-bound",
        "log K + (eps - eps*) sum pi_k |a_k|_q over the adversarial loss is at most 1, for random models",
        measured=np.array(bound) / np.array(excess),
        bound=1.0,
        sample=f"60 models and 1e-4 D x budgets 0.5, 1, 1.5 of the radius, {on_digits}, seed {cfg.seed + 6}",
        scale=cfg.scale,
    ),
    checks.equal(
        "data-above",
        "from the radius on, the certified lower bound of the least loss is log K",
        measured=lower[grid >= 1],
        expected=math.log(K),
        atol=2e-6,  # the solver aims at a gap of 1e-7 and reaches 1e-6 at worst
        sample=f"budgets of at least the radius, {on_digits}",
        scale=cfg.scale,
    ),
    checks.equal(
        "shifted",
        "on the shifted images of all classes, the softmax loss has gradient zero at W = 0",
        measured=torch.cat([one.ravel() for one in residuals]),
        expected=0.0,
        atol=1e-12,  # float64 sums of some hundred numbers of order one
        sample=f"{len(YA):,} images of {images.name}, all {len(everything)} classes, p = 1, 2, infinity",
        scale=cfg.scale,
    ),
]
eps_bar += [
    checks.every(
        "data-below",
        "below the radius some model beats the constant one (exact loss of the model found below log K)",
        cases=upper[grid < 1] < math.log(K),
        sample=f"budgets below the radius, {on_digits}",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.every(
        "guaranteed-gain",
        "and gains at least 2 (eps* - eps)^2 / M",
        cases=gain[grid < 1] >= promised[grid < 1],
        sample=f"the same budgets, {on_digits}",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.equal(
        "rate-at-zero",
        "along D the loss leaves log K at the rate eps - eps*",
        measured=rates,
        expected=slopes,
        atol=1e-3,  # t = 1e-6: curvature of order t, and rounding of the loss divided by t
        sample=f"budgets 0.5, 1, 1.5 of the radius, {on_digits}",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.every(
        "all-classes-below",
        "with all classes, the guaranteed gain is positive at 0.5, 0.9 and 0.99 of the radius",
        cases=np.array(drops) > 0,
        sample=f"{len(YA):,} images of {images.name}, all {len(everything)} classes, p = 1, 2, infinity",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.every(
        "unequal-below",
        "unequal classes, without and with a bias: at 0.97 of the radius some model beats the best constant one",
        cases=below,
        sample=f"100 points of 3 clouds (60, 30, 10), p = 1, 2, infinity, seed {cfg.seed}",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.equal(
        "unequal-above",
        "and at 1.01 none does: the certified lower bound is the loss of the best constant one (difference 0)",
        measured=above,
        expected=0.0,
        atol=2e-6,  # the solver aims at a gap of 1e-7 and reaches 1e-6 at worst
        sample=f"100 points of 3 clouds (60, 30, 10), p = 1, 2, infinity, seed {cfg.seed}",
        role="corrected",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## Verdict

# %% tags=["hide-input"]
claims.report(
    claims.verdict(
        "liu2020-def-version-space",
        [*sets, one_sided, *ray, *method],
        note="The two sets are complementary for K = 2 only if gamma >= 0 (L6); with gamma of both signs T_eps also leaves out -V_eps. T_eps has the closed form |a.x| <= eps |a|_q, a = mean(w) - w_y, for every K.",
    ),
    claims.verdict("liu2020-prop1", [*proposition, *shrink]),
    claims.verdict(
        "liu2020-thm1",
        [*theorem, *ray, grow, *dataset_steps[:3]],
        note="Proved here from the closed form of T_eps, with the exact budgets: |x|_p for one input, the radius of the class means for a data set. The paper's proof of the first half is right, that of the second is not (L4).",
    ),
    claims.verdict(
        "liu2020-thm1-eps-bar",
        [*eps_bar, *appendix, dataset_steps[3]],
        note="Right for each W once the step has its signs (L5), but not one budget for all multiples of W (L4); the budgets that serve all W are those of the note above.",
    ),
)

# %% [markdown]
# ## Limits, and one thing to try
#
# - *Linear models only.* The proof uses that a linear model gives all logits the same value at $x'=0$ and that the loss is convex in $W$; neither holds for a network. What deep
#   networks do near their initialisation is the subject of section 4 of the paper.
# - *No pixel box.* As in the paper, $x'$ may leave $[0,1]$. Clipping only weakens the adversary, so the exact budget can only be larger, and it then depends on more than the class means.
# - *Exactness.* All inner maxima on this page are exact (to $10^{-10}$ for $p=2$), the minima on the digits are bracketed as shown, and the lower bound speaks of models whose weights sum in absolute value to at most 100 plus ten times that of the one found. Above three classes and for
#   $p=\infty$ in many dimensions there is no exact inner maximum here, only the two-sided argument of the table.
# - A model with $\mathcal L_\varepsilon(W)<\log K$ at a budget above the radius would turn the verdict on Theorem 1 into *contradicted*; a gap between the two bounds of the radius would withdraw it.
#
# In the Euclidean norm nothing is switched off pixel by pixel, and the classifier fades as a whole:
#
# ```bash
# papermill notebooks/liu2020/constant_classifier.ipynb out.ipynb -p norm l2 -p digits "3, 5, 8"
# ```
