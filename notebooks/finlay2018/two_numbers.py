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
# # Can two numbers predict robustness?
#
# *Do the mean and the maximum of a network's input gradient say how far an attack has to go?*
#
# A network maps an image $x$ to logits, and the softmax $f$ turns these into class probabilities. Let $\lVert\nabla f(x)\rVert_{2,\infty}$ be the largest Euclidean norm of a row of the Jacobian:
# how fast the fastest probability changes when the image moves. Its mean over test images is called the *total variation* (TV) of the model, its maximum the *Lipschitz constant*. The *adversarial
# distance* of an image is the length of the smallest change that an attack needs to change its class, 0 if the class is wrong to begin with.
#
# :::{prf:observation} Table 5 of Finlay et al.
# :label: finlay2018-tab5
# :nonumber:
#
# How much further an attack has to go for a regularised model than for an undefended one is predicted by the ratio of their total variations and by that of their Lipschitz constants; the
# actual improvement is the ratio of the median adversarial distances ({cite:t}`finlay2018`, section 6). The body of the table is missing from the text at hand; ratios on this page are recomputed from tables 2 and 3, not published.
# :::
#
# :::{prf:observation} Robustness metrics, section 6 of Finlay et al.
# :label: finlay2018-obs-tv-inverse
# :nonumber:
#
# "The median adversarial distance of a model is inversely proportional to the model's Total Variation", and the improvement over an undefended model corresponds to the relative improvement in total variation
# (section 6, last paragraph; tables 2 and 3).
# :::
#
# :::{prf:proposition} Estimates of the Lipschitz constant, section 6 of Finlay et al.
# :label: finlay2018-obs-lipschitz-estimates
# :nonumber:
#
# The largest gradient norm over test images is an accurate estimate of the Lipschitz constant: usually close to one, at most 14, and close to the constant of the data set. The product of the weight norms is
# between $10^{12}$ and $10^{23}$. Penalising the Lipschitz constant of the *loss* reduces that of the model (paragraphs after table 4).
# :::
#
# **In short.** Not by themselves: dividing all logits by a constant changes both numbers as much as one likes and no distance at all, and in the paper's own tables two of eight models miss the prediction by a factor of more than six.
# Far better does the gradient *together with* the margin it has to overcome, if not exactly. The sampled maximum is a lower bound on the Lipschitz constant, the product of norms an upper one that loses contact
# as the network gets deeper.

# %% tags=["hide-input"]
import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sympy
import torch
import z3

from advsmooth import checks, claims, data, plotting, records, replays, settings
from advsmooth.analysis import lipschitz
from advsmooth.analysis import robustness_metrics as metrics
from advsmooth.training import published, runs

plotting.use_theme()
PAGE = "finlay2018/two_numbers"
UNDEFENDED = metrics.UNDEFENDED
SIZES = {"fcn": {"m": 64, "L": 3}, "lenet": {"w": 2}, "resnext": {"width": 4, "blocks": 1}}

# %% tags=["parameters"]
scale: str = "quick"  # quick (digits, seconds) | cpu (MNIST, minutes) | gpu (presets, never run)
seed: int = 0  # first seed of the networks
seeds: int = None  # networks of each model of table 2
strengths: int = None  # of these seeds, how many also train eleven further strengths of the penalty
dataset: str = None  # digits, mnist, cifar10, imagefolder:PATH
network: str = None  # fcn | lenet | resnext
n: int = None  # training images
epochs: int = None  # of training
rate: float = None  # first learning rate
batch: int = None  # images of a mini-batch
images: int = None  # test images that are measured and attacked
depths: list = None  # layers of the fully connected networks for the product of norms

# %% tags=["hide-input"]
cfg = settings.resolve(
    globals(),
    seeds=settings.count(at_most=50, quick=3),
    strengths=settings.count(at_least=0, at_most=50, quick=1, cpu=3),
    dataset=settings.text(quick="digits", cpu="mnist", gpu="cifar10"),
    network=settings.choice("fcn", "lenet", "resnext", quick="fcn", cpu="lenet", gpu="resnext"),
    n=settings.count(at_least=100, quick=1437, cpu=5000, gpu=50_000),
    epochs=settings.count(quick=20, cpu=30, gpu=200),
    rate=settings.number(at_least=0, quick=0.1, cpu=0.05, gpu=0.1),
    batch=settings.count(quick=64, cpu=128),
    images=settings.count(at_least=20, quick=200, cpu=500, gpu=1000),
    depths=settings.counts(at_least=2, quick=[2, 3, 4, 8], cpu=[2, 3, 4, 6, 8]),
)
TABLES = {"CIFAR-10": claims.claim("finlay2018-tab2"), "CIFAR-100": claims.claim("finlay2018-tab3")}
WITHIN = 1.25  # the ledger: a prediction fails if it is off by more than 25 per cent
CLOSE = 2.0  # "agrees closely", read generously: within a factor of two
RADII = [0.1, 0.2, 0.4, 0.8] if cfg.dataset == "digits" else [0.25, 0.5, 1.0, 2.0]
CLIMBED = [UNDEFENDED, "l2-TV 0.01 + Lip 0.1", "l2-TV 0.1 + Lip 1"]
cfg

