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
# # The good, the bad and the ugly: width, depth, initialisation
#
# *How does the response of a **trained** ReLU network to a small random perturbation of its input depend on its width,
# its depth and its first weights?*
#
# :::{admonition} Reconstructed figures
# :class: warning
# The text of {cite:t}`zhu2022` we worked from has lost every formula, and of the figures their curves, axes, widths and depths.
# What its words say of the curves is kept, and only that is tested here: orders and directions. No number
# below is a quotation from the paper.
# :::
#
# The *perturbation stability* $\mathcal P(f,\epsilon)$ of a network $f$ is the mean of
# $\lVert\nabla_xf(x)^T(x-\hat x)\rVert_2$ over data $x$ and perturbed inputs $\hat x$, uniform in the ball of radius
# $\epsilon$ around $x$ ({prf:ref}`Definition 1 <zhu2022-def1>`). It is proportional to $\epsilon$, so we report
# $\mathcal P/\epsilon$. **Larger is less robust.** $L$ is the depth, $m$ the width, $n$ the number of training images.
#
# :::{prf:observation} Section 4.1 of Zhu et al., on the width (reconstructed)
# :label: zhu2022-obs-phase-width
# :nonumber:
# As $m$ grows, $\mathcal P$ rises while the network is under-parameterised, falls after a critical width, and tends to a
# constant. The same holds for the LeCun, He and NTK initialisations ({cite:t}`zhu2022`, read off an upper bound).
# :::
#
# :::{prf:observation} Figure 4a of Zhu et al. (reconstructed)
# :label: zhu2022-fig4a
# :nonumber:
# On MNIST with He initialisation, $\mathcal P$ first rises and then falls with the width, at each depth shown (section 5.3).
# :::
#
# :::{prf:observation} Figure 4b of Zhu et al. (reconstructed)
# :label: zhu2022-fig4b
# :nonumber:
# For two layers, a non-lazy initialisation (one so small that training must move the weights far) gives a much
# smaller $\mathcal P$ than He, and one that only falls with the width (section 5.3).
# :::
#
# :::{prf:observation} Figure 5 of Zhu et al., He (reconstructed)
# :label: zhu2022-fig5a
# :nonumber:
# With He initialisation, $\mathcal P$ rises with the depth; each depth shows the transition in width (section 5.4).
# :::
#
# :::{prf:observation} Figure 5 of Zhu et al., LeCun (reconstructed)
# :label: zhu2022-fig5b
# :nonumber:
# With LeCun initialisation, $\mathcal P$ falls with the depth; each depth shows the transition in width (section 5.4).
# :::
#
# :::{prf:observation} Figure 10 of Zhu et al. (reconstructed)
# :label: zhu2022-fig10
# :nonumber:
# The curves under NTK initialisation are like those under He, except at one depth, presumably two layers (appendix E.6).
# :::
#
# :::{prf:observation} Section 6 of Zhu et al. (reconstructed)
# :label: zhu2022-obs-conclusion-depth
# :nonumber:
# As networks get deeper, robustness first gets worse and then better. No initialisation is named.
# :::
#
# **In short.** Before training, width can only harm and depth can only help. Training turns both round: networks that have come
# to the same training loss are less stable the deeper they are, and on average more stable the wider they are, under He, LeCun
# and NTK alike. At a common epoch the claimed rise and fall with width shows in deep networks at most, while shallow ones only
# fall; and at a common loss it is gone.

# %% tags=["hide-input"]
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats

from advsmooth import checks, claims, data, plotting, records, settings
from advsmooth.analysis import phase_transition, width_and_depth
from advsmooth.phase_diagram import Table, phase_diagram, shown
from advsmooth.theory.initialisation import Response

plotting.use_theme()
PAGE = "zhu2022/width_depth_initialisation"
PUBLISHED_EPOCHS = claims.claim("zhu2022-setup-experiments").published["epochs"]

# %% tags=["parameters"]
scale: str = "quick"  # quick (digits, seconds) | cpu (MNIST, an hour or two, cached) | gpu (widths to 8192)
seed: int = 0  # first seed of the networks
seeds: int = None  # networks of each kind, fewer of the large ones
dataset: str = None  # digits, mnist, fashionmnist, or imagefolder:PATH
n: int = None  # training images
widths: list = None  # widths m
depths: list = None  # depths L, 2 or more
epochs: int = None  # passes over the images after which all networks are compared
long: int = None  # passes that small and two-layer networks are trained for
norm: float = None  # Euclidean norm of every input; Assumption 1 has 1
sizes: list = None  # other numbers of training images, He only
size_epochs: list = None  # passes over each of them
draws: int = None  # simulated curves behind each test of shape

