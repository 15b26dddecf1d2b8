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
# # Loss contours of searched and hand-made networks
#
# *Is the loss of a network found by architecture search smoother than that of a hand-made one of the same size, by which measure, and does a smooth loss explain fast early training?*
#
# :::{admonition} Reconstructed
# :class: warning
# Of {cite:t}`pang2022` we have a fragment of one page. *The fragment states* that smoothness is looked at through the loss contour, first in parameter and then in input space, and breaks off before its formula; and
# that smoothness explains fast early training, in a sentence whose first words are cut off. *The authors' artifact* (facts from its description, none of its code) moves the parameters of the first convolution along two random orthogonal
# directions with entries $\pm1$, over $[-0.5,0.5]^2$, and the input over $[-0.2,0.2]^2$. *Ours* is the rest: networks, data, every other measure, every number.
# :::
#
# :::{prf:definition} The loss contour, section 4.1 of Pang et al. (reconstructed)
# :label: pang2022-def-loss-contour
# :nonumber:
#
# $$
# \Gamma(a_1,a_2)=\ell(\theta+a_1d_1+a_2d_2)
# $$
#
# for the loss $\ell$, parameters $\theta$ and directions $d_1,d_2$, and likewise with the input $x$ in place of $\theta$. Networks found by search are said to have the smoother one.
# :::
#
# :::{prf:observation} Section 4.1 of Pang et al., on trainability (reconstructed)
# :label: pang2022-obs-trainability
# :nonumber:
#
# Searched networks converge fast early in training because their loss is smooth: the gradient stays a good guide over a longer step, so each update reduces the loss more effectively.
# :::
#
# **In short.** In our setting searched networks do learn faster: after one epoch the training loss of hand-made ones is 2.2 times theirs (95 % interval 1.3 to 3.6). But their loss is not measurably the smoother one: trained, second differences along the artifact's directions are the same (ratio 0.96, 0.54 to 1.7),
# and no measure of roughness before training orders fifteen architectures by their speed. What a contour shows also depends on the length of the weights, which batch norm makes arbitrary, and at its own spacing it counts kinks rather than the curvature of the Hessian.

# %% tags=["hide-input"]
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import nn

from advsmooth import checks, claims, data, plotting, records, settings, turning
from advsmooth.analysis import clustered, curvature, landscape, roughness
from advsmooth.analysis import searched_study as study
from advsmooth.analysis.empirical import mean_loss
from advsmooth.analysis.parameter_space import flat, point
from advsmooth.training import searched

plotting.use_theme()
PAGE = "pang2022/loss_contours"
PAIR = ("PC-DARTS", "VGG-7")  # the two of the picture, chosen before any contour was drawn

# %% tags=["parameters"]
scale: str = "quick"  # quick (digits, five architectures) | cpu (MNIST, all fifteen; an hour with the training)
seed: int = 0  # first seed of the networks
seeds: int = None  # networks of each architecture
dataset: str = None  # digits, mnist, fashionmnist
architectures: list = None  # names; the refusal of a wrong one lists all
n: int = None  # training images
epochs: int = None  # passes over them: 2, 4 or 8
parameters: int = None  # size of every network, about
measured: int = None  # training images on which curvature is measured
directions: int = None  # random directions of each kind
products: int = None  # with the Hessian, at most, for its top eigenvalue
points: int = None  # along each side of the drawn contours, odd

# %% tags=["hide-input"]
cfg = settings.resolve(
    globals(),
    seeds=settings.count(at_least=3, at_most=50, quick=3),
    dataset=settings.text(quick="digits", cpu="mnist"),
    architectures=settings.names(quick=["DARTS", "PC-DARTS", "ResNet-20", "VGG-7", "LeNet"], cpu=searched.names()),
    n=settings.count(at_least=48, quick=144, cpu=2000),
    epochs=settings.count(at_least=2, at_most=8, quick=4, cpu=8),
    parameters=settings.count(at_least=2000, quick=15_000),
    measured=settings.count(at_least=8, quick=16, cpu=32),
    directions=settings.count(at_least=2, quick=2, cpu=4),
    products=settings.count(at_least=3, quick=4, cpu=14),
    points=settings.count(at_least=3, at_most=41, quick=5, cpu=13),
)
study.check_family(cfg.architectures)
AFTER_ONE = 1 / cfg.epochs  # the share of the training that is over after one epoch
if AFTER_ONE not in (*searched.KEPT, 1.0):
    raise settings.SettingsError(
        f"epochs={cfg.epochs}: allowed is 2, 4 or 8, for weights are kept after one epoch then"
    )
