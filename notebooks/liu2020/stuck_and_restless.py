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
# # Stuck at the start, restless at the end
#
# *What does a larger adversarial budget do to the first and to the last steps of training?*
#
# Write $\mathcal L_\epsilon(\theta)$ for the adversarial loss of a network with parameters $\theta$ under the budget $\epsilon$
# (the largest change of a pixel, pixel scale), $\hat{\mathcal L}_\epsilon$ for its mean over a mini-batch, and $\theta_0$ for the
# parameters before training. *Robust error* is the share of examples that are misclassified after the attack.
#
# :::{prf:observation} Figure 1a of Liu et al.
# :label: liu2020-fig1a
# :nonumber:
# In the first 2000 mini-batches the stochastic gradient norm $\lVert\nabla_\theta\hat{\mathcal L}_\epsilon(\theta)\rVert$ is smaller
# under larger budgets ({cite:t}`liu2020`, section 4.1; ResNet18 on CIFAR-10).
# :::
#
# :::{prf:observation} Figure 1b of Liu et al.
# :label: liu2020-fig1b
# :nonumber:
# In the same mini-batches the robust training error falls faster under smaller budgets; under large ones the model stays
# where it started.
# :::
#
# :::{prf:observation} Figure 1c of Liu et al.
# :label: liu2020-fig1c
# :nonumber:
# The distance $\lVert\theta-\theta_0\rVert$ grows faster under smaller budgets.
# :::
#
# :::{prf:observation} Figure 1d of Liu et al.
# :label: liu2020-fig1d
# :nonumber:
# In the last 2000 mini-batches the gradient norm is almost zero without an attack and grows with the budget: the
# gradient does not vanish.
# :::
#
# :::{prf:observation} Figure 8 of Liu et al.
# :label: liu2020-fig8
# :nonumber:
# The same four findings for LeNet on MNIST, over the first and last 500 mini-batches (appendix C.2.1).
# :::
#
# :::{prf:observation} Dead layers, section 4.1 and appendix C.2.4 of Liu et al.
# :label: liu2020-obs-dead
# :nonumber:
# Adversarial training favours dead ReLU units, which are zero on every input. If a whole layer is dead, the layers before it
# get no gradient and the output is constant: training is stuck at a constant classifier. In practice this happens to narrow
# networks under large budgets.
# :::
#
# **In short.** On digits and on MNIST the first steps are as published: a larger budget means smaller gradients, a slower
# start and, beyond some budget, none at all. At the end the gradient grows with the budget among the networks that did
# start. Dead units multiply with the budget, most in the networks that never start; but in none of these is a whole layer
# dead: they sit on a plateau.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import pandas as pd
import torch
from scipy.stats import spearmanr

from advsmooth import checks, claims, data, plotting, records, settings
from advsmooth.analysis import early_and_late, empirical, parameter_space, perturbations
from advsmooth.attacks.gradient import PGD
from advsmooth.models import registry
from advsmooth.training import published, runs

plotting.use_theme()
PAGE = "liu2020/stuck_and_restless"

# %% tags=["parameters"]
scale: str = "quick"  # quick (digits, seconds) | cpu (MNIST, about an hour, cached) | gpu (LeNet(16))
seed: int = 0  # first seed of the networks
seeds: int = None  # networks for each budget
dataset: str = None  # digits, mnist, or imagefolder:PATH
n: int = None  # training images
w: int = None  # width factor of LeNet
budgets: list = None  # adversarial budgets, pixel scale, in ascending order
steps: int = None  # mini-batches of training
first: int = None  # mini-batches of the first and of the last phase
rate: float = None  # learning rate of Adam
pgd_steps: int = None  # attack steps in training, each a third of the budget
batch: int = None  # examples of a mini-batch

