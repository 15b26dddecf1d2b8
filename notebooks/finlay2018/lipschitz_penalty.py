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
# # What a Lipschitz penalty buys
#
# *If a function pays for its steepest slope, what does it gain, what does it lose, and how sure can we be of the answer?*
#
# The data are inputs $x_i\in X$ with labels $y_i\in Y$, $i=1,\dots,n$; $Y$ is convex. A model $u:X\to Y$ has the training loss
# $L(u)=\frac1n\sum_i\ell(u(x_i),y_i)$ and the Lipschitz constant $\mathrm{Lip}(u)=\sup_{x\ne x'}\lVert u(x)-u(x')\rVert/\lVert x-x'\rVert$. The
# *regularised* problem is to minimise $L(u)+\lambda\,\mathrm{Lip}(u)$ over **all** functions $u$; $\lambda\ge0$ is the price of steepness.
#
# :::{prf:definition} Definition 4.1 of Finlay et al.
# :label: finlay2018-def41
# :nonumber:
#
# On a class $\mathcal H$ of functions that contains the constants, $\mathcal R:\mathcal H\to\mathbb R$ is a *regulariser* if $\mathcal R(h)\ge0$, with equality if and
# only if $h$ is constant. For a loss $L$ and $\lambda\ge0$, $f^\lambda\in\arg\min_f\{L(f)+\lambda\mathcal R(f)\}$ ({cite:t}`finlay2018`, section 4.1,
# equation 4.1).
# :::
#
# :::{prf:definition} Definition 4.3 of Finlay et al.
# :label: finlay2018-def43
# :nonumber:
#
# In the *realisable* case the true label function $f^*$ lies in $\mathcal H$, so that the loss can be zero. $\bar f$ is the average of $f^*$, a constant,
# and $C_L=L(\bar f)$ (section 4.1).
# :::
#
# :::{prf:lemma} Lemma 4.4 of Finlay et al.
# :label: finlay2018-lem44
# :nonumber:
#
# If the loss is not negative then, for every $\lambda>0$,
#
# $$
# L(f^\lambda)\le L(f^0)+\lambda\mathcal R(f^0),\qquad \mathcal R(f^\lambda)\le\frac{C_L}\lambda
# $$
#
# (section 4.1, equation 4.2). In the realisable case $L(f^0)=0$.
# :::
#
# :::{prf:proposition} The 0/1 regulariser, equation (4.3) of Finlay et al.
# :label: finlay2018-obs-trivial-regularizer
# :nonumber:
#
# $\mathcal R^0(h)=0$ for constant $h$ and 1 otherwise does nothing while $\lambda$ is small, and then forces a constant. So not every regulariser is a good
# one (section 4.1).
# :::
#
# :::{prf:definition} Strong convexity, equation (4.5) of Finlay et al.
# :label: finlay2018-def-strong-convexity
# :nonumber:
#
# $\ell$ is strongly convex with parameter $\theta>0$ if, for all $y_0,y_1,y_2\in Y$ and $0\le t\le1$,
#
# $$
# \begin{aligned}
# &\ell(ty_1+(1-t)y_2,y_0)+\tfrac\theta2t(1-t)\lVert y_1-y_2\rVert_Y^2\\
# &\qquad\le t\,\ell(y_1,y_0)+(1-t)\,\ell(y_2,y_0)
# \end{aligned}
# $$
#
# (section 4.2).
# :::
#
# :::{prf:remark} Remark 4.5 of Finlay et al.
# :label: finlay2018-rem45
# :nonumber:
#
# Cross-entropy is neither strongly convex nor Lipschitz. For $\epsilon>0$,
#
# $$
# \ell_\epsilon^{KL}(y,z)=-\sum_{i=1}^D(z_i+\epsilon)\log\frac{y_i+\epsilon}{z_i+\epsilon},
# $$
#
# with $y$ the prediction and $z$ the label, is both on the probability simplex of $D$ classes (section 4.2, equation 4.6).
# :::
#
# For the rest, the inputs have a density $\rho$ on a compact smooth manifold $\mathcal M\subset X=[0,1]^d$, the label of $x$ is $y(x)$, and
# $J[u]=\int_{\mathcal M}\ell(u,y)\,\rho\,dVol+\lambda\,\mathrm{Lip}(u)$.
#
# :::{prf:lemma} Lemma 4.6 of Finlay et al.
# :label: finlay2018-lem46
# :nonumber:
#
# If $\ell$ is strictly convex in its first argument and $\inf_{\mathcal M}\rho>0$, then any two Lipschitz minimisers of $J$ agree on $\mathcal M$, and so all
# minimisers have the same Lipschitz constant (section 4.2).
# :::
#
# :::{prf:proposition} Proposition 4.11 of Finlay et al.
# :label: finlay2018-prop411
# :nonumber:
#
# If $\ell$ is strongly convex with parameter $\theta$ then, for all Lipschitz $u_1,u_2$ and $0\le t\le1$,
#
# $$
# \begin{aligned}
# &J[tu_1+(1-t)u_2]+\tfrac\theta2t(1-t)\int_{\mathcal M}\lVert u_1-u_2\rVert_Y^2\,\rho\,dVol\\
# &\qquad\le tJ[u_1]+(1-t)J[u_2]
# \end{aligned}
# $$
#
# (section 4.2, equation 4.15).
# :::
#
# :::{prf:lemma} Lemma 4.12 of Finlay et al.
# :label: finlay2018-lem412
# :nonumber:
#
# If $\ell$ is strongly convex with parameter $\theta$ and $u^\lambda$ minimises $J$, every Lipschitz $u$ satisfies
# $\frac\theta2\int_{\mathcal M}\lVert u-u^\lambda\rVert_Y^2\,\rho\,dVol\le J[u]-J[u^\lambda]$ (section 4.2, equation 4.16).
# :::
#
# :::{prf:observation} Figure 1 of Finlay et al.
# :label: finlay2018-fig1
# :nonumber:
#
# On a synthetic classification problem the Lipschitz-regularised solution equals the labels on a large part of the data (left). When a tenth of the
# labels is wrong, it corrects the errors (right) (section 2.2; data, $\lambda$, loss and solver are not given).
# :::
#
# **In short.** The penalty repairs wrong labels that are scattered, far fewer that come in a clump, and the absolute loss repairs them at a price at which
# most right labels are still matched exactly. The lemmas are right and tight; for the squared loss both bounds of Lemma 4.4 can be
# halved, and the price that silences the model altogether is a Wasserstein distance between the classes. Remark 4.5 needs three classes: with two,
# cross-entropy *is* strongly convex on the simplex.

# %% tags=["hide-input"]
import itertools
from fractions import Fraction

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sympy as sp
import torch
import z3

from advsmooth import checks, claims, interactive, plotting, settings
from advsmooth.theory import corrupted_labels, regularised, uniqueness, wasserstein
from advsmooth.theory import strong_convexity as sc

plotting.use_theme()

# %% tags=["parameters"]
scale: str = "quick"  # quick (seconds) | cpu (more points, seeds and pairs; minutes)
seed: int = 0  # first seed of the samples
loss: str = None  # loss in the pictures of figure 1: absolute | squared
price: float = None  # lambda at which the sample of figure 1 is judged
gap: float = None  # width of the empty strip between the classes of figure 1, side of the square = 1
line: int = None  # points of a sample on the line
plane: int = None  # points of a sample in the plane
repeats: int = None  # samples of figure 1, each with its own seed
pairs: int = None  # random pairs in the tests of convexity
eps: float = None  # epsilon of the regularised cross-entropy in the tests of convexity

# %% tags=["hide-input"]
cfg = settings.resolve(
    globals(),
    loss=settings.choice("absolute", "squared", quick="absolute"),
    price=settings.number(at_least=1e-4, at_most=10, quick=0.03),
    gap=settings.number(at_least=0, at_most=0.3, quick=0.15),
    line=settings.count(at_least=20, at_most=1000, quick=100, cpu=400),
    plane=settings.count(at_least=20, at_most=250, quick=120, cpu=200),
    repeats=settings.count(at_least=3, at_most=100, quick=6, cpu=20),
    pairs=settings.count(at_least=100, at_most=1_000_000, quick=20_000, cpu=200_000),
    eps=settings.number(at_least=1e-3, at_most=0.3, quick=0.1),
)
share = claims.claim("finlay2018-fig1").published["corrupted_labels_percent"] / 100
cfg

# %% [markdown]
# ## Figure 1, solved exactly
#
# "All functions" sounds hopeless and is not. Only the values $u_i=u(x_i)$ at the data enter the loss, and values with
# $|u_i-u_j|\le K\lVert x_i-x_j\rVert$ extend to all of $X$ with the same constant $K$, for instance by McShane's two formulas {cite}`mcshane1934`
#
# $$
# \max_i\big(u_i-K\lVert x-x_i\rVert\big)\;\le\;u(x)\;\le\;\min_i\big(u_i+K\lVert x-x_i\rVert\big);
# $$ (finlay2018-penalty-extensions)
#
# every extension lies between the two. So the problem is a finite convex programme in $u_1,\dots,u_n$ and $K$. It is solved here with a certificate: the dual
# problem gives a lower bound of the objective, and the difference of the two is checked below.
#
# Labels are $\pm1$, on two sides of a wavy border with an empty strip along it. In the lower row a tenth of them is turned.