cfg

# %% [markdown]
# ## A contour and its curvature
#
# At the centre, $\Gamma(0,0)=\ell(\theta)$, and the second difference with the spacing $h$ along $d$ tends to the Hessian's quadratic form:
#
# $$
# \frac{\ell(\theta+hd)-2\ell(\theta)+\ell(\theta-hd)}{h^2}\;\to\;d^THd,\qquad H=\nabla^2\ell(\theta).
# $$ (pang2022-contour-second)
#
# Small second differences are what a *smooth* contour means. For $d$ with independent random signs, as the artifact draws them, $\mathbb E\,d^THd=\operatorname{tr}H_1$, the trace of the Hessian's block of the first convolution (Hutchinson's identity).
# So the artifact's picture shows, on average over its directions, one number of one layer. In input space it is $\operatorname{tr}\nabla_x^2\ell$, which for a ReLU network with $K$ classes bounds the largest eigenvalue up to a factor $K-1$, because
# $\nabla_x^2\ell=J^T(\operatorname{diag}p-pp^T)J$ has rank $K-1$ at most.
#
# All this is checked on a small LeNet in double precision, on images with a little noise, against Hessian-vector products and the dense block.

# %% tags=["hide-input"]
images = data.load(cfg.dataset, "train").take(cfg.n, seed=0)
some = images.take(cfg.measured)
many = images.take(min(cfg.n, 500))
seeds_run = settings.seeds(cfg.seed, cfg.seeds)
size = {"epochs": cfg.epochs, "parameters": cfg.parameters}
exact_images = images.take(16).to("cpu", torch.float64)
# A little noise: on a black background max-pooling is tied, and the loss has a kink in the input at the very centre.
grain = 0.05 * torch.rand(exact_images.x.shape, generator=settings.generator(cfg.seed), dtype=torch.float64)
noisy = exact_images.x + grain
lenet = searched.run("LeNet", images, seed=cfg.seed, **size).fresh().double().eval()
block = landscape.first_convolution(lenet)
lenet_loss = mean_loss(lenet, noisy, exact_images.y)
of_block = curvature.model_hessian(lenet, noisy, exact_images.y, only=block)
dense = torch.stack([of_block @ e for e in torch.eye(of_block.size, dtype=torch.float64)])
generator = settings.generator(cfg.seed)
signs = roughness.sign_directions(lenet, generator, 3)
spacings = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5]
in_weights = np.array([roughness.along(lenet, noisy, exact_images.y, d, spacings, lenet_loss) for d in signs])
forms = np.array([(flat(d) @ dense @ flat(d)).item() for d in signs])
shift = torch.where(torch.rand(images.shape, generator=generator) < 0.5, -1.0, 1.0).double()
offset = torch.zeros((), dtype=torch.float64)


