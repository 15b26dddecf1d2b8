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
# # Width, depth, initialisation: what the bound says and what networks do
#
# *Can the upper bound behind the paper's advice on width, depth and initialisation hold for networks that have learned anything?*
#
# :::{admonition} Reconstructed statements
# :class: warning
# The text of {cite:t}`zhu2022` we worked from has lost every formula, the cells of its tables and the picture of Figure 1. All of it is
# **reconstructed** below, from the words around it, the lemmas and the works cited; none is a quotation, and a mismatch may be ours.
# :::
#
# $\mathcal P(f,\epsilon)$ is the mean of $\lVert\nabla_xf(x)^T(x-\hat x)\rVert_2$ over data $x$ and perturbed inputs $\hat x$, uniform in the
# ball of radius $\epsilon$ around $x$ ({prf:ref}`Definition 1 <zhu2022-def1>`): **larger is less robust.** $L$ is the depth, $m$ the width,
# $d$ and $o$ the numbers of inputs and outputs; $\beta_1,\beta,\beta_L$ are the standard deviations of the first, hidden and last weights at the start,
# and $\gamma=\beta\sqrt{m/2}$.
#
# :::{prf:theorem} Theorem 1 of Zhu et al. (reconstructed)
# :label: zhu2022-thm1
# :nonumber:
# For networks trained lazily (with weights that move little), and small $\epsilon$,
#
# $$
# \frac{\mathcal P(f,\epsilon)}\epsilon\;\le\;\Theta\Bigl(\bigl(\sqrt{L^3m^2}\,e^{-m/L^3}+\sqrt m\,\beta_L\bigr)\,\beta_1\,\gamma^{L-2}\Bigr).
# $$ (zhu2022-thm1-eq-bound)
#
# The first term pays for the movement of the weights and vanishes as $m\to\infty$; the second is the value at the start ({cite:t}`zhu2022`,
# section 4.1, equation 3).
# :::
#
# :::{prf:observation} Table 1 of Zhu et al. (reconstructed)
# :label: zhu2022-tab1
# :nonumber:
# With the variances $(\beta_1^2,\beta^2,\beta_L^2)$ of LeCun $(\frac1d,\frac1m,\frac1m)$, He $(\frac2d,\frac2m,\frac2m)$ and NTK
# $(\frac2m,\frac2m,\frac1o)$: depth makes networks more robust under LeCun, exponentially, by the factor $2^{-(L-2)/2}$, and less robust under
# He and NTK, polynomially. In wide fresh networks the root mean square per unit perturbation is $\sqrt{o/(2d)}\,2^{-(L-2)/2}$, $\sqrt{2o/d}$
# and $1$ (section 1).
# :::
#
# :::{prf:observation} Table 2 of Zhu et al. (reconstructed)
# :label: zhu2022-tab2
# :nonumber:
# Under NTK initialisation the new bound hardly depends on $m$ once $m$ is large, and grows in $L$ with a degree below two. Two earlier bounds grow like
# $\sqrt m\,L^2$ and $\sqrt m\,e^{\Theta(L)}$ (section 4.1, after Wu et al. 2021 and Huang et al. 2021).
# :::
#
# :::{prf:observation} Figure 1 of Zhu et al. (reconstructed)
# :label: zhu2022-fig1
# :nonumber:
# A drawing of the fully connected ReLU network of {prf:ref}`equation 2 <zhu2022-def2>` (section 3.1). It reports no measurement.
# :::
#
# :::{prf:observation} Table 3 of Zhu et al. (reconstructed)
# :label: zhu2022-tab3
# :nonumber:
# The list of symbols (appendix A). It reports no measurement.
# :::
#
# **In short.** Before training the bound is sharp. After training it cannot be: a network without biases that classifies its inputs with a small loss has a stability
# above a *floor* that depends on neither width nor depth nor initialisation, while for LeCun the bound tends to zero with the depth. So "depth helps under LeCun" is
# a property of fresh networks that training has to undo, and it does; and where $m$ is not far above $L^3$ the bound exceeds what trained networks do by one to three orders of magnitude.

# %% tags=["hide-input"]
# ruff: noqa: N803 - L and beta_L are the paper's own symbols
import itertools

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sympy as sp
import torch
import z3
from scipy import stats

from advsmooth import checks, claims, data, plotting, records, settings
from advsmooth.analysis import homogeneity, networks_and_bound, stability, width_and_depth
from advsmooth.models import fcn
from advsmooth.places import BOOK
from advsmooth.theory import initialisation as theory
from advsmooth.theory import lazy_bound

plotting.use_theme()
SWEEP = "zhu2022/width_depth_initialisation"
NAMES = {"he": "He", "lecun": "LeCun", "ntk": "NTK"}
WIDE = 1e9  # the second term of the bound is free of the width under all three

# %% tags=["parameters"]
scale: str = "quick"  # quick (digits, seconds) | cpu (reads the recorded sweep on MNIST; trains 12 small networks)
seed: int = 0  # first seed of the networks
seeds: int = None  # networks of each kind in the small sweep
dataset: str = None  # digits, mnist, fashionmnist, or imagefolder:PATH
n: int = None  # training images of the small sweep
widths: list = None  # its widths m
depths: list = None  # its depths L, 2 or more
epochs: int = None  # passes over the images
norm: float = None  # Euclidean norm of every input; Assumption 1 has 1
loss: float = None  # training loss for which the floor is drawn
draws: int = None  # fresh networks for each Monte Carlo number, and simulated curves

# %% tags=["hide-input"]
cfg = settings.resolve(
    globals(),
    seeds=settings.count(at_least=3, quick=4),
    dataset=settings.text(quick="digits", cpu="mnist"),
    n=settings.count(at_least=100, quick=500),
    widths=settings.counts(at_least=2, quick=[16, 32, 64, 128]),
    depths=settings.counts(at_least=2, quick=[2, 4, 6]),
    epochs=settings.count(quick=20),
    norm=settings.number(at_least=0.01, quick=10.0),
    loss=settings.number(at_least=1e-6, at_most=2.0, quick=0.1),
    draws=settings.count(at_least=200, quick=600, cpu=3000),
)
said = {"scale": cfg.scale}
g = settings.generator(cfg.seed)
cfg

# %% [markdown]
# ## The network
#
# Figure 1 is lost, so this is our drawing, made from the shapes that our code gives to the weights. With $h_0=x$, each hidden layer is $h_l=\phi(W_lh_{l-1})=D_lW_lh_{l-1}$:
# the ReLU $\phi$ multiplies every coordinate by its gate, 0 or 1, on the diagonal of $D_l$. There are **no biases**.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Figure 1, redrawn: the fully connected ReLU network of equation 2, here with depth L = 4. Under each arrow: the weight matrix, its shape, and the standard deviation of its entries at the start."}, "image": {"alt": "Five columns of circles from left to right: the input x with d circles, three hidden layers with m circles each, and the output f(x) with o circles, all joined by lines; under the gaps the matrices W1, m by d, W2 and W3, m by m, and W4, o by m."}}
drawn_shapes = fcn.shapes(3, 5, 2, 4)
letters = {3: "d", 5: "m", 2: "o"}
columns = [drawn_shapes[0][1]] + [rows for rows, _ in drawn_shapes]
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 3.0))
heights = [np.linspace(-1, 1, count) * 0.42 * (count - 1) / 2 for count in columns]
for k, (left, right) in enumerate(itertools.pairwise(heights)):
    for a in left:
        ax.plot(np.tile([k, k + 1], (len(right), 1)).T, [np.full(len(right), a), right], color="#b9c0c7", linewidth=0.6)
    rows, cols = drawn_shapes[k]
    beta = "β₁" if k == 0 else "β_L" if k == len(columns) - 2 else "β"
    ax.text(k + 0.5, -1.2, f"W{'₁₂₃₄'[k]}", ha="center", fontsize=11, weight="bold")
    ax.text(k + 0.5, -1.46, f"{letters[rows]} × {letters[cols]}, {beta}", ha="center", fontsize=9)