# %% tags=["hide-input"]
cfg = settings.resolve(
    globals(),
    seeds=settings.count(at_least=3, quick=5, cpu=10),
    dataset=settings.text(quick="digits", cpu="mnist"),
    n=settings.count(at_least=100, quick=1000, gpu=10_000),
    widths=settings.counts(
        at_least=2,
        quick=[2**k for k in range(3, 8)],
        cpu=[2**k for k in range(3, 11)],
        gpu=[2**k for k in range(3, 14)],
    ),
    depths=settings.counts(at_least=2, quick=[2, 4, 6], cpu=[2, 4, 6, 8, 10]),
    epochs=settings.count(quick=10, cpu=20, gpu=PUBLISHED_EPOCHS),
    long=settings.count(quick=10, cpu=PUBLISHED_EPOCHS),
    norm=settings.number(at_least=0.01, quick=10.0),
    sizes=settings.counts(at_least=20, quick=[250], cpu=[250, 16_000]),
    size_epochs=settings.counts(quick=[20], cpu=[50, 5]),
    draws=settings.count(at_least=100, quick=200, cpu=1000),
)
cfg

# %% [markdown]
# ## What is trained, and what counts
#
# Fully connected ReLU networks without biases, cross-entropy, SGD with momentum 0.9 and mini-batches of 100, from four
# kinds of first weights: He, LeCun and NTK (variances of first, hidden and last layer $(2/d,2/m,2/m)$, $(1/d,1/m,1/m)$
# and $(2/m,2/m,1/o)$ for $d$ inputs and $o$ outputs), and, for two layers, a *non-lazy* start with standard deviation
# $m^{-2}$ throughout. All networks of one kind are trained in one vectorised pass and measured before
# training and after chosen epochs of that one training, at the same test images and perturbations.
#
# Four choices that the paper's text leaves open were made before any result was looked at:
#
# - **Inputs.** Each image is divided by its norm and multiplied by 10, about the norm of MNIST's images in pixel scale.
#   Without biases $f$ is homogeneous, so inputs of norm 10 are inputs of norm 1 with a first layer ten times as large:
#   the same network, further into the lazy regime that the paper speaks of.
# - **Learning rate.** One rule, piloted on a seed that is used for nothing else: $\min(0.04,\,4/K)$, where
#   $K=\mathbb E\sum_l\lVert\partial f_k/\partial W_l\rVert_F^2$ is the tangent kernel at initialisation, known in closed form.
#   A fixed rate would diverge for wide NTK networks or leave the narrow ones where they are.
# - **Size.** Above 250,000 weights half of the seeds are run, above a million three; never fewer images or a
#   shorter time. Small networks, and two-layer ones, are trained beyond the common epoch.
# - **What counts.** A network has *learned* when its training accuracy reaches 0.9. A cell (one kind, width and
#   depth) counts if at least half of its networks, and at least three, have learned; it then stands for those.

# %% tags=["hide-input"]
loaded, test = (data.load(cfg.dataset, split, device=cfg.device) for split in ("train", "test"))
test = test.take(min(width_and_depth.TEST, len(test)), seed=0)
d, o, n_grid = loaded.x[0].numel(), len(loaded.class_names), min(cfg.n, len(loaded))
seeds_run = settings.seeds(cfg.seed, cfg.seeds)
widths_run, depths_run = sorted(set(cfg.widths)), sorted(set(cfg.depths))
grid = width_and_depth.grid(
    widths_run,
    depths_run,
    seeds_run,
    n=n_grid,
    epochs=cfg.epochs,
    long=max(cfg.long, cfg.epochs),
    d=d,
    o=o,
    norm=float(cfg.norm),
)
passes = {k: e for k, e in zip(cfg.sizes, cfg.size_epochs, strict=False) if k <= len(loaded) and k != n_grid}
grid += width_and_depth.other_sizes(widths_run, depths_run, seeds_run, sizes=passes, n=n_grid, norm=float(cfg.norm))
watch = records.Stopwatch()
table = width_and_depth.sweep(grid, loaded, test, folder=None if cfg.scale == "quick" else width_and_depth.FOLDER)
if cfg.scale != "quick":
    digits = {k: table[k].map(lambda v: float(f"{v:.4g}")) for k in (*width_and_depth.MEASURED, "rate")}
    table = table.assign(**digits).drop(columns="norm")
    first = {"scheme": "he", "L": depths_run[0], "m": widths_run[0], "n": n_grid, "seed": cfg.seed}
    again = first | {"norm": cfg.norm, "dataset": cfg.dataset}
    replay = records.plain(width_and_depth.replay)
    records.save(PAGE, table, cfg=cfg, data=[loaded, test], cost=watch.read(), function=replay, arguments=again)

# %% [markdown]
# Verdicts are judged on the newest record, of a larger run on MNIST, where there is one, else on this run; this run is then
# shown as an observation.


# %% tags=["hide-input"]
LOSS = 0.3  # at which networks are compared that learn at different speeds


def evidence(t: pd.DataFrame, values: dict, sample: str) -> dict:
    """A source: its grid at the common epoch, and what a check says of where it comes from."""
    size, epoch = int(values["n"]), int(values["epochs"])
    main = t[t.n == size]
    kept = width_and_depth.counted(main, epoch)
    own = [*width_and_depth.CELL, "seed"]
    equal = width_and_depth.at_loss(main, LOSS)
    start = main[main.epoch == 0].merge(kept[own], on=own).assign(log=lambda r: np.log(r.stability))
    where = {"sample": f"{sample}, n = {size:,}, {epoch} epochs, {values['seeds']} seeds", "scale": values["scale"]}
    return {
        "table": t,
        "main": main,
        "kept": kept,
        "start": start,
        "equal": equal,
        "epoch": epoch,
        "n": size,
        "draws": int(values["draws"]),  # a record is judged with its own, at whatever scale the page runs
        "where": where,
    } | {k: sorted({int(v) for v in main[k]}) for k in ("m", "L")}