def shifted_loss(a: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(lenet(noisy + a * shift), exact_images.y)


input_form = torch.func.grad(torch.func.grad(shifted_loss))(offset).item()
in_input = np.array(roughness.along(lenet, noisy, exact_images.y, shift, spacings, lenet_loss))
contour = roughness.contours(lenet, noisy, exact_images.y, 3, seed=cfg.seed)
centres = [t.loc[(t["a1"] == 0) & (t["a2"] == 0), "loss"].item() for t in contour.values()]
drawn_signs = torch.stack([flat(d) for d in roughness.sign_directions(lenet, generator, 2000)])
hutchinson = (drawn_signs @ dense * drawn_signs).sum(1)
pd.DataFrame(
    {
        f"h = {h:g}": [f"{v:.2g}" for v in (*(in_weights[:, k] / forms), in_input[k] / input_form)]
        for k, h in enumerate(spacings)
    },
    index=[*(f"weights, direction {k}" for k in (1, 2, 3)), "input"],
).rename_axis("second difference over quadratic form")

# %% [markdown]
# The limit is there, but far away. A ReLU network is smooth only between its kinks, and thousands of units of sixteen images have theirs close by; a step of 0.01 crosses many. The bends it picks up can be hundreds of times the Hessian's form, which knows
# nothing of them. *The curvature that a contour shows at its own scale is not that of the Hessian.* (Where max-pooling is tied, as on a black background, there is a kink at the very centre; hence the noise here.) So we measure second differences at a tenth of the artifact's reach, beside Hessian eigenvalues.
#
# ## The scale is a choice
#
# A batch norm undoes the length of the convolution before it: $f(cW)=f(W)$, and so $\nabla^2_W\ell(cW)=\frac1{c^2}\nabla^2_W\ell(W)$. With directions of fixed length, the same function has a contour as rough or as smooth as one likes.

# %% tags=["hide-input"]
FACTORS = (1.0, 0.5, 0.1)
scaled_rows = []
for factor in FACTORS:
    cell = searched.run("PC-DARTS", images, seed=cfg.seed, **size).fresh().double().eval()
    roughness.rescale(*roughness.normalised_pairs(cell)[0], factor)
    direction = roughness.sign_directions(cell, settings.generator(cfg.seed), 1)[0]
    at = mean_loss(cell, exact_images.x, exact_images.y)
    (second,) = roughness.along(cell, exact_images.x, exact_images.y, direction, [1e-4 * factor], at)
    place = {name: point(cell)[name] for name in landscape.first_convolution(cell)}
    with torch.no_grad():
        logits = cell(exact_images.x)
    scaled_rows.append((factor, at, second, second * roughness.mean_square(place), logits))
pd.DataFrame(
    [[f"{v:.3g}" for v in row[:4]] for row in scaled_rows],
    columns=["c", "loss", "second difference", "times |W|²/P"],
).set_index("c").rename_axis("PC-DARTS, c")

# %% [markdown]
# A comparison of two networks by such a number compares the lengths of their weights as well, which the rules of initialisation set. Two repairs leave equal functions equal: multiply by the mean square $\lVert W\rVert^2/P$ of the weights moved, or take directions whose every filter is as long as
# the network's own (Li et al., 2018). Below, both stand beside the artifact's number. The input has a fixed scale, pixels from 0 to 1.
#
# ## What is measured
#
# Fifteen architectures (five here at `quick`) of about 15,000 parameters, trained by one recipe on the same images: SGD with momentum 0.9, a rate of 0.1 that falls along a cosine, mini-batches of 48, gradients clipped at norm 5; piloted on seed 100, used for nothing else. Of each network, before and after training:
# root mean square second differences over several random directions, at a tenth of the artifact's reach; the top Hessian eigenvalue in all weights, by Lanczos, to a residual of 5 % or as near as the allowed products come; and the relative change of the gradient over one step at the rate of the training.
# Contours are those of the network as it is used, in eval mode (before training with batch-norm statistics estimated on the images); eigenvalue and step those of training, with the batch's own statistics.

# %% tags=["hide-input"]
watch = records.Stopwatch()


def measure(network: nn.Module, time: float, seed: int) -> dict[str, float]:
    """Everything before and after training; after one epoch the training loss only."""
    if time == AFTER_ONE:
        return {"training loss": roughness.training_loss(network, many.x, many.y)}
    return roughness.measure(
        network, some.x, some.y, fresh=time == 0, directions=cfg.directions, products=cfg.products, seed=seed
    )


def drawn_contours() -> pd.DataFrame:
    """The contours of the picture, by the artifact's rule, of trained networks of the first seed."""
    found = []
    for name in PAIR:
        network = study.trained_network(name, images, seed=cfg.seed, **size)
        for space, contour in roughness.contours(network, some.x, some.y, cfg.points, seed=cfg.seed).items():
            place = f"{space} " + contour["a1"].map("{:g}".format) + " " + contour["a2"].map("{:g}".format)
            about = {"architecture": name, "kind": searched.kind(name), "seed": cfg.seed, "time": 1.0}
            found.append(pd.DataFrame({**about, "quantity": "contour " + place, "value": contour["loss"]}))
    return pd.concat(found)


table = study.study(cfg.architectures, seeds_run, images, measure, times=sorted({0.0, AFTER_ONE, 1.0}), **size)
table = pd.concat([table, drawn_contours()], ignore_index=True)
if cfg.scale != "quick":
    table = table.assign(value=table["value"].map(lambda v: float(f"{v:.4g}")))
    replay = records.plain(roughness.replay)
    records.save(PAGE, table, cfg=cfg, data=[images], cost=watch.read(), function=replay, arguments={})

# %% [markdown]
# Verdicts are judged on the newest record, of a larger run on MNIST, where there is one, else on this run; this run is then shown as an observation. An architecture counts once, with the geometric mean over its seeds; intervals are
# 95 % intervals over architectures (Welch's for two kinds, a bootstrap of whole architectures for correlations).
#
# ## The picture

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Loss contours by the artifact's rule, of two trained networks of equal size: a searched one (left) and a hand-made one (right). Above: the first convolution moves along two orthogonal directions of random signs. Below: all images move along two orthogonal patterns of random signs. Each row has one set of levels, in nats; the cross is the network."}, "image": {"alt": "Four square contour plots. In each the loss is lowest near the cross in the middle and rises towards the edges; how steeply differs between the two networks and between the two rows."}}
KINDS = {"searched": "o", "random": "D", "remedy": "^", "manual": "s"}
COLOURS = dict(zip(KINDS, (plotting.BLUE, plotting.PURPLE, plotting.GREEN, plotting.ORANGE), strict=True))


def evidence(t: pd.DataFrame, values: dict, name: str) -> dict:
    """A source: its table, and what a check says of where it comes from."""
    ran = sorted(set(t["seed"]))
    about = f"{name}, n = {values['n']:,}; {t['architecture'].nunique()} architectures of about {values['parameters']:,} parameters, seeds {ran[0]} to {ran[-1]}"
    numbers = t[~t["quantity"].str.startswith("contour")]
    after_one = study.at_time(numbers, 1 / values["epochs"])["training loss"]
    start = study.at_time(numbers, 0)
    return {
        "table": numbers,
        "contours": t[t["quantity"].str.startswith("contour")],
        "start": start.assign(after_one=after_one),
        "end": study.at_time(numbers, 1),
        "where": {"sample": about, "scale": values["scale"]},
    }


here = evidence(table, dict(cfg.values), images.name)
record = records.newest(PAGE)
source = here
if record is not None and record.scale != "quick":
    source = evidence(record.table, dict(record.provenance["parameters"]), record.provenance["data"][0]["name"])
note = f"{source['where']['scale']} scale: {source['where']['sample']}"


def heights(name: str, space: str) -> tuple[np.ndarray, np.ndarray]:
    """Offsets and losses of one contour of the source."""
    own = source["contours"]
    parts = own["quantity"].str.split(" ", expand=True)
    chosen = (own["architecture"] == name) & (parts[1] == space)
    own = own.assign(a1=parts[2].astype(float), a2=parts[3].astype(float))[chosen]
    grid = own.pivot_table(index="a1", columns="a2", values="value")
    return grid.index.to_numpy(), grid.to_numpy()


SPACES = {"weights": "first convolution", "inputs": "input (pixel scale)"}
fig, axes = plt.subplots(2, 2, figsize=(plotting.WIDTH, 6.4))
for row, (space, words) in zip(axes, SPACES.items(), strict=True):
    drawn = {name: heights(name, space) for name in PAIR}
    top = min(max(z.max() for _, z in drawn.values()), 4 * np.median([z for _, z in drawn.values()]) + 0.1)
    levels = np.linspace(0, top, 8)
    for ax, (name, (a, z)) in zip(row, drawn.items(), strict=True):
        shaded = ax.contourf(a, a, z.T, levels=levels, extend="max")
        ax.contour(a, a, z.T, levels=levels, colors="white", linewidths=0.6)
        ax.plot(0, 0, "+", color="white", markersize=9)
        ax.set_aspect("equal")
        ax.grid(False)
        plotting.label(ax, f"{name} ({searched.kind(name)})", f"$a_1$, {words}", "$a_2$")
    fig.colorbar(shaded, ax=row, shrink=0.8, label="loss (nats)", format="%.2g")
plotting.finish(fig, note.split(";")[0] + f"; seed {cfg.seed}, trained")

# %% [markdown]
# The same surfaces to turn by hand:

# %% tags=["hide-input"]
surfaces = []
for space, words in SPACES.items():
    for name in PAIR:
        a, z = heights(name, space)
        text = f"{name}, {words} moved by up to {a.max():g}: from {z.min():.2g} to {z.max():.2g} nats."
        surfaces.append(turning.Surface(f"{name}, {space}", text, z, (-1, 1)))
turning.turning(
    "pang2022-contours",
    title="Loss contours that turn",
    alt="Two surfaces side by side, chosen from four: the loss of a searched and of a hand-made network when the first convolution or the input moves along two random directions. "
    "Axes are shares of the artifact's reach; each surface is drawn to its own height, printed below it.",
    axes=("a1 / reach", "a2 / reach"),
    unit="nats",
    surfaces=surfaces,
)

# %% [markdown]
# One pair of networks, one pair of directions, one seed: anything can be seen in it. Now all of them.
#
# ## Smoother? By which measure?

# %% tags=["hide-input"]
MEASURES = {
    "signs": "signs, first convolution",
    "signs, scaled": "the same, scaled by |W|²/P",
    "filter": "filter-normalised, all layers",
    "top": "top eigenvalue",
    "top, scaled": "top eigenvalue, scaled",
    "change": "gradient, one step",
    "input": "signs, input",
}
TIMES = {"start": "before", "end": "after"}


def ratio(quantity: str, when: str, where: dict, leave_out: str = "") -> clustered.Estimate:
    """Manual over searched, as the difference of the logarithms; positive if the searched ones are smoother."""
    values = np.log(where[when][quantity])
    return study.difference(values[values.index.get_level_values("architecture") != leave_out])


gaps = {(q, when): ratio(q, when, source) for q in MEASURES for when in TIMES}
pd.DataFrame(
    {f"manual / searched, {word} training": [gaps[q, when].ratio() for q in MEASURES] for when, word in TIMES.items()}
    | {"without LeNet, after": [ratio(q, "end", source, "LeNet").ratio() for q in MEASURES]},
    index=list(MEASURES.values()),
)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "How many times rougher hand-made networks are than searched ones, by each measure: ratio of geometric means, 95 % interval over architectures. Circles: before training; squares: after. Right of the line searched networks are the smoother ones, left of it the hand-made ones."}, "image": {"alt": "Seven rows of two intervals on a logarithmic axis around a vertical line at one. Most intervals are wide and cross the line; several lie mostly to its left."}}
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 3.6))
for (quantity, when), gap in gaps.items():
    style = dict(zip(TIMES, plotting.styles(), strict=False))[when]
    y = -list(MEASURES).index(quantity) + (0.16 if when == "start" else -0.16)
    ax.plot(np.exp([gap.low, gap.high]), [y, y], color=style["color"], linewidth=2)
    first = quantity == next(iter(MEASURES))
    ax.plot(
        np.exp(gap.value), y, style["marker"], color=style["color"], label=f"{TIMES[when]} training" if first else ""
    )