tops = ["input x", *[f"h{'₁₂₃'[k]} = φ(W{'₁₂₃'[k]}{('x', 'h₁', 'h₂')[k]})" for k in range(3)], "f(x) = W₄h₃ / α"]
for k, (ys, top) in enumerate(zip(heights, tops, strict=True)):
    colour = plotting.BLUE if 0 < k < len(columns) - 1 else plotting.INK
    ax.plot(
        np.full(len(ys), k),
        ys,
        "o",
        markersize=11,
        color="white",
        markeredgecolor=colour,
        markeredgewidth=1.8,
        zorder=3,
    )
    ax.text(k, 1.06, top, ha="center", fontsize=9.5)
    ax.text(k, -1.2, letters[columns[k]], ha="center", fontsize=11, style="italic", color=colour)
ax.set(xlim=(-0.45, 4.5), ylim=(-1.55, 1.25))
ax.axis("off")
plotting.finish(fig, "schematic; no data")

# %% [markdown]
# ## Before training: the second term, exactly
#
# {doc}`The page on fresh networks </notebooks/zhu2022/perturbation_stability>` has the mean square in closed form (erratum Z3): it is $\frac o2$ times the square of the second term. Three consequences are
# measured here: the slopes of $\log\mathcal P$; the limits of Table 1; and, with the mean in place of the mean square, the exact
#
# $$
# \mathbb E\,\frac{\mathcal P}\epsilon=K_0\,\sqrt m\,\beta_L\,\beta_1\,\gamma^{L-2}\,c(m)^{L-1},\qquad K_0=\frac d{d+1}\,\frac{B(o)}{\sqrt2},
# $$ (zhu2022-thm1-eq-start)
#
# with the mean norm $B(o)$ of $o$ standard normals and $c(m)<1$, which rises to 1. So $K_0$ is the **least constant** that the $\Theta$ of Theorem 1 can hide, and we use it
# wherever the bound is drawn. Depth helps fresh networks under *all three* schemes (Z4).

# %% tags=["hide-input"]
loaded = data.load(cfg.dataset)
d, o = loaded.x[0].numel(), len(loaded.class_names)
vectors = torch.nn.functional.normalize(torch.randn(200, 16, generator=g), dim=1)
base = {"m": 32, "L": 4, "beta_1": 0.25, "beta": 0.2, "beta_L": 0.3}
steps = {"m": 128, "L": 6, "beta_1": 0.5, "beta": 0.4, "beta_L": 0.6}


def log_square(m, L, beta_1, beta, beta_L):
    """Half the logarithm of the Monte Carlo mean square, and its standard error."""
    start = fcn.Initialisation(beta_1, beta, beta_L)
    found = stability.estimate(
        stability.initial_fcn(vectors, m, 10, L, start, initialisations=4 * cfg.draws, generator=g)
    )
    return 0.5 * np.log(found.square), 0.5 * found.square_error / found.square


at_base = log_square(**base)
order_at = {k: theory.Response(fcn.Initialisation(p["beta_1"], p["beta"], p["beta_L"]), p["m"], 10, p["L"]).order
            for k, p in {"base": base, **{k: base | {k: v} for k, v in steps.items()}}.items()}  # fmt: skip
slopes = {}
for name, value in steps.items():
    there = log_square(**base | {name: value})
    run = value - base[name] if name == "L" else np.log(value / base[name])
    slopes[name] = (
        (there[0] - at_base[0]) / run,
        np.hypot(there[1], at_base[1]) / run,
        np.log(order_at[name] / order_at["base"]) / run,
    )

wide_m, wide_inputs = 1024, width_and_depth.normalised(loaded.take(200, seed=cfg.seed), 1.0).x
limits = {"he": (2 * o / d) ** 0.5, "lecun": (o / (2 * d)) ** 0.5, "ntk": 1.0}
wide = []
for scheme in NAMES:
    for L in (2, 4):
        mean_squares = [
            stability.perturbation_stability(
                fcn.FCN(d, wide_m, o, L, scheme=scheme, generator=g), wide_inputs, 1.0, generator=g
            ).square / theory.ball_mean_square(d)
            for _ in range(6)
        ]  # fmt: skip
        claimed = limits[scheme] * (2 ** (-(L - 2) / 2) if scheme == "lecun" else 1)
        wide.append({"scheme": NAMES[scheme], "L": L, "measured": np.mean(mean_squares) ** 0.5, "limit": claimed})
wide = pd.DataFrame(wide)
narrow = [(s, L, 16) for s in NAMES for L in (2, 4, 8)]
fresh = [
    stability.initial_fcn(wide_inputs, m, o, L, s, initialisations=4 * cfg.draws, generator=g) for s, L, m in narrow
]
fresh = [stability.estimate(norms) for norms in fresh]
exact = [theory.Response(fcn.initialisation(s, d, m, o), m, o, L).stability(d) for s, L, m in narrow]
pd.DataFrame(
    {
        "measured": [f"{v:.2f} ± {2 * e:.2f}" for v, e, _ in slopes.values()],
        "of the second term": [f"{v:.2f}" for *_, v in slopes.values()],
    },
    index=pd.Index(["log m", "L", "log β₁", "log β", "log β_L"], name="slope of the log stability in"),
)

# %% [markdown]
# ## A floor under every network without biases
#
# Scale the input of such a network by $c>0$: no gate changes, so $f(cx)=cf(x)$, and its Jacobian $J$ at $x$ (the transposed gradient) satisfies $Jx=f(x)$. Now let $v$ be uniform in the
# unit ball and $u=f(x)/\lVert f(x)\rVert$. A norm is at least any of its components; $\mathbb E|w^Tv|=c_d\lVert w\rVert$ for every vector $w$, with $c_d=\frac{d}{d+1}\frac{B(1)}{B(d)}\approx\sqrt{2/(\pi d)}$; and a vector is at least as long as its part along $x$:
#
# $$
# \mathbb E_v\lVert Jv\rVert\;\ge\;\mathbb E_v|u^TJv|=c_d\lVert J^Tu\rVert\;\ge\;c_d\,\frac{u^TJx}{\lVert x\rVert}=c_d\,\frac{\lVert f(x)\rVert}{\lVert x\rVert}.
# $$ (zhu2022-thm1-eq-floor)
#
# This holds for any weights, trained or not. Equality needs a Jacobian of rank one whose rows are all parallel to $x$: for instance $d=1$, or a first layer that knows one direction only.
#
# **A small loss needs large outputs.** Let $\ell$ be the cross-entropy of one example with label $y$. The gaps $g_k=f_y-f_k$ to the $o-1$ other outputs satisfy $\sum_ke^{-g_k}=e^\ell-1$. The exponential is convex, so the *mean*
# gap is at least $\log\frac{o-1}{e^\ell-1}$. And $\sqrt{(o-1)/o}$ times the mean gap is the product of $f$ with a unit vector, along $e_y-\frac1o\mathbb 1$. The bound is convex in $\ell$, so for the *mean* loss $\ell$ on inputs of one norm
#
# $$
# \frac{\mathcal P}\epsilon\;\ge\;F(\ell)=\frac{c_d}{\lVert x\rVert}\,\sqrt{\frac{o-1}o}\,\log\frac{o-1}{e^\ell-1},
# $$ (zhu2022-thm1-eq-loss)
#
# **at every width, depth and initialisation**. (The largest gap alone would give $1/\sqrt2$ in place of the root.)
#
# **Consequence (erratum Z5).** Under LeCun, $\gamma=1/\sqrt2$, and the bound {eq}`zhu2022-thm1-eq-bound` tends to $K\,d^{-1/2}\,2^{-(L-2)/2}$ as $m\to\infty$. Whatever the constant $K$, from some depth on this is below $F(\ell)$: *no network of that depth and
# enough width can obey it and have the loss $\ell$*. Very wide networks do reach small losses, and lazily {cite}`allenzhu2019`. So Theorem 1, read for trained networks, fails; it holds at the start. What goes wrong is in Lemma 4: it asks for a movement within a fixed share of the weights, whatever
# the output scale; but the smaller the outputs at the start, the farther the weights must move to learn.