# %% [markdown]
# ## The published tables
#
# Tables 2 and 3 of the paper hold everything that table 5 needs: for each regularised model the predicted improvement, TV of the undefended model over its own, and the actual one. The last column is the factor by which
# the quotient of the two can be off because the printed numbers are rounded. Both reach back to one undefended model a data set.

# %% tags=["hide-input"]
DECIMALS = {"CIFAR-10": 2, "CIFAR-100": 3}  # digits after the point of the printed distances
theirs = pd.concat(
    {
        name: metrics.published_improvements(table.published, {"l2_median_distance": DECIMALS[name]})
        for name, table in TABLES.items()
    }
)
off = np.exp(np.abs(np.log(theirs["total variation"] / theirs["median distance"])))
theirs.assign(**{"off by": off}).round(2).set_index("model", append=True).droplevel(1).map(checks.show)

# %% [markdown]
# For the six models with $\varepsilon\le0.01$ (the weight of the TV penalty) the prediction is good. The two models with $\varepsilon=0.1$ have *larger* total variation than the undefended one and are the most robust of all. The Lipschitz
# constant is no better: it predicts 6.4 times for a model that gains 3.4.
#
# **Which $f$?** The paper does not say whether $f$ is the logits or the probabilities. Along the way to the adversarial point the predicted probability must fall from nearly 1 to at most 1/2. In 0.09, the median
# distance of the undefended model, it needs a mean slope of about 5, against a total variation of 0.37. Logits of a well-trained network would need ten times more. So we take the probabilities; other readings stand beside them
# below. It also shows what is wrong with the mean at the images themselves: where the softmax is saturated, it is small whatever lies behind.
#
# ## The networks
#
# The six models of table 2 (undefended; adversarial training with one step of FGSM; TV penalty of weight $\varepsilon$ and Lipschitz penalty of weight $\lambda$ on the gradient of the *loss*), for several seeds, and eleven further
# strengths. Equal seeds share the first weights and the order of the images. Penalties are the paper's; networks and data are smaller, so published weights need not act as strongly here as there. Distances are the smaller of two
# attacks that do not saturate: DeepFool {cite}`rauber2020` and PGD on the margin of the logits. The paper's attack, PGD on the cross-entropy, is audited beside it. A network that misclassifies half of the images has median distance 0 and is left out.

# %% tags=["hide-input"]
whole, test = (data.load(cfg.dataset, split, device=cfg.device) for split in ("train", "test"))
train = whole.take(cfg.n, seed=0) if cfg.n < len(whole) else whole
test = test.take(min(cfg.images, len(test)), seed=0)
watch = records.Stopwatch()
size = {"branches": 2, "width": 32, "blocks": 5} if cfg.scale == "gpu" else SIZES[cfg.network]
how = {"epochs": cfg.epochs, "rate": cfg.rate, "batch": cfg.batch}
every = settings.seeds(cfg.seed, cfg.seeds)
planned = pd.concat(
    [
        published.finlay_runs(train, models, some, network=cfg.network, arguments=size, **how)
        for models, some in (
            (published.FINLAY_MODELS, every),
            (published.FINLAY_STRENGTHS, every[: cfg.strengths]),
        )
    ]
)
trained = runs.trained_all(list(planned.run))

# %% tags=["hide-input"]
parts = [metrics.rows("data set", cfg.seed, {"constant": lipschitz.separation(train).lipschitz}, images="data")]
for name, s, result in zip(planned.model, planned.seed, trained, strict=True):
    of, model = {"name": name, "seed": s}, result.model
    parts.append(metrics.measure(model, test.x, test.y, **of))
    if name in CLIMBED:
        parts.append(metrics.steepest_around(model, test.x, RADII, starts=24, **of))
        parts.append(metrics.products(model, test.x, **of))
    if name in (UNDEFENDED, CLIMBED[-1]) and s == cfg.seed:
        parts.append(metrics.audit(model, test.x[:100], test.y[:100], **of))
    if name == UNDEFENDED and s == cfg.seed:
        temperatures = [2.0**k for k in range(-4, 7, 2)]
        parts.append(metrics.over_temperatures(model, test.x, test.y, temperatures, **of))