ax.axvline(1, color=plotting.INK, linewidth=1)
ax.set_xscale("log")
ax.set_yticks([-k for k in range(len(MEASURES))], MEASURES.values(), fontsize=8.5)
plotting.label(ax, "Roughness, manual / searched", "ratio of geometric means", "")
fig.legend(*ax.get_legend_handles_labels(), loc="outside upper right", ncols=2, fontsize=8)
plotting.finish(fig, note)

# %% [markdown]
# Before training the intervals span two orders of magnitude, most of it because of LeNet, which has no batch norm, starts with a tiny gradient and is by far the smoothest of all. After training the architectures have come close to each other, and no measure separates the kinds.
# Mind that trained networks differ in their loss, too, and the curvature of a cross-entropy shrinks with it: searched networks fit better after equally many steps, which should make them *look* smoother.
#
# ## Does a smooth start make for fast early training?

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: training loss of each epoch, geometric mean over architectures of a kind with 95 % interval. Middle and right: each architecture's training loss after one epoch against its roughness before training, by the top Hessian eigenvalue and by the relative change of the gradient over one step at the rate of the training; geometric means over the seeds, bars from the smallest to the largest."}, "image": {"alt": "Left, two falling curves, that of the searched networks below at first. Middle and right, scatter plots of architectures with bars; LeNet lies at the far left with the largest or nearly the largest loss."}}
fig, (left, *others) = plt.subplots(1, 3, figsize=(plotting.WIDTH, 3.3))
losses = source["table"].query("quantity == 'epoch loss'")
for kind, style in zip(("searched", "manual"), plotting.styles(), strict=False):
    own = losses[losses["kind"] == kind].groupby(["time", *study.NETWORK])["value"].first().map(np.log)
    means = [study.mean_over_architectures(own.loc[time]) for time in sorted(set(losses["time"]))]
    low, middle, high = (np.exp([getattr(m, k) for m in means]) for k in ("low", "value", "high"))
    epochs_run = np.arange(1, len(means) + 1)
    plotting.band(left, epochs_run, low, high, style["color"])
    left.plot(epochs_run, middle, label=kind, **style)
