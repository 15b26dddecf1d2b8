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
# # Sharper minima
#
# *Does adversarial training with a larger budget end in a sharper place, and what makes it sharp?*
#
# An image $x_i$ with label $y_i$, $i=1,\dots,n$, has the loss $g(x_i,\theta)$ under a network with parameters $\theta$; here it is the cross-entropy,
# in nats. The adversary moves every pixel by at most $\varepsilon$, the *budget*. The adversarial loss is
# $\mathcal L_\varepsilon(\theta)=\frac1n\sum_i\max_{\lVert x'-x_i\rVert_\infty\le\varepsilon}g(x',\theta)$, and sharpness is measured by the largest
# eigenvalues of its Hessian $\nabla^2_\theta\mathcal L_\varepsilon$.
#
# :::{prf:observation} Figure 2 of Liu et al.
# :label: liu2020-fig2
# :nonumber:
#
# At the end of training, the 20 largest eigenvalues of $\nabla^2_\theta\mathcal L_\varepsilon$ of a ResNet18 on CIFAR-10 grow with $\varepsilon$, as computed and
# after division by the scale of the loss, its mean at random parameters ({cite:t}`liu2020`, section 4.2).
# :::
#
# :::{prf:observation} Figure 9 of Liu et al.
# :label: liu2020-fig9
# :nonumber:
#
# The same holds for LeNets on MNIST (appendix C.2.2).
# :::
#
# :::{prf:observation} Figure 11 of Liu et al.
# :label: liu2020-fig11
# :nonumber:
#
# The curves of the training loss have similar magnitude for all budgets and a smaller range for larger ones; larger curvature is
# therefore not due to a larger loss (appendix C.2.2).
# :::
#
# :::{prf:observation} Figure 12 of Liu et al.
# :label: liu2020-fig12
# :nonumber:
#
# Drawn as a surface, $\mathcal L_\varepsilon(\theta+a_1v_1+a_2v_2)$ around the trained $\theta$, with $v_1,v_2$ the unit eigenvectors of the two largest
# eigenvalues, is more curved for larger budgets (appendix C.2.2).
# :::
#
# :::{prf:definition} The scale of the loss, appendix C.2.2 of Liu et al.
# :label: liu2020-obs-loss-scale
# :nonumber:
#
# The mean of $\mathcal L_\varepsilon$ over 10 randomly drawn $\theta$, on the training set. It is said to be nearly the same for every budget.
# :::
#
# **In short.** On MNIST, networks trained with an attack end about ten times as sharp as networks trained without, normalised or not; among attacked networks
# the budget makes no clear difference to the eigenvalues. The growth comes with the loss that is left: the logits become *less* sensitive to the parameters, the answers less sure, and at
# equal training loss the attacked network need not be the sharper one. What does grow steeply is the loss with the adversary allowed to answer each step: it is up to ten times as curved as the Hessian with frozen examples says.

# %% tags=["hide-input"]
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import z3

from advsmooth import checks, claims, data, plotting, records, replays, settings
from advsmooth.analysis import parameter_space, perturbations, sharpness
from advsmooth.attacks.gradient import PGD
from advsmooth.models import registry
from advsmooth.training import published, runs

plotting.use_theme()
PAGE = "liu2020/sharper_minima"

# %% tags=["parameters"]
scale: str = "quick"  # quick (digits, seconds) | cpu (MNIST, an hour with training) | gpu (ResNet18 on CIFAR-10)
seed: int = 0  # first seed of the networks
seeds: int = None  # networks at each budget
dataset: str = None  # digits, mnist, cifar10, imagefolder:PATH, ...
network: str = None  # lenet | resnet18
w: int = None  # width factor
images: int = None  # training images
budgets: list = None  # attack budgets, pixel scale
steps: int = None  # mini-batches of training
batch: int = None  # images of a mini-batch
rate: float = None  # learning rate of Adam
pgd_steps: int = None  # attack steps in training
subset: int = None  # training images on which loss and Hessian are measured
samples: int = None  # random parameters for the scale of the loss
scale_w: int = None  # a further width at which that scale is measured
points: int = None  # of the surfaces, along each side