for depth in cfg.depths:
    fcn = {"network": "fcn", "arguments": {"m": 64, "L": depth}, "epochs": max(1, cfg.epochs // 2), "batch": cfg.batch}
    deep = published.finlay_runs(train, {UNDEFENDED: published.FINLAY_MODELS[UNDEFENDED]}, every, **fcn)
    for s, result in zip(deep.seed, runs.trained_all(list(deep.run)), strict=True):
        parts.append(metrics.products(result.model, test.x, name=UNDEFENDED, seed=s, depth=depth))
study = pd.concat(parts, ignore_index=True)
if cfg.scale != "quick":
    records.save(
        PAGE,
        study,
        cfg=cfg,
        data=[train, test],
        cost=watch.read(),
        function=records.plain(replays.two_numbers),
        arguments={},
        label=f"{cfg.scale}-{train.name.replace(':', '-')}-{cfg.network}",
    )

# %% [markdown]
# Larger runs leave a record for each data set and network. The rule, fixed before there were results: claims are judged on the newest record of LeNets on MNIST if there is one, else on this run; what else there is stands beside it as
# an observation. The main reading (probabilities, all test images) was fixed too.


# %% tags=["hide-input"]
def described(about: settings.Settings, name: str) -> dict[str, str]:
    words = f"{about.network}, {about.images} test images of {name}, {about.seeds} seeds from {about.seed}"
    return {"sample": words, "scale": about.scale}


sources = {f"{train.name}-{cfg.network}": (study, described(cfg, train.name), cfg.network)}
for record in sorted(records.every(PAGE), key=lambda record: record.provenance["date"]):
    name = record.provenance["data"][0]["name"]
    about = settings.Settings(record.provenance["parameters"], frozenset())
    sources[f"{name}-{about.network}-record"] = (record.table, described(about, name), about.network)
judged = "mnist-lenet-record" if "mnist-lenet-record" in sources else next(iter(sources))
sources = {judged: sources[judged], **sources}
nets = {name: metrics.networks(found) for name, (found, _, _) in sources.items()}
at_right = {name: metrics.networks(found, "correct") for name, (found, _, _) in sources.items()}
found, where, kind = sources[judged]
words = "MNIST" if judged.startswith("mnist") else judged.split("-")[0]


def overview(table: pd.DataFrame) -> pd.DataFrame:
    columns = ["accuracy", "distance", "first order", "margin", "TV logits", "TV probabilities", "Lip probabilities"]
    own = table[table["model"].isin(list(published.FINLAY_MODELS))]
    return own.groupby("model", sort=False)[[*columns, "TV loss"]].mean()


pd.concat({name: overview(table) for name, table in nets.items()}).map(lambda v: f"{v:.2g}")

# %% [markdown]
# Means over seeds; *first order* and *margin* are explained below. The audit: medians of three attacks on 100 images, for an undefended and the most regularised network of the first seed.

# %% tags=["hide-input"]
audits = {}
for name, (own, _, _) in sources.items():
    rows = own[own["images"] == "audit"]
    audits[name] = rows.pivot_table(index="quantity", columns="model", values="value", sort=False)
pd.concat(audits, axis=1).map(checks.show)

# %% [markdown]
# The attack of the paper can be led astray by the very thing that is measured: where all probabilities are similar the loss rises with every other class at once, not towards the nearest boundary, and the attack goes too far. Improvements measured by it
# alone would come out too large. (Carlini-Wagner is run briefly here. The paper ran four attacks and found PGD the strongest in this norm.)
#
# ## Two numbers that can be changed at will
#
# Divide all logits by a temperature $T>0$. Every prediction stays, hence every adversarial distance. The gradient of the logits is divided by $T$, and the other two readings change as well. Here is one undefended
# network at several temperatures.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "One undefended network, logits divided by a temperature: median adversarial distance and the three readings of total variation, each relative to its value at temperature 1. The distance does not move."}, "image": {"alt": "On logarithmic axes a horizontal line for the distance; the total variations of logits, probabilities and loss fall by one to three orders of magnitude as the temperature grows."}}
hot = found[found["images"] == "temperature"].pivot_table(index="at", columns="quantity", values="value")
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 3.2))
lines = {
    "distance": "median distance",
    "TV probabilities": "TV of probabilities",
    "TV logits": "TV of logits",
    "TV loss": "TV of the loss",
}
for (column, label), style in zip(lines.items(), plotting.styles(), strict=False):
    ax.loglog(hot.index, hot[column] / hot.loc[1.0, column], label=label, **style)
ax.set_xticks(hot.index, [f"{t:g}" for t in hot.index])
ax.minorticks_off()
plotting.label(ax, "Same predictions, same distances, any total variation", "temperature $T$", "relative to $T=1$")
ax.legend()
plotting.finish(fig, f"{where['scale']} scale; {where['sample']}; first seed only")