left.set_yscale("log")
left.legend(fontsize=8)
plotting.label(left, "Speed", "epoch", "training loss (nats)")
for ax, quantity, words in zip(others, ("top", "change"), ("top eigenvalue", "change of the gradient"), strict=True):
    for (name, kind), rows in source["start"].groupby(["architecture", "kind"], sort=False):
        x, y = (np.exp(np.log(rows[q]).mean()) for q in (quantity, "after_one"))
        bars = [[[v - rows[q].min()], [rows[q].max() - v]] for q, v in ((quantity, x), ("after_one", y))]
        ax.errorbar(x, y, xerr=bars[0], yerr=bars[1], color=COLOURS[kind], linewidth=0.8)
        ax.plot(x, y, KINDS[kind], color=COLOURS[kind])
        if name in ("LeNet", "VGG-7", "ResNet-20"):
            ax.annotate(name, (x, y), fontsize=7, xytext=(4, 4), textcoords="offset points")
    ax.set(xscale="log", yscale="log")
    ax.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(0.3, 0.5, 1)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
    plotting.label(ax, words.capitalize(), "before training", "loss after one epoch" if ax is others[0] else "")
for kind in dict.fromkeys(source["start"].index.get_level_values("kind")):
    others[0].plot([], [], KINDS[kind], color=COLOURS[kind], label=kind)