# %% tags=["hide-input"]
cfg = settings.resolve(
    globals(),
    seeds=settings.count(at_least=3, at_most=50, quick=4, cpu=3),
    dataset=settings.text(quick="digits", cpu="mnist", gpu="cifar10"),
    network=settings.choice("lenet", "resnet18", quick="lenet", gpu="resnet18"),
    w=settings.count(quick=2, cpu=4, gpu=8),
    images=settings.count(at_least=100, quick=1437, cpu=8000, gpu=50_000),
    budgets=settings.numbers(
        at_least=0,
        at_most=1,
        quick=[0.0, 0.05, 0.1, 0.15],
        cpu=[0.0, 0.1, 0.2, 0.3, 0.4],
        gpu=[0.0, 2 / 255, 4 / 255, 8 / 255],
    ),
    steps=settings.count(at_least=20, quick=300, cpu=2000, gpu=8000),
    batch=settings.count(quick=64, cpu=128),
    rate=settings.number(at_least=0, quick=3e-3, cpu=1e-3),
    pgd_steps=settings.count(quick=4, cpu=6),
    subset=settings.count(at_least=50, quick=200, cpu=500),
    samples=settings.count(at_least=3, quick=10),
    scale_w=settings.count(quick=2, cpu=16, gpu=8),
    points=settings.count(at_least=3, quick=5, cpu=7),
)
TOP, WINDOW = 20, 20  # eigenvalues; mini-batches in a running mean of the training loss
SPACING, REACH = 0.05, 0.25  # of the second differences and of the surfaces, along unit eigenvectors
first_seeds = settings.seeds(cfg.seed, cfg.seeds)
cfg

# %% [markdown]
# ## The scale of the loss
#
# A loss that is merely larger everywhere would have larger second derivatives, too. The paper therefore divides every eigenvalue by the mean loss of 10 random $\theta$
# at the same budget. It does not say how they are drawn; we take PyTorch's default initialisation, as the trained networks do.
# The inner maximum is approached by projected gradient descent (PGD) with 20 steps of $\varepsilon/8$ from a random point of the ball. For comparison we also run a *short*
# attack of ten steps that together move a pixel by a quarter of the largest budget and no further, with and without the random start.

# %% tags=["hide-input"]
everything = data.load(cfg.dataset, device=cfg.device)
train_set = everything.take(min(cfg.images, len(everything)), seed=0)
measured_on = train_set.take(min(cfg.subset, len(train_set)), seed=0)
few = measured_on.take(min(100, len(measured_on)))
x, y = measured_on.x, measured_on.y
inits = settings.seeds(cfg.seed, cfg.samples)
watch = records.Stopwatch()


def attack(eps: float, **options) -> PGD | None:
    return PGD(eps=eps, **({"steps": 20} | options)) if eps > 0 else None


def scales(name: str, w: int, **options) -> list[pd.DataFrame]:
    def fresh(s: int):
        shape, classes = train_set.shape, len(train_set.class_names)
        return registry.build(cfg.network, in_shape=shape, classes=classes, seed=s, w=w).to(cfg.device)

    found = {
        eps: perturbations.loss_scale(fresh, few.x, few.y, seeds=inits, attack=attack(eps, **options))
        for eps in cfg.budgets
    }
    return [sharpness.rows(eps, cfg.seed, {name: losses.tolist()}) for eps, losses in found.items()]


short = {"steps": 10, "step_size": max(cfg.budgets) / 40}  # a quarter of the largest budget in all
own = scales("scale", cfg.w)
parts = [
    *own,
    *([p.assign(quantity="scale_full") for p in own] if cfg.scale_w == cfg.w else scales("scale_full", cfg.scale_w)),
    *scales("scale_short", cfg.scale_w, **short),
    *scales("scale_still", cfg.scale_w, random_start=False, **short),
]

# %% [markdown]
# ## The networks
#
# LeNets of the paper's kind, but narrower, are trained with Adam at each constant budget: on the digits here, on 8,000 MNIST images in the recorded run. A narrow
# network under a large budget may never leave the constant classifier, whose loss is $\log 10$. It has no curvature because it has learned nothing, so counting it would bend
# every trend downwards. The rule, the same at every scale: a network *learned* if its robust accuracy on the measured training images exceeds the share of the most
# frequent class by more than 0.1; a budget enters the trends if all its networks learned.
#
# Of each network we keep the top 20 eigenvalues of the Hessian of the mean adversarial loss on a fixed subset of the training images. The adversarial examples are *frozen*: made once, in
# evaluation mode, and held fixed inside the Hessian-vector products. (The paper leaves this open.) We use the Lanczos method in place of power iteration; it
# finds the eigenvalues of largest magnitude, each with a residual $\lVert Hv-\lambda v\rVert\le10^{-3}\lvert\lambda\rvert$.


# %% tags=["hide-input"]
def train(some: list[runs.Run]) -> list:
    some = [replace(run, network=cfg.network) for run in some]
    if cfg.scale == "quick" and cfg.network == "lenet":
        return runs.trained_together(some)
    return runs.trained_all(some, measures={"distance": parameter_space.distance_from})