# %% [markdown]
# So no function of the gradient alone can give the distance. It takes the *margin* as well. If logits were linear, the boundary to class $k$ would lie at distance
#
# $$
# d_1(x)=\min_{k\ne y}\frac{z_y(x)-z_k(x)}{\lVert\nabla z_y(x)-\nabla z_k(x)\rVert_2},
# $$ (finlay2018-two-first)
#
# with $z$ the logits and $y$ the label: the margin over its gradient, the first step of DeepFool, not changed by a temperature. The ratio of two models is the inverse ratio of gradients *times the ratio of margins*. Table 5
# leaves out the second factor, and is right where a penalty leaves the margin as it was. A penalty on the gradient is under no obligation to: the cheapest way to a small gradient is small logits.
#
# ## Predicted and actual

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Predicted against actual improvement of the median adversarial distance over the undefended network of the same seed. Left: recomputed from the published tables. Middle and right: our networks, predicted by total variation, and by margin over gradient. Large symbols: the five regularised models of table 2, crosses: other strengths. Line: prediction right; band: within 25 per cent."}, "image": {"alt": "Three panels on logarithmic axes. Published points lie near the diagonal except two far above it; our points by total variation spread far to the right of it; by margin over gradient they lie on it."}}
fig, (left, middle, right) = plt.subplots(1, 3, figsize=(plotting.WIDTH, 3.6))
line, styles = np.geomspace(0.3, 200, 50), list(plotting.styles())
for ax in (left, middle, right):
    ax.loglog(line, line, color=plotting.INK, linewidth=0.9)
    plotting.band(ax, line, line / WITHIN, line * WITHIN, plotting.GREY)
for (name, own), style in zip(theirs.groupby(level=0), styles, strict=False):
    bare = style | {"linestyle": "none", "markersize": 6}
    left.plot(own["total variation"], own["median distance"], label=f"{name}, TV", **bare)
    hollow = bare | {"markerfacecolor": "white"}
    left.plot(own["Lipschitz constant"], own["median distance"], label=f"{name}, Lipschitz", **hollow)
ours = {q: metrics.improvements(nets[judged], q) for q in ("TV probabilities", "first order")}
for ax, points in zip((middle, right), ours.values(), strict=True):
    others = points[~points["model"].isin(list(published.FINLAY_MODELS))]
    ax.plot(others["predicted"], others["actual"], "x", color=plotting.GREY, markersize=4, label="other strengths")
    for model, style in zip(list(published.FINLAY_MODELS)[1:], styles, strict=False):
        own = points[points["model"] == model]
        ax.plot(own["predicted"], own["actual"], label=model, **(style | {"linestyle": "none", "markersize": 6}))
plotting.label(left, "Published tables", "by TV or Lipschitz", "actual improvement (ratio)")
plotting.label(middle, f"{words}: TV", "improvement predicted by TV", "")
plotting.label(right, f"{words}: margin too", "by margin / gradient", "")
actual = [1.0, *ours["TV probabilities"]["actual"]]
widest = max([1.5, *(predicted for points in ours.values() for predicted in points["predicted"])])
limits = {left: (0.6, 8, 0.6, 8), middle: (0.75, 1.2 * widest, 0.85 * min(actual), 1.2 * max(actual))}
limits[right] = limits[middle]
for ax, (low, high, bottom, ceiling) in limits.items():
    ax.set_xlim(low, high)
    ax.set_ylim(bottom, ceiling)
    for axis, ends in ((ax.xaxis, (low, high)), (ax.yaxis, (bottom, ceiling))):
        candidates = (0.9, 1, 1.1, 1.2, 1.3, 1.4, 1.5) if ends[1] < 1.8 else (0.2, 0.5, 1, 2, 3, 5, 10, 20, 50, 100)
        ticks = [t for t in candidates if ends[0] <= t <= ends[1]]
        axis.set_ticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()
left.legend(fontsize=7, loc="lower right", handletextpad=0.1, borderaxespad=0.1)
handles, labels = middle.get_legend_handles_labels()
fig.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=8)
plotting.finish(fig, f"{where['scale']} scale; {where['sample']}; one point a network")

# %% [markdown]
# Every reading, over all networks that learned: the slope of the logarithm of the median distance on that of the predictor (the paper says $-1$ for total variation), Spearman's rank correlation, both with 95 per cent intervals from resampling *models*
# with all their seeds, and the factor by which the prediction is off at worst among the models of table 2. *Loss estimate* is equation 3.7 of the paper with the exact threshold $\log 2$.

# %% tags=["hide-input"]
PREDICTORS = [f"{number} {of}" for of in ("probabilities", "logits", "loss") for number in ("TV", "Lip")]


def judged_by(table: pd.DataFrame, quantity: str) -> dict[str, str]:
    own = table[table["model"].isin(list(published.FINLAY_MODELS))]
    worst = metrics.worst_factor(metrics.improvements(own, quantity)).max() if (own[quantity] > 0).all() else math.nan
    slope, rank = (f(table, quantity, seed=cfg.seed) for f in (metrics.power_law, metrics.rank_correlation))
    return {"slope": str(slope), "rank correlation": str(rank), "off by": "-" if math.isnan(worst) else f"{worst:.2f}"}