# %% tags=["hide-input"]
shown_prices = [cfg.price / 100, cfg.price, 3 * cfg.price]
square = torch.cartesian_prod(*[torch.linspace(0, 1, 61, dtype=torch.float64)] * 2)
samples = {part: corrupted_labels.draw(cfg.plane, 2, part, cfg.seed, gap=cfg.gap) for part in (0.0, share)}
solved = {
    (part, p): regularised.minimise(s.x, s.given, p, loss=cfg.loss) for part, s in samples.items() for p in shown_prices
}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The paper's Figure 1, solved exactly at three prices: 100 times too cheap, right, three times too dear. Shade: the minimiser, midway between its two extensions, from -1 (orange) to 1 (blue); black line: where it changes sign. Circles carry the label 1, squares -1; in the lower row a tenth of the labels is wrong (large, with black rims). Too cheap, and every wrong label gets its own island; right, and the islands are gone; too dear, and the slope is spread over the whole square."}, "image": {"alt": "Six square panels. Above, with clean labels, the sign changes along one wave at the low and the middle price. Below, at the low price small islands surround each wrong label; at the middle price only the wave is left; at the high price the shade changes slowly everywhere."}}
fig, axes = plt.subplots(2, 3, figsize=(plotting.WIDTH, 5.2), sharex=True, sharey=True)
ramp = plt.matplotlib.colors.LinearSegmentedColormap.from_list("ramp", ["#e08a4f", "white", "#4f96c8"])
for ax, ((part, p), found) in zip(axes.ravel(), solved.items(), strict=True):
    s = samples[part]
    field = (sum(uniqueness.extensions(found, square)) / 2).reshape(61, 61).T.numpy()
    tones = np.round(12 * field) / 12  # fewer shades, a smaller file
    ax.imshow(tones, origin="lower", extent=(0, 1, 0, 1), cmap=ramp, vmin=-1.1, vmax=1.1, interpolation="none")
    if field.min() < 0 < field.max():
        ax.contour(np.linspace(0, 1, 61), np.linspace(0, 1, 61), field, levels=[0], colors=plotting.INK, linewidths=1.3)
    for label, marker, colour in ((1, "o", plotting.BLUE), (-1, "s", plotting.ORANGE)):
        for wrong in (False, True):
            chosen = (s.given == label) & (s.wrong == wrong)
            edge = {"mec": "black", "mew": 1.4, "ms": 6.5} if wrong else {"mew": 0, "ms": 3}
            ax.plot(*s.x[chosen].T, marker, color=colour, zorder=3, **edge)
    result = corrupted_labels.judge(found, s)
    words = f"{result.matched:.0%} of labels met" if part == 0 else f"{result.corrected:.0%} of errors corrected"
    ax.set_title(f"λ = {p:g}\n{words}", fontsize=9)
    ax.set(xticks=(0, 0.5), yticks=(0, 0.5, 1))
    ax.grid(False)
for ax, words in zip(axes[:, 0], ("clean labels", f"{share:.0%} wrong"), strict=True):
    ax.set_ylabel(f"{words}\nsecond coordinate")
for ax in axes[1]:
    ax.set_xlabel("first coordinate")
plotting.finish(fig, f"{cfg.scale} scale, {cfg.loss} loss, n = {cfg.plane}, seed {cfg.seed}")

# %% [markdown]
# *Why scattered errors vanish.* A lone wrong label among right ones at distance $d$ needs a spike of slope $2/d$ to be met. If the border needs a slope
# $K$ only, the value at the wrong label can move by $Kd$ at most, and keeps the right sign while $Kd<1$. The errors are thus told from the border by
# their *scale*, and the dearer slopes become, the larger the scale that is removed. A clump of errors
# is repaired only while it is small beside the classes.
#
# The slider shows it on the line, where class 1 is an interval:

# %% tags=["hide-input"]
ladder = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.06, 0.1]
on_line = corrupted_labels.draw(min(cfg.line, 60), 1, share, cfg.seed, gap=cfg.gap)
across = torch.linspace(0, 1, 161, dtype=torch.float64)[:, None]
steps = [regularised.minimise(on_line.x, on_line.given, p, loss=cfg.loss) for p in ladder]
bands = [uniqueness.extensions(one, across) for one in steps]
told = [corrupted_labels.judge(one, on_line) for one in steps]


def ticks(chosen):
    """A short upright stroke at each label."""
    return np.concatenate(
        [
            [[float(a), float(b) - 0.09], [float(a), float(b) + 0.09], [np.nan, np.nan]]
            for a, b in zip(on_line.x[chosen, 0], on_line.given[chosen], strict=True)
        ]
    )


interactive.slider(
    "finlay2018-fig1-slider",
    title="Wrong labels fade before the classes do",
    alt=(
        "Against the input from 0 to 1: strokes at 1 and -1 for the labels, a tenth of them wrong, and the minimiser. A slider "
        "sets the price. At low prices the curve jumps to every wrong label; at middle prices it follows the three "
        "stretches of right labels; at high prices it is flat."
    ),
    control="price λ",
    positions=[f"{p:g}" for p in ladder],
    texts=[
        f"At λ = {p:g} the steepest slope is {one.lipschitz:.3g}; {r.corrected:.0%} of the wrong labels are corrected."
        for p, one, r in zip(ladder, steps, told, strict=True)
    ],
    start=ladder.index(0.01),
    x=interactive.Axis("input", (0, 1), (0, 0.25, 0.5, 0.75, 1)),
    panels=[
        interactive.Panel(
            "Labels and minimiser",
            interactive.Axis("value", (-1.25, 1.25), (-1, 0, 1)),
            [
                interactive.Curve("minimiser", [torch.stack([across[:, 0], (a + b) / 2], 1) for a, b in bands]),
                interactive.Curve("right labels", [ticks(~on_line.wrong)], "solid", 2),
                interactive.Curve("wrong labels", [ticks(on_line.wrong)], "solid", 1),
            ],
            height=170,
        )
    ],
)

# %% [markdown]
# The samples are judged at one price, fixed beforehand, for several seeds: on the line for both losses, in the plane for the loss of the pictures.
# *Met* means that the value is the given label to 0.001; *kept* and *corrected* that the value has the sign of the right label at points with right and with
# wrong labels. *Cheap* is a thousandth of the price; in the *clump* all wrong labels are neighbours; the last rows are the squared loss in the plane (three seeds).

# %% tags=["hide-input"]
seeds = settings.seeds(cfg.seed, cfg.repeats)
CHEAP = cfg.price / 1000
rows, certificates = [], [one.gap for one in [*solved.values(), *steps]]
for dimension, n, kinds in ((1, cfg.line, ("absolute", "squared")), (2, cfg.plane, (cfg.loss,))):
    for kind, s in itertools.product(kinds, seeds):
        for case, part, p in (
            ("clean", 0.0, cfg.price),
            ("scattered", share, cfg.price),
            ("cheap", share, CHEAP),
            ("clump", share, cfg.price),
        ):
            sample = corrupted_labels.draw(n, dimension, part, s, gap=cfg.gap, clump=case == "clump")
            found = regularised.minimise(sample.x, sample.given, p, loss=kind)
            certificates.append(found.gap)
            rows.append(
                {"where": f"{dimension}-d, {kind}", "loss": kind, "case": case, "seed": s}
                | vars(corrupted_labels.judge(found, sample))
            )
for p, s in itertools.product((cfg.price, 3 * cfg.price), seeds[:3]):
    sample = corrupted_labels.draw(cfg.plane, 2, share, s, gap=cfg.gap)
    found = regularised.minimise(sample.x, sample.given, p, loss="squared")
    certificates.append(found.gap)
    rows.append(
        {"where": "2-d, squared", "loss": "squared", "case": f"scattered, λ = {p:g}", "seed": s}
        | vars(corrupted_labels.judge(found, sample))
    )
judged = pd.DataFrame(rows)
judged.groupby(["where", "case"], sort=False)[["matched", "kept", "corrected"]].mean().round(2).rename(
    columns={"matched": "met"}
)

# %% tags=["hide-input"]
evidence = (
    f"n = {cfg.line} on the line, {cfg.plane} in the plane, {cfg.repeats} seeds from {cfg.seed}, lambda {cfg.price:g}"
)


def of(case, column):
    return judged.loc[judged.case == case, column].to_numpy()


def by_seed(case):
    """Mean share corrected of each seed, over line and plane: one number a seed."""
    return judged[judged.case == case].groupby("seed").corrected.mean().to_numpy()