how = {"w": cfg.w, "rate": cfg.rate, "pgd_steps": cfg.pgd_steps, "batch": cfg.batch}
keys = [(eps, s) for eps in cfg.budgets for s in first_seeds]
family = published.liu_budgets(train_set, cfg.budgets, first_seeds, steps=cfg.steps, **how)
trained = dict(zip(keys, train(family), strict=True))

# %% tags=["hide-input"]
tops = {}
for (eps, s), result in trained.items():
    found, pairs, moved = sharpness.spectrum(
        result.model, x, y, attack(eps), k=TOP, seed=s, linearised=cfg.scale != "quick"
    )
    found |= sharpness.second_differences(result.model, pairs, x, y, moved, attack(eps), spacing=SPACING, seed=s)
    found |= sharpness.curve(result.steps["loss"].tolist(), WINDOW, 24)
    parts.append(sharpness.rows(eps, s, found))
    tops[eps, s] = pairs, moved
learners = sharpness.kept(sharpness.networks(pd.concat(parts)))
if learners["eps"].nunique() < 2:
    raise settings.SettingsError("fewer than two budgets at which every network learned; train longer or attack less")
low, high = learners["eps"].min(), learners["eps"].max()

# %% tags=["hide-input"]
for s in first_seeds:
    level = sharpness.running(trained[high, s].steps["loss"].tolist(), WINDOW)[-1]
    stop = sharpness.first_at(trained[low, s].steps["loss"].tolist(), level, WINDOW) or cfg.steps
    (early,) = train(published.liu_budgets(train_set, [low], [s], steps=stop, **how))
    found, _, _ = sharpness.spectrum(early.model, x, y, attack(low), k=1, seed=s)
    chosen = {"loss": found["loss"], "top": found["eigenvalue"][0], "sensitivity": found["sensitivity"]}
    parts.append(sharpness.rows(low, s, {"equal_step": stop} | {f"equal_{name}": v for name, v in chosen.items()}))

# %% tags=["hide-input"]
offsets = [REACH * (k + 1) / 10 for k in range(10)]
for eps in cfg.budgets:
    model, (pairs, moved) = trained[eps, cfg.seed].model, tops[eps, cfg.seed]
    plane = {"reach": REACH, "points": cfg.points, "seed": cfg.seed}
    found = {"surface_frozen": sharpness.surface(model, pairs, moved, y, **plane)}
    if eps in (low, high):
        lines = sharpness.even_parts(model, pairs.vectors[0], x, y, moved, attack(eps), offsets=offsets, seed=cfg.seed)
        found |= {"line_at": offsets} | {f"line_{name}": values for name, values in lines.items()}
    if eps == high:
        found["surface_anew"] = sharpness.surface(model, pairs, x, y, attack=attack(eps), **plane)
    parts.append(sharpness.rows(eps, cfg.seed, found))
study = pd.concat(parts, ignore_index=True)
if cfg.scale != "quick":
    records.save(
        PAGE,
        study,
        cfg=cfg,
        data=[train_set],
        cost=watch.read(),
        function=records.plain(replays.sharper_minima),
        arguments={},
    )

# %% [markdown]
# ## Losses
#
# A run on MNIST takes longer than a page may and leaves a record; the page shows the newest one beside its own numbers.
# *Unsureness* and *sensitivity* are explained below.

# %% tags=["hide-input"]
record = records.newest(PAGE, "cpu") if cfg.scale == "quick" else None
shown = [(f"{cfg.dataset}, this run", study, cfg)]
if record is not None:
    recorded = settings.Settings(record.provenance["parameters"], frozenset())
    shown = [(f"{recorded.dataset}, recorded", record.table, recorded), *shown]


def sample(about: settings.Settings) -> str:
    of = f"{about.network} of width {about.w}, {about.subset} images of {about.dataset}"
    return f"{of}, {about.seeds} seeds from {about.seed}"