here = evidence(table, dict(cfg.values) | {"n": n_grid}, loaded.name)
record = records.newest(PAGE)
source = here
if record is not None and record.scale != "quick":
    source = evidence(record.table, dict(record.provenance["parameters"]), record.provenance["data"][0]["name"])
NAMES = {"he": "He", "lecun": "LeCun", "ntk": "NTK"}
if source["kept"][source["kept"].scheme.isin(NAMES)].empty:
    raise settings.SettingsError(f"epochs={cfg.epochs}: no network learned; take more epochs, images or width")
note = f"{source['where']['scale']} scale: {source['where']['sample']} (fewer for large networks)"
grid_rows = width_and_depth.at_epoch(source["main"], source["epoch"])
learned = grid_rows.groupby(["scheme", "L"], sort=False).learned.agg(["sum", "size"])
learned["networks that learned"] = learned["sum"].astype(str) + " of " + learned["size"].astype(str)
learned["networks that learned"].unstack().fillna("").rename_axis(None).rename_axis("depth", axis=1)

# %% [markdown]
# ## Before and after training
#
# Before training the mean is known exactly ({doc}`the page on fresh networks </notebooks/zhu2022/perturbation_stability>`):
#
# $$
# \mathbb E\,\frac{\mathcal P}{\epsilon}=\frac{d}{d+1}\,\sqrt{\frac o2}\,\frac{B(o)}{\sqrt o}\,\sqrt m\,\beta_L\beta_1\,\gamma^{L-2}\,c(m)^{L-1},
# $$
#
# with the standard deviations $\beta_1,\beta,\beta_L$ of first, hidden and last layer, $\gamma=\beta\sqrt{m/2}$, the mean norm
# $B(o)$ of $o$ standard normals, and $c(m)<1$, which rises to 1. So before training, width can only harm, and depth can only
# help, under all three initialisations (erratum Z4). Whatever else the trained curves do, training made it.

# With cross-entropy the outputs of a network that fits its data keep growing, and $\mathcal P$ with them. At a common
# epoch a network that learns faster is further along. So we also compare networks at a common *training loss*, where each
# first comes down to 0.3 (interpolated between measured epochs).


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Perturbation stability against width, one column an initialisation. Above: after training, at a common epoch, networks that learned. Below: each network where its training loss first reaches 0.3. Mean and 95 % interval over the seeds. Thin lines of the same style: before training. Larger is less robust."}, "image": {"alt": "Six panels on logarithmic axes. The thin lines of the start rise slightly with width, the deepest lowest. After training the thick lines lie above them, the deeper ones on top; at a common loss, in the lower panels, they fall with width, at a common epoch some rise."}}
def drawn(ax: plt.Axes, rows: pd.DataFrame, style: dict, name: str) -> None:
    """Mean of the logarithm against width, with the interval over the seeds; widths with two seeds or more."""
    logs = {m: cell.log for m, cell in rows.groupby("m") if len(cell) > 1}
    if logs:
        ends = np.exp(np.array([checks.mean_interval(v) for v in logs.values()]))
        plotting.band(ax, list(logs), *ends.T, style["color"])
        ax.plot(list(logs), [np.exp(v.mean()) for v in logs.values()], **style, label=name)