fig1 = [
    checks.every(
        "clean-met",
        f"with clean labels at least half of them are met exactly ({cfg.loss} loss)",
        cases=of("clean", "matched")[of("clean", "loss") == cfg.loss] >= 0.5,
        evidence={"least share": of("clean", "matched")[of("clean", "loss") == cfg.loss].min()},
        sample=evidence,
        role="trend",
        scale=cfg.scale,
    ),
    checks.every(
        "corrected",
        "with a tenth of the labels wrong, at least 90 per cent of these points get the sign of the right label",
        cases=of("scattered", "corrected") >= 0.9,
        evidence={"mean share": of("scattered", "corrected").mean()},
        sample=evidence,
        role="trend",
        scale=cfg.scale,
    ),
    checks.every(
        "kept",
        "while at least 95 per cent of the points with right labels keep their sign",
        cases=of("scattered", "kept") >= 0.95,
        evidence={"mean share": of("scattered", "kept").mean()},
        sample=evidence,
        role="trend",
        scale=cfg.scale,
    ),
    checks.positive(
        "price-corrects",
        "the share corrected is larger than at a thousandth of the price",
        differences=by_seed("scattered") - by_seed("cheap"),
        sample=evidence,
        scale=cfg.scale,
    ),
    checks.positive(
        "clump-stays",
        "and larger than when as many wrong labels lie in one clump",
        differences=by_seed("scattered") - by_seed("clump"),
        sample=evidence,
        role="observed",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## How much the loss grows, how fast the slope falls
#
# **Lemma 4.4** compares the minimiser with two functions: the unregularised one and a constant. Nothing else is used, so any $f^0$ and any constant will
# do, and Definition 4.1 is needed only in the form $\mathcal R\ge0$ and $\mathcal R(\text{constant})=0$. Both inequalities hold with equality
# for two points at distance $d$ with labels 0, 1, absolute loss, at $\lambda=d/2$: a function that rises by $g$ between them has $J=\frac{1-g}2+\lambda\frac gd=\frac12$ for every
# $g\in[0,1]$, so $f^0$ ($g=1$) and the constant ($g=0$) are both minimisers.
#
# **For the squared loss both bounds can be halved.** Lemma 4.12 below, with $\theta=2$ and $u=f^0$, says
# $\lVert f^0-f^\lambda\rVert^2\le J[f^0]-J[f^\lambda]$, in the norm $\lVert v\rVert^2=\frac1n\sum_iv_i^2$. If $f^0$ is the orthogonal projection of the labels (it meets them if no two inputs coincide) the left side is
# $L(f^\lambda)-L(f^0)$, hence the first line below. For the second, put $u=\bar f$ and use
# $\lVert a\rVert^2+\lVert b\rVert^2\ge\frac12\lVert a-b\rVert^2$:
#
# $$
# \begin{aligned}
# L(f^\lambda)-L(f^0)&\le\tfrac\lambda2\big(\mathrm{Lip}(f^0)-\mathrm{Lip}(f^\lambda)\big),\\
# \mathrm{Lip}(f^\lambda)&\le\frac{C_L}{2\lambda}.
# \end{aligned}
# $$ (finlay2018-penalty-halved)
#
# Both are attained by linear labels, $y_i=x_i$ on the line: the minimiser turns the labels towards their mean, $u_i=\bar x+s(x_i-\bar x)$ with
# $s=\max(1-\lambda/2V,0)$, $V$ the variance of the inputs.
#
# **The penalty, too, ends in a constant.** The constant $\bar y$ minimises exactly if no direction $v$ descends: $\frac2n\sum_i(y_i-\bar y)v_i\le\lambda\,\mathrm{Lip}(v)$. For labels $\pm1$, a
# share $p$ of them 1, Kantorovich's duality turns the largest left side over $\mathrm{Lip}(v)\le1$ into a distance:
#
# $$
# f^\lambda\ \text{is constant}\iff\lambda\ge\lambda_0=4p(1-p)\,W_1(\mu_+,\mu_-),
# $$ (finlay2018-penalty-silence)
#
# with $W_1$ the Wasserstein-1 distance of the inputs of the two classes. The 0/1 regulariser ends at the variance of the labels, $4p(1-p)$,
# wherever the classes lie.

# %% tags=["hide-input"]
binary = corrupted_labels.draw(60, 1, 0.0, cfg.seed, gap=cfg.gap)
g = settings.generator(cfg.seed)
twice = torch.rand(15, 1, generator=g, dtype=torch.float64).repeat(2, 1)  # every input occurs twice: not realisable
problems = {
    "two classes, line": (binary.x, binary.given),
    "normal labels, plane": (
        torch.rand(30, 2, generator=g, dtype=torch.float64),
        torch.randn(30, generator=g, dtype=torch.float64),
    ),
    "repeated inputs, line": (twice, torch.randn(30, generator=g, dtype=torch.float64)),
}
prices = np.logspace(-4, 2, 13)
LOSSES = {"squared": lambda r: r.square().mean().item(), "absolute": lambda r: r.abs().mean().item()}
rows = []
for (name, (x, y)), kind in itertools.product(problems.items(), LOSSES):
    repeated = name.startswith("repeated")
    if repeated and kind == "absolute":
        continue
    f0 = (y[:15] + y[15:]).repeat(2) / 2 if repeated else y
    fit, steep = LOSSES[kind](f0 - y), regularised.lipschitz_constant(x, f0)
    for p in prices:
        found = regularised.minimise(x, y, p, loss=kind)
        certificates.append(found.gap / max(1, p))
        rows.append(
            {
                "problem": name,
                "loss": kind,
                "price": p,
                "L": LOSSES[kind](found.values - y),
                "Lip": found.lipschitz,
                "L0": fit,
                "Lip0": steep,
                "C": LOSSES[kind](y.mean() - y),
            }
        )
path = pd.DataFrame(rows)
x, y = problems["two classes, line"]
p_plus = (y > 0).double().mean().item()
silence = 4 * p_plus * (1 - p_plus) * wasserstein.transport(x[y > 0], x[y < 0]).distance
around = {share_: regularised.minimise(x, y, share_ * silence) for share_ in (0.9, 0.98, 1.02, 1.5)}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Two classes on the line, squared loss, exact minimisers (dots) against the price. Left: the training loss and Lemma 4.4's bound (dashed), half of which also holds (dotted). Right: the Lipschitz constant with the bound C/λ (dashed) and half of it (dotted). Grey, stepped: the 0/1 regulariser, which does nothing up to its threshold and then forces a constant. Upright line: the price 4p(1-p) times the Wasserstein distance of the classes, from which on the Lipschitz penalty, too, leaves only the constant."}, "image": {"alt": "Two panels with logarithmic axes. Left, the loss rises along a curve that stays under two parallel straight lines and levels off at an upright line. Right, the Lipschitz constant falls under two parallel falling lines and drops to zero at the same upright line. In both, a grey step shows the 0/1 regulariser."}}
one = path[(path.problem == "two classes, line") & (path.loss == "squared")]
fine = np.sort(np.concatenate([np.logspace(-4, np.log10(2), 16), silence * np.array([0.7, 0.9, 0.97, 0.999])]))
drawn = [regularised.minimise(x, y, p) for p in fine]
fig, axes = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.5))
steep, variance = one.Lip0.iloc[0], one.C.iloc[0]
curves = (
    (axes[0], [LOSSES["squared"](f.values - y) for f in drawn], fine * steep, (0, variance)),
    (axes[1], [f.lipschitz for f in drawn], variance / fine, (steep, 0)),
)
for ax, values, bound, (before, after) in curves:
    ax.plot(fine, bound, "--", color=plotting.ORANGE, label="bound of Lemma 4.4")
    ax.plot(fine, bound / 2, ":", color=plotting.PURPLE, label="half of it")
    ax.plot(fine, np.maximum(values, 1e-12), "o-", color=plotting.BLUE, ms=3.5, label="Lipschitz penalty")
    ax.axvline(silence, color=plotting.INK, lw=0.8)
    low = 1e-3 if ax is axes[0] else 1e-2
    ax.plot(
        [1e-4, variance, variance, 2],
        [max(before, low), max(before, low), max(after, low), max(after, low)],
        color=plotting.GREY,
        lw=3,
        alpha=0.5,
        label="0/1 regulariser",
    )
    ax.set(xscale="log", yscale="log", ylim=(low, 5 if ax is axes[0] else 3 * steep), xlim=(1e-4, 2))
plotting.label(axes[0], "Training loss", "price λ", "L (squared label units)")
plotting.label(axes[1], "Steepest slope", "price λ", "Lip (label units per input unit)")
axes[0].legend(loc="upper left", fontsize=8)
for ax in axes:
    ax.minorticks_off()
axes[1].text(silence * 0.9, 0.014, "λ₀", ha="right")
plotting.finish(fig, f"{cfg.scale} scale, n = 60, seed {cfg.seed}; curves that reach zero leave the panel")