note = "\n".join(f"{about.scale} scale: {sample(about)}" for _, _, about in shown)
nets = [sharpness.networks(found) for _, found, _ in shown]
kept = [sharpness.kept(found) for found in nets]
pd.concat({name: sharpness.overview(found) for (name, _, _), found in zip(shown, nets, strict=True)})

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Mean adversarial training loss over 20 mini-batches at each budget; line: mean over the seeds, band: smallest to largest. Dotted: the loss of a constant classifier. Larger budgets come down less, so their range is smaller and their last loss larger."}, "image": {"alt": "Falling curves, one a budget, that start together at the dotted line. The larger the budget the higher the curve ends; in the recorded run the largest budget stays at the dotted line."}}
fig, axes = plt.subplots(1, len(shown), figsize=(plotting.WIDTH, 3.4), sharey=True, squeeze=False)
for ax, (name, found, _), table in zip(axes[0], shown, nets, strict=True):
    curves = found[found["quantity"] == "curve"]
    for (eps, own), style in zip(curves.groupby("eps"), plotting.styles(), strict=False):
        at_step = own.groupby("index")["value"]
        stuck = "" if table.loc[table["eps"] == eps, "learned"].all() else " (not learned)"
        plotting.band(ax, at_step.min().index, at_step.min(), at_step.max(), style["color"])
        ax.semilogx(at_step.mean(), label=f"{eps:g}{stuck}", markevery=3, **style)
    ax.axhline(np.log(len(train_set.class_names)), color=plotting.GREY, linewidth=0.8, linestyle=":")
    plotting.label(ax, name, "mini-batch", "adversarial training loss (nats)" if ax is axes[0, 0] else "")
    ax.minorticks_off()
    ax.legend(title="budget", loc="lower left")
plotting.finish(fig, note)

# %% [markdown]
# All curves start at $\log 10$, and those of larger budgets come down less. So the range is smaller, as figure 11 says. But this is the same as
# to say that the minima under larger budgets have a *larger loss*, by a factor far above two. "Similar magnitude" is true of the start, not of the place where the Hessian is taken.
#
# ## Spectra

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Top 20 Hessian eigenvalues by rank: normalised by the loss at random parameters (solid) and original (dashed), geometric means over the seeds; band: smallest to largest of the normalised ones. Budgets at which a network learned nothing are left out. Dashed and solid lines of one budget differ by nearly the same factor at every budget."}, "image": {"alt": "Falling curves of eigenvalue against rank on a logarithmic axis. On MNIST the clean networks lie a factor of ten below the others, which lie close together; on digits the curves are closer and the largest budget is not the highest."}}
fig, axes = plt.subplots(1, len(shown), figsize=(plotting.WIDTH, 3.9), squeeze=False)
for ax, (name, found, _), table in zip(axes[0], shown, kept, strict=True):
    divisor = table.groupby("eps")["scale"].first()
    ranked = found[(found["quantity"] == "eigenvalue") & found["eps"].isin(divisor.index)]
    for (eps, own), style in zip(ranked.groupby("eps"), plotting.styles(), strict=False):
        logs = np.log(own["value"].abs()).groupby(own["index"])
        middle, least, most = (np.exp(part) for part in (logs.mean(), logs.min(), logs.max()))
        plotting.band(ax, middle.index, least / divisor[eps], most / divisor[eps], style["color"])
        ax.semilogy(middle / divisor[eps], label=f"{eps:g}", markevery=3, **(style | {"linestyle": "-"}))
        ax.semilogy(middle, **(style | {"linestyle": "--", "linewidth": 1, "marker": ""}))
    ax.set_xticks([1, 5, 10, 15, 20])
    ax.minorticks_off()
    plotting.label(ax, name, "rank", "Hessian eigenvalue" if ax is axes[0, 0] else "")
    ax.legend(title="budget", loc="lower left", ncols=2)
plotting.finish(fig, note)