# %% tags=["hide-input"]
test_kinds = [
    width_and_depth.Cell(s, L, 32, min(300, len(loaded)), 20, (cfg.seed, cfg.seed + 1), float(cfg.norm))
    for s in NAMES
    for L in (2, 5)
]
floors = []
for kind in test_kinds:
    images, nets = networks_and_bound.networks(kind, loaded)
    starts = [fcn.FCN(d, kind.m, o, kind.L, scheme=kind.scheme, generator=s) for s in kind.seeds]
    for when, some in (("fresh", starts), ("trained", nets)):
        for net in some:
            with torch.no_grad():
                outputs = net(images.x)
                entropy = torch.nn.functional.cross_entropy(outputs, images.y).item()
                along = (net.jacobian(images.x) @ images.x[..., None])[..., 0]
            floors.append(
                {
                    "when": when,
                    "loss": entropy,
                    "floor": homogeneity.floor(outputs, images.x).mean().item(),
                    "of loss": homogeneity.floor_at_loss(entropy, d=d, o=o, norm=cfg.norm),
                    "P": stability.perturbation_stability(net, images.x, 1.0, generator=g, perturbations=4).mean,
                    "Euler": ((along - outputs).norm() / outputs.norm()).item(),
                }
            )
floors = pd.DataFrame(floors)

tight = []
for dim, L in ((1, 3), (d, 2), (d, 4)):  # one input; then networks that know one direction
    weights = fcn.draw_weights(dim, 32, o, L, "he", g, dtype=torch.float64)
    point = torch.nn.functional.normalize(torch.randn(1, dim, generator=g, dtype=torch.float64), dim=1)
    weights[0] = weights[0] @ point.T @ point  # every row of the first layer along one input
    with torch.no_grad():
        at = homogeneity.floor(fcn.forward(weights, point), point).item()
    kicks = stability.uniform_ball(4000, (dim,), 1.0, g, dtype=torch.float64)
    norms = stability.responses(lambda s, w=weights: fcn.forward(w, s), point.expand(4000, dim), kicks)
    tight.append({"floor": at, "P": norms.mean().item(), "error": norms.std().item() / 4000**0.5})
tight = pd.DataFrame(tight)

# %% [markdown]
# ## The trained networks
#
# They are those of {doc}`the sweep </notebooks/zhu2022/width_depth_initialisation>`: SGD on cross-entropy, inputs of norm 10, one rule for the learning rate. (Inputs of norm 10 are inputs of norm 1 with a first layer ten times as large; both sides of
# {eq}`zhu2022-thm1-eq-bound` then grow tenfold, and their ratio, which we study, stays.) Only networks with a training accuracy of at least 0.9, in cells where at least half have it, count. Verdicts are judged on the record of the
# sweep on MNIST where there is one, else on this page's own small run (its size chosen for its time), otherwise shown as an observation.

# %% tags=["hide-input"]
LOSS = 0.3  # at which networks are compared that learn at different speeds, as on the page of the sweep


def evidence(t: pd.DataFrame, values: dict, sample: str) -> dict:
    """A source: its grid, the networks that count at the common epoch, and those at a common loss."""
    size, epoch = int(values["n"]), int(values["epochs"])
    main = t[(t.n == size) & t.scheme.isin(NAMES)]
    two = main[main["L"] == main["L"].min()].iloc[0]
    inputs = round((two.weights - (two["L"] - 2) * two.m**2) / two.m) - o  # from the number of weights
    where = {"sample": f"{sample}, n = {size:,}, {epoch} epochs, {values['seeds']} seeds", "scale": values["scale"]}
    kept = width_and_depth.counted(main, epoch)
    if kept.empty:
        raise settings.SettingsError(f"epochs={epoch}: no network learned; take more epochs, images or width")
    return {"main": main, "kept": kept, "equal": width_and_depth.at_loss(main, LOSS), "epoch": epoch, "d": inputs, "where": where,
            "norm": float(values["norm"]), "constant": lazy_bound.least_constant(inputs, o)}  # fmt: skip


record = records.newest(SWEEP)
source = here = None
if record is not None and record.scale != "quick":
    source = evidence(record.table, dict(record.provenance["parameters"]), record.provenance["data"][0]["name"])
if cfg.scale == "quick":
    test = data.load(cfg.dataset, "test")
    small = [
        width_and_depth.Cell(
            s, L, m, min(cfg.n, len(loaded)), cfg.epochs, tuple(settings.seeds(cfg.seed, cfg.seeds)), float(cfg.norm)
        )
        for s in NAMES
        for L in sorted(set(cfg.depths))
        for m in sorted(set(cfg.widths))
    ]
    table = width_and_depth.sweep(small, loaded, test.take(min(width_and_depth.TEST, len(test)), seed=0), folder=None)
    here = evidence(table, dict(cfg.values) | {"n": min(cfg.n, len(loaded))}, loaded.name)
source = source or here
if source is None:
    raise settings.SettingsError(f"scale={cfg.scale!r}: needs the record of {SWEEP}; run that page at this scale first")
here = here or source
note = f"{source['where']['scale']} scale: {source['where']['sample']}{'' if source is here else ' (fewer for large networks)'}"
cells = networks_and_bound.against_bound(source["kept"], d=source["d"], o=o, constant=source["constant"])
floor_here = homogeneity.floor_at_loss(cfg.loss, d=source["d"], o=o, norm=source["norm"])


def bound(scheme: str, m: float, L: float) -> lazy_bound.LazyBound:
    """The bound of one kind of network in the setting of the source, with constant 1."""
    return lazy_bound.LazyBound(fcn.initialisation(scheme, source["d"], m, o), m, L)


lecun_limit = source["constant"] * bound("lecun", WIDE, 2).initial
crossing = lazy_bound.impossible_depth(lecun_limit, floor_here)
in_two = source["kept"].query("scheme == 'lecun' and L == 2")
needed = float(np.exp(in_two.log.max()) / lecun_limit) if len(in_two) else np.nan
generous = 10 * needed  # ten times what the least robust two-layer network asks for
hopeless = lazy_bound.impossible_depth(generous * lecun_limit, floor_here)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: the floor. Each point is one network; none lies below the line, fresh or trained, and special networks (stars) lie on it. Right: LeCun networks against depth, at the widest width of each depth (mean and 95 % interval over seeds, counting those that learned). The bound at infinite width falls below the floor of a small loss; the constant it would need for the measured networks grows with depth."}, "image": {"alt": "Left, points above a diagonal line on logarithmic axes, trained networks well above fresh ones, three stars on the line. Right, a straight line that falls with depth and crosses a horizontal line, the floor; circles of trained networks stay high above both."}}
fig, (left, right) = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.7))
for (when, some), style in zip((("fresh", floors[floors.when == "fresh"]), ("trained", floors[floors.when == "trained"]), ("equality", tight)), plotting.styles(), strict=False):  # fmt: skip
    look = {"marker": "*", "markersize": 11} if when == "equality" else {"marker": style["marker"], "markersize": 5}
    left.plot(some["floor"], some["P"], linestyle="none", color=style["color"], label=when, **look)