# %% tags=["hide-input"]
sampled = f"{len(path)} exact problems: 13 prices from 1e-4 to 100 x 5 cases, seed {cfg.seed}"
ramp_x = torch.linspace(0, 1, 21, dtype=torch.float64)
V = ramp_x.var(correction=0).item()
linear_prices = 2 * V * np.array([0.1, 0.25, 0.5, 0.75])
linear = [regularised.minimise(ramp_x[:, None], ramp_x, p) for p in linear_prices]
linear_loss = np.array([LOSSES["squared"](f.values - ramp_x) for f in linear])
linear_lip = np.array([f.lipschitz for f in linear])
d = 0.7
two = [(1 - gain) / 2 + d / 2 * gain / d for gain in np.linspace(0, 1, 11)]
pair = regularised.minimise(
    torch.tensor([[0.0], [d]]).double(), torch.tensor([0.0, 1.0]).double(), d / 2, loss="absolute"
)
certificates += [f.gap for f in [*linear, *drawn, *around.values(), pair]]
a, b, lam, L1, L0, R1, R0, LC = z3.Reals("a b lam L1 L0 R1 R0 LC")
squared = path[path.loss == "squared"]
lemma44 = [
    checks.at_most(
        "loss-grows-linearly",
        "the loss exceeds that of the unregularised minimiser by lambda times its slope at most",
        measured=path.L,
        bound=path.L0 + path.price * path.Lip0,
        rtol=1e-10,  # of bounds up to 1e4; the solver leaves 1e-8
        sample=sampled,
        scale=cfg.scale,
    ),
    checks.at_most(
        "slope-falls",
        "lambda times the Lipschitz constant is at most the loss of the mean label",
        measured=path.price * path.Lip,
        bound=path.C,
        rtol=1e-6,  # the solver's error in Lip, 1e-8, times lambda = 100
        sample=sampled,
        scale=cfg.scale,
    ),
    checks.equal(
        "tight",
        "two points, absolute loss, lambda = d/2: the whole segment from the constant to the labels minimises J, value 1/2",
        measured=[*two, pair.objective],
        expected=0.5,
        atol=1e-7,  # the solver's value
        sample=f"d = {d}, 11 closed forms and the solver",
        scale=cfg.scale,
    ),
    checks.implies(
        "two-comparisons",
        "L1 + lam R1 <= L0 + lam R0 and L1 + lam R1 <= L(constant) give both inequalities, for L, R >= 0",
        assumptions=[lam > 0, L1 >= 0, R1 >= 0, L1 + lam * R1 <= L0 + lam * R0, L1 + lam * R1 <= LC],
        conclusion=z3.And(L0 + lam * R0 >= L1, lam * R1 <= LC),
    ),
    checks.at_most(
        "halved-loss",
        "squared loss: L - L0 is at most lambda/2 times the fall of the Lipschitz constant",
        measured=np.append(squared.L - squared.L0, linear_loss),
        bound=np.append(squared.price / 2 * (squared.Lip0 - squared.Lip), linear_prices / 2 * (1 - linear_lip)),
        rtol=1e-9,
        sample=f"{len(squared)} problems, and linear labels at 4 prices",
        role="observed",
        scale=cfg.scale,
    ),
    checks.at_most(
        "halved-slope",
        "squared loss: twice lambda times the Lipschitz constant is at most the loss of the mean label",
        measured=np.append(2 * squared.price * squared.Lip, 2 * linear_prices * linear_lip),
        bound=np.append(squared.C, np.full(4, V)),
        rtol=1e-6,
        sample=f"{len(squared)} problems, and linear labels at 4 prices",
        role="observed",
        scale=cfg.scale,
    ),
    checks.implies(
        "halving",
        "a^2 + b^2 >= (a - b)^2 / 2, with equality for a = -b",
        assumptions=[a >= -100, a <= 100],
        conclusion=z3.And(
            2 * (a * a + b * b) >= (a - b) * (a - b), z3.Implies(a == -b, 2 * (a * a + b * b) == (a - b) * (a - b))
        ),
    ),
    checks.every(
        "silence",
        "the minimiser is constant at 1.02 and 1.5, and not at 0.9 and 0.98, of 4p(1-p) times the Wasserstein distance",
        cases=[(f.lipschitz < 1e-6) == (at > 1) for at, f in around.items()],
        evidence={"Lip at 0.98": around[0.98].lipschitz, "lambda_0": silence},
        sample=f"n = 60, seed {cfg.seed}",
        role="observed",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# **What counts as a regulariser.** The total variation in (2.9) is an average over the *training points*; a function that is flat there and nowhere else costs nothing, so it fails
# Definition 4.1. The table shows four functions on $[0,1]$ that are linear between 101 knots, and five candidates.
#
# **The 0/1 regulariser** separates two groups of functions: the constants, best value $L_c=\min_cL(c)$, and the rest, best value $L(f^0)+\lambda$. So the switch is at
# $\lambda=L_c-L(f^0)$ exactly. It is compared with a complete list of 625 functions (four points, five values each) in rational arithmetic. At the
# switch itself both bounds of Lemma 4.4 are equalities.

# %% tags=["hide-input"]
knots = torch.linspace(0, 1, 101, dtype=torch.float64)
train = torch.arange(10, 100, 20)  # five training points, at knots
bumps = torch.zeros(101, dtype=torch.float64)
bumps[20::20] = 1.0  # peaks between the training points, flat at them
functions = {"constant": torch.ones(101).double(), "line": knots, "step": (knots - 0.5).clamp(0, 0.05), "bumps": bumps}
slopes = {name: (f.diff() / knots.diff()).abs() for name, f in functions.items()}
candidates = pd.DataFrame(
    {
        name: {
            "Lip": sc.lipschitz_constant(knots, f).item(),
            "0/1": float((f != f[0]).any()),
            "TV on X": f.diff().abs().sum().item(),
            "TV, training points": torch.maximum(slopes[name][train], slopes[name][train - 1]).mean().item(),
            "Lip, training points": regularised.lipschitz_constant(knots[train][:, None], f[train]),
        }
        for name, f in functions.items()
    }
).T
candidates.map(checks.show)

# %% tags=["hide-input"]
flat = np.array([name == "constant" for name in functions])
definition41 = [
    checks.every(
        "regularisers",
        "Lip and the 0/1 regulariser are zero for the constant and positive for every other function",
        cases=(candidates[["Lip", "0/1"]].to_numpy() == 0) == flat[:, None],
        sample="four functions, exact",
        scale=cfg.scale,
    ),
    checks.every(
        "not-a-regulariser",
        "the two quantities that see the training points only are zero for a function that is not constant",
        cases=(candidates[["TV, training points", "Lip, training points"]].to_numpy() == 0)[~flat].any(0),
        sample="four functions, exact",
        scale=cfg.scale,
    ),
]
VALUES = [Fraction(k, 2) for k in range(-2, 3)]
switches, found_switches, undisturbed = [], [], []
for labels in ([-1, -1, 1, 1], [-1, 0, 0, 1], [1, 1, 1, -1], [Fraction(1, 4), 0, 1, 1]):
    losses = {
        h: sum((v - z) ** 2 for v, z in zip(h, labels, strict=True)) / 4 for h in itertools.product(VALUES, repeat=4)
    }
    constant = {h: value for h, value in losses.items() if len(set(h)) == 1}
    best, best_constant = min(losses.values()), min(constant.values())
    switches.append(best_constant - best)
    price_grid = [switches[-1] * Fraction(k, 50) for k in range(1, 101)]
    picks = [min(losses, key=lambda h, p=p: (losses[h] + p * (len(set(h)) > 1), len(set(h)) > 1)) for p in price_grid]
    found_switches.append(next((p for p, h in zip(price_grid, picks, strict=True) if len(set(h)) == 1), None))
    undisturbed += [losses[h] == best for p, h in zip(price_grid, picks, strict=True) if p < switches[-1]]
Lh, Lc = z3.Reals("Lh Lc")
trivial = [
    checks.equal(
        "switch",
        "the first price with a constant minimiser, of a grid that contains it, is min over constants of L minus L(f0)",
        measured=[float(s) for s in found_switches],
        expected=[float(s) for s in switches],
        atol=1e-15,  # rationals, turned into floats at the end
        sample="four label sets, 625 functions and 100 prices each, rational arithmetic",
        scale=cfg.scale,
    ),
    checks.every(
        "undisturbed",
        "below it the loss is that of the unregularised minimiser",
        cases=undisturbed,
        sample="four label sets, 625 functions and 100 prices each, rational arithmetic",
        scale=cfg.scale,
    ),
    checks.implies(
        "threshold",
        "below the threshold the best constant loses to f0, above it every non-constant function loses to the constant",
        assumptions=[lam > 0, L0 >= 0, Lc >= L0, Lh >= L0],
        conclusion=z3.And(z3.Implies(lam < Lc - L0, L0 + lam < Lc), z3.Implies(lam > Lc - L0, Lh + lam > Lc)),
    ),
]
x, y = problems["normal labels, plane"]
interpolant = regularised.Minimiser(x, y, regularised.lipschitz_constant(x, y), 0.0, 0.0)
definition43 = [
    checks.equal(
        "realisable",
        "a Lipschitz function that meets all labels has loss zero: McShane's extension of the labels",
        measured=interpolant(x) - y,
        expected=0.0,
        atol=1e-12,  # float64
        sample=f"30 normal labels in the plane, seed {cfg.seed}",
        scale=cfg.scale,
    ),
    checks.equal(
        "mean-label",
        "C_L, the squared loss of the mean label, is the variance of the labels",
        measured=[path.C[(path.problem == name) & (path.loss == "squared")].iloc[0] for name in problems],
        expected=[z.var(correction=0).item() for _, z in problems.values()],
        atol=1e-12,  # float64
        sample=f"three samples, seed {cfg.seed}",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## Strong convexity, and the two constants of Remark 4.5
#
# For the squared loss (4.5) is an *equality* with $\theta=2$: $t|a|^2+(1-t)|b|^2-|ta+(1-t)b|^2=t(1-t)|a-b|^2$.
#
# For the loss of Remark 4.5, $\theta$ is the least second derivative along the simplex, in directions $v$ with $\sum_iv_i=0$ and $\lVert v\rVert_2=1$:
#
# $$
# \theta=\min_{y,z,v}\sum_i\frac{z_i+\epsilon}{(y_i+\epsilon)^2}v_i^2 .
# $$
#
# All weights are at least $\epsilon/(1+\epsilon)^2$, so $\theta$ is, too; but that would need $v$ along one axis. Write $m_i=y_i+\epsilon$.
#
# *Two classes.* $v=(1,-1)/\sqrt2$, and the form is linear in $z$: the label goes to the likelier class. What is left,
# $\frac12\big(\frac{1+\epsilon}{m_1^2}+\frac\epsilon{m_2^2}\big)$ with $m_1+m_2=1+2\epsilon$, is least at $m_1:m_2=(1+\epsilon)^{1/3}:\epsilon^{1/3}$:
#
# $$
# \theta=\frac{\big((1+\epsilon)^{1/3}+\epsilon^{1/3}\big)^3}{2(1+2\epsilon)^2}\qquad(D=2).
# $$ (finlay2018-penalty-two)
#
# It tends to $\frac12$ as $\epsilon\to0$. *Cross-entropy itself is strongly convex for two classes*: its form is
# $\frac12\big(\frac{z_1}{y_1^2}+\frac{z_2}{y_2^2}\big)\ge\frac12$. For three or more it is not: with the label on class 3, it does not change along $(1,-1,0,\dots)$.
#
# *Three or more.* With $y=(\frac12,\frac12,0,\dots)$ and $z$ on class 3, $v=(1,-1,0,\dots)/\sqrt2$ gives
#
# $$
# \theta=\frac{4\epsilon}{(1+2\epsilon)^2}\qquad\big(D\ge3,\ 3(D-2)\epsilon^2\le1+4\epsilon\big).
# $$ (finlay2018-penalty-three)
#
# Nothing is smaller. Drop $z_i\ge0$, and put $h=\frac12+\epsilon$, $a_i=1/m_i^2$ and $\mu=1/h^2$; to show is $\sum_i(a_i-\mu)v_i^2\ge0$. Two
# $m_i$ add up to $2h$ at most, so only one, say $m_1=h(1+\tau)$, can exceed $h$. By Cauchy and Schwarz
# $v_1^2=(\sum_{i\ge2}v_i)^2\le\sum_{i\ge2}\frac1{a_i-\mu}\cdot\sum_{i\ge2}(a_i-\mu)v_i^2$, so it is enough that
#
# $$
# \frac{m_1^2}{\mu m_1^2-1}\;\ge\;\sum_{i\ge2}\frac{m_i^2}{1-\mu m_i^2}.
# $$
#
# The right-hand terms are convex in $m_i\ge\epsilon$, whose sum is given: their sum is largest with one of them $h(1-\tau)$ and the other $D-2$ equal to
# $\epsilon$. Subtracting the large one leaves $h^2\frac{6-2\tau^2}{4-\tau^2}\ge\frac43h^2$ on the left and
# $(D-2)\frac{h^2\epsilon^2}{h^2-\epsilon^2}$ on the right: the condition in {eq}`finlay2018-penalty-three`.
#
# *Lipschitz.* The gradient's entries are $-\frac{z_i+\epsilon}{y_i+\epsilon}$, between $\frac\epsilon{1+\epsilon}$ and $\frac{1+\epsilon}\epsilon$ in size. Along the simplex a common
# constant drops out of the gradient, so in the 1-norm the Lipschitz constant is half the largest difference of two entries. Both extremes occur at once ($y$ on one corner, $z$ on another), so for every $D$ it is
# $\frac12\big(\frac{1+\epsilon}\epsilon-\frac\epsilon{1+\epsilon}\big)=\frac{1+2\epsilon}{2\epsilon(1+\epsilon)}$. Cross-entropy has none: $-\log y_1$ is as steep as one likes.

# %% tags=["hide-input"]
CLASSES, EPSILONS = (2, 3, 4, 10), (0.01, 0.03, 0.1, 0.3)
per_case = max(cfg.pairs // 10, 500)
least = {}
for D, e in itertools.product(CLASSES, EPSILONS):
    cloud, targets = (sc.simplex_points(per_case, D, cfg.seed + k) for k in (1, 2))
    least[D, e] = sc.curvature(cloud, targets, e).min().item()
side = 30
cells = torch.tensor([[i, j, side - i - j] for i in range(side + 1) for j in range(side + 1 - i)]).double() / side
corners = torch.eye(3, dtype=torch.float64)
shade = torch.stack([sc.curvature(cells, corner.expand_as(cells), cfg.eps) for corner in corners]).amin(0)
flat_xy = cells @ torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 0.75**0.5]], dtype=torch.float64)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: three classes. Least curvature of the regularised cross-entropy over all labels and directions, at each prediction; it is smallest at the three edge midpoints (crosses), where two classes tie and the third is right. Right: the largest parameter of strong convexity against epsilon: exact for two classes (solid) and for three or more (dashed), with the least curvature found among random predictions and labels (markers), which can only lie above. Dotted: the simple bound from the smallest weight."}, "image": {"alt": "Left, a triangle shaded from light at the corners to dark at the edges, darkest at three crosses at the middle of the edges. Right, on logarithmic axes, a curve near one for two classes, and a rising line for three, four and ten classes, on which the markers lie; a dotted line runs about a factor of four lower."}}
fig, (left, right) = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.5), width_ratios=[1, 1.25])
levels = np.geomspace(shade.min().item() * 0.999, shade.max().item() * 1.001, 11)
drawn_shade = left.tricontourf(*flat_xy.T, shade, levels=levels, cmap="cividis", norm=plt.matplotlib.colors.LogNorm())
left.plot(*(np.array([[0.5, 0], [0.25, 0.433], [0.75, 0.433]]).T), "X", color="white", mec="black", ms=9, clip_on=False)
for point, words in (((-0.02, -0.08), "class 1"), ((1.02, -0.08), "class 2"), ((0.5, 0.89), "class 3")):
    left.text(*point, words, ha="center", fontsize=9)