# %% [markdown]
# The normalised eigenvalues are the original ones divided by almost the same number, about $\log 10$, for every budget, so differences of more than a few percent stay. The normalisation
# answers whether the loss is larger at *random* parameters, not whether it is larger where the network ended.
#
# ## What makes it sharp
#
# Does the larger loss at the end explain the larger curvature? For one example with logits $z\in\mathbb R^K$, softmax $p$, one-hot label $e_y$ and $J=\partial z/\partial\theta$,
#
# $$
# \begin{aligned}
# \nabla^2_\theta\,g&=J^TA\,J+\sum_k(p-e_y)_k\,\nabla^2_\theta z_k,\\
# A&=\mathrm{diag}(p)-pp^T,\qquad \operatorname{tr}A=1-\sum_kp_k^2 .
# \end{aligned}
# $$
#
# The first part makes up nearly all of the top eigenvalue (compare the columns of the table above). It has two factors. The *unsureness* $1-\sum_kp_k^2$ vanishes for a network that is sure of its
# answers, and is at most $2(1-p_y)\le2g$: where the loss is tiny, so is this factor. The *sensitivity*, the top eigenvalue of the mean of $J^TAJ$ with all $p_k=1/K$, says how strongly the parameters
# move the logits, however sure the network is.
#
# A second control is direct. We stop the training at the smallest budget when its training loss, a mean over 20 mini-batches, has come down to where the training at the largest
# budget ended, and measure there.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Top eigenvalue, unsureness and sensitivity relative to the smallest budget; line: geometric mean over the seeds, band: smallest to largest. Crosses: the top eigenvalue of networks at the smallest budget that were stopped when their training loss was that of the largest budget."}, "image": {"alt": "Against the budget, unsureness rises steeply and sensitivity falls; the top eigenvalue rises between them. The crosses lie above the top eigenvalue of the largest budget on MNIST and below it on digits."}}
fig, axes = plt.subplots(1, len(shown), figsize=(plotting.WIDTH, 3.6), sharey=True, squeeze=False)
names = {"top": "top eigenvalue", "unsureness": "unsureness", "sensitivity": "sensitivity"}
for ax, (name, _, _), table in zip(axes[0], shown, kept, strict=True):
    for (column, words), style in zip(names.items(), plotting.styles(), strict=False):
        ratio = sharpness.against_smallest(table, column)
        plotting.band(ax, ratio.columns, ratio.min(), ratio.max(), style["color"])
        ax.semilogy(np.exp(np.log(ratio).mean()), label=words, **style)
    early = sharpness.against_smallest(table, "top", "equal_top").iloc[:, 0]
    ax.plot([table["eps"].max()] * len(early), early, "kx", label="smallest budget, stopped\nat equal training loss")
    ax.axhline(1, color=plotting.GREY, linewidth=0.8)
    ax.set_xticks(sorted(table["eps"].unique()))
    ax.minorticks_off()
    plotting.label(ax, name, "budget (pixel scale)", "ratio to the smallest budget" if ax is axes[0, 0] else "")
axes[0, -1].legend(loc="upper left")
plotting.finish(fig, note)

# %% [markdown]
# *Between the ends of training*, eigenvalues grow although the sensitivity falls: what grows is the unsureness, that is, the loss that is left. The sentence "not due to a larger loss"
# does not follow from figure 11, which looks at the start of the curves. *At equal training loss* the answer depends on the data: on MNIST the clean network, stopped early, is at least as sharp;
# on digits the attacked one is sharper. A network on its way down is not at a minimum, so this control has a flaw of its own; but being sharper at equal loss is not a general fact.
#
# ## Surfaces
#
# The eigenvalues belong to frozen examples, but the loss in figure 12 is $\mathcal L_\varepsilon$, whose examples move with the parameters. Let $F(d)$ be the loss at $\theta+d$ with the examples
# frozen at $\theta$. They stay allowed at $\theta+d$, so $F(d)\le\mathcal L_\varepsilon(\theta+d)$; at $d=0$ the two are equal, if the attack found the maxima. Hence, for every $v$ and $a$,
#
# $$
# \begin{aligned}
# &\frac{F(av)+F(-av)-2F(0)}{a^2}\\
# &\quad\le\frac{\mathcal L_\varepsilon(\theta+av)+\mathcal L_\varepsilon(\theta-av)-2\mathcal L_\varepsilon(\theta)}{a^2}.
# \end{aligned}
# $$ (liu2020-sharper-minima-below)
#
# So *the Hessian with frozen examples understates the curvature of the adversarial loss.* The lower panels show the mean rise
# $\frac12(\mathcal L(\theta+av)+\mathcal L(\theta-av))-\mathcal L(\theta)$ along the top eigenvector, which is $\frac12\lambda a^2$ where the loss is smooth enough.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Above: the loss around a trained network along its top two eigenvectors, offsets up to 0.25 each way, height in nats, contour lines on the floor: at the smallest budget, at the largest with examples frozen and found anew at each point, and at a budget where the network learned nothing. Below: mean rise of the loss at distance a on both sides along the top eigenvector, at the smallest and the largest budget."}, "image": {"alt": "Bowls at the smallest and the largest budget; the one with examples found anew is the steepest. The surface of a network that learned nothing is flat. Below, at budget zero both curves coincide; at the largest budget the curve with examples found anew lies far above the one with frozen examples."}}
name, found, about = shown[-1] if cfg.given else shown[0]
table = sharpness.kept(sharpness.networks(found))
ends = table["eps"].min(), table["eps"].max()
stuck = [eps for eps in about.budgets if eps > ends[1]][-1:]
panels = [("surface_frozen", ends[0]), ("surface_frozen", ends[1]), ("surface_anew", ends[1])]
panels += [("surface_frozen", eps) for eps in stuck]
fig = plt.figure(figsize=(plotting.WIDTH, 5.4), layout="none")
for k, (quantity, eps) in enumerate(panels):
    share = 0.97 / len(panels)
    ax = fig.add_axes((0.005 + k * share, 0.59, 0.95 * share, 0.33), projection="3d")
    height = sharpness.of_seed(found, quantity, eps, about.seed).reshape(about.points, about.points)
    a1, a2 = np.meshgrid(*[np.linspace(-REACH, REACH, about.points)] * 2, indexing="ij")
    look = {"cmap": "cividis", "vmin": 0, "vmax": 5, "edgecolor": plotting.INK, "linewidth": 0.3}
    ax.plot_surface(a1, a2, height, **look)
    if np.ptp(height) > 0.5:
        ax.contour(a1, a2, height, levels=5, zdir="z", offset=0, colors=plotting.INK, linewidths=0.6)
    ax.set(zlim=(0, 8), xticks=[], yticks=[], zticks=[0, 4, 8], xlabel="$a_1$", ylabel="$a_2$")
    ax.xaxis.labelpad = ax.yaxis.labelpad = -14
    ax.tick_params(labelsize=7, pad=-3)
    words = {"surface_anew": "found anew"}.get(quantity, "not learned" if eps in stuck else "frozen")
    ax.set_title(f"budget {eps:g}\n{words}", loc="center", fontsize=9, pad=0)