span = np.array([floors.floor.min() * 0.6, max(floors.P.max(), tight.P.max()) * 1.5])
left.plot(span, span, color=plotting.INK, linewidth=1.2)
left.fill_between(span, span * 1e-3, span, color=plotting.GREY, alpha=0.18, linewidth=0)
left.text(0.95, 0.1, "impossible", transform=left.transAxes, ha="right", fontsize=9, color=plotting.GREY)
left.set(xscale="log", yscale="log", xlim=span, ylim=span)
left.legend(loc="upper left", fontsize=8)
plotting.label(left, "Euler's floor", "floor, c_d |f(x)| / |x|", "stability $P/\\epsilon$")
axis = np.arange(2, 21)
right.plot(
    axis,
    [source["constant"] * bound("lecun", WIDE, L).initial for L in axis],
    color=plotting.BLUE,
    label="the bound at infinite width",
)
right.plot(
    axis,
    [generous * lecun_limit * 2 ** (-(L - 2) / 2) for L in axis],
    color=plotting.BLUE,
    linestyle=":",
    label=f"with a constant {generous:.0f} times as large",
)
right.axhline(floor_here, color=plotting.INK, linestyle="--", linewidth=1.4, label=f"floor for a loss of {cfg.loss:g}")
right.fill_between([1.5, 20.5], 1e-9, floor_here, color=plotting.GREY, alpha=0.18, linewidth=0)
for rows, name, style in ((source["kept"], "trained", {"marker": "s", "color": plotting.ORANGE}), (source["main"].query("epoch == 0").assign(log=lambda r: np.log(r.stability)), "fresh", {"marker": "o", "color": plotting.GREEN})):  # fmt: skip
    of_lecun = rows[rows.scheme == "lecun"]
    for k, (L, cell) in enumerate(of_lecun[of_lecun.m == of_lecun.groupby("L").m.transform("max")].groupby("L")):
        ends = np.exp(checks.mean_interval(cell.log))
        centre = np.exp(cell.log.mean())
        right.errorbar(
            L,
            centre,
            [[centre - ends[0]], [ends[1] - centre]],
            linestyle="none",
            markersize=5,
            label="" if k else f"{name} networks",
            **style,
        )
right.set(yscale="log", xlim=(1.5, 20.5), ylim=(lecun_limit * 2**-9.5, 60 * max(1, lecun_limit)))
right.xaxis.set_major_locator(mpl.ticker.MultipleLocator(2))
right.legend(loc="upper right", fontsize=7.5)
for ax in (left, right):
    ax.minorticks_off()
plotting.label(right, "LeCun: bound against floor", "depth $L$", "stability $P/\\epsilon$")
plotting.finish(fig, f"left: {cfg.scale} scale, {loaded.name}, {len(floors)} networks; right: {note}")

# %% [markdown]
# ## The map
#
# Where does the bound say anything? Its training term needs $m\gg L^3$ to vanish; where it has not, the bound may exceed what networks do by orders of magnitude, and is *empty*. Where it has, LeCun's bound is soon too *small*. Colours
# compare the bound, with its least constant $K_0$, with the typical stability of the trained networks of the same scheme (their geometric mean; they differ little). Every mark is a measured cell, compared with its own networks.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The bound of Theorem 1 over what trained networks do. Beige: less than a tenth; white: within a factor 10; light blue: 10 to 100 times; dark: more than 100 times, empty. Hatched: below the floor, impossible for any network with the stated loss. Marks: measured cells by their own ratio (triangle down: below a tenth; circle: within a factor 10; triangle up: 10 to 100; square: above 100). Line: m = L cubed, where the training term is largest."}, "image": {"alt": "Three maps of width against depth for LeCun, He and NTK. To the left of and around the line m equals L cubed the map is dark, to its right light. Under LeCun a hatched region fills the upper right corner. Most measured cells of depth four and more are squares in the dark region."}}
SHADES = ["#f6e3c5", "#ffffff", "#bcd3e3", "#5f8fb0"]
MARKS = ("v", "o", "^", "s")
EDGES = (0.1, 10, 100)
wide_axis, deep_axis = np.geomspace(6, 1e5, 44), np.linspace(2, max(12, max(source["main"]["L"]) + 2), 31)
fig, axes = plt.subplots(3, 1, figsize=(plotting.WIDTH, 6.6), sharex=True, sharey=True)
for ax, scheme in zip(axes, ("lecun", "he", "ntk"), strict=True):
    mine = cells[cells.scheme == scheme]
    plane = np.log10([[source["constant"] * bound(scheme, m, L).value for m in wide_axis] for L in deep_axis])
    typical = np.log10(mine.stability).mean()
    levels = [-30, *(np.log10(EDGES) + typical), 30]
    ax.contourf(wide_axis, deep_axis, plane, levels=levels, colors=SHADES)
    lowest = np.log10(max(floor_here, 1e-25))
    with mpl.rc_context({"hatch.linewidth": 0.7, "hatch.color": plotting.ORANGE}):
        ax.contourf(wide_axis, deep_axis, plane, levels=[-30, lowest, 30], colors="none", hatches=["xxx", None])
    ax.contour(wide_axis, deep_axis, plane, levels=[lowest], colors=plotting.ORANGE, linewidths=1.4, linestyles="solid")
    ax.plot(deep_axis**3, deep_axis, color=plotting.INK, linewidth=1.2)
    kind = np.digitize(mine.ratio, EDGES)
    for k, marker in enumerate(MARKS):
        some = mine[kind == k]
        ax.plot(
            some.m,
            some["L"],
            marker,
            color=plotting.INK,
            markerfacecolor=SHADES[k],
            markersize=6.5,
            markeredgewidth=1.2,
        )
    ax.set(xscale="log", xlim=(6, 1e5), ylim=(1.6, deep_axis[-1]))
    ax.yaxis.set_major_locator(mpl.ticker.MultipleLocator(2))
    ax.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    ax.grid(False)
    plotting.label(
        ax, f"{NAMES[scheme]} (trained networks: {10**typical:.2g})", "width $m$" if ax is axes[-1] else "", "depth $L$"
    )
axes[0].text(3e4, 5.3, "too small", ha="center", fontsize=9, weight="bold")
axes[1].text(700, 10.5, "empty", ha="center", fontsize=9, weight="bold", color="white")
handles = [plt.Rectangle((0, 0), 1, 1, facecolor=c, edgecolor=plotting.GREY, linewidth=0.6) for c in SHADES]
handles.append(plt.Rectangle((0, 0), 1, 1, facecolor="none", edgecolor=plotting.ORANGE, hatch="xxx", linewidth=0.6))
words = ["below 1/10", "within a factor 10", "10 to 100 times", "empty: above 100", f"impossible at loss {cfg.loss:g}"]
fig.legend(handles, words, loc="outside upper center", ncols=5, fontsize=8, handlelength=1.6, columnspacing=1.0)
plotting.finish(fig, note)