fig.legend(*others[0].get_legend_handles_labels(), loc="outside upper right", ncols=4, fontsize=8)
plotting.finish(fig, note)

# %% [markdown]
# Searched networks are ahead in the first epochs. But the smoothest network of all, LeNet, is among the slowest, because its gradient is small as well; and without it, the residual networks are slow at every roughness. "Rough or smooth at the start" does not say who learns fast here. Skip connections, the scale
# of the first weights, or how well the common rate fits each network are other candidates that this page does not separate.
#
# ## Checks

# %% tags=["hide-input"]


def interval(name: str, sentence: str, found: clustered.Estimate, where: dict, role: str = "trend") -> checks.Check:
    return checks.above_zero(
        name, sentence, estimate=found.value, interval=(found.low, found.high), role=role, **where["where"]
    )


smoother = "searched networks have the smaller second differences (logarithm of the ratio, manual over searched)"
contour_checks = [
    interval("weights", f"trained, first convolution, random signs: {smoother}", gaps["signs", "end"], source),
    interval("inputs", f"trained, input space, random signs: {smoother}", gaps["input", "end"], source),
    interval(
        "weights-scaled",
        f"trained, scaled by the mean square of the weights: {smoother}",
        gaps["signs, scaled", "end"],
        source,
        "observed",
    ),
    interval(
        "filters",
        f"trained, filter-normalised directions through all layers: {smoother}",
        gaps["filter", "end"],
        source,
        "observed",
    ),
    interval(
        "top",
        "trained: searched networks have the smaller top Hessian eigenvalue (logarithm)",
        gaps["top", "end"],
        source,
        "observed",
    ),
    interval(
        "weights-start", f"before training, first convolution: {smoother}", gaps["signs", "start"], source, "observed"
    ),
    interval("inputs-start", f"before training, input space: {smoother}", gaps["input", "start"], source, "observed"),
    interval(
        "here-weights",
        f"in this run, on {images.name}, trained, first convolution: {smoother}",
        ratio("signs", "end", here),
        here,
        "observed",
    ),
    checks.equal(
        "centre",
        "the contours have the loss of the network at their centre",
        measured=centres,
        expected=lenet_loss,
        atol=1e-12,  # float64
        sample="weights and inputs; a LeNet, 16 images",
        role="method",
        scale=cfg.scale,
    ),
    checks.equal(
        "second-differences",
        "with a spacing of 0.00001 the second differences are the Hessian's quadratic forms, in weights and input",
        measured=[*(in_weights[:, -1] / forms), in_input[-1] / input_form],
        expected=1.0,
        atol=0.02,  # rounding in float64, about 1e-15 over the square of the spacing, for forms of order 0.01 and less
        sample="3 directions of signs in the first convolution, 1 in the input; a LeNet in float64",
        role="method",
        scale=cfg.scale,
    ),
    checks.agrees(
        "hutchinson",
        "over random signs the quadratic forms have the mean tr H_1",
        estimate=hutchinson.mean().item(),
        standard_error=hutchinson.std().item() / len(hutchinson) ** 0.5,
        exact=dense.trace().item(),
        sample=f"{len(hutchinson):,} directions; a LeNet",
        role="method",
        scale=cfg.scale,
    ),
    checks.equal(
        "rescaled-function",
        "the convolution times c, and its batch norm's statistics with it, is the same function",
        measured=torch.stack([row[4] for row in scaled_rows]),
        expected=torch.stack([scaled_rows[0][4]] * len(FACTORS)),
        atol=1e-9,  # float64
        sample="c = 1, 0.5, 0.1; PC-DARTS, 16 images",
        role="method",
        scale=cfg.scale,
    ),
    checks.equal(
        "rescaled-curvature",
        "and its second difference is 1 / c^2 times as large",
        measured=[row[2] * row[0] ** 2 / scaled_rows[0][2] for row in scaled_rows],
        expected=1.0,
        atol=1e-3,  # rounding of a second difference in float64
        sample="c = 1, 0.5, 0.1; PC-DARTS, 16 images",
        role="method",
        scale=cfg.scale,
    ),
]