for k, eps in enumerate(ends):
    ax = fig.add_axes((0.085 + 0.495 * k, 0.12, 0.41, 0.37))
    at = sharpness.of_seed(found, "line_at", eps, about.seed)
    top = sharpness.of_seed(found, "eigenvalue", eps, about.seed)[0]
    ax.plot(at, top * at**2 / 2, "k:", label="parabola of the eigenvalue")
    for (kind, words), style in zip(
        {"frozen": "examples frozen", "anew": "found anew"}.items(), plotting.styles(), strict=False
    ):
        ax.plot(at, sharpness.of_seed(found, f"line_{kind}", eps, about.seed), label=words, **style)
    ax.axhline(0, color=plotting.GREY, linewidth=0.8)
    plotting.label(
        ax,
        f"{name}: budget {eps:g}",
        "distance $a$ along the top eigenvector",
        "mean rise of the loss (nats)" if k == 0 else "",
    )
    ax.legend(loc="upper left")
plotting.finish(fig, f"{about.scale} scale: {sample(about)}; surfaces and lines of the first seed")

# %% [markdown]
# Near an adversarially trained network the adversarial loss has a kink: a small step in either direction lets the adversary gain at once, because examples that were the worst are so no
# longer. With the examples frozen the same kink points the other way, and the loss can even *fall* on both sides. The Hessian sees neither: it is the curvature between kinks (ReLUs and maxima
# have no other). It is a fair index of sharpness, but of the smooth part only.
#
# ## Random parameters: the published numbers

# %% tags=["hide-input"]
ledger = claims.claim("liu2020-obs-loss-scale")
printed = dict(zip(ledger.published["MNIST"]["eps"], ledger.published["MNIST"]["loss"], strict=True))
lines = {"published": printed} if shown[0][2].dataset == "mnist" else {}
kinds = {
    "scale_full": "full attack",
    "scale_short": "short attack",
    "scale_still": "short attack, no random start",
}
for name, found, _ in shown:
    for quantity, words in kinds.items():
        lines[f"{name}: {words}"] = dict(found[found["quantity"] == quantity].groupby("eps")["value"].mean())
pd.DataFrame(lines).T.map(lambda v: "" if pd.isna(v) else f"{v:.3f}").rename_axis("mean loss at budget")


# %% [markdown]
# At the default initialisation the published clean value comes out, and the one at the first budget. Then ours keep rising, nearly in proportion to the budget, as they must: a random
# network is almost linear in its input over such distances. The published ones level off after the first step. So do ours under the short attack, which
# is spent after a quarter of the largest budget. We cannot see the paper's code for this number; that its attack was stopped early is a guess that fits.
#
# ## Checks