# %% [markdown]
# ## What depth and width do to trained networks
#
# First against the limits: how far above its second term is the bound's own subject? Then Table 2: the NTK networks beside the growth of the two earlier bounds, drawn through the first point. That those are loose does not make them wrong; a rate in an upper bound is not a rate of the networks.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: trained stability over the bound's second term, at the widest width of each depth; the dotted line grows by the square root of 2 with each layer. Middle and right: trained NTK networks against width and depth beside the earlier bounds of Table 2, scaled to the first point. Means and 95 % intervals over the seeds, networks that learned."}, "image": {"alt": "Left, the LeCun curve climbs steeply with depth, He and NTK slowly. Middle, nearly level curves against width under a steep line. Right, nearly level curves against depth under two steep lines."}}
fig, (left, mid, right) = plt.subplots(1, 3, figsize=(plotting.WIDTH, 3.4))


def curve(ax: plt.Axes, groups, over, style: dict, label: str) -> None:
    """Mean and interval of the logarithm of each group, over a number of its own."""
    points = [(x, cell.log - np.log(over(x))) for x, cell in groups if len(cell) > 1]
    if points:
        ends = np.exp(np.array([checks.mean_interval(v) for _, v in points]))
        plotting.band(ax, [x for x, _ in points], *ends.T, style["color"])
        ax.plot([x for x, _ in points], [np.exp(v.mean()) for _, v in points], **style, label=label)


kept = source["kept"]
for (scheme, name), style in zip(NAMES.items(), plotting.styles(), strict=False):
    mine = kept[kept.scheme == scheme]
    widest = mine[mine.m == mine.groupby("L").m.transform("max")]
    curve(left, widest.groupby("L"), lambda L, s=scheme: source["constant"] * bound(s, WIDE, L).initial, style, name)