def against_width(ax: plt.Axes, title: str, y: str, widths: list) -> None:
    """Logarithmic axes, the widths as ticks."""
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(widths[:: max(1, len(widths) // 3)], widths[:: max(1, len(widths) // 3)])
    ax.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    ax.yaxis.set_major_formatter(mpl.ticker.FormatStrFormatter("%g"))
    low, high = ax.get_ylim()
    few = (
        mpl.ticker.NullLocator()
        if high / low > 15
        else mpl.ticker.LogLocator(subs=(2, 3, 5) if high / low > 3 else "all")
    )
    ax.yaxis.set_minor_locator(few)
    ax.yaxis.set_minor_formatter(mpl.ticker.FormatStrFormatter("%g"))
    ax.tick_params(axis="y", which="both", labelsize=8)
    plotting.label(ax, title, "width $m$", y)


fig, axes = plt.subplots(2, 3, figsize=(plotting.WIDTH, 5.4), sharex=True, sharey=True)
for row, (rows, when) in zip(
    axes, ((source["kept"], f"epoch {source['epoch']}"), (source["equal"], f"loss {LOSS}")), strict=True
):
    for ax, (scheme, name) in zip(row, NAMES.items(), strict=True):
        for L, style in zip(source["L"], plotting.styles(), strict=False):
            of_curve = [t[(t.scheme == scheme) & (t["L"] == L)] for t in (source["main"], rows)]
            start = of_curve[0][of_curve[0].epoch == 0].groupby("m").stability.mean()
            ax.plot(start.index, start, **(style | {"marker": None}), linewidth=0.8)
            drawn(ax, of_curve[1], style, f"L = {L}")
        against_width(ax, f"{name}, {when}", "stability $P/\\epsilon$" if ax is row[0] else "", source["m"])
        ax.label_outer()
axes[1, 2].legend(fontsize=8, loc="lower left")
plotting.finish(fig, note)

# %% [markdown]
# ## The phase diagram
#
# Every cell of the next figure is one kind of network. A phase transition in width would show as a ridge: along each row
# the numbers would grow, and then fall. The word at the end of a row is what the test of shape below says of it.

# %% tags=["hide-input"]
WORDS = {
    phase_transition.UP_DOWN: "up, then down",
    phase_transition.DOWN_UP: "down, then up",
    phase_transition.RISES: "up",
    phase_transition.FALLS: "down",
    phase_transition.UNDECIDED: "undecided",
}


def shapes(where: dict, along: str) -> dict:
    """The shape of each curve of each initialisation."""
    kept = where["kept"]
    return {
        s: width_and_depth.shapes(kept[kept.scheme == s], along, draws=where["draws"], seed=cfg.seed) for s in NAMES
    }


def pivot(rows: pd.DataFrame, value: str, where: dict, how: str = "mean") -> pd.DataFrame:
    """A number of each cell: depths down, widths across."""
    return rows.pivot_table(value, "L", "m", how).reindex(index=where["L"], columns=where["m"])


by_width, by_depth = shapes(source, "m"), shapes(source, "L")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Trained perturbation stability in the plane of width and depth: mean over the networks that learned, plus or minus half the 95 % interval over seeds in per cent. Darker is more robust; the star marks the largest mean of a row; hatched cells did not learn. At the right, the shape of each row."}, "image": {"alt": "Three grids of coloured cells with numbers, one for He, LeCun and NTK initialisation, depth upwards and width to the right. Cells get darker to the right in most rows, and most rows are labelled as falling."}}
fig, axes = plt.subplots(3, 1, figsize=(plotting.WIDTH, 0.75 + 3 * (0.55 + 0.27 * len(source["L"]))), sharex=True)
kept = source["kept"]
level = mpl.colors.LogNorm(
    *kept[kept.scheme.isin(NAMES)].groupby(width_and_depth.CELL).stability.mean().agg(["min", "max"])
)
for ax, (scheme, name) in zip(axes, NAMES.items(), strict=True):
    mine = kept[kept.scheme == scheme]
    mean = np.exp(pivot(mine, "log", source)).to_numpy()
    half = pivot(mine, "log", source, lambda v: np.diff(checks.mean_interval(v))[0] / 2).to_numpy()
    ax.pcolormesh(mean, cmap="cividis", norm=level, edgecolors="white", linewidth=1.5)
    for (i, j), value in np.ndenumerate(mean):
        if np.isnan(value):
            ax.add_patch(plt.Rectangle((j, i), 1, 1, fill=False, hatch="///", edgecolor=plotting.GREY, linewidth=0))
            continue
        star = " ★" if value == np.nanmax(mean[i]) else ""
        ink = "white" if level(value) < 0.5 else plotting.INK
        words = f"{shown(value)} ± {100 * half[i, j]:.0f} %{star}"
        ax.text(j + 0.5, i + 0.48, words, ha="center", va="center", fontsize=7, color=ink)
    for i, L in enumerate(source["L"]):
        said = by_width[scheme].get(L)
        ax.text(len(source["m"]) + 0.08, i + 0.5, WORDS[said.outcome] if said else "too few", va="center", fontsize=8)
    ax.set_yticks(np.arange(len(source["L"])) + 0.5, source["L"])
    ax.set_xticks(np.arange(len(source["m"])) + 0.5, source["m"])
    ax.grid(False)
    ax.tick_params(length=0)
    plotting.label(ax, name, "width $m$" if ax is axes[-1] else "", "depth $L$")
plotting.finish(fig, note)

# %% [markdown]
# The same diagram to explore: choose an initialisation and move through training. Numbers are means over all networks;
# italics on hatching are cells whose networks have not learned at that epoch.


# %% tags=["hide-input"]
def moment(scheme: str, epoch: int) -> Table:
    """The table of one initialisation after so many epochs."""
    rows = source["main"].query("scheme == @scheme and epoch == @epoch")
    values = pivot(rows, "stability", source).to_numpy()
    share = pivot(rows.assign(learned=rows.accuracy >= width_and_depth.LEARNED), "learned", source).to_numpy()
    off = ~(share >= 0.5) if epoch else np.zeros_like(share, bool)
    ran, most = np.isfinite(values).sum(), np.unravel_index(np.nanargmax(values), values.shape)
    text = f"{NAMES[scheme]}, {'before training' if epoch == 0 else f'after {epoch} epochs'}: largest at width "
    text += f"{source['m'][most[1]]} and depth {source['L'][most[0]]}, {shown(np.nanmax(values))}"
    return Table(values, off, f"{text}; {ran - off.sum() if epoch else 'no'} of {ran} kinds have learned.")


moments = [e for e in width_and_depth.EPOCHS if e <= source["epoch"]]
phase_diagram(
    "zhu2022-phase-diagram",
    title="Perturbation stability in the plane of width and depth",
    alt="A grid of numbers, coloured from dark (small, robust) to light (large): depth upwards, width to the right. A list chooses "
    "He, LeCun or NTK initialisation, a slider the epoch. Before training the numbers hardly change along the width; "
    "they grow in training, most in narrow and in deep networks.",
    rows=source["L"],
    columns=source["m"],
    tables={name: [moment(scheme, e) for e in moments] for scheme, name in NAMES.items()},
    control="epochs of training",
    positions=[str(e) for e in moments],
    axes=("width m", "depth L"),
)

# %% [markdown]
# ## Where is the transition?
#
# The paper places it where the network becomes over-parameterised, so it should move to the right as images are added,
# and narrow networks with fewer weights than images should lie on the rising side. Left: He networks of one depth, each
# number of images at its last epoch; the larger mark is the first width with more weights than images. Middle:
# the same depth in the course of training. Right: the two-layer networks of figure 4b.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: trained stability against width for several numbers n of training images (He); a ring marks the first width with more weights than images. Middle: the same during training. Right: two layers, He and non-lazy initialisation, after the last epoch. Means and 95 % intervals over the seeds; left and right only networks that learned."}, "image": {"alt": "Three panels of curves against width. Left, curves for different numbers of images fall or level off. Middle, the curve of the start is flat and low, later ones are higher. Right, the He and the non-lazy curves lie close together and fall."}}
middle = source["L"][min(1, len(source["L"]) - 1)]
fig, (left, mid, right) = plt.subplots(1, 3, figsize=(plotting.WIDTH, 3.3))
he = source["table"].query("scheme == 'he'").assign(log=lambda r: np.log(r.stability))
for (size, rows), style in zip(he.groupby("n"), plotting.styles(), strict=False):
    kept = width_and_depth.counted(rows, source["epoch"] if size == source["n"] else rows.epoch.max())
    mine = kept[kept["L"] == middle]
    drawn(left, mine, style, f"n = {size:,}")
    over = mine[mine.weights > size].m
    if len(over):
        height = np.exp(mine[mine.m == over.min()].log.mean())
        left.plot(over.min(), height, "o", markersize=11, markerfacecolor="none", color=style["color"])
of_grid = he.query("n == @source['n'] and L == @middle")
for epoch, style in zip([e for e in moments if e != 2], plotting.styles(), strict=False):
    drawn(mid, of_grid[of_grid.epoch == epoch], style, f"epoch {epoch}" if epoch else "start")
two = {
    scheme: width_and_depth.counted(rows, rows.epoch.max())
    for scheme, rows in source["main"].query("L == 2 and scheme in ['he', 'non-lazy']").groupby("scheme")
}
for (scheme, rows), style in zip(two.items(), plotting.styles(), strict=False):
    drawn(right, rows, style, NAMES.get(scheme, scheme))
for ax, title in zip((left, mid, right), (f"He, L = {middle}", "In training", "Two layers"), strict=True):
    against_width(ax, title, "stability $P/\\epsilon$" if ax is left else "", source["m"])
    ax.legend(fontsize=7)
plotting.finish(fig, note)

# %% [markdown]
# ## Three tendencies: start, training, and merely more training
#
# What two more layers, or twice the width, do to $\mathcal P$, seed by seed: before training, at the common
# epoch, and at the common loss.


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Tendencies: change of the stability, in per cent, by two more layers (left) and by a doubling of the width (right), averaged over the curves; mean and 95 % interval over the seeds. Right of zero is less robust. Circles: before training; squares: after training, at the common epoch; triangles: at a common training loss of 0.3."}, "image": {"alt": "Two panels with three rows of three intervals each. In the left panel the circles lie left of zero, far left for LeCun, the squares and triangles further right. In the right panel squares and triangles lie left of zero."}}
def tendencies(where: dict, scheme: str, along: str) -> dict[str, pd.Series]:
    """By seed: the change of the logarithm before training, after it, and at a common loss."""
    rows = {"start": where["start"], "trained": where["kept"], "equal": where["equal"]}
    return {name: width_and_depth.slopes(r[r.scheme == scheme], along) for name, r in rows.items()}


TENDENCIES = {(s, along): tendencies(source, s, along) for s in NAMES for along in ("L", "m")}
fig, axes = plt.subplots(1, 2, figsize=(plotting.WIDTH, 2.9), sharey=True)
labels = {"start": "before training", "trained": "after training", "equal": f"at loss {LOSS}"}
for ax, along, title in zip(axes, ("L", "m"), ("Two more layers", "Twice the width"), strict=True):
    for row, scheme in enumerate(NAMES):
        for shift, (when, style) in enumerate(zip(labels, plotting.styles(), strict=False)):
            by_seed = TENDENCIES[scheme, along][when]
            if len(by_seed) > 1:
                low, high = 100 * np.expm1(checks.mean_interval(by_seed))
                y = -row - 0.22 * (shift - 1)
                ax.plot([low, high], [y, y], color=style["color"], linewidth=2.2)
                point = 100 * np.expm1(by_seed.mean())
                ax.plot(point, y, style["marker"], color=style["color"], label="" if row else labels[when])
    ax.axvline(0, color=plotting.INK, linewidth=0.9)
    ax.set_yticks([0, -1, -2], NAMES.values())
    plotting.label(ax, title, "change of the stability $P/\\epsilon$ (%)", "")
if axes[0].get_legend_handles_labels()[0]:
    axes[0].legend(fontsize=8, loc="upper left")
plotting.finish(fig, note)

# %% [markdown]
# ## Checks
#
# *Shape.* The means of a curve, weighted by their precision, are fitted by least squares with the best falling, the best
# rising, and the best up-then-down sequence. A curve *rises* somewhere if no falling law explains it, and *falls* somewhere
# if no rising law does; both are decided by simulation from the fit, at a level that a flat curve passes in at most one
# of twenty experiments. If both, it is *up, then down* or *down, then up*, whichever fits better. Undecided curves
# speak neither way. A claim of a transition at each depth fails with one curve that is decided otherwise.
#
# *Tendency.* Slopes of $\log\mathcal P$ within a seed, averaged over the curves; a direction holds if the 95 % interval
# over the seeds excludes zero.


# %% tags=["hide-input"]
def all_up_down(name: str, sentence: str, found: dict, where: dict, role: str = "trend"):
    """Every curve whose shape is decided rises and then falls."""
    outcomes = [s.outcome for s in found.values()]
    decided = [o for o in outcomes if o != phase_transition.UNDECIDED]
    if not decided:
        return checks.not_run(name, sentence, needs="more seeds or widths: no curve has a decided shape", role=role)
    shown_outcomes = {word: outcomes.count(o) for o, word in WORDS.items() if o in outcomes}
    held = [o == phase_transition.UP_DOWN for o in decided]
    return checks.every(name, sentence, cases=held, evidence=shown_outcomes, role=role, **where["where"])


def direction(name: str, sentence: str, by_seed, where: dict, role: str = "trend"):
    """The mean over seeds is above zero."""
    if len(by_seed) < 3:
        return checks.not_run(name, sentence, needs="networks that learn, of at least three seeds", role=role)
    return checks.positive(name, sentence, differences=by_seed.to_numpy(), role=role, **where["where"])


DEPTH, WIDTH = ({s: TENDENCIES[s, along] for s in NAMES} for along in ("L", "m"))
phase = [
    all_up_down(
        f"{s}-up-then-down",
        f"{name}: at each depth the trained stability rises and then falls with width",
        by_width[s],
        source,
    )
    for s, name in NAMES.items()
]

# %% [markdown]
# The width: besides the shapes, whether the curve flattens, whether narrow networks with fewer weights than images lie on a
# rising side, and whether our measurement gets the start right, where it is known in closed form.

# %% tags=["hide-input"]
ends = {}
for part, pair in (("first", source["m"][:2]), ("last", source["m"][-2:])):
    of_pair = source["kept"][source["kept"].scheme.isin(NAMES) & source["kept"].m.isin(pair)]
    ends[part] = width_and_depth.slopes(of_pair, "m").abs()
under = pd.concat(
    width_and_depth.counted(rows, source["epoch"] if size == source["n"] else rows.epoch.max())
    for size, rows in he.groupby("n")
)
below = width_and_depth.steps(under, below=True)
equal_shapes = [f.outcome for found in shapes(source | {"kept": source["equal"]}, "m").values() for f in found.values()]
decided = [outcome for outcome in equal_shapes if outcome != phase_transition.UNDECIDED]
no_hump = "at a common training loss no decided curve over the width, under any initialisation, rises and then falls"
start_cells = [
    width_and_depth.Cell("he", L, m, 1, 1, tuple(range(100)), float(cfg.norm)) for L, m in ((2, 16), (4, 32), (6, 64))
]
fresh = [width_and_depth.before_training(c, test, o) for c in start_cells]
exact = [Response(c.initialisation(d, o), c.m, o, c.L).stability(d) for c in start_cells]
obs_width = [
    *phase,
    direction(
        "flattens",
        "the last doubling of the width changes the trained stability by less than the first does",
        (ends["first"] - ends["last"]).dropna(),
        source,
    ),
    direction(
        "rises-while-under-parameterised",
        "networks with fewer weights than images become less stable with the next width (He, all n)",
        below,
        source,
        role="observed",
    ),
    *(
        direction(
            f"{s}-equal-loss",
            f"{name}: at a common training loss, twice the width makes networks more stable",
            -WIDTH[s]["equal"],
            source,
            role="observed",
        )
        for s, name in NAMES.items()
    ),
    direction(
        "here-equal-loss",
        f"He: so it does in this run, on {loaded.name}",
        -tendencies(here, "he", "m")["equal"],
        here,
        role="observed",
    ),
    checks.every(
        "no-hump-at-equal-loss",
        no_hump,
        cases=[outcome != phase_transition.UP_DOWN for outcome in decided],
        evidence={word: equal_shapes.count(outcome) for outcome, word in WORDS.items() if outcome in equal_shapes},
        role="observed",
        **source["where"],
    )
    if decided
    else checks.not_run("no-hump-at-equal-loss", no_hump, needs="more seeds or widths", role="observed"),
    checks.agrees(
        "start",
        "fresh networks, measured as the trained ones are, have the mean stability of the closed form",
        estimate=[f.mean() for f in fresh],
        standard_error=[f.std() / len(f) ** 0.5 for f in fresh],
        exact=exact,
        sample=f"3 cells (L, m), 100 networks each, {loaded.name}",
        role="method",
        scale=cfg.scale,
    ),
]
figure_4a = [
    all_up_down(
        "each-depth",
        "each depth under He: the trained stability rises and then falls with width",
        by_width["he"],
        source,
    )
]

# %% [markdown]
# Two layers, lazy against non-lazy: each width where both learned, at their last epoch.

# %% tags=["hide-input"]
pair = {s: rows.set_index(["m", "seed"]).log for s, rows in two.items()}
empty = pd.Series(dtype=float, index=pd.MultiIndex.from_arrays([[], []], names=["m", "seed"]))
gap = (pair.get("he", empty) - pair.get("non-lazy", empty)).dropna()
of_two = source["equal"][source["equal"]["L"] == 2].set_index(["scheme", "m", "seed"]).log
equal_gap = (of_two.get("he", empty) - of_two.get("non-lazy", empty)).dropna()
non_lazy = two["non-lazy"].groupby("m").log.mean() if "non-lazy" in two else pd.Series(dtype=float)
enough = len(non_lazy) >= 4 and gap.groupby("m").ngroups >= 1
needs = {"needs": "networks that learn, from both starts and at four widths", "role": "trend"}
below_said = "at each width the non-lazy networks have the smaller stability"
falls_said = "the rank correlation of their stability with the width is at most −0.9"
kappas = source["main"].query("L == 2 and epoch == @source['epoch'] and scheme in ['he', 'non-lazy']")
kappas = kappas.groupby(["scheme", "m"]).kappa.mean().unstack(0)
figure_4b = [
    direction(
        "non-lazy-smaller",
        "averaged over the widths, two-layer networks from the non-lazy start have the smaller stability",
        gap.groupby("seed").mean(),
        source,
    ),
    checks.every("at-each-width", below_said, cases=gap.groupby("m").mean() > 0, role="trend", **source["where"])
    if enough
    else checks.not_run("at-each-width", below_said, **needs),
    checks.at_most(
        "non-lazy-falls",
        falls_said,
        measured=stats.spearmanr(non_lazy.index, non_lazy).statistic,
        bound=-0.9,
        role="trend",
        **source["where"],
    )
    if enough
    else checks.not_run("non-lazy-falls", falls_said, **needs),
    direction(
        "non-lazy-equal-loss",
        "and so they have at a common training loss",
        equal_gap.groupby("seed").mean(),
        source,
        role="observed",
    ),
    checks.every(
        "moves-further",
        "at each width the weights of the non-lazy start move by a larger share of themselves, ten times at least",
        cases=kappas["non-lazy"] > 10 * kappas["he"],
        evidence={"He, widest": kappas["he"].iloc[-1], "non-lazy, widest": kappas["non-lazy"].iloc[-1]},
        role="observed",
        **source["where"],
    ),
]

# %% [markdown]
# The depth, under He and LeCun; and the NTK curves beside those of He.

# %% tags=["hide-input"]
SIGNS = {"he": (1, "rises"), "lecun": (-1, "falls")}


def depth_checks(s: str) -> list:
    """The tendency in the depth, trained; then what separates training from its start; then the transition."""
    sign, verb = SIGNS[s]
    return [
        direction(
            f"{s}-depth", f"{NAMES[s]}: the trained stability {verb} with depth", sign * DEPTH[s]["trained"], source
        ),
        all_up_down(f"{s}-each-depth", f"{NAMES[s]}: each depth shows the transition in width", by_width[s], source),
        direction(
            f"{s}-start",
            f"{NAMES[s]}: before training, the same networks are more stable the deeper they are",
            -DEPTH[s]["start"],
            source,
            role="observed",
        ),
        direction(
            f"{s}-equal-loss",
            f"{NAMES[s]}: at a common training loss, deeper networks are less stable",
            DEPTH[s]["equal"],
            source,
            role="observed",
        ),
        direction(
            f"here-{s}",
            f"{NAMES[s]}: in this run, on {loaded.name}, the trained stability {verb} with depth",
            sign * tendencies(here, s, "L")["trained"],
            here,
            role="observed",
        ),
    ]


means = source["kept"].groupby(["scheme", "L", "m"]).log.mean()
alike = {}
for L in source["L"]:
    both = pd.concat([means[s].get(L, pd.Series(dtype=float)) for s in ("ntk", "he") if s in means], axis=1).dropna()
    if len(both) >= 4:
        alike[L] = stats.spearmanr(both.iloc[:, 0], both.iloc[:, 1]).statistic
deeper = [rho for L, rho in alike.items() if L > 2]
alike_said = "at each depth above two, the rank correlation of the NTK and He curves over the widths is above 0.8"
shape_said = "at two layers the shape of the NTK curve is another than that of the He curve"
pairs = [by_width[s][2].outcome for s in ("ntk", "he") if 2 in by_width[s]]
figure_10 = [
    checks.every(
        "ntk-like-he",
        alike_said,
        cases=np.array(deeper) > 0.8,
        evidence={f"L = {L}": rho for L, rho in alike.items()},
        role="trend",
        **source["where"],
    )
    if deeper
    else checks.not_run("ntk-like-he", alike_said, needs="four widths at which both learn", role="trend"),
    checks.every(
        "two-layers-differ",
        shape_said,
        cases=[pairs[0] != pairs[1]],
        evidence={"NTK": pairs[0], "He": pairs[1]},
        role="trend",
        **source["where"],
    )
    if len(pairs) == 2 and phase_transition.UNDECIDED not in pairs
    else checks.not_run("two-layers-differ", shape_said, needs="decided shapes of both two-layer curves", role="trend"),
    direction(
        "ntk-equal-loss",
        "NTK: at a common training loss, deeper networks are less stable",
        DEPTH["ntk"]["equal"],
        source,
        role="observed",
    ),
]

# %% [markdown]
# The sentence of the conclusion names no initialisation, so we ask for the least it can mean: that under at least
# one of them, at most of the widths whose curve over the depth is decided, the stability rises and then falls.


# %% tags=["hide-input"]
def humps(found: dict) -> tuple[list[bool], dict[str, str]]:
    """Of each initialisation: whether most decided curves over the depth rise and then fall; and all outcomes."""
    most, counts = [], {}
    for s, name in NAMES.items():
        outcomes = [f.outcome for f in found[s].values() if f.outcome != phase_transition.UNDECIDED]
        counts[name] = ", ".join(f"{WORDS[w]}: {outcomes.count(w)}" for w in WORDS if w in outcomes) or "none decided"
        most.append(bool(outcomes) and outcomes.count(phase_transition.UP_DOWN) > len(outcomes) / 2)
    return most, counts


said = "under He, LeCun or NTK the trained stability rises and then falls with depth, at most widths"
at_epoch, at_loss = humps(by_depth), humps(shapes(source | {"kept": source["equal"]}, "L"))
conclusion = [
    checks.every(name, sentence, cases=[any(most)], evidence=counts, role=role, **source["where"])
    if set(counts.values()) != {"none decided"}
    else checks.not_run(name, sentence, needs="three depths that learn, with decided curves", role=role)
    for name, sentence, (most, counts), role in (
        ("some-initialisation", said, at_epoch, "trend"),
        ("some-at-equal-loss", f"and so it does at a training loss of {LOSS}", at_loss, "observed"),
    )
]

# %% [markdown]
# ## Verdict

# %% tags=["hide-input"]
claims.report(
    claims.verdict(
        "zhu2022-obs-phase-width",
        obs_width,
        note="Among networks that learned. The claim is read off an upper bound; a rise and fall of a bound is none of the quantity.",
    ),
    claims.verdict(
        "zhu2022-fig4a",
        figure_4a,
        note="It takes every depth: one curve that only falls, or only rises, contradicts it. The last word of each row of the phase diagram says which do.",
    ),
    claims.verdict(
        "zhu2022-fig4b", figure_4b, note="Non-lazy: standard deviation m⁻², our choice; the paper's is lost."
    ),
    claims.verdict(
        "zhu2022-fig5a",
        depth_checks("he"),
        note="Two claims: the tendency in the depth, and the transition in the width.",
    ),
    claims.verdict(
        "zhu2022-fig5b",
        depth_checks("lecun"),
        note="The direction claimed is that before training, where the factor for each layer is c(m)/√2 (Z4).",
    ),
    claims.verdict(
        "zhu2022-fig10", figure_10, note="A rank correlation over few widths is a coarse measure of likeness."
    ),
    claims.verdict(
        "zhu2022-obs-conclusion-depth",
        conclusion,
        note="Tested in its weakest reading, in which a majority of one curve suffices: the counts say how far it carries, and at a common loss nothing of it is left. Probably width was meant: everywhere else the paper calls the depth monotone.",
    ),
)

# %% [markdown]
# ## Limits, and one thing to try
#
# What would change the verdicts: a setting of training in which narrow networks at every depth learn, and are more stable than wider ones,
# while the widest are more stable again. The paper's learning rates, batch size, scale of the inputs, widths and depths are lost, and each
# moves the curves: the middle of the third figure shows how one curve rises with the width early in training and falls with it later, so
# a ridge can be found for one depth at some epoch. Ours are verdicts on *each depth*, in our setting.
# The largest networks have three seeds, and our grid stops at width 1,024 (8,192 at the `gpu` scale); the
# paper trained on more images. Perturbations are random, as in the definition; an attack is another matter.
#
# With inputs of norm 1, as {prf:ref}`Assumption 1 <zhu2022-assump1>` has it, the first weights say a tenth as much and training must
# move them further. What is left of the start?
#
# ```bash
# papermill notebooks/zhu2022/width_depth_initialisation.ipynb out.ipynb -p norm 1 -p epochs 40 -p long 40
# ```