left.set(aspect="equal", xlim=(-0.12, 1.12), ylim=(-0.12, 0.98), title=f"Least curvature, ε = {cfg.eps:g}")
left.axis("off")
shown = np.geomspace(levels[0], levels[-1], 3)
bar = fig.colorbar(drawn_shade, ax=left, location="bottom", shrink=0.8, ticks=shown)
bar.ax.set_xticks(shown, [f"{v:.2g}" for v in shown])
bar.ax.minorticks_off()
across_eps = np.geomspace(0.008, 0.35, 40)
for D, line, colour in ((2, "-", plotting.BLUE), (3, "--", plotting.ORANGE)):
    right.plot(across_eps, [sc.modulus(D, e) for e in across_eps], line, color=colour)
for D, style in zip(CLASSES, plotting.styles(), strict=False):
    right.plot(
        EPSILONS,
        [least[D, e] for e in EPSILONS],
        **(style | {"linestyle": "", "ms": 9 - D / 2, "mfc": "none"}),
        label=f"{D} classes",
    )
right.plot(across_eps, across_eps / (1 + across_eps) ** 2, ":", color=plotting.GREY, label="ε/(1+ε)²")
right.set(xscale="log", yscale="log", xticks=EPSILONS, xticklabels=[f"{e:g}" for e in EPSILONS])
right.minorticks_off()
plotting.label(right, "Strong convexity", "ε (probability)", "θ (nats per squared distance)")
right.legend(fontsize=8)
plotting.finish(fig, f"{cfg.scale} scale, {per_case:,} random pairs a marker, seed {cfg.seed}")

# %% tags=["hide-input"]
first, second, centre = (torch.randn(cfg.pairs, 3, generator=g, dtype=torch.float64) for _ in range(3))
t = torch.rand(cfg.pairs, generator=g, dtype=torch.float64)
apart = (first - second).square().sum(1)


def squared_loss(u):
    return (u - centre).square().sum(1)


share_t, ya, yb, yc = sp.symbols("t y1 y2 y0", real=True)
definition_strong = [
    checks.equal(
        "squared-equality",
        "for the squared loss both sides of (4.5) are equal at theta = 2",
        measured=sc.surplus(squared_loss, first, second, t, apart, 2.0),
        expected=0.0,
        atol=1e-12,  # float64, numbers of order ten
        sample=f"{cfg.pairs:,} random triples in three dimensions, seed {cfg.seed}",
        scale=cfg.scale,
    ),
    checks.every(
        "larger-rejected",
        "and (4.5) fails for all of them at theta = 2.01",
        cases=sc.surplus(squared_loss, first, second, t, apart, 2.01) < 0,
        sample=f"{cfg.pairs:,} random triples in three dimensions, seed {cfg.seed}",
        scale=cfg.scale,
    ),
    checks.identity(
        "squared-identity",
        "t(y1-y0)^2 + (1-t)(y2-y0)^2 - (t y1 + (1-t) y2 - y0)^2 = t(1-t)(y1-y2)^2",
        left=share_t * (ya - yc) ** 2 + (1 - share_t) * (yb - yc) ** 2 - (share_t * ya + (1 - share_t) * yb - yc) ** 2,
        right=share_t * (1 - share_t) * (ya - yb) ** 2,
    ),
]
y1, y2, z1 = (sc.simplex_points(cfg.pairs, 3, cfg.seed + k) for k in (3, 4, 5))
theta_3 = sc.modulus(3, cfg.eps)
surplus = sc.surplus(
    lambda u: sc.regularised_cross_entropy(u, z1, cfg.eps), y1, y2, t, (y1 - y2).square().sum(1), theta_3
)
values = sc.regularised_cross_entropy(y1, z1, cfg.eps)
quotient = (values - sc.regularised_cross_entropy(y2, z1, cfg.eps)).abs() / (y1 - y2).abs().sum(1)
corner = sc.slope(corners[:1], corners[1:2], cfg.eps)[0]
near = torch.tensor([10.0**-k for k in range(2, 12)], dtype=torch.float64)
steep_quotient = (near.log() - (2 * near).log()).abs() / (2 * near)
inner = {D: (sc.simplex_points(2000, D, cfg.seed + 6) + 1e-3) / (1 + 1e-3 * D) for D in (2, 3, 4, 5)}
crossed = {
    D: [sc.curvature(c, torch.eye(D).double()[k].expand_as(c), 0.0).amin().item() for k in range(D)]
    for D, c in inner.items()
}
tight_at = [
    sc.curvature(torch.tensor([[0.5, 0.5] + [0.0] * (D - 2)]).double(), torch.eye(D).double()[2:3], e).item()
    for D, e in itertools.product(CLASSES[1:], EPSILONS)
]
likelier = [(1 + 2 * e) / (1 + (e / (1 + e)) ** (1 / 3)) - e for e in EPSILONS]
tight_at += [
    sc.curvature(torch.tensor([[s, 1 - s]], dtype=torch.float64), corners[:1, :2], e).item()
    for s, e in zip(likelier, EPSILONS, strict=True)
]
expected_at = [sc.modulus(D, e) for D, e in itertools.product((*CLASSES[1:], 2), EPSILONS)]