# %% tags=["hide-input"]
def sharper(table: pd.DataFrame, about: settings.Settings) -> list[checks.Check]:
    evidence = {"sample": sample(about), "scale": about.scale}
    words = {
        "top": "the largest eigenvalue",
        "sum": "the sum of the 20 largest",
        "top_normalised": "the largest eigenvalue over the scale of the loss",
        "sum_normalised": "the sum of the 20 largest over the scale of the loss",
    }
    first, last = (table[table["eps"] == e].set_index("seed") for e in (table["eps"].min(), table["eps"].max()))
    return [
        *(
            checks.positive(
                name.replace("_", "-"),
                f"{what} grows with the budget: its log10 has a positive slope (per unit of the budget)",
                differences=sharpness.slopes(table, name),
                **evidence,
            )
            for name, what in words.items()
        ),
        checks.positive(
            "equal-loss",
            "beyond the claim: larger than at the smallest budget stopped at equal training loss (log10 ratio)",
            differences=np.log10(last["top"] / first["equal_top"]),
            role="observed",
            **evidence,
        ),
        checks.positive(
            "attacked",
            "beyond the claim: the largest eigenvalue grows above the smallest budget, too (slope of log10)",
            differences=sharpness.slopes(table[table["eps"] > table["eps"].min()], "top"),
            role="observed",
            **evidence,
        ),
        checks.positive(
            "sensitivity",
            "beyond the claim: the sensitivity of the logits to the parameters grows, too (slope of log10)",
            differences=sharpness.slopes(table, "sensitivity"),
            role="observed",
            **evidence,
        ),
        *method(table, about),
    ]


def method(table: pd.DataFrame, about: settings.Settings) -> list[checks.Check]:
    evidence = {"sample": sample(about), "scale": about.scale, "role": "method"}
    return [
        checks.every("converged", "the eigenvalue solver met its tolerance", cases=table["converged"], **evidence),
        checks.equal(
            "rayleigh",
            "differentiating twice backwards along the top eigenvector gives the top eigenvalue (ratio)",
            measured=table["rayleigh"] / table["top"],
            expected=1.0,
            atol=2e-3,  # a residual of 1e-3 of the eigenvalue, and single precision
            **evidence,
        ),
    ]


def needs(what: str) -> checks.Check:
    return checks.not_run(
        "cifar10",
        what,
        needs="a GPU and the CIFAR-10 images: advsmooth download cifar10, then run this page at scale=gpu",
        role="trend",
    )


# %% [markdown]
# The inequality {eq}`liu2020-sharper-minima-below` uses nothing but three comparisons, which z3 confirms.

# %% tags=["hide-input"]
still = z3.Reals("frozen_minus frozen_0 frozen_plus")
new = z3.Reals("anew_minus anew_0 anew_plus")
below = checks.implies(
    "frozen-below",
    "a function below another, and equal to it at the centre, has the smaller second difference there",
    assumptions=[still[0] <= new[0], still[1] == new[1], still[2] <= new[2]],
    conclusion=still[0] + still[2] - 2 * still[1] <= new[0] + new[2] - 2 * new[1],
)


def surfaces(table: pd.DataFrame, about: settings.Settings) -> list[checks.Check]:
    evidence = {"sample": f"{sample(about)}, spacing {SPACING}", "scale": about.scale}
    last = table[table["eps"] == table["eps"].max()]
    return [
        *(
            checks.positive(
                f"surface-{k}",
                f"the adversarial loss along eigenvector {k} has a second difference that grows (slope of log10)",
                differences=sharpness.slopes(table, f"second_anew_{k}"),
                **evidence,
            )
            for k in (1, 2)
        ),
        checks.at_most(
            "agrees",
            "with examples frozen it is within a tenth of the eigenvalue (distance of the ratio from 1)",
            measured=(table["second_frozen_1"] / table["top"] - 1).abs(),
            bound=0.1,
            role="observed",
            **evidence,
        ),
        checks.positive(
            "above",
            "at the largest budget it is larger with examples found anew than with frozen ones",
            differences=last["second_anew_1"] - last["second_frozen_1"],
            role="observed",
            **evidence,
        ),
        *method(table, about),
    ]


def curves(table: pd.DataFrame, about: settings.Settings) -> list[checks.Check]:
    evidence = {"sample": f"{sample(about)}, means over {WINDOW} mini-batches", "scale": about.scale}
    first, last = (table[table["eps"] == e].set_index("seed") for e in (table["eps"].min(), table["eps"].max()))
    return [
        checks.positive(
            "range",
            "the training loss has a smaller range at the largest budget than at the smallest (nats)",
            differences=first["curve_range"] - last["curve_range"],
            **evidence,
        ),
        checks.at_most(
            "start",
            "the largest training losses of two budgets are within a tenth of each other (ratio)",
            measured=table.groupby("seed")["curve_largest"].agg(lambda v: v.max() / v.min()),
            bound=1.1,
            role="observed",
            **evidence,
        ),
        checks.at_most(
            "end",
            "the losses at the end of training are within a factor of two (ratio, largest to smallest budget)",
            measured=last["curve_last"] / first["curve_last"],
            bound=2.0,
            role="observed",
            **evidence,
        ),
    ]