grid = {}
for name in sources:
    for on, table in (("all", nets[name]), ("correct", at_right[name])):
        if table["model"].nunique() >= 4 and (table["model"] == UNDEFENDED).any():
            for quantity in (*PREDICTORS, "loss estimate", "first order"):
                grid[name, on, quantity] = judged_by(table, quantity)
pd.DataFrame(grid).T.rename_axis(["source", "images", "predictor"]) if grid else "too few networks learned"

# %% [markdown]
# Watch the sign of the TV of the loss as the images change: on *correctly* classified ones a confident network has hardly any loss gradient, so that small gradients need not mean large distances. Read slope and rank together. A mean gradient can *order* models (the more a network is penalised, the smaller its gradients and the larger its distances, up to a point) and still say nothing about the *size* of the gain. And a
# fair word on the winner: {eq}`finlay2018-two-first` is the first step of one of the two attacks, so it is closer to the measurement than the others are; that it needs no attack, and comes out as a proportion, is the point.
#
# ## Is the sampled maximum the Lipschitz constant?
#
# It is attained, so the constant is at least as large. Section 2.1 of the paper warns that the maximum over data "can be a gross underestimate"; section 6 calls it accurate. An upper bound is the product $K$ of the layers' operator norms for the
# logits; for probabilities it is $\frac{\sqrt2}4K$, because a row of the softmax's Jacobian, $p_k(e_k-p)$, has norm
#
# $$
# p_k\Big((1-p_k)^2+\sum_{j\ne k}p_j^2\Big)^{1/2}\le\sqrt2\,p_k(1-p_k)\le\frac{\sqrt2}4,
# $$ (finlay2018-two-row)
#
# where $p$ is the vector of probabilities and $e_k$ a unit vector; with two classes at 1/2 it is attained.
#
# **What an exact constant would imply.** If $L$ is the Lipschitz constant of the probabilities and an adversarial point lies at distance $d$, then the probability $p_y$ of the right class and that of the class that wins there, $p_k$, satisfy
#
# $$
# p_y(x)-p_k(x)\;\le\;2Ld,
# $$ (finlay2018-two-gap)
#
# since each changes by at most $Ld$ and at the end $p_k\ge p_y$. With the published maxima and median distances this says of how uncertain half of all test images would have to be:

# %% tags=["hide-input"]
implied = {
    name: {
        model: 2 * steepness * metrics.published_column(table.published, "l2_median_distance")[model]
        for model, steepness in metrics.published_column(table.published, "max_grad_f_2inf").items()
    }
    for name, table in TABLES.items()
}
pd.concat({name: pd.Series(own, name="largest gap of half of the images") for name, own in implied.items()}).map(
    lambda v: checks.show(v) if v < 1 else "any"
).to_frame()

# %% [markdown]
# On CIFAR-100 half of the images would have a gap of at most 0.1 to 0.18, although only a fifth is misclassified. Networks of this kind are more certain than that. Either the sampled maxima are well below the
# constants, or gradients were taken with respect to *normalised* pixels while distances were not.

# %% tags=["hide-input"]
p, q, square, drop = z3.Reals("p q square drop")
gap, slope, distance, rival = z3.Reals("gap slope distance rival")
t = sympy.symbols("t", positive=True)
derivations = [
    checks.implies(
        "softmax-row",
        "the squared norm of a row of the softmax's Jacobian is at most 1/8",
        assumptions=[p >= 0, p <= 1, q >= 0, q <= (1 - p) * (1 - p), square == p * p * ((1 - p) * (1 - p) + q)],
        conclusion=square <= z3.RealVal("1/8"),
    ),
    checks.identity(
        "softmax-row-attained",
        "with two classes at probability 1/2 it is 1/8",
        left=((t * (1 - t)) ** 2 + (t * (1 - t)) ** 2).subs(t, sympy.Rational(1, 2)),
        right=sympy.Rational(1, 8),
    ),
    checks.implies(
        "gap",
        "if the right class falls and the rival rises by at most L d each and the rival wins, the gap was at most 2 L d",
        assumptions=[
            slope >= 0,
            distance >= 0,
            drop <= slope * distance,
            rival <= slope * distance,
            drop + rival >= gap,
        ],
        conclusion=gap <= 2 * slope * distance,
    ),
]