two_lecun = cells[(cells.scheme == "lecun") & (cells["L"] == 2)]
at_two = float(two_lecun.sort_values("m").limit_ratio.iloc[-1]) if len(two_lecun) else np.nan
deep = np.array(sorted(kept["L"].unique()))
left.plot(deep, at_two * 2 ** ((deep - 2) / 2), ":", color=plotting.INK, linewidth=1.2)
ntk = kept[kept.scheme == "ntk"]
shown_depths = [deep[0], deep[len(deep) // 2], deep[-1]]
for L, style in zip(sorted(set(shown_depths)), plotting.styles(), strict=False):
    curve(mid, ntk[ntk["L"] == L].groupby("m"), lambda _: 1, style, f"L = {L}")
width_axis = np.array(sorted(ntk.m.unique()))
for m, style in zip(width_axis[-3:], plotting.styles(), strict=False):
    curve(right, ntk[ntk.m == m].groupby("L"), lambda _: 1, style, f"m = {m}")
first_mid, first_right = (float(np.exp(ntk[ntk[k] == ntk[k].min()].log.mean())) for k in ("m", "L"))
for (name, grows), line in zip(lazy_bound.EARLIER.items(), ("--", ":"), strict=True):
    if line == "--":
        mid.plot(
            width_axis,
            [first_mid * (m / width_axis[0]) ** 0.5 for m in width_axis],
            line,
            color=plotting.GREY,
            label="both earlier",
        )
    right.plot(
        deep,
        [first_right * grows(1, L) / grows(1, deep[0]) for L in deep],
        line,
        color=plotting.GREY,
        label=name.removesuffix(" 2021"),
    )
left.set(yscale="log")
mid.set(xscale="log", yscale="log")
mid.set_xticks(width_axis[:: max(1, len(width_axis) // 3)], width_axis[:: max(1, len(width_axis) // 3)])
mid.xaxis.set_minor_locator(mpl.ticker.NullLocator())
right.set(yscale="log")
for ax, title, x, y in ((left, "Over the second term", "depth $L$", "trained / (K₀ second term)"), (mid, "NTK: width", "width $m$", "stability $P/\\epsilon$"), (right, "NTK: depth", "depth $L$", "")):  # fmt: skip
    ax.legend(fontsize=7)
    if "depth" in x:
        ax.set_xticks(deep)
    ax.yaxis.set_major_formatter(mpl.ticker.FormatStrFormatter("%g"))
    low, high = ax.get_ylim()
    ax.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5) if high / low < 15 else (1,)))
    ax.yaxis.set_minor_locator(mpl.ticker.NullLocator())
    plotting.label(ax, title, x, y)
plotting.finish(fig, note)

# %% [markdown]
# The first term of the bound, $m\,e^{-m/L^3}$ times a power of $L$, is largest at $m=L^3$ (NTK: half of it). So trained networks should be least stable at a width that grows with the depth. Below, that width for He networks, from the best up-then-down
# fit to each depth's curve, and its interval; a worst width that is the narrowest that learned, or the widest run, may lie beyond. A shift that is there at the common epoch and gone at the common loss says that narrow deep networks had learned less.

# %% tags=["hide-input"]
SHAPE = {"draws": max(200, cfg.draws // 2), "seed": cfg.seed}


def he_widths(rows: pd.DataFrame) -> pd.DataFrame:
    """The worst width of each depth, He."""
    return networks_and_bound.worst_widths(rows[rows.scheme == "he"], **SHAPE)


worst, worst_equal = he_widths(source["kept"]), he_widths(source["equal"])
pd.DataFrame(
    {
        "narrowest that learned": worst.narrowest,
        f"worst width, epoch {source['epoch']}": [f"{r.m} ({r.low} to {r.high})" for r in worst.itertuples()],
        f"worst width, loss {LOSS}": [f"{r.m} ({r.low} to {r.high})" for r in worst_equal.itertuples()]
        if list(worst_equal["L"]) == list(worst["L"]) else "",
        "L³": worst["L"] ** 3,
    }
).set_index(worst["L"].rename("depth L"))  # fmt: skip

# %% [markdown]
# ## The symbols
#
# Table 3, matched to what we use ({doc}`/book/notation` has all five papers'):
#
# | described there as | our symbol | in our code | used in |
# |---|---|---|---|
# | normal, binomial and chi-square laws | $N(\mu,\sigma^2)$, $\mathrm{Bin}(m,\frac12)$, $\chi^2_k$ | `draw_weights`, `GatedChiSquare` | {prf:ref}`Lemma 2 <zhu2022-lem2>` |
# | norms: Euclidean, spectral, Frobenius, nuclear | $\lVert v\rVert$, $\lVert A\rVert$, $\lVert A\rVert_F$, $\lVert A\rVert_*$ | `torch.linalg` | all pages; the nuclear norm in none |
# | eigenvalues; a row; an element | $\lambda_i$, $w_r$, $W_{ij}$ | `gram.least` | {prf:ref}`Lemma 7 <zhu2022-lem7>` |
# | ReLU of numbers and of vectors; indicator | $\phi$, $\mathbb 1\{\cdot\}$ | `hidden_states`, `sign_matrices` | {prf:ref}`Definition 2 <zhu2022-def2>` |
# | sizes: data set, input, output | $n$, $d$, $o$ | `n`, `d`, `o` | everywhere |
# | depth; width of the hidden layers | $L$, $m$ | `L`, `m` | everywhere |
# | standard deviations of the first weights | $\beta_1,\beta,\beta_L$ | `Initialisation` | {prf:ref}`Table 1 <zhu2022-tab1>` |
# | scale of the output | $\alpha$ | `alpha` | {prf:ref}`equation 2 <zhu2022-def2>` |
# | a data point, its target, their laws | $x_i$, $y_i$ | `Dataset` | everywhere |
# | weights of input, hidden, output layer | $W_1,W_l,W_L$ | `FCN.weights` | Figure 1 |
# | activations of a layer; output | $h_l$, $f(x)$ | `hidden_states`, `forward` | {prf:ref}`equation 2 <zhu2022-def2>` |
# | orders; probability | $O,\Omega,\Theta$; $P(\cdot)$ | – | the bounds |

# %% tags=["hide-input"]
SIZES = [(5, 7, 3, 2), (5, 7, 3, 3), (8, 16, 10, 6)]
models = {size: fcn.FCN(*size, alpha=2.0, scheme="he", generator=cfg.seed, dtype=torch.float64) for size in SIZES}
shapes_found = {size: [tuple(p.shape) for p in model.parameters()] for size, model in models.items()}
deviations = []
for scheme in NAMES:
    init = fcn.initialisation(scheme, 64, 128, 10)
    drawn = fcn.draw_weights(64, 128, 10, 3, scheme, g, dtype=torch.float64)
    deviations += [(W.square().mean().sqrt().item(), beta / (2 * W.numel()) ** 0.5, beta) for W, beta in zip(drawn, (init.beta_1, init.beta, init.beta_L), strict=True)]  # fmt: skip
symbols_net, points = models[SIZES[2]], torch.randn(50, 8, generator=g, dtype=torch.float64)
with torch.no_grad():
    states = [points, *symbols_net.hidden_states(points)]
    gates_found = fcn.sign_matrices(list(symbols_net.weights), points)
    before = [h @ W.T for h, W in zip(states, symbols_net.weights, strict=True)]
    gated = max((D * z - h).abs().max().item() for D, z, h in zip(gates_found, before, states[1:], strict=False))
    scaled = (2.0 * symbols_net(points) - before[-1]).abs().max().item()
many = fcn.draw_weights(8, 16, 10, 2, fcn.Initialisation(0.7, 0.0, 0.4), g, networks=3000, dtype=torch.float64)
hidden = torch.relu(many[0] @ points[0])
last = (many[1] @ hidden[..., None])[..., 0]
alive = hidden.norm(dim=1) > 0
output_ratio = (last.norm(dim=1) / (0.4 * hidden.norm(dim=1)))[alive].square()
open_gates = (many[0] @ points[0] >= 0).sum(1)
bins = np.array([0, 5.5, 6.5, 7.5, 8.5, 9.5, 10.5, 16.5])
expected = np.diff(stats.binom(16, 0.5).cdf(np.floor(bins[1:])), prepend=0) * len(open_gates)
law_p = [
    stats.kstest(output_ratio.numpy(), stats.chi2(10).cdf).pvalue,
    stats.chisquare(np.histogram(open_gates, [-0.5, *bins[1:]])[0], expected).pvalue,
]
matrix = torch.randn(5, 4, generator=g, dtype=torch.float64)
singular = torch.linalg.eigvalsh(matrix.T @ matrix).clamp_min(0).sqrt()
norms_found = [torch.linalg.matrix_norm(matrix, k).item() for k in (2, "fro", "nuc")]
norms_expected = [singular.max().item(), matrix.square().sum().sqrt().item(), singular.sum().item()]
notation = (BOOK / "notation.md").read_text(encoding="utf-8")
wanted = ["$x_i$", "$W_l$", "$h_l$, $D_l$", "$\\alpha$", "$\\beta_1$, $\\beta$, $\\beta_L$", "$\\phi$", "\\chi^2_k", "\\lVert A\\rVert_F", "**width**", "**depth**"]  # fmt: skip

# %% [markdown]
# ## Checks
#
# Directions are judged by 95 % intervals over the seeds. The margins (5 % a doubling, half of the claimed rate, ten times the constant) were set before these checks were first run, when part of the recorded networks had been seen, and were not changed.

# %% tags=["hide-input"]
SAMPLE = {
    "sample": f"3 schemes, depths 2, 4 and 8, m = 16, {4 * cfg.draws:,} networks each, {cfg.dataset}, seed {cfg.seed}"
} | said
networks_said = {
    "sample": f"{len(floors)} networks, fresh and trained, 3 schemes, depths 2 and 5, {test_kinds[0].n} {cfg.dataset} images"
} | said
trained_floors = floors[floors.when == "trained"]


def two_sided() -> list:
    """The corrected statement: the exact law at the start, and the floor in every network."""
    return [
        checks.agrees(
            "start-exact",
            "fresh networks have the mean stability of the closed form, at every depth and under every scheme",
            estimate=[e.mean for e in fresh],
            standard_error=[e.mean_error for e in fresh],
            exact=exact,
            role="corrected",
            **SAMPLE,
        ),
        checks.at_most(
            "floor",
            "no network, fresh or trained, has a stability below c_d |f(x)| / |x|",
            measured=floors.floor,
            bound=floors.P,
            role="corrected",
            **networks_said,
        ),
        checks.at_most(
            "floor-of-the-loss",
            "and that floor is at least F(loss), on the training images",
            measured=trained_floors["of loss"],
            bound=trained_floors.floor,
            role="corrected",
            **networks_said,
        ),
    ]


def derivation() -> list:
    """The steps of the floor, by machine."""
    z, gate, w1, w2, u1, u2 = z3.Reals("z gate w1 w2 u1 u2")
    tilt, mean, weight, others = z3.Real("tilt"), z3.Real("mean"), z3.Reals("E1 E2 E3"), z3.Reals("g1 g2 g3")
    dim, t, out, ell, fy, fbar = sp.symbols("d t o l f_y f_mean", positive=True)
    return [
        checks.implies(
            "gate",
            "a ReLU is its input times a gate of 0 or 1, also at the kink and whatever the gate there: so J x = f(x)",
            assumptions=[z3.Or(gate == 0, gate == 1), z3.Implies(z > 0, gate == 1), z3.Implies(z < 0, gate == 0)],
            conclusion=gate * z == z3.If(z > 0, z, 0),
        ),
        checks.implies(
            "component",
            "a vector is at least as long as its component along a unit vector (both lie in a plane)",
            assumptions=[u1 * u1 + u2 * u2 == 1],
            conclusion=(u1 * w1 + u2 * w2) * (u1 * w1 + u2 * w2) <= w1 * w1 + w2 * w2,
        ),
        checks.identity(
            "ball",
            "the mean of |u.v| in the ball, from the density of one coordinate, is d/(d+1) B(1)/B(d)",
            left=2
            * sp.integrate(t * (1 - t**2) ** ((dim - 1) / 2), (t, 0, 1))
            * sp.gamma(dim / 2 + 1)
            / (sp.sqrt(sp.pi) * sp.gamma((dim + 1) / 2)),
            right=dim / (dim + 1) * sp.sqrt(2 / sp.pi) * sp.gamma(dim / 2) / (sp.sqrt(2) * sp.gamma((dim + 1) / 2)),
        ),
        checks.implies(
            "mean-gap",
            "if every exponential lies above its tangent at the mean gap, three of them sum to at least 3 e^(-mean)",
            assumptions=[tilt > 0, 3 * mean == sum(others)]
            + [tilt * (1 - (gap - mean)) <= E for E, gap in zip(weight, others, strict=True)],
            conclusion=sum(weight) >= 3 * tilt,
        ),
        checks.identity(
            "unit-vector",
            "with a vector of norm 1 along e_y − 1/o the product of f is √((o−1)/o) times the mean gap",
            left=(fy - fbar) / sp.sqrt(1 - 1 / out),
            right=sp.sqrt((out - 1) / out) * (out * fy - out * fbar) / (out - 1),
        ),
        checks.identity(
            "convex",
            "the second derivative of log((o−1)/(e^l−1)) in l is e^l/(e^l−1)², so a mean loss will do",
            left=sp.diff(sp.log((out - 1) / (sp.exp(ell) - 1)), ell, 2),
            right=sp.exp(ell) / (sp.exp(ell) - 1) ** 2,
        ),
    ]


m_, L_, d_, o_, K_ = sp.symbols("m L d o K", positive=True)
F_, P_, q_, k_ = z3.Reals("F P q k")
second = {
    s: sp.sqrt(o_ / 2) * sp.sqrt(m_ * last) * sp.sqrt(first) * sp.sqrt(between * m_ / 2) ** (L_ - 2)
    for s, (first, between, last) in {"lecun": (1 / d_, 1 / m_, 1 / m_), "he": (2 / d_, 2 / m_, 2 / m_), "ntk": (2 / m_, 2 / m_, 1 / o_)}.items()
}  # fmt: skip
far = networks_and_bound.beyond(source["kept"].query("scheme == 'he'"))
far_slopes = width_and_depth.slopes(far, "m")
deep_axis = np.arange(2, 65)


def direction(name: str, sentence: str, by_seed, where: dict, role: str = "trend"):
    """The mean over the seeds is above zero."""
    if len(by_seed) < 3:
        return checks.not_run(name, sentence, needs="networks that learn, of at least three seeds", role=role)
    return checks.positive(name, sentence, differences=by_seed.to_numpy(), role=role, **where["where"])


def by_depth_shown(found: pd.DataFrame) -> dict[str, str]:
    """The worst widths as evidence."""
    return {f"L = {r.L}": f"{r.m} ({r.low} to {r.high})" for r in found.itertuples()}


def shift(found: pd.DataFrame):
    """The interval of the worst width at the largest depth that has one inside its curve lies above the shallowest's."""
    name, sentence = "he-worst-width", "He: the worst width is larger at the largest depth than at the smallest"
    inside = found[found.low > found.narrowest]
    if inside.empty or inside.iloc[-1]["L"] <= found.iloc[0]["L"]:
        needs = "a depth whose worst width is not simply the narrowest that learned"
        return checks.not_run(name, sentence, needs=needs, role="trend")
    cases = [inside.iloc[-1].low > found.iloc[0].high]
    return checks.every(name, sentence, cases=cases, evidence=by_depth_shown(found), role="trend", **source["where"])


def of(where: dict, scheme: str, rows: str = "kept") -> pd.DataFrame:
    """The networks of one initialisation."""
    return where[rows][where[rows].scheme == scheme]


theorem = [
    checks.agrees(
        "start-slopes",
        "before training, log-log slopes of the root mean square are those of the second term",
        estimate=[v for v, *_ in slopes.values()],
        standard_error=[e for _, e, _ in slopes.values()],
        exact=[v for *_, v in slopes.values()],
        sample=f"slopes in m, L, β1, β, βL; {4 * cfg.draws:,} networks each, dimension 16, seed {cfg.seed}",
        **said,
    ),
    checks.identity(
        "first-term-vanishes",
        "the first term tends to 0 as m grows",
        left=sp.limit(sp.sqrt(L_**3 * m_**2) * sp.exp(-m_ / L_**3), m_, sp.oo),
        right=0,
    ),
    checks.identity(
        "peak",
        "m^a e^(−m/L³) has its only stationary point at m = a L³",
        left=sp.solve(sp.diff(K_ * sp.log(m_) - m_ / L_**3, m_), m_)[0],
        right=K_ * L_**3,
    ),
    checks.at_most(
        "limit-for-trained-networks",
        f"LeCun, infinite width: with ten times the constant that two layers need, the bound allows a loss of {cfg.loss:g} at depths 2 to 64",
        measured=np.full(len(deep_axis), floor_here),
        bound=generous * lecun_limit * 2.0 ** (-(deep_axis - 2) / 2),
        sample=f"constant {generous:.2g} K₀, from {source['where']['sample']}; impossible from depth {hopeless:.1f} on",
        scale=source["where"]["scale"],
    )
    if len(in_two)
    else checks.not_run(
        "limit-for-trained-networks",
        "the bound allows a small loss at every depth",
        needs="two-layer LeCun networks that learn",
        role="printed",
    ),
    direction(
        "he-stops-growing",
        "He, m ≥ L³: twice the width adds less than 5 % to the trained stability",
        np.log(1.05) - far_slopes,
        source,
    ),
    shift(worst),
    *derivation(),
    checks.identity(
        "lecun-limit",
        "under LeCun the bound at infinite width tends to 0 as the depth grows",
        left=sp.limit(K_ / sp.sqrt(d_) * 2 ** (-(L_ - 2) / 2), L_, sp.oo),
        right=0,
    ),
    checks.implies(
        "no-room",
        "a stability of at least F cannot be at most k q once q < F/k",
        assumptions=[F_ > 0, k_ > 0, q_ > 0, k_ * q_ < F_, P_ >= F_],
        conclusion=k_ * q_ < P_,
    ),
    *two_sided(),
    checks.agrees(
        "tight",
        "the floor is attained by networks that know one direction only, and with one input",
        estimate=tight.P,
        standard_error=tight.error,
        exact=tight.floor,
        sample=f"3 networks, depths 2 to 4, 4,000 perturbations, seed {cfg.seed}",
        role="corrected",
        **said,
    ),
    checks.at_most(
        "euler",
        "J x = f(x) to single precision in every network, trained or not",
        measured=floors.Euler,
        bound=1e-4,
        role="corrected",
        **networks_said,
    ),
    checks.every(
        "worst-width-at-equal-loss",
        f"He: at a common training loss of {LOSS} the worst width of every depth is the narrowest that comes there, or cannot be told from it",
        cases=worst_equal.low == worst_equal.narrowest,
        evidence=by_depth_shown(worst_equal),
        role="observed",
        **source["where"],
    ),
    direction(
        "lecun-lazy",
        "LeCun: the wider the network, the smaller the share of its weights that training moves",
        -width_and_depth.slopes(of(source, "lecun").assign(log=lambda r: np.log(r.kappa)), "m"),
        source,
        role="observed",
    ),
    checks.at_most(
        "record-above-floor",
        "every network that counts lies above the floor of its training loss (test inputs, so no theorem)",
        measured=[homogeneity.floor_at_loss(v, d=source["d"], o=o, norm=source["norm"]) for v in source["kept"].loss],
        bound=source["kept"].stability,
        role="observed",
        **source["where"],
    ),
]

# %% [markdown]
# Tables 1 and 2.

# %% tags=["hide-input"]
HALF = np.log(2) / 2  # two layers at half of the claimed rate √2 a layer
by_depth = {
    (s, w): width_and_depth.slopes(of(where, s), "L")
    for s in NAMES
    for w, where in (("source", source), ("here", here))
}
table_1 = [
    checks.at_most(
        "limits",
        f"fresh networks of width {wide_m:,}: the root mean square is within 5 % of the limits",
        measured=(wide.measured / wide.limit - 1).abs(),
        bound=0.05,
        sample=f"3 schemes, depths 2 and 4, 6 networks with 200 inputs each, {cfg.dataset}, seed {cfg.seed}",
        **said,
    ),
    *[
        checks.identity(f"{s}-limit", f"{NAMES[s]}: the second term, times √(o/2), is the limit", left=sp.simplify(second[s]), right=right)
        for s, right in (
            ("lecun", sp.sqrt(o_ / (2 * d_)) * 2 ** (-(L_ - 2) / 2)),
            ("he", sp.sqrt(2 * o_ / d_)),
            ("ntk", sp.Integer(1)),
        )
    ],
    direction("lecun-falls", "LeCun: the trained stability falls with depth", -by_depth["lecun", "source"], source),
    direction("lecun-rate", "LeCun: and at half of the claimed rate at least, √2 a layer", -by_depth["lecun", "source"] - HALF, source),
    direction("he-rises", "He: the trained stability rises with depth", by_depth["he", "source"], source),
    direction("ntk-rises", "NTK: the trained stability rises with depth", by_depth["ntk", "source"], source),
    *two_sided(),
    direction(
        "lecun-equal-loss",
        f"LeCun: at a common training loss of {LOSS}, deeper networks are less stable, so they are above the limit by more than √2 a layer",
        width_and_depth.slopes(of(source, "lecun", "equal"), "L"),
        source,
        role="observed",
    ),
    *[
        direction(
            f"{s}-polynomial",
            f"{NAMES[s]}: a power of the depth leaves less over than an exponential",
            networks_and_bound.polynomial_or_exponential(of(source, s)),
            source,
            role="observed",
        )
        for s in ("he", "ntk")
    ],
    *[
        direction(f"here-{s}", f"{name}: in this run, on {loaded.name}, the trained stability {'falls' if sign < 0 else 'rises'} with depth", sign * by_depth[s, "here"], here, role="observed")
        for s, name, sign in (("he", "He", 1), ("lecun", "LeCun", -1), ("ntk", "NTK", 1))
    ],
]  # fmt: skip


def largest(rows: pd.DataFrame) -> pd.DataFrame:
    """The three largest widths of each depth."""
    return rows[rows.groupby("L").m.rank("dense", ascending=False) <= 3]


powers = {(along, w): networks_and_bound.exponents(rows, along) for w, where in (("source", source), ("here", here)) for along, rows in (("m", largest(of(where, "ntk"))), ("L", of(where, "ntk")))}  # fmt: skip
ntk_means = ntk.groupby(["L", "m"]).log.mean()
corner = ntk_means.loc[ntk["L"].min()].index.min() if len(ntk_means) else 0
through = {
    name: float(np.exp(ntk_means.loc[ntk["L"].min(), corner])) / grows(corner, ntk["L"].min())
    for name, grows in lazy_bound.EARLIER.items()
}
table_2 = [
    *[
        checks.identity(
            f"{name.split()[0].lower()}-order",
            f"the limit of the new bound at large width, over that of {name.removesuffix(' 2021')}, tends to 0",
            left=sp.limit(sp.simplify(second["ntk"]) / (sp.sqrt(m_) * growth), m_, sp.oo),
            right=0,
        )
        for name, growth in zip(lazy_bound.EARLIER, (L_**2, sp.exp(L_)), strict=True)
    ],
    direction("width", "NTK: over the three largest widths the exponent a of m^a is below 1/2", 0.5 - powers["m", "source"], source),
    direction("depth", "NTK: the exponent b of L^b is below 2", 2 - powers["L", "source"], source),
    checks.every(
        "earlier-bounds",
        "drawn through the first cell, the earlier bounds lie above all other measured cells",
        cases=[
            ntk_means[L, m] <= np.log(through[name] * grows(m, L)) + 1e-9
            for name, grows in lazy_bound.EARLIER.items()
            for L, m in ntk_means.index
        ],
        role="observed",
        **source["where"],
    ),
    direction("here-width", f"in this run, on {loaded.name}, a is below 1/2", 0.5 - powers["m", "here"], here, role="observed"),
    direction("here-depth", f"in this run, on {loaded.name}, b is below 2", 2 - powers["L", "here"], here, role="observed"),
]  # fmt: skip

# %% [markdown]
# The drawing and the symbols.

# %% tags=["hide-input"]
small_nets = {"sample": f"sizes (d, m, o, L) {', '.join(str(s) for s in SIZES)}"} | said
figure_1 = [
    checks.every(
        "shapes",
        "the model's weights, all of them, have the shapes of the drawing: m × d, m × m (L − 2 times), o × m; no biases",
        cases=[shapes_found[d0, m0, o0, L0] == [(m0, d0)] + [(m0, m0)] * (L0 - 2) + [(o0, m0)] for d0, m0, o0, L0 in SIZES],
        **small_nets,
    ),
    checks.every(
        "layers",
        "it has L − 1 hidden layers of m units and o outputs",
        cases=[
            [h.shape[1] for h in model.hidden_states(points[:3, :1].expand(3, size[0]))] == [size[1]] * (size[3] - 1)
            and model(points[:3, :1].expand(3, size[0])).shape == (3, size[2])
            for size, model in models.items()
        ],
        **small_nets,
    ),
]  # fmt: skip
table_3 = [
    checks.agrees(
        "deviations",
        "the weights have the standard deviations β1, β and βL of their scheme",
        estimate=[v for v, *_ in deviations],
        standard_error=[e for _, e, _ in deviations],
        exact=[v for *_, v in deviations],
        sample=f"3 schemes, 3 layers of d = 64, m = 128, o = 10, seed {cfg.seed}",
        **said,
    ),
    checks.equal(
        "gates-and-scale",
        "h_l = D_l W_l h_(l−1) with gates of 0 and 1, and α f(x) = W_L h_(L−1)",
        measured=[gated, scaled, max((D * (1 - D)).abs().max().item() for D in gates_found)],
        expected=0.0,
        atol=1e-12,
        sample=f"50 inputs, size {SIZES[2]}",
        **said,
    ),
    checks.same_law(
        "laws",
        "the output layer gives a chi-square with o degrees, the open gates a binomial with m trials",
        p_values=law_p,
        sample=f"3,000 networks, m = 16, o = 10, seed {cfg.seed}",
        **said,
    ),
    checks.equal(
        "norms",
        "spectral, Frobenius and nuclear norm are the largest, the root sum of squares and the sum of singular values",
        measured=norms_found,
        expected=norms_expected,
        atol=1e-12,
        sample="a random 5 × 4 matrix",
        **said,
    ),
    checks.every(
        "notation-page",
        "each symbol that needs a word stands on the page of notation",
        cases=[symbol in notation for symbol in wanted],
        sample=f"{len(wanted)} symbols",
        **said,
    ),
]

# %% [markdown]
# ## Verdict

# %% tags=["hide-input"]
claims.report(
    claims.verdict(
        "zhu2022-thm1",
        theorem,
        note="Corrected (Z3, Z5): before training the second term is exact up to K₀ c(m)^(L−1); for networks with a training loss ℓ the stability is at least F(ℓ), whatever their width, depth and start. An upper bound for both cannot shrink with the depth.",
    ),
    claims.verdict(
        "zhu2022-tab1",
        table_1,
        note="The limits are right, for fresh networks. Trained ones have the floor F(ℓ) under LeCun too.",
    ),
    claims.verdict(
        "zhu2022-tab2",
        table_2,
        note="It compares orders of bounds; the networks grow more slowly than any of them. All rates are reconstructed.",
    ),
    claims.verdict("zhu2022-fig1", figure_1, note="Our drawing; the paper's is lost."),
    claims.verdict("zhu2022-tab3", table_3, note="The symbols are ours, matched to the descriptions."),
)

# %% [markdown]
# ## Limits, and one thing to try
#
# A defender of Theorem 1 can say that a deep LeCun network with a small loss has left its hypothesis: the weights moved farther than Lemma 4 allows. Quite so; then the theorem says nothing about trained networks of that kind, and the advice does not follow. If the lost formula has another
# first term, Z5 stands as long as that term vanishes with the width. The floor needs a network without biases; with biases the output can grow without a gradient. It is far below the measured values, because the gradient has other directions than that of $x$.
# No network here is both deep and much wider than $L^3$: at $L=8$ that takes a width near 10,000. The contradiction is a theorem about all of them, not a measurement of one. Cells were compared at a common epoch and at a common loss only.
#
# A larger loss lowers the floor. How far must it rise before the bound and the floor part at your depth?
#
# ```bash
# papermill notebooks/zhu2022/what_the_bound_says.ipynb out.ipynb -p loss 1.0
# ```