# %% tags=["hide-input"]
cfg = settings.resolve(
    globals(),
    seeds=settings.count(at_least=3, quick=5, cpu=3),
    dataset=settings.text(quick="digits", cpu="mnist"),
    n=settings.count(at_least=50, quick=1437, cpu=8000, gpu=60_000),
    w=settings.count(quick=2, cpu=4, gpu=16),
    budgets=settings.numbers(at_least=0, at_most=1, quick=[0, 0.05, 0.1, 0.15, 0.3], cpu=[0, 0.1, 0.2, 0.3, 0.4]),
    steps=settings.count(at_least=20, quick=200, cpu=2000, gpu=9380),
    first=settings.count(at_least=10, quick=40, cpu=500),
    rate=settings.number(at_least=0, quick=3e-3, cpu=1e-3, gpu=1e-4),
    pgd_steps=settings.count(quick=3, cpu=6, gpu=20),
    batch=settings.count(quick=64, cpu=128),
)
cfg

# %% [markdown]
# ## The networks
#
# LeNets of width $w$, trained from several starts for each budget with Adam at a constant rate, as on MNIST in the paper
# but shorter. Nothing but the budget differs between the networks of one seed: they begin with the same weights and see
# the same mini-batches in the same order.

# %% tags=["hide-input"]
loaded = data.load(cfg.dataset, device=cfg.device)
images = loaded.take(min(cfg.n, len(loaded)), seed=0)
budgets_used = sorted(cfg.budgets)
own = {"w": cfg.w, "steps": cfg.steps, "rate": cfg.rate, "pgd_steps": cfg.pgd_steps, "batch": cfg.batch}
planned = published.liu_budgets(images, budgets_used, settings.seeds(cfg.seed, cfg.seeds), **own)
watch = records.Stopwatch()
measures = {"distance": parameter_space.distance_from}
if cfg.scale == "quick":
    trained = runs.trained_together(planned, measures=measures)
else:
    trained = runs.trained_all(planned, measures=measures)

# %% [markdown]
# After training, each network is attacked once more on its whole training set (PGD, 20 steps), and three more numbers are
# taken: its robust accuracy; the norm of the *full* gradient, which unlike that of a mini-batch vanishes at a minimum;
# and the share of dead units in each layer. A network *left the start* if its robust accuracy beats the share of the
# largest class by ten percentage points; one that did not has learned nothing, and its gradient says nothing about the
# end of a training.