# %% [markdown]
# To look for larger norms we climb: gradient ascent on $\lVert\nabla f(x)\rVert_{2,\infty}$ itself, within growing distances of test images ("on the data" means within less than an adversarial distance), and in the whole box
# $[0,1]^d$, also from noise. What it finds is still a lower bound.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: the largest gradient norm found within a distance of test images, and in the whole box (right end); mean over seeds, band from smallest to largest; dotted: the Lipschitz constant of the training labels. Right: product of the weight norms over the sampled maximum against depth, fully connected networks; mean and range over seeds; dotted: a factor of one hundred."}, "image": {"alt": "Left, three nearly flat curves that rise by a tenth to a third, one per model, an order of magnitude or more apart from top to bottom. Right, a straight rising line on a logarithmic axis."}}
fig, (left, right) = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.4), width_ratios=(1.35, 1))
steep = found[found["quantity"] == "steepest"]
reached = sorted(steep["at"].dropna().unique())
for model, style in zip(CLIMBED, plotting.styles(), strict=False):
    own = steep[steep["model"] == model].pivot_table(
        index=steep["at"].fillna(1.5 * reached[-1]), columns="seed", values="value"
    )
    plotting.band(left, own.index, own.min(axis=1), own.max(axis=1), style["color"])
    left.semilogy(own.mean(axis=1), **style)
    left.text(0, 1.12 * own.max(axis=1).iloc[1], model, fontsize=8, color=style["color"])
constant = float(found.loc[found["quantity"] == "constant", "value"].iloc[0])
left.axhline(constant, color=plotting.INK, linestyle=":", linewidth=1)
left.text(1.5 * reached[-1], constant * 1.06, "constant of the data set", fontsize=8, ha="right")
low, high = left.get_ylim()
left.set_ylim(low, 1.2 * high)
ticks = [t for t in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if low <= t <= 1.2 * high]
left.set_yticks(ticks, [f"{t:g}" for t in ticks])
left.minorticks_off()
left.set_xticks([*reached, 1.5 * reached[-1]], [*(f"{r:g}" for r in reached), "box"], fontsize=8)
plotting.label(left, "Steeper places nearby", "distance from test images", "largest gradient norm")
layers = metrics.by_depth(found)
span = layers.groupby("at")["ratio"].agg(["mean", "min", "max"])
plotting.band(right, span.index, span["min"], span["max"], plotting.PURPLE)
right.semilogy(span["mean"], color=plotting.PURPLE, marker="D")
right.axhline(100, color=plotting.INK, linestyle=":", linewidth=1)
right.set_xticks(span.index, [f"{d:g}" for d in span.index])
plotting.label(right, "Norms lose contact", "layers", "product of norms / sampled maximum")
right.set_ylim(1, None)
plotting.finish(fig, f"{where['scale']} scale; {where['sample']}")

# %% tags=["hide-input"]
lengths = {}
for name, (own, _, _) in sources.items():
    steep = own[own["quantity"] == "steepest"].assign(place=lambda t: t["images"].where(t["at"].isna(), t["at"]))
    by = steep.pivot_table(index=["model", "seed"], columns="place", values="value", sort=False)
    whole_box = own[(own["images"] == "product") & own["at"].isna()]
    bound = whole_box.pivot_table(index=["model", "seed"], columns="quantity", values="value", sort=False)
    lengths[name] = pd.DataFrame(
        {
            "sampled": by[0.0],
            "found in the box": by["box"],
            "product": bound["product"],
            "data set": float(own.loc[own["quantity"] == "constant", "value"].iloc[0]),
        }
    )
pd.concat({name: own.groupby("model", sort=False).mean() for name, own in lengths.items()}).map(checks.show)

# %% [markdown]
# The product of norms says little about a network, and less with each layer. Whether sampled maximum and constant of the data set are close is a matter of the penalty: the strongest pushes one below the other. That is no contradiction to the theorem
# of the [page on the data sets](dataset_lipschitz): a network with a smaller constant than the data set cannot be *certain* of all its training labels, and this one is not.
#
# ## Checks


# %% tags=["hide-input"]
def short(needs: str, name: str, sentence: str, role: str) -> checks.Check:
    return checks.not_run(name, sentence, needs=needs, role=role)


def compared(name: str, sentence: str, differences, role: str, about: dict[str, str]) -> checks.Check:
    values = np.asarray(differences, dtype=float)
    if values.size < 3:
        return short("at least 3 seeds whose networks learned; pass seeds=3 or train longer", name, sentence, role)
    return checks.positive(name, sentence, differences=values, role=role, **about)


def within(source: str, quantity: str) -> np.ndarray:
    """log 1.25 less the log of the worst factor among the models of table 2, by seed."""
    own = nets[source][nets[source]["model"].isin(list(published.FINLAY_MODELS))]
    return math.log(WITHIN) - np.log(metrics.worst_factor(metrics.improvements(own, quantity)).to_numpy())


def contains(name: str, sentence: str, source: str, quantity: str, slope: float, role: str) -> checks.Check:
    if nets[source]["model"].nunique() < 4:
        return short("at least 4 models that learned", name, sentence, role)
    law = metrics.power_law(nets[source], quantity, seed=cfg.seed)
    return checks.every(
        name,
        sentence,
        cases=[law.low <= slope <= law.high],
        evidence={"slope and 95 % interval": str(law), "models": int(nets[source]["model"].nunique())},
        role=role,
        **sources[source][1],
    )