# %% tags=["hide-input"]
ca, cb, N, mu, m, tau, c2, c3, v2, v3 = sp.symbols("a b N mu m tau c2 c3 v2 v3", positive=True)
yz, zz, ez, tz, Dz, az, bz = z3.Reals("y z eps tau D a b")
remark_steps = [
    checks.identity(
        "two-classes-minimum",
        "a^3/p^2 + b^3/q^2 at p = N a/(a+b), q = N b/(a+b) is (a+b)^3/N^2, with a^3 = 1 + eps, b^3 = eps, N = 1 + 2 eps",
        left=ca**3 / (N * ca / (ca + cb)) ** 2 + cb**3 / (N * cb / (ca + cb)) ** 2,
        right=(ca + cb) ** 3 / N**2,
    ),
    checks.identity(
        "two-classes-stationary",
        "there the slope -2 a^3/p^3 + 2 b^3/q^3 vanishes",
        left=ca**3 / (N * ca / (ca + cb)) ** 3,
        right=cb**3 / (N * cb / (ca + cb)) ** 3,
    ),
    checks.identity(
        "cauchy-schwarz",
        "(c2 v2^2 + c3 v3^2)(1/c2 + 1/c3) - (v2 + v3)^2 is the square (c2 v2 - c3 v3)^2 / (c2 c3) (D = 3)",
        left=(c2 * v2**2 + c3 * v3**2) * (1 / c2 + 1 / c3) - (v2 + v3) ** 2,
        right=(c2 * v2 - c3 * v3) ** 2 / (c2 * c3),
    ),
    checks.identity(
        "convex-terms",
        "the second derivative of m^2/(1 - mu m^2) is (2 + 6 mu m^2)/(1 - mu m^2)^3, positive for mu m^2 < 1",
        left=sp.diff(m**2 / (1 - mu * m**2), m, 2),
        right=(2 + 6 * mu * m**2) / (1 - mu * m**2) ** 3,
    ),
    checks.identity(
        "large-pair",
        "(1+tau)^2/(2 tau + tau^2) - (1-tau)^2/(2 tau - tau^2) = (6 - 2 tau^2)/(4 - tau^2)",
        left=(1 + tau) ** 2 / (2 * tau + tau**2) - (1 - tau) ** 2 / (2 * tau - tau**2),
        right=(6 - 2 * tau**2) / (4 - tau**2),
    ),
    checks.implies(
        "condition",
        "3 (D-2) eps^2 <= 1 + 4 eps gives (6 - 2 tau^2)(h^2 - eps^2) >= (D-2) eps^2 (4 - tau^2), h = 1/2 + eps, tau <= 1",
        assumptions=[ez > 0, tz > 0, tz <= 1, Dz >= 3, 3 * (Dz - 2) * ez * ez <= 1 + 4 * ez],
        conclusion=z3.And(3 * (6 - 2 * tz * tz) >= 4 * (4 - tz * tz), 4 * (ez + z3.Q(1, 4)) >= 3 * (Dz - 2) * ez * ez),
    ),
    checks.implies(
        "slope-entries",
        "eps/(1+eps) <= (z+eps)/(y+eps) <= (1+eps)/eps for y, z in [0, 1]",
        assumptions=[ez > 0, yz >= 0, yz <= 1, zz >= 0, zz <= 1],
        conclusion=z3.And((zz + ez) * (1 + ez) >= ez * (yz + ez), (zz + ez) * ez <= (1 + ez) * (yz + ez)),
    ),
    checks.implies(
        "two-class-cross-entropy",
        "z a + (1-z) b >= 1 for a = 1/y1^2 >= 1, b = 1/y2^2 >= 1: cross-entropy of two classes has theta = 1/2",
        assumptions=[az >= 1, bz >= 1, zz >= 0, zz <= 1],
        conclusion=zz * az + (1 - zz) * bz >= 1,
    ),
]
on_simplex = f"{cfg.pairs:,} random triples, three classes, eps = {cfg.eps:g}, seed {cfg.seed}"
remark = [
    checks.at_most(
        "simple-theta",
        "the curvature is at least eps/(1+eps)^2",
        measured=[e / (1 + e) ** 2 for _, e in least],
        bound=list(least.values()),
        sample=f"{len(least)} pairs (D, eps) x {per_case:,} predictions and labels",
        scale=cfg.scale,
    ),
    checks.at_most(
        "gradient-entries",
        "no entry of the gradient exceeds (1+eps)/eps, which a corner attains",
        measured=torch.cat([sc.slope(y1, z1, cfg.eps).abs().ravel(), corner.abs()]),
        bound=(1 + cfg.eps) / cfg.eps,
        sample=f"{on_simplex}, and one pair of corners",
        scale=cfg.scale,
    ),
    checks.at_most(
        "not-negative",
        "the loss is at least theta/2 times the squared distance of prediction and label, so 0 only where they agree",
        measured=theta_3 / 2 * (y1 - z1).square().sum(1),
        bound=values,
        sample=on_simplex,
        scale=cfg.scale,
    ),
    checks.at_most(
        "cross-entropy-not-lipschitz",
        "the difference quotient of -log y1 between s and 2s exceeds 0.34/s, for s down to 1e-11",
        measured=0.34 / near,
        bound=steep_quotient,
        sample="ten values of s, 1-norm",
        scale=cfg.scale,
    ),
    checks.equal(
        "cross-entropy-not-strongly-convex",
        "the least curvature of cross-entropy along the simplex is 0, for 2, 3, 4 and 5 classes",
        measured=[min(c) for c in crossed.values()],
        expected=0.0,
        atol=1e-8,  # eigenvalues of float64 matrices with entries up to 1e6
        sample=f"2000 predictions x all corners as labels, seed {cfg.seed + 6}",
        scale=cfg.scale,
    ),
    checks.equal(
        "three-classes",
        "it is 0 for 3, 4 and 5 classes",
        measured=[min(c) for D, c in crossed.items() if D > 2],
        expected=0.0,
        atol=1e-8,  # as above
        sample=f"2000 predictions x all corners as labels, seed {cfg.seed + 6}",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.at_most(
        "two-classes",
        "and at least 1/2 for two",
        measured=[0.5] * len(crossed[2]),
        bound=crossed[2],
        sample=f"2000 predictions x both corners as labels, seed {cfg.seed + 6}",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.at_most(
        "exact-theta",
        "no curvature of the regularised loss lies below the exact parameter",
        measured=[sc.modulus(D, e) for D, e in least],
        bound=list(least.values()),
        sample=f"{len(least)} pairs (D, eps) x {per_case:,} predictions and labels",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.equal(
        "exact-theta-attained",
        "which the stated prediction and label attain",
        measured=tight_at,
        expected=expected_at,
        atol=1e-10,  # float64 eigenvalues of matrices with entries up to 1e4
        sample=f"{len(tight_at)} pairs (D, eps)",
        role="corrected",
        scale=cfg.scale,
    ),
    checks.every(
        "inequality",
        "(4.5) holds at that parameter",
        cases=surplus >= -1e-12,  # float64, losses of order ten
        evidence={"violations": int((surplus < -1e-12).sum())},
        sample=on_simplex,
        role="corrected",
        scale=cfg.scale,
    ),
    checks.at_most(
        "exact-lipschitz",
        "in the 1-norm no difference quotient exceeds (1+2 eps)/(2 eps (1+eps)), half the difference of two entries at a corner",
        measured=torch.cat([quotient, ((corner.max() - corner.min()) / 2)[None]]),
        bound=sc.lipschitz(cfg.eps),
        sample=f"{on_simplex}, and one pair of corners",
        role="corrected",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## The objective inherits it, and the excess bounds the distance
#
# **Proposition 4.11** is (4.5) integrated against $\rho$, plus $\mathrm{Lip}(tu_1+(1-t)u_2)\le t\,\mathrm{Lip}(u_1)+(1-t)\,\mathrm{Lip}(u_2)$, plus that on a convex $Y$ the mixture is
# allowed. For the squared loss the first part is an equality, so the whole is one whenever the second is: for instance if $u_2=\alpha u_1+\beta$ with $\alpha\ge0$.
#
# **Lemma 4.12.** Put $u_1=u^\lambda$, $u_2=u$, $D=\int\lVert u-u^\lambda\rVert^2\rho$ in the proposition. As $J[u^\lambda]\le J[tu^\lambda+(1-t)u]$,
#
# $$
# \tfrac\theta2t(1-t)D\le(1-t)\big(J[u]-J[u^\lambda]\big),\qquad\text{so}\quad\tfrac\theta2tD\le J[u]-J[u^\lambda]\quad(0\le t<1).
# $$
#
# The paper now sets $t=1$, where it has just divided by zero; the limit $t\to1$ is meant, and gives the lemma.
#
# *Where it is tight.* Take $X=[0,1]$, $\rho=1$, $y(x)=x$ and the squared loss. Then $u^\lambda(x)=\frac12+s\,(x-\frac12)$ with $s=\max(1-6\lambda,0)$, and for $\lambda\le\frac16$
#
# $$
# J[u]-J[u^\lambda]-\int(u-u^\lambda)^2=\lambda\Big(\mathrm{Lip}(u)-12\int_0^1\big(x-\tfrac12\big)u(x)\,dx\Big).
# $$
#
# The right side is not negative, since $12\int(x-\frac12)u$ is an average of $u'$ with the weight $6x(1-x)$, and it is zero for every rising straight line. So
# $\theta/2$ is the best constant.

# %% tags=["hide-input"]
knots = torch.linspace(0, 1, 17, dtype=torch.float64)
many = sc.random_functions(2 * min(cfg.pairs, 50_000), knots, cfg.seed + 7)
u1, u2 = many.chunk(2)
density = torch.rand(16, generator=g, dtype=torch.float64)
density = density / density.mean()
crooked = torch.randn(17, generator=g, dtype=torch.float64)  # labels
mix = torch.rand(len(u1), generator=g, dtype=torch.float64)
alpha, beta = torch.rand(2, len(u1), 1, generator=g, dtype=torch.float64)


def objective_of(u):
    return sc.objective(knots, u, crooked, 0.3, density)


def above(one, other, theta=2.0):
    """Right minus left side of Proposition 4.11, per unit of the right side."""
    difference = sc.surplus(objective_of, one, other, mix, sc.integral(knots, one - other, density), theta)
    return difference / (mix * objective_of(one) + (1 - mix) * objective_of(other))


p_lin = 0.08
least_u = sc.minimiser_for_linear_labels(knots, p_lin)
lines = beta + 3 * alpha * knots
excess, distance = (
    torch.cat(
        [
            sc.objective(knots, u, knots, p_lin) - sc.objective(knots, least_u, knots, p_lin)
            if kind == "excess"
            else sc.integral(knots, u - least_u)
            for u in (u1, lines)
        ]
    )
    for kind in ("excess", "distance")
)
n_random = len(u1)
x3 = torch.rand(12, 2, generator=g, dtype=torch.float64)
z3_labels = torch.eye(3).double()[torch.arange(12) % 3]
kl_price = 0.05
best_kl = regularised.minimise(x3, z3_labels, kl_price, loss="kl", simplex=True)
certificates.append(best_kl.gap)
theta_kl = sc.modulus(3, regularised.SHIFT)


def objective_kl(values):
    """The objective of 12 points, values in the simplex, ``(m, 12, 3)``; maximum norm."""
    i, j = torch.triu_indices(12, 12, offset=1)
    steepest = ((values[:, i] - values[:, j]).abs().amax(2) / (x3[i] - x3[j]).norm(dim=1)).amax(1)
    return sc.regularised_cross_entropy(values, z3_labels, regularised.SHIFT).mean(1) + kl_price * steepest


inside = sc.simplex_points(2 * 2000 * 12, 3, cfg.seed + 8).reshape(2, 2000, 12, 3)
inside = torch.cat(
    [inside, best_kl.values + 10 ** (-torch.arange(2000) / 1000)[None, :, None, None] * (inside - best_kl.values)]
)
others = inside.reshape(-1, 12, 3)
kl_mix = torch.rand(len(others) // 2, generator=g, dtype=torch.float64)
kl_a, kl_b = others.chunk(2)
kl_square = (kl_a - kl_b).square().sum(2).mean(1)
kl_surplus = sc.surplus(objective_kl, kl_a, kl_b, kl_mix, kl_square, theta_kl)
kl_excess = objective_kl(others) - best_kl.bound
kl_distance = theta_kl / 2 * (others - best_kl.values).square().sum(2).mean(1)

# %% tags=["hide-input"]
r, K1, K2, tt, Ja, Jb, Jt, th, dist, k, E = z3.Reals("r K1 K2 t Ja Jb Jt theta D k E")
xs, s_, l_ = sp.symbols("x s lambda", real=True)
q0, q1, q2, q3 = sp.symbols("q0:4", real=True)
poly = q0 + q1 * xs + q2 * xs**2 + q3 * xs**3
own = sp.Rational(1, 2) + (1 - 6 * l_) * (xs - sp.Rational(1, 2))


def over(expression):
    return sp.integrate(sp.expand(expression), (xs, 0, 1))


functions_text = f"{n_random:,} pairs, 17 knots, random density and labels, lambda 0.3, seed {cfg.seed + 7}"
kl_text = f"{len(kl_mix):,} pairs, 12 points in the plane, 3 classes, eps {regularised.SHIFT}, seed {cfg.seed + 8}"
proposition = [
    checks.at_most(
        "inherits",
        "squared loss, theta = 2: the left side over the right side is at most 1",
        measured=1 - above(u1, u2),
        bound=1.0,
        sample=functions_text,
        scale=cfg.scale,
    ),
    checks.equal(
        "inherits-tight",
        "with equality for u2 = alpha u1 + beta, alpha >= 0",
        measured=above(u1, alpha * u1 + beta),
        expected=0.0,
        atol=1e-11,  # float64, relative to the right side
        sample=functions_text,
        scale=cfg.scale,
    ),
    checks.every(
        "inherits-kl",
        "it holds for the regularised cross-entropy with the exact parameter, functions into the simplex",
        cases=kl_surplus >= -1e-12,  # float64, objectives of order ten
        sample=kl_text,
        scale=cfg.scale,
    ),
    checks.implies(
        "lip-convex",
        "|a| <= K1 r and |b| <= K2 r give |t a + (1-t) b| <= (t K1 + (1-t) K2) r",
        assumptions=[r >= 0, tt >= 0, tt <= 1, K1 >= 0, K2 >= 0, a <= K1 * r, -a <= K1 * r, b <= K2 * r, -b <= K2 * r],
        conclusion=z3.And(
            tt * a + (1 - tt) * b <= (tt * K1 + (1 - tt) * K2) * r,
            -(tt * a + (1 - tt) * b) <= (tt * K1 + (1 - tt) * K2) * r,
        ),
    ),
    checks.implies(
        "sum-up",
        "adding the integrated (4.5) and lambda times the line above gives the proposition (a, b: loss terms, r = lambda)",
        assumptions=[r >= 0, Jt + th <= tt * a + (1 - tt) * b, k <= tt * K1 + (1 - tt) * K2],
        conclusion=Jt + r * k + th <= tt * (a + r * K1) + (1 - tt) * (b + r * K2),
    ),
]
lemma412 = [
    checks.at_most(
        "excess",
        "y(x) = x: the squared distance to the exact minimiser is at most the excess of J",
        measured=distance[:n_random] / excess[:n_random],
        bound=1.0,
        sample=f"{n_random:,} functions, lambda {p_lin}, seed {cfg.seed + 7}",
        scale=cfg.scale,
    ),
    checks.equal(
        "excess-tight",
        "with equality for every rising straight line",
        measured=excess[n_random:] - distance[n_random:],
        expected=0.0,
        atol=1e-12,  # float64, numbers of order one
        sample=f"{len(lines):,} lines, lambda {p_lin}, seed {cfg.seed}",
        scale=cfg.scale,
    ),
    checks.at_most(
        "excess-kl",
        "regularised cross-entropy: theta/2 times the squared distance to a certified minimiser is at most the excess",
        measured=kl_distance,
        bound=kl_excess + 1e-6,  # the distance to the true minimiser is off by the root of the solver's gap
        sample=f"{len(others):,} functions into the simplex near and far, seed {cfg.seed + 8}",
        scale=cfg.scale,
    ),
    checks.implies(
        "divide",
        "Proposition 4.11 and J[u*] <= J[mixture] give theta/2 t D <= J[u] - J[u*] for t < 1",
        assumptions=[tt >= 0, tt < 1, Ja <= Jt, Jt + th * tt * (1 - tt) * dist <= tt * Ja + (1 - tt) * Jb],
        conclusion=th * tt * dist <= Jb - Ja,
    ),
    checks.implies(
        "limit",
        "k t <= E for all t < 1 gives k <= E: otherwise t = (k + E)/(2k) is allowed and breaks it",
        assumptions=[E >= 0, k > E, 2 * k * tt == k + E],
        conclusion=z3.And(tt >= 0, tt < 1, k * tt > E),
    ),
    checks.identity(
        "line-excess",
        "y = x: J[u] - J[u*] - int (u-u*)^2 = lambda (Lip(u) - 12 int (x-1/2) u), for cubic u (Lip cancels)",
        left=over((poly - xs) ** 2) - over((own - xs) ** 2) - l_ * (1 - 6 * l_) - over((poly - own) ** 2),
        right=-12 * l_ * over((xs - sp.Rational(1, 2)) * poly),
    ),
    checks.identity(
        "average-slope",
        "12 int (x-1/2) u = int 6x(1-x) u', an average of u' (cubic u)",
        left=12 * over((xs - sp.Rational(1, 2)) * poly),
        right=over(6 * xs * (1 - xs) * sp.diff(poly, xs)),
    ),
]

# %% [markdown]
# ## One minimiser on the data, many off it
#
# **Lemma 4.6.** Let $u,v$ minimise $J$ and $w=\frac12(u+v)$. Then $\mathrm{Lip}(w)\le\frac12(\mathrm{Lip}(u)+\mathrm{Lip}(v))$ and $J[w]\ge J[u]=J[v]$, so the loss of $w$ is at least the mean
# of the losses. Strict convexity makes it smaller wherever $u\ne v$; hence $u=v$ almost everywhere for $\rho$, and, both being continuous, on all of $\mathcal M$ if $\rho$ leaves
# no hole. That is all that is used: *$\inf\rho>0$ can be replaced by: every open piece of $\mathcal M$ has positive probability.* A density such as $2x$ on $[0,1]$ will do.
#
# Both conditions are needed in some form:
#
# - *Not strictly convex:* absolute loss, labels $\pm1$ on half of the data each, $\lambda\ge\frac12W_1(\mu_+,\mu_-)$. Every constant in $[-1,1]$ is a minimiser.
# - *A hole in $\rho$:* in the hole, as off the manifold, a minimiser may be anything between the two extensions {eq}`finlay2018-penalty-extensions`.
#
# For the squared loss, Lemma 4.12 says more: values with $J\le\min J+\delta$ lie within $\sqrt\delta$ of the minimiser, and $\frac1n\sum_ic_iu_i$ varies by at most $2\sqrt\delta$ if $\frac1n\sum_ic_i^2=1$. This
# width is found by a second convex programme, for random $c$ and for $c=(1,\dots,1)$, where adding a constant to $u$ attains it.

# %% tags=["hide-input"]
few = 16
slacks = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2]
cases_46 = {}
for dimension in (1, 2):
    x = torch.rand(few, dimension, generator=g, dtype=torch.float64)
    y = torch.randn(few, generator=g, dtype=torch.float64)
    best = regularised.minimise(x, y, 0.02)
    certificates.append(best.gap)
    directions = torch.cat([torch.ones(1, few), torch.randn(4, few, generator=g)]).double()
    directions = directions / directions.square().mean(1, keepdim=True).sqrt()
    cases_46[dimension] = [
        (slack, number, uniqueness.width(x, y, 0.02, best.objective + slack, c))
        for slack in slacks[::2]
        for number, c in enumerate(directions)
    ]
widths = pd.DataFrame(
    [(dim, *w) for dim, ws in cases_46.items() for w in ws], columns=["d", "slack", "direction", "width"]
)
balanced = torch.cat([torch.full((few // 2,), 1.0), torch.full((few // 2,), -1.0)]).double()
scattered = torch.rand(few, 1, generator=g, dtype=torch.float64)
half_distance = wasserstein.on_the_line(scattered[: few // 2, 0], scattered[few // 2 :, 0]) / 2
median = regularised.minimise(scattered, balanced, 1.1 * half_distance, loss="absolute")
level = regularised.minimise(scattered, balanced, 1.1 * half_distance)
certificates += [median.gap, level.gap]
wide = [
    uniqueness.width(
        scattered, balanced, 1.1 * half_distance, median.objective + slack, torch.ones(few).double(), loss="absolute"
    )
    for slack in slacks
]
narrow = [
    uniqueness.width(scattered, balanced, 1.1 * half_distance, level.objective + slack, torch.ones(few).double())
    for slack in slacks
]

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: all minimisers at once, squared loss on the line. They agree at every data point (dots; crosses: labels) and fill the shaded band between and beside them; where the band closes the slope is steepest. In the hole (hatched) no data fall, and there the band is widest. Right: how far the mean of the values can move while the objective stays within the slack of its minimum. For the squared loss (circles) the width follows 2√δ to zero; for the absolute loss (squares) at the same price it stays at 2, because every constant is a minimiser."}, "image": {"alt": "Left, a curve through sixteen dots with lens-shaped shaded bands between them and a large diamond-shaped band over a hatched gap. Right, on logarithmic axes, circles on a straight rising line and squares on a level line at 2."}}
hole = (0.15, 0.4)  # where the labels are level, so that the slope there is not the steepest
placed = torch.rand(40, 1, generator=settings.generator(cfg.seed + 11), dtype=torch.float64)
placed = placed[(placed[:, 0] < hole[0]) | (placed[:, 0] > hole[1])][:18].sort(0).values
noisy = (6 * placed[:, 0]).sin() + 0.4 * torch.randn(
    len(placed), generator=settings.generator(cfg.seed + 12), dtype=torch.float64
)
fan = regularised.minimise(placed, noisy, 0.01)
certificates.append(fan.gap)
at = torch.linspace(0, 1, 201, dtype=torch.float64)[:, None]
lower, upper = uniqueness.extensions(fan, at)
fig, (left, right) = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.5), width_ratios=[1.5, 1])
left.axvspan(*hole, fc="none", ec="#b9c0c7", hatch="///", lw=0)
left.fill_between(at[:, 0], lower, upper, color=plotting.BLUE, alpha=0.3, lw=0.6, label="all minimisers")
left.plot(placed, fan.values, "o", color=plotting.BLUE, label="their value at the data")
left.plot(placed, noisy, "x", color=plotting.ORANGE, ms=6, mew=1.6, label="label")
left.legend(fontsize=8)
plotting.label(left, "The set of all minimisers", "input", "value (label units)")
right.plot(slacks, 2 * np.sqrt(slacks), color=plotting.GREY, lw=1, label="2√δ")
right.plot(slacks, narrow, "o", color=plotting.BLUE, mfc="none", ms=7, label="squared loss")
right.plot(slacks, wide, "s--", color=plotting.ORANGE, label="absolute loss")
right.set(xscale="log", yscale="log", ylim=(1e-3, 8))
right.minorticks_off()
right.legend(fontsize=8, loc="lower right")
plotting.label(right, "Width at slack δ", "slack δ of the objective", "width (label units)")
plotting.finish(fig, f"{cfg.scale} scale, left n = {len(placed)}, right n = {few}, seed {cfg.seed}")

# %% tags=["hide-input"]
limit = 2 * np.sqrt(widths.slack + 1e-9)  # the solver's gap is part of the slack
middle = torch.tensor([[sum(hole) / 2]], dtype=torch.float64)
in_hole = [float(e[0]) for e in uniqueness.extensions(fan, middle)]
with_ends = [
    regularised.Minimiser(
        torch.cat([placed, middle]), torch.cat([fan.values, torch.tensor([v]).double()]), fan.lipschitz, 0, 0
    )
    for v in in_hole
]
ends_lip = [regularised.lipschitz_constant(w.x, w.values) for w in with_ends]
Lu, Lv, Lw, Ru, Rv, Rw = z3.Reals("Lu Lv Lw Ru Rv Rw")
lemma46 = [
    checks.at_most(
        "unique",
        "squared loss: over all values with J at most min J + delta, a weighted mean varies by at most 2 sqrt(delta)",
        measured=widths.width,
        bound=limit,
        rtol=1e-4,  # of the largest bound; the second solver's own tolerance at slack 1e-6 is 1e-8
        sample=f"{len(widths)} cases: n = {few}, line and plane, delta from 1e-6 to 1e-2, 5 directions, seed {cfg.seed}",
        scale=cfg.scale,
    ),
    checks.equal(
        "unique-tight",
        "and by exactly that in the direction of the constants",
        measured=(widths.width / limit)[widths.direction == 0],
        expected=1.0,
        atol=2e-2,  # at slack 1e-6 the two solvers' errors, 1e-8 each, are two hundredths of the slack
        sample="6 of these cases",
        scale=cfg.scale,
    ),
    checks.implies(
        "midpoint",
        "J[w] >= J[u] = J[v] and Lip(w) <= (Lip(u)+Lip(v))/2 give L(w) >= (L(u)+L(v))/2",
        assumptions=[lam > 0, Lu + lam * Ru == Lv + lam * Rv, Lw + lam * Rw >= Lu + lam * Ru, 2 * Rw <= Ru + Rv],
        conclusion=2 * Lw >= Lu + Lv,
    ),
    checks.implies(
        "same-constant",
        "equal values on the manifold, so equal losses, and equal J give equal Lipschitz constants",
        assumptions=[lam > 0, Lu == Lv, Lu + lam * Ru == Lv + lam * Rv],
        conclusion=Ru == Rv,
    ),
    checks.equal(
        "absolute-not-unique",
        "without strict convexity: absolute loss, price above half the Wasserstein distance, the mean varies by 2 (+ delta or less)",
        measured=wide[:3],
        expected=2.0,
        atol=1e-2,  # the slack, up to 1e-4, over the slope of J outside [-1, 1]
        sample=f"n = {few}, half of the labels 1, half -1; delta 1e-6, 1e-5, 1e-4; seed {cfg.seed}",
        role="observed",
        scale=cfg.scale,
    ),
    checks.at_most(
        "hole-not-unique",
        "with a hole in the density: two values in its middle, at least 0.1 apart, both leave J at its minimum (Lip unchanged)",
        measured=[*ends_lip, fan.lipschitz + 0.1],
        bound=[fan.lipschitz, fan.lipschitz, fan.lipschitz + in_hole[1] - in_hole[0]],
        sample=f"n = {len(placed)}, seed {cfg.seed}",
        role="observed",
        scale=cfg.scale,
    ),
]
solver = checks.at_most(
    "certificates",
    "each exact minimum on this page lies within 1e-6 of its dual bound (1e-6 lambda where lambda > 1)",
    measured=np.maximum(certificates, 5e-7),  # smaller ones differ from one machine to the next
    bound=1e-6,
    sample=f"{len(certificates)} convex programmes",
    role="method",
    scale=cfg.scale,
)

# %% [markdown]
# ## Verdict

# %% tags=["hide-input"]
claims.report(
    claims.verdict(
        "finlay2018-def41",
        definition41,
        note="A gradient measured at the training points only, as in (2.9), is not a regulariser in this sense.",
    ),
    claims.verdict(
        "finlay2018-def43", definition43, note="The average label has to be an allowed value: Y must be convex."
    ),
    claims.verdict(
        "finlay2018-lem44",
        [*lemma44, solver],
        note="Tight for the absolute loss; for the squared loss both bounds can be halved, and are then tight.",
    ),
    claims.verdict(
        "finlay2018-obs-trivial-regularizer",
        trivial,
        note="The Lipschitz penalty also ends in a constant, but only after passing through every slope in between.",
    ),
    claims.verdict("finlay2018-def-strong-convexity", definition_strong),
    claims.verdict(
        "finlay2018-rem45",
        [*remark, *remark_steps],
        note="Cross-entropy is not strongly convex for three or more classes; for two it is, along the simplex, with theta = 1/2. The regularised loss is both; exact constants on the page.",
    ),
    claims.verdict(
        "finlay2018-lem46",
        [*lemma46, solver],
        note="inf rho > 0 can be weakened to: no open piece of the manifold without probability.",
    ),
    claims.verdict("finlay2018-prop411", proposition),
    claims.verdict("finlay2018-lem412", [*lemma412, solver], note="With the limit t -> 1 where the paper sets t = 1."),
    claims.verdict(
        "finlay2018-fig1",
        [*fig1, solver],
        note="Data, price and loss are ours. The squared loss corrects most errors, too, but meets far fewer labels exactly; a clump of errors is mostly kept in the plane.",
    ),
)

# %% [markdown]
# ## Limits, and one thing to try
#
# - *All functions.* Networks are a smaller class: Lemma 4.4 and Proposition 4.11 survive on any convex class with the constants, but a network's minimum is not certified by anything here.
# - *Figure 1* depends on the sampling: errors are repaired because right labels lie close by. In 784 dimensions they do not, and a lone wrong image is as far from its neighbours as a right one.
# - *Label noise that has a pattern* is learned: see the clump in the table.
# - A minimiser with a lower objective than a dual bound would withdraw the page; a function with $\frac\theta2\int\lVert u-u^\lambda\rVert^2\rho$ above its excess would contradict Lemma 4.12; a curvature below
#   {eq}`finlay2018-penalty-three`, our correction of Remark 4.5.
#
# Try the squared loss, for which the wrong labels pull their neighbours with them:
#
# ```bash
# papermill notebooks/finlay2018/lipschitz_penalty.ipynb out.ipynb -p loss squared -p price 0.1
# ```