# %% tags=["hide-input"]
first = min(cfg.first, cfg.steps // 2)
bins = next(b for b in (25, 20, 10, 5, 1) if first % b == 0)


def after(run: runs.Run, result: runs.Trained) -> pd.DataFrame:
    """All that is shown of one network: quantity, step, value."""
    eps = run.recipe.objective.attack.eps
    attack = PGD(eps=eps, steps=20, step_size=eps / 8)
    moved = empirical.adversarial_examples(result.model, attack, images.x, images.y, seed=run.seed)
    accuracy = 1 - empirical.mean_loss(result.model, moved, images.y, loss=empirical.zero_one)
    dead = perturbations.dead_units(result.model, images.x)
    curve = early_and_late.phases(result.steps, first, bins)
    curve = curve.melt(["phase", "step"], ["gradient_norm", "robust_error"], "quantity")
    curve["quantity"] = curve.phase + " " + curve.quantity
    moves = pd.DataFrame({"quantity": "distance", "step": result.epochs.step, "value": result.epochs.distance})
    ends = {
        "robust accuracy": accuracy,
        "full gradient": early_and_late.gradient_norm(result.model, moved, images.y),
        "left": early_and_late.left_the_start(accuracy, images.y),
        **{f"dead {layer}": share for layer, share in zip(dead.layer, dead.dead / dead.units, strict=True)},
    }
    last = pd.DataFrame({"quantity": list(ends), "step": cfg.steps, "value": [float(v) for v in ends.values()]})
    return pd.concat([curve.drop(columns="phase"), moves, last]).assign(eps=eps, seed=run.seed)


table = pd.concat([after(run, result) for run, result in zip(planned, trained, strict=True)], ignore_index=True)
if cfg.scale != "quick":
    arguments = {"dataset": cfg.dataset, "n": len(images), "eps": budgets_used[-1], "w": cfg.w, "seed": cfg.seed}
    replay = records.plain(published.replay)
    records.save(PAGE, table, cfg=cfg, data=[images], cost=watch.read(), function=replay, arguments=arguments)

# %% [markdown]
# ## The first steps
#
# The figure shows this run; below it stands the record of the larger one on MNIST.

# %% tags=["hide-input"]
record = records.newest(PAGE)
note = f"{cfg.scale} scale, LeNet({cfg.w}), {images.name}, n = {len(images):,}, seeds {cfg.seed} to {cfg.seed + cfg.seeds - 1}"
PANELS = {
    "first gradient_norm": ("Early gradients", "stochastic gradient norm"),
    "first robust_error": ("Early errors", "robust training error"),
    "distance": ("Leaving the start", r"distance $\|\theta-\theta_0\|$"),
    "last gradient_norm": ("Late gradients", "stochastic gradient norm"),
}


def draw(table: pd.DataFrame, note: str) -> None:
    fig, axes = plt.subplots(2, 2, figsize=(plotting.WIDTH, 5.4))
    for ax, (quantity, (title, y)) in zip(axes.flat, PANELS.items(), strict=True):
        for (eps, curves), style in zip(
            table[table.quantity == quantity].groupby("eps"), plotting.styles(), strict=False
        ):
            wide = curves.pivot(index="step", columns="seed", values="value")
            plotting.band(ax, wide.index, wide.min(axis=1), wide.max(axis=1), style["color"])
            ax.plot(wide.index, wide.mean(axis=1), label=f"budget {eps:g}", **style, markevery=0.2)
        x = "mini-batch of the last phase" if quantity.startswith("last") else "mini-batch"
        plotting.label(ax, title, x if quantity != "distance" else "mini-batch, all of training", y)
        ax.set_ylim(bottom=0)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=5, fontsize=8.5)
    plotting.finish(fig, note)