# %% tags=["hide-input"]
tab5, inverse, constants = [], [], []
for source in sources:
    own, about, _ = sources[source]
    end = "" if source == judged else f"-{source}"
    trend, corrected = ("trend", "corrected") if source == judged else ("observed", "observed")
    size = (
        "within 25 % for every regularised model of table 2, seed by seed (log 1.25 less the log of the worst factor)"
    )
    tab5 += [
        compared(
            f"tv-within{end}",
            f"the ratio of total variations gives that of the median distances {size}",
            within(source, "TV probabilities"),
            trend,
            about,
        ),
        compared(
            f"lipschitz-within{end}",
            f"so does the ratio of the largest norms: {size}",
            within(source, "Lip probabilities"),
            "observed",
            about,
        ),
        compared(
            f"first-order-within{end}",
            f"margin over gradient, not gradient alone, gives the ratio of the median distances {size}",
            within(source, "first order"),
            corrected,
            about,
        ),
    ]
    inverse += [
        contains(
            f"slope{end}",
            "the slope of log median distance on log total variation has an interval that contains -1",
            source,
            "TV probabilities",
            -1.0,
            trend,
        ),
        contains(
            f"first-order-slope{end}",
            "the slope of log median distance on log margin over gradient has an interval that contains 1",
            source,
            "first order",
            1.0,
            corrected,
        ),
    ]
    sampled, climbed = (
        lengths[source][c].groupby("model").get_group(UNDEFENDED) for c in ("sampled", "found in the box")
    )
    log = np.log(climbed / sampled)
    constants += [
        compared(
            f"accurate{end}",
            "gradient ascent finds nothing more than 25 % above the sampled maximum, undefended networks "
            "(log 1.25 less the log of the factor)",
            math.log(WITHIN) - log,
            trend,
            about,
        ),
        compared(
            f"lower-bound{end}",
            "gradient ascent finds larger norms than the sampled maximum, undefended networks (log of the factor)",
            log,
            corrected,
            about,
        ),
    ]

# %% tags=["hide-input"]
tab5.insert(
    0,
    checks.at_most(
        "published-ratios",
        "in tables 2 and 3 the two ratios agree within 25 % for every regularised model, rounding taken in their favour",
        measured=off / theirs["rounding"],
        bound=WITHIN,
        sample="8 regularised models, recomputed here from the published tables",
        role="printed",
        scale="",
    ),
)
orders = [
    metrics.rank(
        metrics.published_column(table.published, "mean_grad_f_2inf"),
        metrics.published_column(table.published, "l2_median_distance"),
    )
    for table in TABLES.values()
]
inverse.insert(
    0,
    checks.at_most(
        "published-order",
        "in either of tables 2 and 3 the median distance falls with total variation (rank correlation below 0)",
        measured=orders,
        bound=0.0,
        sample="6 models on CIFAR-10, 4 on CIFAR-100",
        role="printed",
        scale="",
    ),
)
at_one = hot["distance"].to_numpy()
inverse += [
    checks.equal(
        "temperature",
        "the median distance of a network is the same at every temperature",
        measured=at_one,
        expected=at_one[0],
        atol=1e-4,  # powers of two are exact; Foolbox's DeepFool adds a constant of 1e-8 to its quotients
        role="observed",
        **where,
    ),
    checks.every(
        "temperature-moves-tv",
        "while its total variation changes by a factor of ten or more",
        cases=[hot["TV probabilities"].max() >= 10 * hot["TV probabilities"].min()],
        evidence={"factor": hot["TV probabilities"].max() / hot["TV probabilities"].min()},
        role="observed",
        **where,
    ),
]
if nets[judged]["model"].nunique() >= 4:
    gain = metrics.rank_gain(nets[judged], "first order", "TV probabilities", seed=cfg.seed)
    inverse.append(
        checks.every(
            "orders-better",
            "margin over gradient orders the models better than total variation (larger rank correlation, interval above 0)",
            cases=[gain.low > 0],
            evidence={"difference and 95 % interval": str(gain)},
            role="observed",
            **where,
        )
    )

