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
# # Curvature grows with the budget, and when it does not
#
# *Does a larger attack budget make the loss of a linear classifier more curved, in every direction, as the paper's only theorem on curvature says?*
#
# Two classes, labels $y_i\in\{-1,1\}$, one weight vector $w\in\mathbb R^d$, inputs $x_i$, $i=1,\dots,N$. The adversary may move an input by $\varepsilon$ in
# the norm $p$; $q$ is the dual exponent, $\frac1p+\frac1q=1$.
#
# :::{prf:proposition} Equations (6) and (7) of Liu et al.
# :label: liu2020-prop-binary
# :nonumber:
#
# With logits $(w^Tx,-w^Tx)$ the loss is $\mathcal L(w)=\frac1N\sum_i\log(1+e^{-y_iw^Tx_i})$, and its worst case is
#
# $$
# \begin{aligned}
# \mathcal L_\varepsilon(w)&=\frac1N\sum_{i=1}^N\log\big(1+e^{-y_iw^Tx_i+\varepsilon\lVert w\rVert_q}\big)\;\;(6)\\
# &=\frac1N\sum_{i=1}^N\log\big(1+e^{-y_iw^Tx_i+\varepsilon}\big)\;\;(7)
# \end{aligned}
# $$
#
# where (7) takes $\lVert w\rVert_q=1$: no loss of generality, since the size of $w$ does not change decisions ({cite:t}`liu2020`, appendix A.1).
# :::
#
# :::{prf:lemma} Lemma 1 of Liu et al.
# :label: liu2020-lem1
# :nonumber:
#
# If $a_i\ge b_i$ for all $i$, then $A=\sum_ia_ix_ix_i^T$ and $B=\sum_ib_ix_ix_i^T$ satisfy $m^TAm\ge m^TBm$ for every $m$, and the largest and the smallest
# eigenvalue of $A$ are at least those of $B$ (appendix B.4).
# :::
#
# :::{prf:theorem} Theorem 3 of Liu et al.
# :label: liu2020-thm3
# :nonumber:
#
# If the data are linearly separable under the budget $\hat\varepsilon$, then for all $\varepsilon_1\le\varepsilon_2\le\hat\varepsilon$ and every unit vector $m$
#
# $$
# m^T\nabla^2_w\mathcal L_{\varepsilon_1}(w)\,m\;\le\;m^T\nabla^2_w\mathcal L_{\varepsilon_2}(w)\,m ,
# $$
#
# so the largest and the smallest eigenvalue of the Hessian do not decrease (appendix A.1). The proof in appendix B.4 differentiates (7), not (6), and uses
# $y_iw^Tx_i\ge\hat\varepsilon$ for all $i$; its Hessian is (29), quoted below. The text adds that the conclusion holds in practice if the overwhelming majority of the points keep
# their class under the attack.
# :::
#
# **In short.** The theorem is true of loss (7) at a $w$ that has the margin itself, and false of the adversarial loss (6): *along* $w$ the curvature falls to
# zero as the budget approaches the margin, and with $\lVert w\rVert_q=1$, pixels in $[0,1]$ and the maximum norm it falls from the first step on. True of (6) is this: curvature grows in every direction that
# keeps $\lVert w\rVert_q$, and in *all* directions exactly where a number computed below is at most 1. On digits the top eigenvalue does grow, and in the Euclidean norm we can say why: its direction is of the first kind.

# %% tags=["hide-input"]
import math
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sympy as sp
import torch
import z3

from advsmooth import checks, claims, data, plotting, settings
from advsmooth.theory import budget_curvature as bc
from advsmooth.theory import constant_classifier as cc
from advsmooth.theory import linear
from advsmooth.theory import version_space as vs
from advsmooth.theory import worst_case_training as wt
from advsmooth.theory.weight_input import dense_hessian

plotting.use_theme()
plt.rcParams |= {"hatch.color": plotting.ORANGE, "hatch.linewidth": 0.7}

# %% tags=["parameters"]
scale: str = "quick"  # quick (the digits, seconds) | cpu (MNIST at 8 x 8 pixels and more random data sets, minutes)
seed: int = 0  # first seed of the random data sets
cases: int = None  # random data sets of each kind
points: int = None  # inputs in each
dimension: int = None  # weights in each
dataset: str = None  # data set of the trained classifiers: digits, mnist, fashionmnist, imagefolder:PATH
classes: list = None  # its two classes, such as "3, 8"
per_class: int = None  # training images of each class
side: int = None  # pixels to a side; larger images are averaged
norm: str = None  # the adversary's norm on the images: l2 | linf
trained: list = None  # budgets of training, in that norm, pixel scale; the first model is mapped

# %% tags=["hide-input"]
cfg = settings.resolve(
    globals(),
    cases=settings.count(at_least=20, at_most=5000, quick=60, cpu=600),
    points=settings.count(at_least=6, at_most=500, quick=12),
    dimension=settings.count(at_least=2, at_most=32, quick=4),
    dataset=settings.text(quick="digits", cpu="mnist"),
    classes=settings.counts(at_least=0, quick=[3, 8]),
    per_class=settings.count(at_least=20, quick=140, cpu=500),
    side=settings.count(at_least=2, at_most=28, quick=8),
    norm=settings.choice("l2", "linf", quick="l2"),
    trained=settings.numbers(at_least=1e-3, at_most=5, quick=[0.28, 0.35, 0.5, 0.8]),
)
X, Y01 = cc.balanced(data.load(cfg.dataset), cfg.classes, cfg.per_class, side=cfg.side)
Y = 1.0 - 2.0 * Y01.double()  # +1 for the first class
cfg

# %% [markdown]
# ## The worst case in closed form
#
# Write $\sigma(t)=1/(1+e^{-t})$. The loss $\log(1+e^{-t})$ has the derivative $-\sigma(-t)<0$ in $t=y\,w^Tx'$, so the adversary makes $t$ as small as possible. By Hölder's
# inequality $y\,w^T\delta\ge-\varepsilon\lVert w\rVert_q$ for $\lVert\delta\rVert_p\le\varepsilon$, with equality at $\delta=-y\,\varepsilon\,u$, where $u=\nabla\lVert w\rVert_q$: that is
# $w/\lVert w\rVert_2$ for $p=2$, $\mathrm{sign}(w)$ for $p=\infty$, and plus or minus the unit vector of the largest weight for $p=1$. So (6) is right. We write
#
# $$
# z=y\,w^Tx-\varepsilon\lVert w\rVert_q
# $$
#
# for the *worst-case margin*; the attacked input keeps its class if $z>0$. Brute force knows nothing of this: it lists the vertices of the ball ($p=1,\infty$) or
# $2^{15}$ points of the circle ($p=2$), and beyond the plane climbs the loss by projected gradient steps.