# %% tags=["hide-input"] mystnb={"figure": {"caption": "This run: mean over the seeds of each budget, band from the smallest to the largest. First phase: gradient norm, robust error on the mini-batch, distance from the start, once an epoch through the whole training. Last panel: gradient norm in the last phase; the flat curve at the bottom is the network that never started."}, "image": {"alt": "Four panels with a curve for each budget. Early gradients, error and distance are ordered by the budget; late gradients grow with it, apart from the largest budget, whose curve stays flat and low."}}
draw(table, note)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The record on MNIST, in the same panels (the paper's figure 8). Bands from the smallest to the largest of three seeds. The largest budget never leaves the start at this width."}, "image": {"alt": "The same four panels for LeNet on MNIST, with the same order of the curves."}}
shown = table if record is None else record.table
draw(shown, note if record is None else record.summary())

# %% [markdown]
# Small budgets leave first: that is what orders the early gradients, and it is a race, not a law. The gradient of each network
# rises when it leaves and falls again as it learns, so the curves cross. On MNIST the clean network has the *smaller* gradient from
# about the hundredth mini-batch on; over 2000 mini-batches of a larger network, as in the paper's figure 1a, the race is slower and the order
# lasts longer.
#
# ## The last steps
#
# The norm of a mini-batch gradient cannot vanish where examples disagree; only the full gradient separates a minimum from
# a plateau or a slope. The table gives both, with the robust accuracy and whether the networks left the start (mean over the seeds).

# %% tags=["hide-input"]


def ends(table: pd.DataFrame) -> pd.DataFrame:
    """One row a network: what the checks use."""
    last = table[table.quantity == "last gradient_norm"].groupby(["eps", "seed"]).value.mean().rename("late gradient")
    early = (
        table[table.quantity == "first gradient_norm"].groupby(["eps", "seed"]).value.mean().rename("early gradient")
    )
    error = table[table.quantity == "first robust_error"].groupby(["eps", "seed"]).value.mean().rename("early error")
    distance = table[table.quantity == "distance"]
    until = table[table.quantity == "first gradient_norm"].step.max()
    within = distance[distance.step <= max(until, distance.step.min())]  # the first phase, at least one epoch
    moved = within.groupby(["eps", "seed"]).value.last().rename("distance")
    rest = table[~table.quantity.isin([*PANELS, "last robust_error"])]
    wide = rest.pivot(index=["eps", "seed"], columns="quantity", values="value")
    return pd.concat([early, error, moved, last, wide], axis=1).reset_index()


mine, theirs = ends(table), ends(shown)
columns = ["early gradient", "late gradient", "full gradient", "robust accuracy", "left"]
summary = {"this run": mine, **({"record": theirs} if record is not None else {})}
pd.concat({name: t.groupby("eps")[columns].mean() for name, t in summary.items()}).rename_axis(["", "budget"]).map(
    checks.show
)

# %% [markdown]
# ## Dead, or only stuck?
#
# A dead layer does what the paper says, and it is easy to see why: the output of a dead layer is zero whatever the input,
# so everything behind it is constant; and the derivative of a ReLU is zero where the ReLU is, so no gradient passes. The
# check below builds such a network. Whether training *leads* there is another question. The figure counts the dead
# units of every network, those that left the start and those that did not.

# %% tags=["hide-input"]
broken = registry.build("lenet", in_shape=images.shape, classes=len(images.class_names), seed=cfg.seed, w=cfg.w)
early_and_late.silence(broken, "fc1")
probe, labels = images.x[:64], images.y[:64]
logits = broken(probe)
torch.nn.functional.cross_entropy(logits, labels).backward()
before = [
    p.grad.abs().max().item() for name, p in broken.named_parameters() if name.split(".")[0] in ("conv1", "conv2")
]
spread = (logits - logits[0]).abs().max().item()

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Share of dead units by layer (1 and 2: convolutions, counted at every position; 3: fully connected) against the budget; a dot per network, a line through the means. Filled: left the start. Open: stuck."}, "image": {"alt": "Three panels, one a layer. Dead shares grow with the budget and are largest for stuck networks, drawn as open dots, but stay below 100 percent."}}
fig, axes = plt.subplots(1, 3, figsize=(plotting.WIDTH, 2.9), sharey=True)
for layer, ax in enumerate(axes, 1):
    for (name, t), style in zip(summary.items(), plotting.styles(), strict=False):
        mean = t.groupby("eps")[f"dead {layer}"].mean()
        ax.plot(mean.index, 100 * mean, color=style["color"], linestyle=style["linestyle"], label=name)
        for left, part in t.groupby("left"):
            face = style["color"] if left else "white"
            ax.plot(part.eps, 100 * part[f"dead {layer}"], style["marker"], mfc=face, mec=style["color"], ls="none")
    plotting.label(ax, f"Layer {layer}", "budget (pixel scale)", "dead units (%)" if layer == 1 else "")
axes[0].legend()
plotting.finish(fig, note)

# %% [markdown]
# ## Checks
#
# Order over the budgets is measured for each seed by Spearman's rank correlation with the budget, +1 if the quantity grows in every
# step and -1 if it falls in every step. A direction holds if the 95 % interval of the mean over the seeds lies on its side of zero.


# %% tags=["hide-input"]
def order(t: pd.DataFrame, column: str, sign: int) -> list[float]:
    """The rank correlation of each seed, times the sign that is expected."""
    return [sign * spearmanr(part.eps, part[column]).statistic for _, part in t.groupby("seed")]


def direction(name: str, sentence: str, t: pd.DataFrame, column: str, sign: int, where: dict, role: str = "trend"):
    return checks.positive(name, sentence, differences=order(t, column, sign), role=role, **where)


here = {"sample": f"LeNet({cfg.w}), {images.name}, {cfg.seeds} seeds, {len(budgets_used)} budgets", "scale": cfg.scale}
there = here if record is None else {"sample": record.summary(), "scale": record.scale}
started, started_there = mine[mine.left == 1], theirs[theirs.left == 1]
EARLY = {
    "early-gradient": ("the early gradient norm falls with the budget", "early gradient", -1),
    "early-error": ("the mean robust error of the first phase grows with the budget", "early error", 1),
    "early-distance": (
        "the distance covered in the first phase (at least one epoch) falls with the budget",
        "distance",
        -1,
    ),
}
LATE = {
    "late-gradient": (
        "among networks that left the start, the late gradient norm grows with the budget",
        "late gradient",
        1,
    ),
    "late-full-gradient": ("and so does the norm of the full gradient at the end", "full gradient", 1),
}
early = {name: direction(name, s, mine, c, k, here) for name, (s, c, k) in EARLY.items()}
late = [direction(name, s, started, c, k, here) for name, (s, c, k) in LATE.items()]
figure_8 = [direction(f"mnist-{name}", s, theirs, c, k, there) for name, (s, c, k) in EARLY.items()]
figure_8 += [direction(f"mnist-{name}", s, started_there, c, k, there) for name, (s, c, k) in LATE.items()]
if record is None:
    needs = "MNIST: run this page at scale=cpu"
    figure_8 = [checks.not_run(c.name, c.sentence, needs=needs, role="trend") for c in figure_8]

# %% tags=["hide-input"]
stuck = pd.concat(summary.values())
stuck = stuck[stuck.left == 0]
whole = stuck[[f"dead {k}" for k in (1, 2, 3)]].max(axis=1)
dead = [
    checks.every(
        "dead-layer-blocks",
        "behind a layer whose units are all dead the output is constant, and the layers before it get no gradient at all",
        cases=[spread == 0, *(g == 0 for g in before)],
        sample=f"LeNet({cfg.w}) with fc1 silenced, 64 images",
        scale=cfg.scale,
    ),
    checks.positive(
        "more-dead-units",
        "the share of dead units in the last hidden layer grows with the budget, among networks that left the start",
        differences=order(started, "dead 3", 1),
        **here,
    ),
    checks.every(
        "stuck-by-death",
        "a network that is stuck has a layer whose units are all dead",
        cases=(whole == 1).tolist() if len(whole) else [False],
        evidence={"largest dead share of a layer, mean over stuck networks": whole.mean()},
        sample=f"{len(whole)} stuck networks",
        role="observed",
        scale=cfg.scale,
    ),
]

# %% [markdown]
# ## Verdict

# %%
claims.report(
    claims.verdict("liu2020-fig1a", [early["early-gradient"]], note="On digits; ResNet18 on CIFAR-10 was not run."),
    claims.verdict("liu2020-fig1b", [early["early-error"]], note="On digits; ResNet18 on CIFAR-10 was not run."),
    claims.verdict("liu2020-fig1c", [early["early-distance"]], note="On digits; ResNet18 on CIFAR-10 was not run."),
    claims.verdict("liu2020-fig1d", late, note="On digits; ResNet18 on CIFAR-10 was not run."),
    claims.verdict("liu2020-fig8", figure_8),
    claims.verdict("liu2020-obs-dead", dead),
)

# %% [markdown]
# ## Limits, and one thing to try
#
# The networks are narrow and the runs short. Liu et al. train LeNet(16) for 46,900 mini-batches and leave the start at a budget of 0.4; ours of width 4
# does not within 2,000. Late gradients are compared at equal *time*, not at equal loss: a larger budget also means that the
# training is further from its end. ResNet18 on CIFAR-10, the network of figure 1, needs a GPU.
#
# Where is the edge between starting late and not starting? Move the last budget:
#
# ```bash
# papermill notebooks/liu2020/stuck_and_restless.ipynb out.ipynb -p budgets "0.1, 0.15, 0.2, 0.25" -p steps 400
# ```