# %% tags=["hide-input"]
set_constants = claims.claim("finlay2018-tab4").published
labels = [set_constants[name.replace("-", "")] for name in TABLES]
printed = [metrics.published_column(table.published, "max_grad_f_2inf") for table in TABLES.values()]
apart = [max(v / c, c / v) for column, c in zip(printed, labels, strict=True) for v in column.values()]
four = layers[layers["at"] == 4]
wide = nets[judged].pivot_table(index="seed", columns="model", values="Lip probabilities", sort=False)
box, product = lengths[judged]["found in the box"], lengths[judged]["product"]
away = np.log(lengths[judged]["sampled"] / lengths[judged]["data set"]).abs().groupby("seed").max()
constants = derivations + constants
constants += [
    checks.at_most(
        "published-close",
        "the sampled maxima of tables 2 and 3 are within a factor of two of the constants of table 4",
        measured=apart,
        bound=CLOSE,
        sample="10 models, published numbers",
        role="printed",
        scale="",
    ),
    compared(
        "close-to-data-set",
        "our sampled maxima are within a factor of two of the constant of the training labels, all three models of the "
        "figure (log 2 less the log of the worst factor)",
        math.log(CLOSE) - away,
        "trend",
        where,
    ),
    compared(
        "hundredfold",
        "the product of norms of a network of 4 layers is more than 100 times the sampled maximum (log10 less 2)",
        np.log10(four["ratio"]) - 2,
        "trend",
        where,
    ),
    compared(
        "grows-with-depth",
        "the ratio of the two grows with depth (log10 a layer, seed by seed)",
        metrics.growth(layers) if len(cfg.depths) > 1 else [],
        "trend",
        where,
    ),
    compared(
        "penalty-reduces",
        "TV and Lipschitz penalties on the loss (0.01, 0.1) reduce the largest model gradient (log of the factor)",
        np.log(wide[UNDEFENDED] / wide["l2-TV 0.01 + Lip 0.1"]).dropna()
        if {UNDEFENDED, "l2-TV 0.01 + Lip 0.1"} <= set(wide)
        else [],
        "trend",
        where,
    ),
    compared(
        "lipschitz-term-alone",
        "and the Lipschitz penalty does so beyond the TV penalty (log of the factor)",
        np.log(wide["l2-TV 0.01"] / wide["l2-TV 0.01 + Lip 0.1"]).dropna()
        if {"l2-TV 0.01", "l2-TV 0.01 + Lip 0.1"} <= set(wide)
        else [],
        "observed",
        where,
    ),
    checks.at_most(
        "below-product",
        "what the ascent finds stays below the bound, sqrt(2)/4 times the product of norms",
        measured=box,
        bound=metrics.SOFTMAX_ROW * product,
        role="corrected",
        **where,
    )
    if kind != "resnext"
    else short(
        "a network without branches", "below-product", "what the ascent finds stays below the bound", "corrected"
    ),
]
logistic = torch.nn.Linear(4, 2, bias=False)
with torch.no_grad():
    logistic.weight.copy_(torch.tensor([[3.0, -1.0, 2.0, 0.5], [0.0, 0.0, 0.0, 0.0]]))
starts = 0.4 + 0.2 * torch.rand(8, 4, generator=settings.generator(cfg.seed))  # far from the boundary, in the box
constants.append(
    checks.equal(
        "ascent",
        "on a two-class linear model the ascent finds the largest norm, a quarter of that of the weights",
        measured=metrics.climb(logistic, starts, 2.0, steps=400)[0] / (logistic.weight[0].norm() / 4),
        expected=1.0,
        atol=2e-3,  # steps of 1/80 across a maximum that is flat to second order
        sample="8 random starts, 4 pixels",
        role="method",
        scale=cfg.scale,
    )
)

# %% [markdown]
# ## Verdict

# %%
claims.report(
    claims.verdict(
        "finlay2018-tab5",
        tab5,
        note="Offered as a correction: the margin over its gradient predicts. The checks above say whether it does so as sharply as claimed of TV.",
    ),
    claims.verdict(
        "finlay2018-obs-tv-inverse",
        inverse,
        note="To first order the statement is right of two models with equal margins. The proposed correction adds the margins.",
    ),
    claims.verdict(
        "finlay2018-obs-lipschitz-estimates",
        constants,
        note="Offered as a correction: the sampled maximum is a lower bound, the product of norms an upper one; the constant lies between.",
    ),
)

# %% [markdown]
# ## Limits, and one thing to try
#
# The networks are small, the data smaller than the paper's, and the penalties bite differently: with clipped gradients and few epochs a weight of 0.01 hardly changes a network of ours. What would
# change the verdicts on tables and law: a family of models in which the penalty moves gradients and leaves margins alone. The published models with $\varepsilon=0.01$ may be one; that the two with $\varepsilon=0.1$ are not can be read off
# the printed numbers. Distances come from attacks and are upper bounds; so does what the ascent finds bound the Lipschitz constant from below only. Exact constants of small networks are within reach of mixed-integer
# programming, not done here. An interval over seventeen models that share their seeds speaks of such models only.
#
# Only the models of table 2, more seeds; the extreme model goes, and the slope with it:
#
# ```bash
# papermill notebooks/finlay2018/two_numbers.ipynb out.ipynb -p seeds 5 -p strengths 0
# ```