# %% tags=["hide-input"]
g = settings.generator(cfg.seed)
formula, brute = [], []
for p_, d, n in ((1.0, 2, 8), (1.0, 6, 8), (2.0, 2, 8), (math.inf, 2, 8), (math.inf, 6, 8)):
    w, x = torch.randn(5, d, generator=g).double(), torch.randn(n, d, generator=g).double()
    y, eps_ = torch.tensor([1.0, -1.0] * (n // 2)).double(), 0.4
    attacked = x[:, None] + eps_ * vs.ball_points(p_, d, 2**15, cfg.seed)
    brute.append(torch.log1p(torch.exp(-y[:, None] * (attacked @ w[:, None, :, None])[..., 0])).amax(-1).ravel())
    size = vs.norm(w, vs.dual_exponent(p_))[:, None]
    formula.append(torch.log1p(torch.exp(-y * (w @ x.T) + eps_ * size)).ravel())
w, x = torch.randn(5, 6, generator=g).double(), torch.randn(8, 6, generator=g).double()
brute.append(torch.log1p(torch.exp(-linear.searched_margins(w, x, y, 0.4, "l2"))).ravel())
formula.append(linear.losses(w, x, y, 0.4, "l2").ravel())

# %% [markdown]
# Two sentences around it are not right.
#
# **The logits (L8).** Softmax cross-entropy of the logits $(w^Tx,-w^Tx)$ is $\log(1+e^{-2y\,w^Tx})$. The loss of the paper belongs to $(\frac12w^Tx,-\frac12w^Tx)$. Harmless: a change of units of $w$.
#
# **"Without loss of generality" (L7).** Decisions do not depend on $\lVert w\rVert_q$; losses and Hessians do. On the sphere $\lVert w\rVert_q=1$ (6) and (7) are
# equal, but a Hessian asks for their values *around* a point, and there they differ. What survives for $p=2$: along a great circle of the sphere the two are the same function, so
# their second derivatives along it agree. Most directions $m$ leave the sphere.

# %% tags=["hide-input"]
logit = (w @ x.T).ravel()
sign = torch.where(torch.arange(len(logit)) % 2 == 0, 1.0, -1.0).double()
label = (sign < 0).long()
softmax = {
    size_: torch.nn.functional.cross_entropy(size_ * torch.stack([logit, -logit], 1), label, reduction="none")
    for size_ in (1.0, 0.5)
}
loss_at = torch.log1p(torch.exp(-sign * logit))
unit, true_, frozen_, circle, circle_7 = [], [], [], [], []
for number in range(cfg.cases):
    w1, x1, y1 = bc.separated(cfg.points, cfg.dimension, 1.0, "l2", cfg.seed + number)
    true_.append(linear.hessian(w1, x1, y1, 0.5, "l2"))
    frozen_.append(bc.frozen_hessian(w1, x1, y1, 0.5, "l2"))
    m_ = torch.randn(1, cfg.dimension, generator=g).double()
    m_ = linear.steepest(m_ - (m_ @ w1.T) * w1, "l2")
    # chain rule along cos(t) w + sin(t) m, whose acceleration at t = 0 is -w
    circle.append((m_ @ true_[-1][0] @ m_.T - linear.gradient(w1, x1, y1, 0.5, "l2") @ w1.T)[0])
    slope_7 = -(torch.sigmoid(-linear.margins(w1, x1, y1, 0.5, "l2")) * y1) @ x1 / len(x1)
    circle_7.append((m_ @ frozen_[-1][0] @ m_.T - slope_7 @ w1.T)[0])
w1_, w2_, d1_, d2_, e_ = z3.Reals("w1 w2 d1 d2 eps")
biggest, total_ = z3.If(w1_ > w2_, w1_, w2_), w1_ + w2_
t_ = sp.Symbol("t", real=True)
wa, wb, da, db = sp.symbols("w1 w2 d1 d2", real=True)
positive = [w1_ >= 0, w2_ >= 0, e_ >= 0]  # flip signs of coordinates: weights may be taken non-negative
binary = [
    checks.equal(
        "closed-form",
        "loss (6) is the brute-force maximum over the ball, for p = 1, 2 and infinity",
        measured=torch.cat(formula),
        expected=torch.cat(brute),
        atol=1e-8,  # 2^15 directions miss the best by an angle of pi/2^15 at most: a share 4.6e-9 of eps |w|
        sample=f"p = 1, 2, infinity in 2 and 6 dimensions, 5 models x 8 inputs each, seed {cfg.seed}",
        scale=cfg.scale,
    ),
    checks.equal(
        "logits",
        "log(1 + exp(-y w.x)) is the softmax cross-entropy of the logits (w.x, -w.x)",
        measured=softmax[1.0],
        expected=loss_at,
        atol=1e-12,
        sample=f"{len(logit)} pairs, seed {cfg.seed}",
        scale=cfg.scale,
    ),
    checks.equal(
        "half-logits",
        "it is that of (w.x/2, -w.x/2)",
        measured=softmax[0.5],
        expected=loss_at,
        atol=1e-12,
        sample=f"the same {len(logit)} pairs",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.equal(
        "no-loss-of-generality",
        "at |w| = 1 losses (6) and (7) have the same Hessian (p = 2)",
        measured=torch.cat(true_),
        expected=torch.cat(frozen_),
        atol=1e-9,
        sample=f"{cfg.cases} data sets of {cfg.points} inputs, budget 0.5, seeds from {cfg.seed}",
        scale=cfg.scale,
    ),
    checks.equal(
        "great-circles",
        "along great circles of |w| = 1 they have the same second derivative (p = 2)",
        measured=torch.cat(circle),
        expected=torch.cat(circle_7),
        atol=1e-12,
        sample="the same data sets, one random circle each",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.identity(
        "decreasing",
        "the derivative of log(1 + exp(-t)) is -sigmoid(-t)",
        left=sp.diff(sp.log(1 + sp.exp(-t_)), t_),
        right=-1 / (1 + sp.exp(t_)),
    ),
    checks.implies(
        "hoelder-inf",
        "p = infinity, two coordinates: |d_i| <= eps gives w.d >= -eps |w|_1",
        assumptions=[*positive, d1_ >= -e_, d2_ >= -e_, d1_ <= e_, d2_ <= e_],
        conclusion=w1_ * d1_ + w2_ * d2_ >= -e_ * total_,
    ),
    checks.implies(
        "hoelder-1",
        "p = 1: |d_1| + |d_2| <= eps gives w.d >= -eps max w",
        assumptions=[*positive, z3.And(*[s * d1_ + t * d2_ <= e_ for s in (1, -1) for t in (1, -1)])],
        conclusion=w1_ * d1_ + w2_ * d2_ >= -e_ * biggest,
    ),
    checks.identity(
        "hoelder-2",
        "p = 2: |w|^2 |d|^2 - (w.d)^2 is a square, hence not negative",
        left=(wa**2 + wb**2) * (da**2 + db**2) - (wa * da + wb * db) ** 2,
        right=(wa * db - wb * da) ** 2,
    ),
]

# %% [markdown]
# ## Lemma 1
#
# $m^TAm-m^TBm=\sum_i(a_i-b_i)(x_i^Tm)^2\ge0$: a sum of non-negative terms. For the eigenvalues, let $m_B$ be a unit eigenvector for the largest one of $B$. Then
#
# $$
# \lambda_{\max}(B)=m_B^TBm_B\le m_B^TAm_B\le\max_{\lVert m\rVert=1}m^TAm=\lambda_{\max}(A),
# $$
#
# and with a unit eigenvector $m_A$ for the smallest of $A$, $\lambda_{\min}(A)=m_A^TAm_A\ge m_A^TBm_A\ge\lambda_{\min}(B)$. Nothing asks for $a_i\ge0$. The instances below contain weights
# of both signs, and fewer vectors than dimensions, where the inequality is tight: $A-B$ then has the eigenvalue 0. (The eigenvalues in between are ordered too, by the Courant-Fischer theorem.)

# %% tags=["hide-input"]
ordered, spectra, between = [], [], []
for number in range(cfg.cases):
    draw_ = settings.generator(cfg.seed + number)
    n, d = (3, 6) if number % 2 else (20, 6)
    vectors = torch.randn(n, d, generator=draw_).double()
    low = torch.randn(n, generator=draw_).double()
    high = low + torch.rand(n, generator=draw_).double() * (torch.rand(n, generator=draw_) < 0.7)
    A, B = ((weight[:, None] * vectors).T @ vectors for weight in (high, low))
    ordered.append(torch.linalg.eigvalsh(A - B)[0] >= -1e-12)  # rounding of entries of size 20
    gap = torch.linalg.eigvalsh(A) - torch.linalg.eigvalsh(B)
    spectra.append((gap[[0, -1]] >= -1e-12).all())
    between.append((gap >= -1e-12).all())
a1, a2, b1, b2 = sp.symbols("a1 a2 b1 b2", real=True)
m1, m2, x11, x12, x21, x22 = sp.symbols("m1 m2 x11 x12 x21 x22", real=True)
m_vec, xs_ = sp.Matrix([m1, m2]), (sp.Matrix([x11, x12]), sp.Matrix([x21, x22]))
m_high, m_low = (sum((k * v * v.T for k, v in zip(ks, xs_, strict=True)), sp.zeros(2)) for ks in ((a1, a2), (b1, b2)))
ka, kb, kc, kd, sq1, sq2 = z3.Reals("a1 a2 b1 b2 s1 s2")
lam_a, lam_b, at_a, at_b = z3.Reals("lam_a lam_b at_a at_b")
lemma = [
    checks.every(
        "forms-ordered",
        "the least eigenvalue of A - B is not negative",
        cases=ordered,
        sample=f"{cfg.cases} instances in 6 dimensions, half of them of 3 vectors, half of 20; seeds from {cfg.seed}",
        scale=cfg.scale,
    ),
    checks.every(
        "eigenvalues-ordered",
        "the largest and the smallest eigenvalue of A are at least those of B",
        cases=spectra,
        sample=f"the same {cfg.cases} instances",
        scale=cfg.scale,
    ),
    checks.identity(
        "difference-of-forms",
        "m.Am - m.Bm is the sum of (a_i - b_i)(x_i.m)^2",
        left=sp.expand((m_vec.T * (m_high - m_low) * m_vec)[0]),
        right=sp.expand(sum((k - h) * v.dot(m_vec) ** 2 for k, h, v in zip((a1, a2), (b1, b2), xs_, strict=True))),
    ),
    checks.implies(
        "terms-not-negative",
        "which is not negative, the squares being s_i >= 0",
        assumptions=[ka >= kc, kb >= kd, sq1 >= 0, sq2 >= 0],
        conclusion=(ka - kc) * sq1 + (kb - kd) * sq2 >= 0,
    ),
    checks.implies(
        "largest",
        "lam(B) = B at m_B <= A at m_B <= lam(A) for the largest eigenvalues",
        assumptions=[lam_b == at_b, at_b <= at_a, at_a <= lam_a],
        conclusion=lam_b <= lam_a,
    ),
    checks.implies(
        "smallest",
        "lam(A) = A at m_A >= B at m_A >= lam(B) for the smallest",
        assumptions=[lam_a == at_a, at_a >= at_b, at_b >= lam_b],
        conclusion=lam_a >= lam_b,
    ),
    checks.every(
        "every-eigenvalue",
        "all eigenvalues of A, in order, are at least those of B",
        cases=between,
        sample=f"the same {cfg.cases} instances",
        role="observed",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## Two Hessians
#
# Let $s(z)=\sigma(z)\sigma(-z)$, the second derivative of $\log(1+e^{-z})$, and $v=yx-\varepsilon u$, the gradient of $z$. One example contributes
#
# $$
# \begin{aligned}
# H&=s(z)\,vv^T+\varepsilon\,\sigma(-z)\,\nabla^2\lVert w\rVert_q,\\
# H^{(29)}&=s(z)\,xx^T
# \end{aligned}
# $$ (liu2020-curvature-hessians)
#
# to the Hessians of (6) and of (7); the latter is the paper's equation (29). The second holds $\varepsilon\lVert w\rVert_q$ fixed while $w$ moves. The first exists only where the norm is twice differentiable: *not at $w=0$; for $p=\infty$ not where a weight is 0; for $p=1$ not
# where two weights tie for the largest*. At those points the gradient jumps, and no inequality between Hessians means anything there. Elsewhere
# $\nabla^2\lVert w\rVert_q$ is $(I-uu^T)/\lVert w\rVert_2$ for $p=2$ and $0$ for $p=1,\infty$.
#
# Now let the budget grow. With $\frac{dz}{d\varepsilon}=-\lVert w\rVert_q$, $\frac{dv}{d\varepsilon}=-u$ and $s'(z)=-s(z)\tanh\frac z2$,
#
# $$
# \begin{aligned}
# \frac{dH}{d\varepsilon}={}&\lVert w\rVert_q\,s\tanh\tfrac z2\;vv^T-s\,(uv^T+vu^T)\\
# &+\big(\sigma(-z)+\varepsilon\lVert w\rVert_q\,s\big)\nabla^2\lVert w\rVert_q ,\\
# \frac{dH^{(29)}}{d\varepsilon}={}&\lVert w\rVert_q\,s\tanh\tfrac z2\;xx^T .
# \end{aligned}
# $$ (liu2020-curvature-rate)
#
# The paper's case is the last line: for $z\ge0$ its coefficients are not negative, and Lemma 1 gives the theorem (the proof's strict $e^z>1$ should be $\ge1$). If the inputs are linearly independent, $z_i\ge0$ for all $i$
# is also *necessary* for growth in every direction: take an $m$ orthogonal to all inputs but the misclassified one.
#
# The true loss has one more term, $-s(uv^T+vu^T)$: a larger budget subtracts more of $u$ from every $yx$, and so shortens the part of $v$ that points along $u$. Three consequences.
#
# **(a) Directions that keep the norm.** If $u^Tm=0$ that term vanishes, the others are not negative for $z\ge0$ (a norm is convex), and *the theorem holds for (6)*.
#
# **(b) Along $w$.** For every norm $u^Tw=\lVert w\rVert_q$, $v^Tw=z$ and $\nabla^2\lVert w\rVert_q\,w=0$. Hence
#
# $$
# w^THw=z^2s(z),\qquad \frac{d}{dz}\,z^2s(z)=z\,s(z)\big(2-z\tanh\tfrac z2\big).
# $$ (liu2020-curvature-along)
#
# As $z$ falls, $z^2s(z)$ first grows, up to the root $z_*=2.3994$ of $z\tanh\frac z2=2$, and then falls *to zero* at $z=0$. So while all worst-case margins lie in $(0,z_*)$ a larger budget
# lowers the curvature along $w$, and while all exceed $z_*$ it raises it. *Under the paper's own normalisation the first case is the only one*: $\lVert w\rVert_q=1$ gives $z\le\lVert x\rVert_p$, at most 1 for
# $p=\infty$ and pixels in $[0,1]$, so there the inequality fails at every separating $w$ and for all $\varepsilon_1<\varepsilon_2\le\hat\varepsilon$.
#
# **(c) All directions.** Average {eq}`liu2020-curvature-rate` over the data and write it as $B-ug^T-gu^T$, with $g$ the mean of $s(z_i)v_i$. If $B$ is positive definite, a change of basis
# makes it the identity; the largest eigenvalue of $ab^T+ba^T$ is $a^Tb+\lVert a\rVert\lVert b\rVert$. Hence the curvature grows in every direction *exactly where*
#
# $$
# c(\varepsilon)=u^TB^{-1}g+\sqrt{u^TB^{-1}u\;\,g^TB^{-1}g}\;\le\;1 .
# $$ (liu2020-curvature-criterion)
#
# And $H_{\varepsilon_2}-H_{\varepsilon_1}$ is the integral of the rate: the theorem's inequality holds for all budgets of an interval exactly if the rate is positive semidefinite throughout. For one input and $p=2$ ($d\ge2$),
# with $\xi$ the length of the part of $x$ orthogonal to $w$, the determinant of the rate in the plane of $w$ and $x$ turns this into
#
# $$
# \begin{aligned}
# \big(1+e^{-z}+\varepsilon\lVert w\rVert\big)\,z\,\big(z\tanh\tfrac z2-2\big)&\ge\lVert w\rVert^2\xi^2 .
# \end{aligned}
# $$ (liu2020-curvature-one-input)
#
# For $p=\infty$ or $1$ and one input $B$ has rank one, and the theorem fails at every budget unless $v$ is parallel to $u$. The same happens whenever $u$ is not in the span of the $v_i$: with
# more weights than inputs, generically always.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Which budgets and margins make the curvature of one input grow (Euclidean norm, loss 6). Below the diagonal the attack succeeds. In the hatched band of height 2.40 above it curvature falls along $w$, whatever the input. A curve: above it curvature grows in every direction, for an input whose part across $w$ has the given length (times $\\|w\\|$); between band and curve it falls in some oblique direction. Loss 7 would grow everywhere above the diagonal. The small square is the paper's own normalisation, $\\|w\\|_q=1$ and $\\|x\\|_p\\leq 1$: all of it lies in the band or below. Right: the curvature along $w$ behind the band."}, "image": {"alt": "Left, a map with the budget on the horizontal and the clean margin on the vertical axis. A hatched diagonal band marks where curvature falls along w; four curves above it, starting higher for larger inputs and coming down towards the band as the budget grows, bound the region where curvature grows in every direction. A small square at the origin lies inside the band. Right, the curve z squared s of z, zero at z equal to zero, with a peak at 2.40, and the part before the peak shaded."}}
fig, (left, right) = plt.subplots(1, 2, figsize=(plotting.WIDTH, 4.1), width_ratios=[1.75, 1])
budget, height = np.linspace(0, 8, 81), np.linspace(0, 12, 121)
grid_e, grid_m = torch.tensor(np.stack(np.meshgrid(budget, height)))
left.fill_between(budget, 0, budget, color="#e3e6e9", lw=0)
left.fill_between(budget, budget, budget + bc.TURN, facecolor="#f6d3bd", hatch="///", edgecolor=plotting.ORANGE, lw=0)
left.plot(budget, budget + bc.TURN, color=plotting.ORANGE, lw=1.8)
left.plot(budget, budget, color=plotting.INK, lw=1.2)
across = (2.0, 4.0, 7.0, 10.0)
for length, style in zip(across, ("-", "--", "-.", ":"), strict=True):
    room = bc.one_input_room(grid_m - grid_e, grid_e, 1.0, length).where(grid_m > grid_e, torch.tensor(-1.0).double())
    left.contour(budget, height, room, levels=[0], colors=plotting.BLUE, linestyles=[style], linewidths=1.6)
    left.plot([], [], color=plotting.BLUE, ls=style, label=f"{length:g}")
left.legend(title="$\\|w\\|\\xi$", loc="lower right", ncols=2, fontsize=8, title_fontsize=9)
left.add_patch(plt.Rectangle((0, 0), 1, 1, fill=False, color=plotting.INK, lw=1.6, zorder=5))
left.annotate(
    "the paper's\nnormalisation", (1, 0.7), (2.3, 0.6), fontsize=8.5, va="center", arrowprops={"arrowstyle": "->"}
)
left.text(6.3, 3.3, "attack succeeds", ha="center", fontsize=9)
box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.9}
left.text(5.3, 6.4, "falls along $w$", ha="center", va="center", rotation=39, fontsize=9, bbox=box)
left.text(2.9, 10.9, "above a curve: grows\nin every direction", ha="center", fontsize=9, color=plotting.BLUE, bbox=box)
left.set(xlim=(0, 8), ylim=(0, 12))
left.grid(False)
plotting.label(left, "One input: where curvature grows", "budget $\\varepsilon\\|w\\|$", "clean margin $y\\,w^Tx$")
z_line = torch.cat([torch.linspace(0, 8, 81).double(), torch.tensor([bc.TURN], dtype=torch.float64)]).sort().values
part = z_line <= bc.TURN
right.fill_between(
    z_line[part], 0, bc.along_weights(z_line)[part], facecolor="#f6d3bd", hatch="///", edgecolor=plotting.ORANGE, lw=0
)
right.plot(z_line, bc.along_weights(z_line), color=plotting.INK)
right.axvline(bc.TURN, color=plotting.ORANGE, lw=1.2, ls="--")
right.annotate(
    "", (2.9, 0.492), (6.9, 0.492), arrowprops={"arrowstyle": "->", "color": plotting.INK}, annotation_clip=False
)
right.text(4.95, 0.5, "budget grows", ha="center", fontsize=9)
right.text(bc.TURN + 0.2, 0.02, "2.40", color=plotting.ORANGE, fontsize=9)
right.set(xlim=(0, 8), ylim=(0, 0.53))
plotting.label(right, "Along $w$", "worst-case margin $z$", "$w^THw=z^2s(z)$")
plotting.finish(fig, "exact formulas; no data")

# %% [markdown]
# The algebra of this section, step by step, by machine.

# %% tags=["hide-input"]
clean, eps, size, a, b, k, xi, zeta, T = sp.symbols("M epsilon n a b c xi zeta T", positive=True)
z_ = sp.Symbol("z", real=True)


def sig(t):
    return 1 / (1 + sp.exp(-t))


def s_of(t):
    return sig(t) * sig(-t)


tanh_half = (sp.exp(z_) - 1) / (sp.exp(z_) + 1)
at = {z_: clean - eps * size}
form = s_of(z_) * (a - eps * b) ** 2 + eps * sig(-z_) * k  # m.Hm for a = y x.m, b = u.m, k = m.(D2|w|)m
rate_form = s_of(z_) * (size * tanh_half * (a - eps * b) ** 2 - 2 * b * (a - eps * b)) + k * (
    sig(-z_) + eps * size * s_of(z_)
)
circle_ = sp.log(1 + sp.exp(-(clean * sp.cos(t_) + size * a * sp.sin(t_) - eps * size)))
on_circle = (s_of(z_) * a**2 + sig(-z_) * clean / size**2).subs(at)
r_n, r_s, r_t, r_c, r_k, r_q, r_z, r_h = z3.Reals("n s T c k q z h")
da_, db_, dot = sp.symbols("A B dot", positive=True)
uu = s_of(z_) * (size * T * zeta**2 - 2 * zeta)
ue = s_of(z_) * (size * T * zeta * xi - xi)
bend = (sig(-z_) + eps * size * s_of(z_)) / size
determinant = uu * (s_of(z_) * size * T * xi**2 + bend) - ue**2
room = (1 + sp.exp(-z_) + eps * size) * z_ * (z_ * T - 2) - size**2 * xi**2
steps = [
    checks.identity("slope-of-s", "s'(z) = -s(z) tanh(z/2)", left=sp.diff(s_of(z_), z_), right=-s_of(z_) * tanh_half),
    checks.identity(
        "rate-of-growth",
        "the derivative of m.Hm in the budget is the quadratic form of the rate in the text",
        left=sp.diff(form.subs(at), eps),
        right=rate_form.subs(at),
    ),
    checks.identity(
        "along-w",
        "the derivative of z^2 s(z) is z s(z) (2 - z tanh(z/2))",
        left=sp.diff(z_**2 * s_of(z_), z_),
        right=z_ * s_of(z_) * (2 - z_ * tanh_half),
    ),
    checks.implies(
        "one-turn",
        "the derivative of z tanh(z/2), which is T + z (1 - T^2)/2 with T = tanh(z/2), is positive for z > 0: one root of z tanh(z/2) = 2",
        assumptions=[r_z > 0, r_t > 0, r_t < 1],
        conclusion=r_t + r_z * (1 - r_t * r_t) / 2 > 0,
    ),
    checks.implies(
        "tangent-growth",
        "with u.m = 0 and z >= 0 the rate n s T q + c k is not negative (q = (v.m)^2, c of the norm's Hessian)",
        assumptions=[r_n > 0, r_s > 0, r_t >= 0, r_q >= 0, r_c >= 0, r_k >= 0],
        conclusion=r_n * r_s * r_t * r_q + r_c * r_k >= 0,
    ),
    checks.identity(
        "circle-curvature",
        "the second derivative along a great circle at unit speed is s a^2 + sigmoid(-z) y w.x / |w|^2",
        left=sp.diff(circle_, t_, 2).subs(t_, 0) / size**2,
        right=on_circle,
    ),
    checks.identity(
        "circle-growth",
        "its derivative in the budget is n s tanh(z/2) a^2 + s y w.x / n, not negative for z >= 0",
        left=sp.diff(on_circle, eps),
        right=(size * s_of(z_) * tanh_half * a**2 + s_of(z_) * clean / size).subs(at),
    ),
    checks.identity(
        "rank-two",
        "|b| a + |a| b is an eigenvector of a b^T + b a^T, of eigenvalue a.b + |a| |b| (the coefficient of a)",
        left=db_ * dot + da_ * db_**2,
        right=(dot + da_ * db_) * db_,
    ),
    checks.identity(
        "one-input-determinant",
        "one input, p = 2: |w|^2 det / s^2 is the difference of the two sides of the condition",
        left=(determinant / s_of(z_) ** 2 * size**2).subs(zeta, z_ / size),
        right=room,
    ),
]

# %% [markdown]
# ## In the disc of directions
#
# One input, with margin 1 at $\lVert w\rVert=1$ and $\xi=0.3$. The angle in each disc is the direction $m$, with $w$ to the right; the radius is the budget, from 0 at the centre to the margin at the rim.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Growth (plain) and fall (hatched) of $m^THm$ with the budget, for one input with margin $\\|w\\|$ and a part $\\xi=0.3$ across $w$; p = 2. Angle: direction $m$, with $w$ to the right. Radius: budget, from 0 at the centre to the margin at the rim. First disc: loss 7, as in the theorem. Then the true loss, at the paper's normalisation and at larger weights: the bow tie around $w$ shrinks towards the rim. Directions that leave the length of $w$ alone (up, down) obey the theorem throughout."}, "image": {"alt": "Four discs. The first is plain throughout. The second has a hatched bow tie along the horizontal axis that touches the centre and the rim. In the third and fourth the bow tie has come apart into two pieces at the left and right rim, thinner for larger weights."}}
turns, radii = torch.linspace(0, 2 * math.pi, 97).double(), np.linspace(0, 1, 51)
directions = torch.stack([turns.cos(), turns.sin()], 1)
one_x, one_y = torch.tensor([[1.0, 0.3]]).double(), torch.ones(1).double()
fig, axes = plt.subplots(1, 4, figsize=(plotting.WIDTH, 2.35), subplot_kw={"projection": "polar"})
for ax, length in zip(axes, (None, 1.0, 5.0, 20.0), strict=True):
    w_ = (length or 1.0) * torch.tensor([[1.0, 0.0]]).double()
    function = bc.rate if length else bc.frozen_rate
    rates = torch.stack([function(w_, one_x, one_y, float(radius), "l2")[0] for radius in radii])
    growth = torch.einsum("ai,rij,aj->ra", directions, rates, directions)
    growth = growth / growth.abs().amax(1, keepdim=True).clamp_min(1e-300)
    ax.contourf(turns, radii, growth, levels=[-2, -1e-9, 2], colors=["#f6d3bd", "#dceaf4"], hatches=["////", ""])
    if length:
        ax.contour(turns, radii, growth, levels=[0], colors=plotting.ORANGE, linewidths=1.4)
    ax.set_title(f"(6), size {length:g}" if length else "(7), any size", loc="center", pad=6)
    ax.set(xticks=np.deg2rad([0, 90, 180, 270]), yticks=[0.5], yticklabels=[], ylim=(0, 1))
    ax.set_xticklabels(["$w$", "", "", ""])
    ax.tick_params(axis="x", pad=-3)
plotting.finish(fig, "exact rates; one input, p = 2; deterministic")

# %% [markdown]
# ## The statements on random data
#
# Random data sets with a $w$ whose margins $y_iw^Tx_i$ are all at least $\hat\varepsilon\lVert w\rVert_q$, and the first exactly that: there the theorem is tight. Three budgets from $[0,\hat\varepsilon]$, among them 0 and
# $\hat\varepsilon$, both norms, sizes of $w$ from 1 to 30. Before that, the Hessians and rates against automatic differentiation and difference quotients.

# %% tags=["hide-input"]
rows, growing, predicted, automatic, ours, quotient, rates_ = [], [], [], [], [], [], []
for number in range(cfg.cases):
    length = 30 ** (number / (cfg.cases - 1))  # sizes of w from 1 to 30
    for norm_ in linear.NORMS:
        w_, x_, y_ = bc.separated(cfg.points, cfg.dimension, 1.0, norm_, cfg.seed + number, length)
        stray = length * torch.randn(1, cfg.dimension, generator=g).double()
        middle = float(torch.rand((), generator=g))
        rows.append(bc.statements(w_, x_, y_, norm_, (0.0, middle, 1.0), stray))
        for e in (0.02, middle, 0.95):
            value, R = float(bc.criterion(w_, x_, y_, e, norm_)[0]), bc.rate(w_, x_, y_, e, norm_)[0]
            if abs(value - 1) > 1e-6:  # at the boundary itself rounding decides
                growing.append(bc.not_smaller(R, torch.zeros_like(R)))
                predicted.append(value <= 1)
        if number < 20:
            fixed = {"x": x_, "y": y_, "norm": norm_}
            automatic.append(dense_hessian(lambda v, f=fixed, e=middle: linear.loss(v[None], eps=e, **f)[0], w_[0]))
            near = [linear.hessian(w_, eps=middle + h, **fixed)[0] for h in (-1e-5, 0.0, 1e-5)]
            ours.append(near[1])
            quotient.append((near[2] - near[0]) / 2e-5)
            rates_.append(bc.rate(w_, eps=middle, **fixed)[0])
table = pd.DataFrame(rows)
method = [
    checks.equal(
        "hessian-by-autograd",
        "the Hessian of loss (6) is that of automatic differentiation",
        measured=torch.stack(ours),
        expected=torch.stack(automatic),
        atol=1e-11,
        sample=f"{len(ours)} data sets, l2 and maximum norm, sizes of w from 1 up; seeds from {cfg.seed}",
        role="method",
        scale=cfg.scale,
    ),
    checks.equal(
        "rate-by-differences",
        "the rate is the central difference quotient of the Hessian in the budget",
        measured=torch.stack(rates_),
        expected=torch.stack(quotient),
        atol=1e-5,  # step 1e-5: truncation 1e-10 times a third derivative of up to 1e4 (size of w cubed, inputs squared)
        sample=f"the same {len(ours)} data sets",
        role="method",
        scale=cfg.scale,
    ),
]
readings = {
    "frozen": "(29), every direction, at a w with the margin",
    "stray": "(29), every direction, at a random w",
    "true": "(6), every direction",
    "largest": "(6), largest eigenvalue",
    "smallest": "(6), smallest eigenvalue",
    "tangent": "(6), directions with u.m = 0: statement (a)",
}
pd.DataFrame({words: {"data sets where it grows": f"{table[key].mean():.0%}"} for key, words in readings.items()}).T

# %% [markdown]
# The simplest counterexample needs one weight and one input: for $x=w=y=1$ the Hessian is the number $z^2s(z)$ with $z=1-\varepsilon$, all its eigenvalues fall, and at $\varepsilon=1$ it is 0, while (29) grows.
#
# Statement (b), on data whose worst-case margins all lie on one side of $z_*$ at both budgets; the first input is the tight one.

# %% tags=["hide-input"]
falls, rises = [], []
for number in range(cfg.cases):
    draw_ = settings.generator(cfg.seed + number)
    length = float(10 ** (2 * torch.rand((), generator=draw_) - 1))  # sizes of w from 0.1 to 10
    for norm_ in linear.NORMS:
        for found, least, most in ((falls, 0.0, 0.999 * bc.TURN), (rises, 1.001 * bc.TURN, 12.0)):
            z = least + (most - least) * (0.3 + 0.7 * torch.rand(cfg.points, generator=draw_).double())
            z[0] = most
            spent = float(z.min() - least) / length  # the larger budget, at which the least margin is `least`
            w_, x_, y_ = bc.with_margins(z, cfg.dimension, norm_, cfg.seed + number, length)
            first, second = (w_[0] @ linear.hessian(w_, x_, y_, e, norm_)[0] @ w_[0] for e in (0.0, spent))
            found.append(second < first if found is falls else second > first)

# %% [markdown]
# The paper's normalisation in the maximum norm: random pixels in $[0,1]$, $\lVert w\rVert_1=1$, and the labels that $w$ itself gives, so that it separates. With it the formula for $p=1$, for which the
# Hessian comes from automatic differentiation.

# %% tags=["hide-input"]
pixels, euler = [], []
for number in range(cfg.cases):
    draw_ = settings.generator(cfg.seed + number)
    x_ = torch.rand(cfg.points, cfg.dimension, generator=draw_).double()
    w_ = torch.randn(1, cfg.dimension, generator=draw_).double()
    w_ = w_ / linear.dual_norm(w_, "linf")
    y_ = (x_ @ w_[0]).sign()
    hat = float(linear.margins(w_, x_, y_, 0.0, "linf").min())
    steps_ = [w_[0] @ linear.hessian(w_, x_, y_, s * hat, "linf")[0] @ w_[0] for s in np.linspace(0, 1, 11)]
    pixels.append(bool((torch.stack(steps_).diff() < 0).all()))
    w_ = 5 * w_[0]
    worst = lambda v, x=x_: torch.nn.functional.softplus(0.3 * vs.norm(v, math.inf) - x @ v).mean()  # noqa: E731
    euler.append(w_ @ dense_hessian(worst, w_) @ w_ - bc.along_weights(x_ @ w_ - 0.3 * w_.abs().max()).mean())

# %% [markdown]
# Statement (c): few inputs in the maximum norm, and one input in the Euclidean norm. And, if $\lVert w\rVert_2$ is really held fixed, the curvature along great circles.

# %% tags=["hide-input"]
fewer, one_grows, one_says, circle_grows = [], [], [], []
for number in range(cfg.cases):
    draw_ = settings.generator(cfg.seed + number)
    long, part = float(10 ** (1.5 * torch.rand((), generator=draw_))), float(torch.rand((), generator=draw_))
    few = bc.separated(cfg.dimension - 1, cfg.dimension, 1.0, "linf", cfg.seed + number, long)
    for e in (0.0, 0.5, 0.9):
        u = linear.steepest(few[0], "linf")
        outside = torch.linalg.svd(few[2][:, None] * few[1] - e * u)[2][-1] @ u[0]  # the part of u outside the span
        if abs(outside) > 1e-3:  # the negative eigenvalue goes with its square, below that into rounding
            fewer.append(not bc.not_smaller(R := bc.rate(*few, e, "linf")[0], 0 * R))
    for e in np.linspace(0, 0.98, 15):
        one = (torch.tensor([[long, 0.0]]).double(), torch.tensor([[1.0, part]]).double(), torch.ones(1).double())
        room_ = float(bc.one_input_room(torch.tensor(long * (1 - e)).double(), float(e), long, part))
        if abs(room_) > 1e-6:  # at the boundary itself rounding decides
            one_grows.append(bc.not_smaller(R := bc.rate(*one, float(e), "l2")[0], 0 * R))
            one_says.append(room_ >= 0)
    w_, x_, y_ = bc.separated(cfg.points, cfg.dimension, 1.0, "l2", cfg.seed + number, long)
    m_ = torch.randn(1, cfg.dimension, generator=draw_).double()
    m_ = linear.steepest(m_ - (m_ @ w_.T) * w_ / long**2, "l2")
    curve = torch.cat([bc.on_the_sphere(w_, m_, x_, y_, e) for e in np.linspace(0, 1, 6)])
    circle_grows.append(bool((curve.diff() > 0).all()))

# %% tags=["hide-input"]
sample = f"{cfg.cases} data sets of {cfg.points} inputs, {cfg.dimension} weights, seeds from {cfg.seed}"
scalar = {"x": torch.ones(1, 1).double(), "y": torch.ones(1).double(), "norm": "l2"}
scalar_true = torch.cat([linear.hessian(torch.ones(1, 1).double(), eps=e, **scalar).ravel() for e in (0.0, 0.5, 1.0)])
theorem = [
    checks.every(
        "any-separable-data",
        "(29) grows on separable data at a random w, which need not have the margin",
        cases=table["stray"],
        sample=f"{len(table)} data sets, both norms, three budgets up to eps_hat; seeds from {cfg.seed}",
        scale=cfg.scale,
    ),
    checks.every(
        "true-loss",
        "the Hessian of loss (6) grows in every direction at a w with all margins at least eps_hat",
        cases=table["true"],
        sample=f"{len(table)} data sets, both norms, three budgets up to eps_hat; seeds from {cfg.seed}",
        scale=cfg.scale,
    ),
    checks.every(
        "true-largest",
        "its largest eigenvalue does not fall",
        cases=table["largest"],
        sample=f"the same {len(table)} data sets and budgets",
        scale=cfg.scale,
    ),
    checks.every(
        "true-smallest",
        "its smallest eigenvalue does not fall",
        cases=table["smallest"],
        sample=f"the same {len(table)} data sets and budgets",
        scale=cfg.scale,
    ),
    checks.every(
        "one-weight",
        "one input and one weight, x = w = 1: the curvature of loss (6) grows from budget 0 to 0.5 to 1",
        cases=scalar_true.diff() >= 0,
        sample="exact",
        evidence={f"at {e:g}": float(value) for e, value in zip((0, 0.5, 1), scalar_true, strict=True)},
        scale=cfg.scale,
    ),
    checks.every(
        "frozen-with-margin",
        "(29) grows in every direction at a w with all margins at least eps_hat, one of them equal",
        cases=table["frozen"],
        sample=f"{len(table)} data sets, both norms, three budgets up to eps_hat; seeds from {cfg.seed}",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.every(
        "tangent",
        "(a) the Hessian of loss (6) grows in every direction with u.m = 0",
        cases=table["tangent"],
        sample=f"the same {len(table)} data sets and budgets",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.equal(
        "along-w-p-1",
        "(b) w.Hw is the mean of z^2 s(z) for p = 1, too (difference 0)",
        measured=torch.stack(euler),
        expected=0.0,
        atol=1e-10,
        sample=f"{len(euler)} models, exact worst case by automatic differentiation, seeds from {cfg.seed}",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.every(
        "along-w-falls",
        "(b) it falls when all worst-case margins lie between 0 and 2.40",
        cases=falls,
        sample=f"{len(falls)} data sets, both norms, sizes of w from 0.1 to 10, largest margin 0.999 of the root; seeds from {cfg.seed}",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.every(
        "along-w-rises",
        "(b) and rises when all of them stay above",
        cases=rises,
        sample=f"{len(rises)} data sets, both norms, sizes of w from 0.1 to 10, margins down to 1.001 of the root; seeds from {cfg.seed}",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.every(
        "papers-normalisation",
        "(b) pixels in [0, 1], p = infinity, |w|_1 = 1: along w the curvature falls at each of ten steps up to the margin",
        cases=pixels,
        sample=sample,
        role="corrected",
        scale=cfg.scale,
    ),
    checks.every(
        "criterion",
        "(c) the criterion is at most 1 exactly where the rate has no negative eigenvalue",
        cases=np.array(growing) == np.array(predicted),
        sample=f"{len(growing)} triples of data, norm and budget, {sum(growing)} of them growing everywhere",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.every(
        "one-input",
        "(c) for one input and p = 2 the stated inequality decides the same",
        cases=np.array(one_grows) == np.array(one_says),
        sample=f"{len(one_grows)} pairs of input and budget, {sum(one_grows)} of them growing everywhere",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.every(
        "fewer-inputs",
        "(c) p = infinity, one input fewer than weights: at every budget tried some direction has falling curvature",
        cases=fewer,
        sample=f"{cfg.cases} data sets, three budgets each, those with u within 1e-3 of the span set aside; seeds from {cfg.seed}",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.every(
        "sphere-grows",
        "if |w| = 1 is a constraint (p = 2), the curvature along a random great circle grows with the budget",
        cases=circle_grows,
        sample=f"{sample}, six budgets up to eps_hat, one circle each",
        role="corrected",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## Which regime is a trained classifier in?
#
# Two classes of images, no bias, trained on loss (6) at several budgets, to its minimum (certified to 1% of the gain over a constant). The size $\lVert w\rVert_q$ decides: on separable data
# and below the largest robust margin the loss has no minimum, training makes $w$ ever larger and $z$ with it; above, the minimum is finite, and the more the training budget exceeds the margin the smaller is $w$.

# %% tags=["hide-input"]
models, about = {}, []
p = {"l2": 2.0, "linf": math.inf}[cfg.norm]
for e in cfg.trained:
    found = wt.minimise(X, Y01, e, p)
    w_ = (found.weights[0] - found.weights[1])[None]
    kept = (
        w_[0] != 0 if cfg.norm == "linf" else torch.ones_like(w_[0], dtype=torch.bool)
    )  # at a kink there is no Hessian
    if not bool((w_ != 0).any()):
        continue  # beyond the collapse radius training ends at w = 0, a kink
    w_, x_ = w_[:, kept], X[:, kept]
    length = float(linear.dual_norm(w_, cfg.norm))
    z = linear.margins(w_, x_, Y, e, cfg.norm)[0]
    values, vectors = torch.linalg.eigh(linear.hessian(w_, x_, Y, e, cfg.norm)[0])
    at_zero = torch.linalg.eigvalsh(linear.hessian(w_, x_, Y, 0.0, cfg.norm)[0])
    u = linear.steepest(linear.steepest(w_, cfg.norm), "l2")[0]
    models[e] = (w_, x_, length)
    about.append(
        {
            "training budget": f"{e:g}",
            "size of w": f"{length:.3g}",
            "least clean margin / size": f"{linear.margins(w_, x_, Y, 0.0, cfg.norm).min() / length:.2f}",
            "z < 0": f"{(z < 0).double().mean():.0%}",
            "0 < z < 2.40": f"{((z > 0) & (z < bc.TURN)).double().mean():.0%}",
            "top eigenvalue, budget 0": f"{at_zero[-1]:.2g}",
            "top eigenvalue, training budget": f"{values[-1]:.2g}",
            "cosine of its direction with u": f"{(vectors[:, -1] @ u).abs():.2f}",
            "cosine with the mean image": f"{(vectors[:, -1] @ linear.steepest(x_.mean(0)[None], 'l2')[0]).abs():.2f}",
            "growth along w": "yes" if bc.along_weights_rate(z).mean() > 0 else "no",
        }
    )
if not models:
    raise settings.SettingsError(
        f"trained={cfg.trained}: training ends at w = 0, where there is no Hessian; use smaller budgets"
    )
pd.DataFrame(about).set_index("training budget").T

# %% [markdown]
# The first model is mapped: the same direction $w/\lVert w\rVert$ at other sizes, against the budget.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The first model of the table: its direction $w/\\|w\\|$ at sizes from 0.3 to 200, attacked with budgets up to its margin. Left, dark: the curvature of the true loss grows in every direction; hatched: it falls along $w$; light: it grows along $w$ and falls in some other direction. Lines: the trained size, and the paper's normalisation. Right: curvature relative to its value at budget 0, at these two sizes (above logarithmic): along $w$, and top eigenvalue, of the true loss (6) and of (29)."}, "image": {"alt": "Left, a map of the size of w against the budget. The lower part, sizes below about five, is hatched. A dark region covers sizes from about ten to a hundred and ends in a slanted boundary before the margin. Right, two panels of curves: at size 1 the curvature along w falls steeply with the budget while the top eigenvalue rises a little; at the trained size both rise by factors."}}
trained_at = next(iter(models))
w_, x_, length = models[trained_at]
direction = w_ / length
margin = float(linear.margins(direction, x_, Y, 0.0, cfg.norm).min())
reach = margin if margin > 0 else trained_at
budgets, sizes = np.linspace(0, reach, 33), np.geomspace(0.3, 200, 41)
along, least = bc.growth_map(direction, x_, Y, cfg.norm, sizes, budgets)
least = np.sign(least) * np.abs(least) ** 0.25  # the zero stays; contours between grid points become smoother
fig = plt.figure(figsize=(plotting.WIDTH, 4.2))
grid = fig.add_gridspec(2, 2, width_ratios=[1.25, 1])
left = fig.add_subplot(grid[:, 0])
left.set_facecolor("#dceaf4")
left.contourf(budgets, sizes, least, levels=[0, 9], colors=["#5b9bc8"])
left.contourf(budgets, sizes, along, levels=[-9, 0], colors=["#f6d3bd"], hatches=["///"])
for field, colour in ((least, plotting.BLUE), (along, plotting.ORANGE)):
    left.contour(budgets, sizes, field, levels=[0], colors=colour, linewidths=1.4)
left.set_yscale("log")
for value, words in ((1.0, "paper's normalisation"), (length, f"trained at {trained_at:g}")):
    left.axhline(value, color=plotting.INK, lw=1.2, ls="--")
    left.text(
        0.02 * reach, value * 1.08, words, fontsize=8.5, bbox={"facecolor": "white", "alpha": 0.75, "pad": 0.8, "lw": 0}
    )
left.grid(False)
plotting.label(left, "Where curvature grows", f"budget (pixel scale, {cfg.norm})", "size $\\|w\\|_q$ (log)")
curves = np.linspace(0, reach, 21)
for row, t in enumerate((length, 1.0)):
    ax = fig.add_subplot(grid[row, 1])
    data_ = {"along $w$, (6)": [], "top, (6)": [], "top, (29)": []}
    for e in curves:
        H = linear.hessian(t * direction, x_, Y, float(e), cfg.norm)[0]
        z = linear.margins(t * direction, x_, Y, float(e), cfg.norm)[0]
        data_["along $w$, (6)"].append(float(bc.along_weights(z).mean()))
        data_["top, (6)"].append(float(torch.linalg.eigvalsh(H)[-1]))
        data_["top, (29)"].append(
            float(torch.linalg.eigvalsh(bc.frozen_hessian(t * direction, x_, Y, float(e), cfg.norm)[0])[-1])
        )
    for (name, values), style in zip(data_.items(), (plotting.ORANGE, plotting.BLUE, plotting.INK), strict=True):
        shape = {"along": "-", "top, (6)": "--", "top, (29)": ":"}[
            name if name in ("top, (6)", "top, (29)") else "along"
        ]
        ax.plot(curves, np.array(values) / values[0], color=style, ls=shape, label=name)
    plotting.label(ax, f"size {t:.3g}", f"budget (pixel scale, {cfg.norm})" if row else "", "relative to budget 0")
    ax.set_yscale("log" if row == 0 else "linear")
    ax.minorticks_off()
    if row == 0:
        ax.legend(fontsize=8)
plotting.finish(
    fig, f"{cfg.scale} scale; {cfg.dataset}, classes {cfg.classes[0]} and {cfg.classes[1]}, n = {len(X)}; deterministic"
)

# %% [markdown]
# The map has the three regimes of the theory. *Small weights*: curvature along $w$ falls. *Medium*: the criterion {eq}`liu2020-curvature-criterion` holds, and for the true loss, too, curvature grows in every direction, up
# to a budget somewhat below the margin. *The rest*: it grows along $w$ and falls in some oblique direction; at very large sizes only the image closest
# to the boundary counts, so that the data act like one input (top right: its band below 2.40).
#
# And the top eigenvalue, the one quantity that the paper plots for networks? It grows in every regime, for (6) as for (29), for every model of the table and up to its training budget. In the Euclidean norm the reason is (a): its direction is almost
# orthogonal to $w$ (table). Without a bias it is nearly that of the mean image, large and shared by both classes, to which a $w$ that tells them apart must be nearly orthogonal.
# The failure of the theorem is real, but it sits in directions that carry little curvature here.
#
# The paper's remark on the overwhelming majority is no substitute for the margin: on the digits one attacked image with $z<0$ is enough for a direction in which even (29) falls. For the top eigenvalue, again, that matters little.

# %% tags=["hide-input"]
unit_along = [
    bc.along_weights(linear.margins(direction, x_, Y, float(e), cfg.norm)[0]).mean() for e in np.linspace(0, reach, 11)
]
tops = [
    torch.stack(
        [torch.linalg.eigvalsh(linear.hessian(w, x, Y, s * e, cfg.norm)[0])[-1] for s in (0, 0.25, 0.5, 0.75, 1)]
    )
    for e, (w, x, _) in models.items()
]
beyond = [reach * s for s in (1.02, 1.05, 1.1)]
missed = [float((linear.margins(w_, x_, Y, e, cfg.norm)[0] < 0).double().mean()) for e in beyond]
images = f"{cfg.dataset}, classes {cfg.classes[0]} and {cfg.classes[1]}, {len(X)} images"
real = [
    checks.every(
        "images-top-grows",
        "at trained weights the largest eigenvalue of loss (6) grows at each of four steps up to the training budget",
        cases=[bool((top.diff() > 0).all()) for top in tops],
        sample=f"{images}; {len(tops)} models, one for each training budget",
        role="observed",
        scale=cfg.scale,
    ),
    checks.every(
        "images-along-falls",
        "at size 1 the curvature along w falls at each of ten steps up to the margin",
        cases=[bool(second < first) for first, second in pairwise(unit_along)],
        sample=f"{images}; model trained at {trained_at:g}",
        role="observed",
        scale=cfg.scale,
    ),
    checks.every(
        "overwhelming-majority",
        "with a few images misclassified under attack, (29) still grows in every direction",
        cases=[bc.not_smaller(r := bc.frozen_rate(w_, x_, Y, e, cfg.norm)[0], 0 * r) for e in beyond],
        sample=f"{images}; model trained at {trained_at:g}, budgets 1.02, 1.05 and 1.1 times {reach:.2g}",
        evidence={"misclassified": ", ".join(f"{share:.1%}" for share in missed)},
        role="observed",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## What to use instead of Theorem 3
#
# Let $w$ be a point where $\lVert w\rVert_q$ is twice differentiable and all worst-case margins at budget $\hat\varepsilon$ are non-negative, $y_iw^Tx_i\ge\hat\varepsilon\lVert w\rVert_q$. Then on $[0,\hat\varepsilon]$
#
# 1. the curvature of the adversarial loss (6) does not decrease in any direction with $u^Tm=0$, and for $p=2$ nor does it along the sphere of constant $\lVert w\rVert_2$;
# 2. along $w$ it decreases while all margins $z_i$ lie in $(0,2.40)$, always so for $\lVert w\rVert_q=1$ and $\lVert x_i\rVert_p<2.40$; it increases while all $z_i>2.40$; in between the mean of $z_i^2s(z_i)$ decides;
# 3. on an interval of budgets it does not decrease in any direction at all if and only if the rate is positive semidefinite throughout, that is $c(\varepsilon)\le1$ wherever $B$ is positive definite.
#
# ## Verdict

# %% tags=["hide-input"]
claims.report(
    claims.verdict(
        "liu2020-prop-binary",
        binary,
        note="(6) is right. The logits should be (w.x/2, -w.x/2) (L8), and |w| = 1 is a restriction: losses (6) and (7) agree on the sphere, their Hessians do not (L7).",
    ),
    claims.verdict("liu2020-lem1", lemma, note="Proved; it holds for weights of either sign."),
    claims.verdict(
        "liu2020-thm3",
        [*theorem, *steps, *method, *real],
        note="Right for (29) at a w that has the margin itself; wrong for the adversarial loss (6) along w (L7). Corrected: it holds for (6) in all directions with u.m = 0, and in all directions exactly where the criterion is at most 1.",
    ),
)

# %% [markdown]
# ## Limits, and one thing to try
#
# - *Linear models, two classes, exact attacks.* Nothing here decides Figure 2 of the paper, which concerns networks; it decides what the theorem may be quoted for.
# - *Fixed $w$.* The theorem compares budgets at one $w$. Training at another budget also moves $w$, and mostly makes it smaller; the table shows both effects together.
# - *Random cases.* The statements 1 to 3 are derived above, each algebraic step by machine; calculus (chain rule, integration) and linear algebra (change of basis) are in the text. Random data only check for slips.
# - *The map is a grid*: 41 sizes by 33 budgets, so its boundaries are sharp to one cell.
# - A separable data set and a $w$ with the margin at which (6) falls in a direction with $u^Tm=0$ would turn the verdict on Theorem 3 into *contradicted*.
#
# In the maximum norm $\nabla^2\lVert w\rVert_q=0$ takes away the term that helped: the criterion is harder to meet. Weights that are exactly 0 after training are kinks and are left out with their pixels.
#
# ```bash
# papermill notebooks/liu2020/curvature_and_budget.ipynb out.ipynb -p norm linf -p trained "0.1, 0.15"
# ```