# %% tags=["hide-input"]
def scale_of_the_loss(found: pd.DataFrame, about: settings.Settings) -> list[checks.Check]:
    width = (
        f"{about.network} of width {about.scale_w}, {about.samples} random parameters, 100 images of {about.dataset}"
    )
    evidence = {"sample": width, "scale": about.scale}
    means = {q: found[found["quantity"] == q].groupby("eps")["value"].mean() for q in kinds}
    full = means["scale_full"]
    cells = [
        checks.within(
            f"mnist-{eps:g}",
            f"the mean loss at random parameters under budget {eps:g} is the published one",
            measured=full[eps],
            published=number,
            tolerance=ledger.tolerance,
            **evidence,
        )
        for eps, number in printed.items()
        if about.dataset == "mnist" and eps in full.index
    ]
    if not cells:
        return [
            checks.not_run(
                "mnist",
                "the mean losses at random parameters on MNIST are the published ones",
                needs="the MNIST images: advsmooth download mnist, then run this page at scale=cpu",
            ),
            *rises(full, evidence),
        ]
    shares = {words: sharpness.share_at_first(means[q]) for q, words in kinds.items()}
    published_share = sharpness.share_at_first(pd.Series(printed))
    cells.append(
        checks.every(
            "levels-off",
            "the share of the rise reached at the first budget lies between those of a full and a short attack",
            cases=[shares["full attack"] < published_share, published_share < shares["short attack, no random start"]],
            evidence={"published": published_share} | shares,
            role="observed",
            **evidence,
        )
    )
    return cells + rises(full, evidence)


def rises(full: pd.Series, evidence: dict) -> list[checks.Check]:
    return [
        checks.at_most(
            "bounded",
            "the mean loss at random parameters under the largest budget exceeds the clean one by at most 0.2",
            measured=full.iloc[-1] - full.iloc[0],
            bound=0.2,
            **evidence,
        ),
        checks.every(
            "rises",
            "it rises with every step of the budget",
            cases=full.diff().iloc[1:] > 0,
            evidence={"largest over clean": full.iloc[-1] / full.iloc[0]},
            role="corrected",
            **evidence,
        ),
    ]


# %% [markdown]
# ## Verdict

# %% tags=["hide-input"]
(_, found, about), table = shown[0], kept[0]
aside = []
if len(shown) > 1:
    own = [check for check in sharper(kept[-1], cfg) if check.name in ("top", "sum", "equal-loss")]
    aside = [replace(check, name=f"{check.name}-here", role="observed") for check in own]
cifar = needs("the same for ResNet18 on CIFAR-10")
claims.report(
    claims.verdict(
        "liu2020-fig9",
        sharper(table, about),
        note="Nearly all growth lies between no attack and the smallest; it comes with the loss that is left.",
    ),
    claims.verdict(
        "liu2020-fig2",
        [*sharper(table, about), *aside, cifar],
        note="Tested with LeNets only, at the largest setting at hand; 'here' is the data of this run.",
    ),
    claims.verdict(
        "liu2020-fig12",
        [below, *surfaces(table, about), cifar],
        note="The adversarial loss itself, with examples found anew at each point.",
    ),
    claims.verdict(
        "liu2020-fig11",
        [*curves(table, about), cifar],
        note="The smaller range means a larger loss at the end: the start is the same for all budgets.",
    ),
    claims.verdict(
        "liu2020-obs-loss-scale",
        [*scale_of_the_loss(found, about), needs("the mean losses of ResNet18 on CIFAR-10 are the published ones")],
        note="The mean rises steadily, by a few percent; the published ones level off like those of a short attack.",
    ),
)

# %% [markdown]
# ## Limits, and one thing to try
#
# ResNet18 on CIFAR-10, the setting of figure 2, was not run: it needs a GPU. `-p scale gpu` trains it with the short recipe of this page, not with the published one, and has not been tried by us.
# Our MNIST networks are a quarter as wide as the paper's and trained for 2,000 mini-batches, not 100 epochs; a longer training would leave less loss and so, by what is said
# above, less curvature, and more so the smaller the budget. Three seeds make wide intervals, and the steps among the positive budgets are not resolved.
# Sharpness also depends on the parametrisation: scaling one layer up and the next down changes every eigenvalue and no output.
#
# On the digits of this page the growth of the top eigenvalue is not resolved: the training is short, and the clean networks have loss left, too. Train three times as long
# (a minute or two), and it appears:
#
# ```bash
# papermill notebooks/liu2020/sharper_minima.ipynb out.ipynb -p steps 900
# ```