def correlation(quantity: str, where: dict, leave_out: str = "") -> clustered.Estimate:
    """Rank correlation over networks of roughness before training and training loss after one epoch."""
    rows = where["start"]
    rows = rows[rows.index.get_level_values("architecture") != leave_out]
    return study.rank_correlation(rows, quantity, "after_one", seed=cfg.seed)


rougher = "the rougher before training, the larger the training loss after one epoch (rank correlation)"
training_checks = [
    interval("top-rank", f"by the top Hessian eigenvalue: {rougher}", correlation("top", source), source),
    interval(
        "change-rank", f"by the change of the gradient over one step: {rougher}", correlation("change", source), source
    ),
    interval(
        "top-scaled-rank",
        f"by the scaled top eigenvalue: {rougher}",
        correlation("top, scaled", source),
        source,
        "observed",
    ),
    interval(
        "change-rank-without-lenet",
        f"by the change of the gradient, without LeNet: {rougher}",
        correlation("change", source, "LeNet"),
        source,
        "observed",
    ),
    interval(
        "searched-faster",
        "searched networks have the smaller training loss after one epoch (logarithm of the ratio, manual over searched)",
        ratio("after_one", "start", source),
        source,
        "observed",
    ),
    interval(
        "searched-smoother",
        "and the smaller top Hessian eigenvalue before training (likewise)",
        gaps["top", "start"],
        source,
        "observed",
    ),
    interval(
        "here-top-rank",
        f"in this run, on {images.name}, by the top Hessian eigenvalue: {rougher}",
        correlation("top", here),
        here,
        "observed",
    ),
]

# %% [markdown]
# ## Verdict

# %% tags=["hide-input"]
claims.report(
    claims.verdict(
        "pang2022-def-loss-contour",
        contour_checks,
        note="The definition does what it should; the comparison made with it is unresolved: neither kind is the smoother one over five architectures each.",
    ),
    claims.verdict(
        "pang2022-obs-trainability",
        training_checks,
        note="Unresolved: the intervals hold zero. By the wording of the ledger, an interval that is not above zero, this speaks against the explanation; the faster start itself is there.",
    ),
)

# %% [markdown]
# ## Limits, and one thing to try
#
# The verdicts would change if larger families separated the kinds: five architectures each leave factors of two or more undecided, and the bootstrap over fifteen resolves only strong correlations. Networks have 15,000 parameters and learn grey images in a few hundred steps at one rate for all; a rate tuned for
# each might change who is fast. Curvature is measured on a few dozen training images. The paper compares large networks on CIFAR-10; its contours and its words on them are not in our fragment.
#
# More directions and a longer training, on the digits:
#
# ```bash
# papermill notebooks/pang2022/loss_contours.ipynb out.ipynb -p n 1000 -p epochs 8 -p directions 20
# ```
