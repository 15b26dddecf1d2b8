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
# # Flat, or well trained?
#
# *Does EntropySGD end in a flatter place than SGD, or only in a lower one, and does the Hessian say how sharp that place is?*
#
# A network with parameters $\theta$ has the loss $\ell(x_n,\theta)$ on image $n$ of $N$; here it is the cross-entropy, in nats. The *adversarial loss* is
# $L_\epsilon(\theta)=\frac1N\sum_n\max_{\lVert\delta\rVert_\infty\le\epsilon}\ell(x_n+\delta,\theta)$ with the *budget* $\epsilon$ in pixel scale.
# Four trainings are compared. AT minimises $L_\epsilon$ by stochastic gradient descent (SGD). AWP (adversarial weight perturbation, {cite:t}`wu2020`) moves the weights
# uphill before each gradient. "+EnSGD" replaces SGD by EntropySGD {cite}`chaudhari2017`.
#
# :::{prf:observation} Figure 7 of Kanai et al.
# :label: kanai2021-fig7
# :nonumber:
#
# Along a filter-normalised random direction in parameter space, on training and test data and at the epoch of best robust accuracy, no method is very sharp. EntropySGD does not necessarily flatten the
# landscape, but has the smallest training loss; compared with it, AT and AWP underfit slightly ({cite:t}`kanai2021`, appendix F.1; ResNet-18 and WideResNet).
# :::
#
# :::{prf:definition} Definition 2 of Kanai et al.
# :label: kanai2021-def2
# :nonumber:
#
# Let $B_2(r,\theta)$ be the Euclidean ball of radius $r$ around a minimum $\theta$ of a loss $L\ge0$. The *sharpness* is proportional to the left side, and for small $r$ approximately the right side (appendix B,
# equations 73 and 74; $\lVert\cdot\rVert_2$ of a matrix is the spectral norm; the paper writes $\varepsilon$ for the radius):
#
# $$
# \frac{\max_{\theta'\in B_2(r,\theta)}L(\theta')-L(\theta)}{1+L(\theta)}\;\approx\;\frac{\lVert\nabla^2L(\theta)\rVert_2\,r^2}{2\,(1+L(\theta))} .
# $$
# :::
#
# **In short.** EntropySGD does not flatten: on MNIST the networks it trained are steeper than those of SGD, at equal training loss too. Whether it ends at the smallest training loss, three seeds of a short training
# do not resolve, and by our definition some of these small networks are very sharp, against the figure.
# The Hessian approximation of sharpness is right at a smooth minimum, fails like $1/r$ at a kink, and at trained networks misses the gradient, which at small radii makes the rise tens to hundreds of times larger.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sympy
import torch
import z3

from advsmooth import checks, claims, data, plotting, records, replays, settings
from advsmooth.analysis import epsilon_sharpness, flatness
from advsmooth.attacks.audit import audit, stronger_attacks
from advsmooth.attacks.gradient import PGD
from advsmooth.training import published, runs
from advsmooth.training.batches import generators, hold_out

plotting.use_theme()
PAGE = "kanai2021/flat_or_well_trained"
METHODS = ("AT", "AT+EnSGD", "AWP", "AWP+EnSGD")

# %% tags=["parameters"]
scale: str = "quick"  # quick (digits, seconds) | cpu (MNIST, or images of yours) | gpu (presets, never run)
seed: int = 0  # first seed of the networks
seeds: int = None  # networks of each method
dataset: str = None  # digits, mnist, cifar10, imagefolder:PATH
network: str = None  # lenet | resnet18
w: int = None  # width factor
n: int = None  # training images
eps: float = None  # attack budget, pixel scale
steps: int = None  # attack steps in training
epochs: int = None  # of training
held_out: int = None  # training images set aside to choose the epoch
batch: int = None  # images of a mini-batch
subset: int = None  # images of each curve, training and test
attack_steps: int = None  # attack steps at every point of a curve
directions: int = None  # random directions of each network

# %% tags=["hide-input"]
cfg = settings.resolve(
    globals(),
    seeds=settings.count(at_least=1, at_most=50, quick=3),
    dataset=settings.text(quick="digits", cpu="mnist", gpu="cifar10"),
    network=settings.choice("lenet", "resnet18", quick="lenet", cpu="resnet18"),
    w=settings.count(quick=2, cpu=1, gpu=8),
    n=settings.count(at_least=100, quick=1437, cpu=3000, gpu=50_000),
    eps=settings.radius(quick=0.05, cpu=0.3, gpu=8 / 255),
    steps=settings.count(quick=2, cpu=5, gpu=10),
    epochs=settings.count(quick=5, cpu=10, gpu=200),
    held_out=settings.count(at_least=10, quick=150, cpu=300, gpu=1000),
    batch=settings.count(quick=32, cpu=128),
    subset=settings.count(at_least=20, quick=100, cpu=128, gpu=1000),
    attack_steps=settings.count(quick=5, cpu=8, gpu=20),
    directions=settings.count(quick=2, gpu=5),
)
PUBLISHED = claims.claim("kanai2021-fig7").published
low, high = PUBLISHED["alpha_range"]
OFFSETS = [
    round(low + k * PUBLISHED["alpha_step"], 6) for k in range(round((high - low) / PUBLISHED["alpha_step"]) + 1)
]
RADII = [0.001, 0.005, 0.02, 0.1, 0.3, 1.0, 3.0]
ASCENT = 5  # steps of projected gradient ascent, from each of three starts
cfg

# %% [markdown]
# ## Where the approximation holds
#
# Let $g=\nabla L(\theta)$, let $\lambda>0$ be the largest eigenvalue of the Hessian, and the spectral norm too: at a minimum they are the same, and elsewhere a large *negative* eigenvalue would raise the right side only.
# Let the Hessian be $\rho$-Lipschitz. Taylor's theorem bounds the distance of $L$ from its quadratic model by $\rho\lVert v\rVert^3/6$. At a minimum $g=0$, and the model rises by at most
# $\lambda r^2/2$, along the top eigenvector. Write $q(r)$ for the ratio of left side to right side in Definition 2. Then
#
# $$
# \lvert q(r)-1\rvert\;\le\;\frac{\rho\,r}{3\lambda}.
# $$ (kanai2021-flat-smooth)
#
# So the error is $O(r)$, and for $\lambda t^2/2+\rho\max(t,0)^3/6$ it is exactly the bound. If $\lambda=0$ the right side vanishes and the ratio says nothing.
#
# **At a point that is no minimum** the gradient comes first. The quadratic model rises by at least $\lambda r^2/2$, along the top eigenvector with the sign that does not go downhill; by at least $\lVert g\rVert r$, along $g$, if
# the loss curves upwards there; and by at most $\lVert g\rVert r+\lambda r^2/2$. With the *crossover* $r_\ast=2\lVert g\rVert/\lambda$,
#
# $$
# \max\Big(1,\frac{r_\ast}{r}\Big)\;\le\;q(r)\;\le\;1+\frac{r_\ast}{r}.
# $$ (kanai2021-flat-gradient)
#
# Below the crossover the gradient dominates, whatever its direction. If it lies along the top eigenvector the approximation is within a quarter only for $r\ge4r_\ast$, while {eq}`kanai2021-flat-smooth` wants $r\le\frac34\lambda/\rho$: both is
# possible only if $8\,\rho\lVert g\rVert\le\frac34\lambda^2$, about $\rho\lVert g\rVert\le\lambda^2/10$. This is the sense in which a trained network must be *near* a minimum.
#
# **At a kink** the loss rises to both sides at once with a slope $s>0$. Then the left side is $sr/(1+L)$ to first order, and $q(r)$ grows like $2s/(\lambda r)$ whatever number is put for $\lambda$. An adversarial loss has such
# minima. Take inputs $(1,\pm b)$, each label $+1$ in seven of eight cases: the second feature says nothing, so the best second weight is $\theta_2=0$. For a linear model the worst-case margin of an example with label $y$ is
# $y\,\theta\cdot x-\epsilon\lVert\theta\rVert_1$, and averaged over $\pm b$ the logistic loss rises from $\theta_2=0$, to both sides, with slope
#
# $$
# s=\epsilon\;\mathbb E\,\sigma(-z)>0,
# $$ (kanai2021-flat-kink)
#
# with $z$ the worst-case margin at $\theta_2=0$ and $\sigma$ the sigmoid. Under an $L_2$ attack on the same data the loss is smooth at the minimum. (In the paper's appendix C, too, the label depends on the first feature only; some wrong labels make the minimum finite.)

# %% tags=["hide-input"]
rise, lam, r, rho, q, g = z3.Reals("rise lambda r rho q g")
positive = [lam > 0, r > 0, rho >= 0, g >= 0, q * (lam * r * r) == 2 * rise]
taylor = [rise - lam * r * r / 2 <= rho * r * r * r / 6, lam * r * r / 2 - rise <= rho * r * r * r / 6]
t, b, m, e = sympy.symbols("t b m epsilon", positive=True)
side = sum(sympy.log(1 + sympy.exp(-(m + sign * b * t - e * t))) for sign in (-1, 1)) / 2
L, R = sympy.symbols("lambda rho", positive=True)
derivations = [
    checks.implies(
        "ratio-bound",
        "from Taylor's bound on the rise follows the bound on the ratio",
        assumptions=positive + taylor,
        conclusion=z3.And(3 * lam * (q - 1) <= rho * r, 3 * lam * (1 - q) <= rho * r),
    ),
    checks.implies(
        "gradient-bound",
        "from the three bounds on the rise of the quadratic model follow those on the ratio",
        assumptions=[*positive, lam * r * r / 2 <= rise, g * r <= rise, rise <= g * r + lam * r * r / 2],
        conclusion=z3.And(q >= 1, lam * r * q >= 2 * g, lam * r * (q - 1) <= 2 * g),
    ),
    checks.identity(
        "cubic",
        "for the cubic the ratio is 1 plus the bound",
        left=(L * t**2 / 2 + R * t**3 / 6) / (L * t**2 / 2),
        right=1 + R * t / (3 * L),
    ),
    checks.identity(
        "kink-slope",
        "the loss of a pair rises to either side with slope epsilon times the sigmoid of minus the margin",
        left=sympy.diff(side, t).subs(t, 0),
        right=e / (1 + sympy.exp(m)),
    ),
]

# %% [markdown]
# The two bounds on the *rise* are the arguments in the text; the machine checks what is made of them. The exact cases: logistic regression with a ridge in two dimensions, where
# $\rho\le\frac1n\sum\lVert x_i\rVert^3/(6\sqrt3)$, the cubic, and the pair of attacks. In two dimensions the ball is searched along its rim. The search that is used for networks, projected gradient ascent in
# parameter space, is compared with the closed form of the trust-region problem on random quadratics with a gradient, definite and not.

# %% tags=["hide-input"]
generator = settings.generator(cfg.seed)
ridges = [epsilon_sharpness.random_ridge(generator) for _ in range(20)]
radii = [10.0**k for k in (-3, -2, -1, 0)]
measured = [abs(ridge.ratio(r) - 1) for ridge in ridges for r in radii]
allowed = [ridge.bound(r) for ridge in ridges for r in radii]
cubics = [(lam, rho, r) for lam in (0.5, 2.0) for rho in (0.1, 1.0) for r in radii]
measured += [epsilon_sharpness.cubic_ratio(*case) - 1 for case in cubics]
allowed += [rho * r / (3 * lam) for lam, rho, r in cubics]
pairs = {norm: epsilon_sharpness.noisy_pair(norm) for norm in ("l2", "linf")}
small = list(np.geomspace(1e-4, 1, 25))
exact = {norm: np.array([pair.ratio(r) for r in small]) for norm, pair in pairs.items()}
kink = pairs["linf"]

climbed, closed = [], []
for k in range(20):
    a = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    hessian = a @ a.T if k % 2 else (a + a.T) / 2
    slope = torch.randn(5, generator=generator, dtype=torch.float64)
    starts = torch.randn(8, 5, generator=generator, dtype=torch.float64)
    quadratic = lambda v, h=hessian, s=slope: (float(s @ v + v @ h @ v / 2), s + h @ v)  # noqa: E731
    climbed.append(epsilon_sharpness.ascend(quadratic, 0.5, starts, steps=300))
    closed.append(epsilon_sharpness.quadratic_rise(hessian, slope, 0.5))

# %% [markdown]
# ## The networks
#
# Every method starts from the same weights, one set a seed, and sees the same images in the same order, for equally many mini-batches. The epoch with the best robust accuracy on *held-out training images* is
# kept (the paper chooses on the test set). With its published settings EntropySGD is hardly more than an average: the pull to the centre, 0.03, is small against the gradient, and
# the noise of $10^{-4}$ smaller still, so a step amounts to averaging a few iterates of SGD and moving there. Our short trainings move all the way, after five iterates; the published step is a
# tenth of the way after twenty.
#
# The landscape: $w+\alpha\,d$, where every filter of the Gaussian direction $d$ has the norm of the filter it belongs to {cite}`li2018`; biases and norm layers stay. **The attack is recomputed at each** $\alpha$, on the published
# grid. All methods of one seed share the Gaussians. Networks are in evaluation mode, batch norm with the statistics of the trained network (the LeNet of the digits has none).

# %% tags=["hide-input"]
whole, test = (data.load(cfg.dataset, split, device=cfg.device) for split in ("train", "test"))
images = whole.take(min(cfg.n, len(whole)), seed=0)
test = test.take(min(cfg.subset, len(test)), seed=0)
planned = published.kanai_runs(
    images,
    {name: published.KANAI_SHORT[name] for name in METHODS},
    published.kanai_at(cfg.eps, steps=cfg.steps),
    settings.seeds(cfg.seed, cfg.seeds),
    w=cfg.w,
    epochs=cfg.epochs,
    held_out=cfg.held_out,
    batch=cfg.batch,
    network=cfg.network,
)
watch = records.Stopwatch()
trained = runs.trained_all(list(planned.run))
attack = PGD(eps=cfg.eps, steps=cfg.attack_steps)  # steps of 2.5 eps / attack_steps

# %% tags=["hide-input"]
parts = [flatness.rows("", cfg.seed, "constant", [np.log(len(images.class_names))])]
epochs = range(1, cfg.epochs + 1)
for method, s, result in zip(planned.method, planned.seed, trained, strict=True):
    rest, _ = hold_out(images, cfg.held_out, generators(s, cfg.device)["split"])
    few = rest.take(min(cfg.subset, len(rest)), seed=0)  # of those it was trained on
    of, model = (method, s), result.model
    parts.append(flatness.history(model, of, result.kept, result.best, few.x, few.y, attack, epochs))
    both = {"train": (few.x, few.y), "test": (test.x, test.y)}
    parts.append(flatness.around(model, of, both, attack, offsets=OFFSETS, n=cfg.directions))
    if s != cfg.seed:
        continue
    parts.append(flatness.second_order(model, of, few.x, few.y, attack, RADII, steps=ASCENT))
    if method == "AT":
        parts.append(flatness.contrast(model, of, few.x, few.y, attack, OFFSETS))
        g, some = settings.generator(s, cfg.device), test.take(min(50, len(test)))
        weaker = stronger_attacks(attack, some.x)[:1]
        audited = audit(model, some.x, some.y, attack, generator=g, stronger=weaker, allowed=0.03)
        names = audited.table.test + ", " + audited.table.setting + ", " + audited.table.measure
        parts += [flatness.rows(*of, f"audit: {name}", [v]) for name, v in zip(names, audited.table.value, strict=True)]
study = pd.concat(parts, ignore_index=True)
if cfg.scale != "quick":
    records.save(
        PAGE,
        study,
        cfg=cfg,
        data=[images, test],
        cost=watch.read(),
        function=records.plain(replays.flat_or_well_trained),
        arguments={},
        label=f"{cfg.scale}-{images.name.replace(':', '-')}",
    )

# %% [markdown]
# Larger runs leave a record for each data set. The rule, fixed before there were results: the claims about trained networks are judged on the record of CIFAR-10 if there is one, else on that of
# MNIST, else on this run; what else there is stands beside it as an observation. A network *learned* if its robust accuracy on the training images exceeds the share of the most frequent class by 0.1.
# One that learned nothing is perfectly flat. So a seed counts only if all four of its networks learned, and a source with fewer than three such seeds decides nothing: the next one is judged. (We added this when
# the small ResNets on CIFAR-10 turned out to have learned too little; before, the claim would have stood on one comparison alone.) *Rise* is the mean of the loss at $\alpha=\pm\frac12$ less the loss at 0.


# %% tags=["hide-input"]
def described(about: settings.Settings, name: str) -> dict[str, str]:
    words = (
        f"{about.network} of width {about.w}, {about.subset} images of {name}, {about.seeds} seeds from {about.seed}"
    )
    return {"sample": f"{words}, {about.directions} directions", "scale": about.scale}


sources = {f"{images.name}, this run": (study, described(cfg, images.name))}
for record in sorted(records.every(PAGE), key=lambda record: record.provenance["date"]):
    name = record.provenance["data"][0]["name"]
    about = settings.Settings(record.provenance["parameters"], frozenset())
    sources[f"{name}, {record.scale} record"] = (record.table.fillna({"method": ""}), described(about, name))
for wanted in ("mnist", "cifar10"):
    first = [name for name in sources if wanted in name and "record" in name]
    sources = {name: sources[name] for name in [*first, *(other for other in sources if other not in first)]}
nets = {name: flatness.networks(found) for name, (found, _) in sources.items()}
enough = [name for name, table in nets.items() if flatness.kept(table)["seed"].nunique() >= 3]
judged = next(iter(enough or sources))
note = "\n".join(f"{where['scale']} scale: {where['sample']}" for _, where in sources.values())


def overview(table: pd.DataFrame) -> pd.DataFrame:
    columns = ["train loss", "test loss", "train rise", "test rise", "best accuracy", "last loss", "last accuracy"]
    by = table.groupby("method")
    shown = by[columns].mean().map(lambda v: f"{v:.2f}") + by[columns].std().map(lambda v: f" ± {v:.2f}")
    learned = by["learned"].agg(lambda each: f"{int(each.sum())} of {len(each)}")
    return shown.assign(learned=learned)


pd.concat({name: overview(table) for name, table in nets.items()}).T

# %% [markdown]
# Losses are adversarial, in nats; *rise* is of the best epoch, accuracy robust on training images. Mean and standard deviation over the seeds. What the attack leaves to stronger ones is audited on AT of the first seed, on test images: losses on this page are too low, and accuracies too high, by about that much.

# %% tags=["hide-input"]
audits = {}
for name, (found, _) in sources.items():
    own = found[found["quantity"].str.startswith("audit: ")]
    audits[name] = own.set_index(own["quantity"].str.removeprefix("audit: "))["value"].map(checks.show)
pd.DataFrame(audits).fillna("").rename_axis("test, setting, measure")

# %% [markdown]
# ## The landscape


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Adversarial loss along filter-normalised random directions, the attack recomputed at each offset: mean over seeds and directions; band: smallest to largest. Dotted: the loss of a constant classifier. A curve that starts higher has less far to rise."}, "image": {"alt": "Valleys of four methods on training and test images. AWP lies higher at the centre and is the flattest; the curves of AT and EntropySGD with AT are close together."}}
def valleys(axes: np.ndarray, name: str) -> None:
    found, _ = sources[name]
    level = float(found.loc[found["quantity"] == "constant", "value"].iloc[0])
    for ax, part in zip(axes, ("train", "test"), strict=True):
        wide = flatness.curves(found, part)
        for method, style in zip(METHODS, plotting.styles(), strict=False):
            own = wide[method]
            plotting.band(ax, own.index, own.min(axis=1), own.max(axis=1), style["color"])
            ax.plot(own.mean(axis=1), label=method, markevery=5, **style)
        ax.axhline(level, color=plotting.INK, linewidth=0.9, linestyle=":")
        ax.set_ylim(0, 3 * level)
        words = {"train": "training images", "test": "test images"}[part]
        plotting.label(ax, f"{name.split(',')[0].split(':')[-1]}: {words}", "offset $\\alpha$", "")
    axes[0].set_ylabel("adversarial loss (nats)")


fig, axes = plt.subplots(
    len(sources), 2, figsize=(plotting.WIDTH, 0.4 + 2.9 * len(sources)), sharey="row", squeeze=False
)
for line, name in zip(axes, sources, strict=True):
    valleys(line, name)
axes[0, 0].legend(ncols=2, loc="upper center", fontsize=8)
plotting.finish(fig, note)

# %% [markdown]
# Bands overlap: one direction and one seed, as in the published figure, would show any order one likes. Differences below are therefore taken seed by seed.
#
# ## Flat, or well trained?
#
# The next figure takes every epoch, not only the best one: the training loss of the network and the rise around it. On the digits a network begins at the right, flat and useless, and climbs to the left as it learns; on MNIST the networks of EntropySGD (without AWP) are the steepest all the way.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Rise against training loss through training, one line a network, from the early epochs (right) to the last; markers: the best epoch; dotted: the loss of a constant classifier, beyond which early epochs of the ResNets lie. If flatness were a matter of how well a network is trained alone, all lines would be one."}, "image": {"alt": "Up to three panels, one a data set. Lines climb from the lower right to the upper left on the digits; on MNIST the markers of EntropySGD lie above those of SGD; on CIFAR-10 all stay near the constant classifier."}}
fig, axes = plt.subplots(1, len(sources), figsize=(plotting.WIDTH, 3.4), squeeze=False)
for ax, (name, (found, _)) in zip(axes[0], sources.items(), strict=True):
    paths, best = flatness.trajectories(found), nets[name].set_index(["method", "seed"])
    level = float(found.loc[found["quantity"] == "constant", "value"].iloc[0])
    for method, style in zip(METHODS, plotting.styles(), strict=False):
        ax.plot([], [], label=method, **style)
        for s, own in paths[paths["method"] == method].groupby("seed"):
            ax.plot(own["loss"], own["rise"], **(style | {"linewidth": 0.9, "marker": "", "alpha": 0.75}))
            at = best.loc[(method, s), "train loss"]
            height = np.interp(at, *own.sort_values("loss")[["loss", "rise"]].to_numpy().T)
            ax.plot(at, height, style["marker"], color=style["color"], markersize=8, markeredgecolor="white")
    ax.axvline(level, color=plotting.INK, linewidth=0.9, linestyle=":")
    ax.set_xlim(0, 1.15 * level)
    near = paths.loc[paths["loss"] < 1.15 * level, "rise"]
    ax.set_ylim(min(0.0, 1.1 * near.min()), 1.1 * near.max())
    plotting.label(ax, name.split(",")[0].split(":")[-1], "adversarial loss (nats)", "")
axes[0, 0].set_ylabel("rise to $\\alpha=\\pm1/2$ (nats)")
axes[0, 0].legend(fontsize=8)
plotting.finish(fig, f"{note}\nrise: first direction of each seed")

# %% [markdown]
# On the digits well trained and steep go together: a curve that starts low has further to go before it reaches the level where the network knows nothing. To separate the two, rises are
# compared *at equal training loss*: at the lowest loss that both methods of a pair reach, the better one when it passed there.
#
# **A tension in the paper.** Section 5.3 says that EntropySGD *lowers the training accuracy* of AT and so relieves overfitting; appendix F.1 says that its *training loss is the smallest*. Lower accuracy with lower loss is possible, but the paper gives
# another reason: figure 7 takes the best epoch of each method, which for AT comes early in 200 epochs, and section 5.3 the end. A short training does not overfit, best and last nearly coincide (table above), and only one of the two can come out. The checks show which.
#
# **What the method decides.** With examples *frozen* at $\alpha=0$ the curve is a lower bound of the one with examples found anew, and looks flatter: the answer of the adversary is part of the sharpness.
# Batch-norm statistics estimated anew at each offset undo part of what a perturbation of the weights does to the scale of the activations.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "One curve, three ways (AT, first seed, first direction, training images): adversarial examples found anew at each offset, frozen at the centre, or found anew with batch-norm statistics estimated anew as well, on the adversarial examples of the centre. Without norm layers, as in the LeNet of the digits, the last equals the first."}, "image": {"alt": "The curve with frozen examples lies below the one with examples found anew, more so at large offsets on one side."}}
fig, axes = plt.subplots(1, len(sources), figsize=(plotting.WIDTH, 2.8), squeeze=False)
for ax, (name, (found, _)) in zip(axes[0], sources.items(), strict=True):
    start = found.loc[found["quantity"] == "frozen", "seed"].iloc[0]
    anew = flatness.curves(found, "train")["AT", start, 0]
    ways = {"found anew": anew}
    for quantity in ("frozen", "re-estimated"):
        ways[quantity] = found[found["quantity"] == quantity].set_index("at")["value"]
    for (way, curve), style in zip(ways.items(), plotting.styles(), strict=False):
        ax.plot(curve, label=way, markevery=3, **style)
    plotting.label(ax, name.split(",")[0].split(":")[-1], "offset $\\alpha$", "loss (nats)" if ax is axes[0, 0] else "")
    ax.set_ylim(0, 8)
axes[0, 0].legend()
plotting.finish(fig, "\n".join(f"{line}; one network" for line in note.split("\n")))

# %% [markdown]
# ## Is the Hessian usable at a trained network?
#
# For the four networks of the first seed: the norm of the gradient at frozen examples, the Hessian eigenvalue of largest size (Lanczos, relative residual at most 0.01), the crossover $r_\ast$,
# and the largest rise that projected gradient ascent finds in balls of several radii, starting along the gradient and both ways along the top eigenvector. It is a lower bound of the left side.

# %% tags=["hide-input"]
tables = {}
for name, (found, _) in sources.items():
    single = found.pivot_table(index="method", columns="quantity", values="value", aggfunc="first")
    ratio = flatness.ratios(found).groupby("method").agg(smallest=("ratio", "min"), crossover=("crossover", "first"))
    tables[name] = pd.DataFrame(
        {
            "gradient norm": single["gradient"],
            "top eigenvalue": single["top"],
            "residual / eigenvalue": (single["residual"] / single["top"].abs() <= 0.01).map({True: "below 0.01"}),
            "crossover": ratio["crossover"],
            "crossover / norm of the weights": ratio["crossover"] / single["length"],
            "smallest ratio at any radius": ratio["smallest"],
        }
    ).reindex(METHODS)
pd.concat(tables).map(lambda v: v if isinstance(v, str) else f"{v:.2g}").T

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The ratio of the sharpness to its Hessian approximation against the radius; 1 is where it is right. Left, exact: the same data under an L2 attack (smooth minimum) and a maximum-norm attack (kink), where it grows like 1/r. Right: trained networks, radius in units of the crossover; filled: examples frozen, open: found anew; line: gradient and Hessian aligned, 1 + crossover/r."}, "image": {"alt": "Left, one curve settles at 1 for small radii, the other grows as a straight line on logarithmic axes. Right, points follow a falling line and turn up again at large radii, without reaching 1."}}
fig, (left, right) = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.5), sharey=True)
styles = list(plotting.styles())
for (norm, words), style in zip(
    {"l2": "$L_2$ attack: smooth", "linf": "maximum norm: kink"}.items(), styles, strict=False
):
    left.loglog(small, exact[norm], label=words, markevery=4, **style)
left.loglog(small, 2 * kink.slope / (kink.top * np.array(small)), ":", color=plotting.INK, label="$2s/(\\lambda r)$")
left.axhline(1, color=plotting.GREY, linewidth=0.8)
plotting.label(left, "Linear model, exact", "radius $r$", "sharpness over approximation")
left.legend(fontsize=8)
found = sources[judged][0]
for quantity, filled in (("sharpness", True), ("sharpness anew", False)):
    for method, style in zip(METHODS, styles, strict=False):
        own = flatness.ratios(found, quantity).query("method == @method")
        look = {"linestyle": "none", "markerfacecolor": style["color"] if filled else "white"}
        right.loglog(own["radius"] / own["crossover"], own["ratio"], label=method if filled else None, **(style | look))
across = np.geomspace(0.002, 50, 50)
right.loglog(across, 1 + 1 / across, ":", color=plotting.INK, label="$1+r_*/r$")
right.axhline(1, color=plotting.GREY, linewidth=0.8)
right.set_ylim(0.6, 3000)
left.minorticks_off()
right.minorticks_off()
plotting.label(right, f"Trained, {judged.split(',')[0].split(':')[-1]}", "radius / crossover $r_*$", "")
right.legend(fontsize=8)
plotting.finish(fig, f"{sources[judged][1]['scale']} scale: {sources[judged][1]['sample']}; first seed only")

# %% [markdown]
# At small radii the networks follow $r_\ast/r$, as {eq}`kanai2021-flat-gradient` says they must, and equation 74 is too small by orders of magnitude. Near the crossover the ratio is smallest. Beyond, third derivatives and
# kinks take over before the Hessian term had a range to itself. A training that is stopped early is never near enough to a minimum in the sense above. The Hessian eigenvalue remains a measure of curvature at a point; it is not the sharpness of definition 2.
#
# ## Checks


# %% tags=["hide-input"]
def compared(name: str, sentence: str, source: str, differences, role: str = "trend") -> checks.Check:
    where = sources[source][1]
    if np.size(differences) < 3:
        more = "at least 3 seeds of which all four networks learned; train longer or take more seeds"
        return checks.not_run(name, sentence, needs=more, role=role, scale=where["scale"])
    return checks.positive(name, sentence, differences=differences, role=role, **where)


def underfits(source: str, ending: str = "", role: str = "trend") -> list[checks.Check]:
    table = flatness.kept(nets[source])
    return [
        compared(
            f"{kind.lower()}-underfits{ending}",
            f"{kind} has a larger adversarial training loss than {kind}+EnSGD, at the best epochs (nats)",
            source,
            flatness.gap(table, "train loss", kind, f"{kind}+EnSGD") if len(table) else [],
            role,
        )
        for kind in ("AT", "AWP")
    ]


def flattening(table: pd.DataFrame) -> list[np.ndarray]:
    """The rise with SGD less that with EntropySGD, seed by seed: two pairs, two parts of the data."""
    columns = ("train rise", "test rise")
    return [flatness.gap(table, column, kind, f"{kind}+EnSGD") for kind in ("AT", "AWP") for column in columns]


# %% tags=["hide-input"]
found, where = sources[judged]
table = flatness.kept(nets[judged])
alive = set(table["seed"])
shares = flatness.grid_step(found)
figure_7 = underfits(judged)
figure_7.append(
    checks.at_most(
        "none-very-sharp",
        "one step of the published grid takes no network more than half of the way to a constant classifier",
        measured=shares[shares.index.get_level_values("seed").isin(alive)] if alive else [np.nan],
        bound=0.5,
        role="trend",
        **where,
    )
)
if len(alive) > 1:
    ends = [checks.mean_interval(d) for d in flattening(table)]
    figure_7.append(
        checks.at_most(
            "not-necessarily-flatter",
            "of the four intervals of the rise with SGD less that with EntropySGD, not all lie above 0 (lowest end)",
            measured=min(end[0] for end in ends),
            bound=0.0,
            role="trend",
            **where,
        )
    )
figure_7.append(
    checks.not_run(
        "published-setting",
        "the same for ResNet-18 and WideResNet after 200 epochs on CIFAR-10",
        needs="a GPU and CIFAR-10: advsmooth download cifar10, then scale=gpu (our presets, never run by us)",
        role="trend",
    )
)

# %% tags=["hide-input"]
paths = flatness.trajectories(found)
paths = paths[paths["seed"].isin(alive)]
gap = {
    ("AT", "AWP"): "AWP rises less than AT where their training losses are equal (nats)",
    ("AT", "AT+EnSGD"): "AT+EnSGD rises less than AT where their training losses are equal (nats)",
    ("AWP", "AWP+EnSGD"): "AWP+EnSGD rises less than AWP where their training losses are equal (nats)",
}
beyond = [
    compared(
        f"equal-loss-{less.lower()}",
        words,
        judged,
        flatness.gap_at_equal_loss(paths, more, less).to_numpy(),
        "observed",
    )
    for (more, less), words in gap.items()
]
beyond += [
    compared(
        "better-is-steeper",
        "over all methods and epochs of a seed, rise and training loss are negatively rank-correlated (minus the rank correlation)",
        judged,
        -flatness.rank_correlation(paths).to_numpy(),
        "observed",
    ),
    compared(
        "accuracy-lower",
        "section 5.3: at the last epoch AT+EnSGD has a lower robust accuracy on training images than AT",
        judged,
        flatness.gap(table, "last accuracy", "AT", "AT+EnSGD") if alive else [],
        "observed",
    ),
]
for other in [name for name in sources if name != judged]:
    beyond += underfits(other, f"-{other.split(',')[0].split(':')[-1]}", "observed")

# %% tags=["hide-input"]
here = {"sample": f"20 ridge regressions, {len(cubics)} cubics, radii 0.001 to 1, seed {cfg.seed}"}
beside = {"sample": "first seed, frozen examples; " + where["sample"], "scale": where["scale"], "role": "observed"}
steep = np.array([kink.ratio(r) * kink.top * r / (2 * kink.slope) for r in small])  # rise over s r
widest = float((kink.x.abs() + kink.eps).square().sum(1).max()) / 4  # Hessian of any term inside any orthant
of_networks = flatness.ratios(found)
tiniest = of_networks[of_networks["radius"] == min(RADII)]
single = found.pivot_table(index="method", columns="quantity", values="value", aggfunc="first").reindex(METHODS)
definition_2 = [
    *derivations,
    checks.at_most(
        "smooth-minimum",
        "at a smooth minimum the ratio of the two sides is within rho r / (3 lambda) of 1",
        measured=measured,
        bound=allowed,
        rtol=1e-6,  # at r = 0.001 the rise, 1e-7, has lost nine of sixteen digits to the loss it is taken from
        **here,
    ),
    checks.equal(
        "ascent",
        "projected gradient ascent finds the closed form of the trust-region problem (ratio)",
        measured=np.array(climbed) / np.array(closed),
        expected=1.0,
        atol=1e-5,  # what 300 steps leave where two eigenvalues are close; rounding is far below
        sample=f"20 random quadratics in 5 dimensions, definite and indefinite, seed {cfg.seed}",
        role="method",
    ),
    checks.at_most(
        "eigenvalue",
        "the residual of the top eigenvalue of every network is at most a hundredth of it",
        measured=single["residual"],
        bound=0.01 * single["top"].abs(),
        **(beside | {"role": "method"}),
    ),
]

# %% tags=["hide-input"]
definition_2 += [
    checks.at_most(
        "kink",
        "at the kink the rise is s r to first order: over s r it is at least 1 and at most 1 + C r / (2 s)",
        measured=[*(steep - 1), *(1 - steep)],
        bound=[*(widest * np.array(small) / (2 * kink.slope)), *np.zeros(len(small))],
        sample=f"{len(small)} radii from 0.0001 to 1; C bounds the Hessian inside the orthants",
        role="observed",
    ),
    checks.at_most(
        "gradient-term",
        "at the smallest radius the ratio at every network exceeds 100: the gradient decides (minus its log10)",
        measured=-np.log10(tiniest["ratio"]),
        bound=-2.0,
        **beside,
    ),
    checks.every(
        "usable",
        "every network has a radius at which the rise that was found is within a quarter of the approximation",
        cases=(of_networks["ratio"] - 1).abs().le(0.25).groupby(of_networks["method"]).any(),
        evidence={"smallest ratio": of_networks["ratio"].min()},
        **beside,
    ),
]

# %% [markdown]
# ## Verdict

# %%
claims.report(
    claims.verdict(
        "kanai2021-fig7",
        figure_7 + beyond,
        note=f"Judged on {judged}: a short training of small networks, EntropySGD with our short-training settings. "
        "What counts as very sharp the paper does not say: the half is ours, and so is a verdict that rests on it.",
    ),
    claims.verdict(
        "kanai2021-def2",
        definition_2,
        note="The approximation needs two derivatives and a positive top eigenvalue at the minimum. At trained networks "
        "the gradient term comes first.",
    ),
)

# %% [markdown]
# ## Limits, and one thing to try
#
# Everything here is small: a LeNet on digits, or a ResNet18 with a tenth of the published epochs and less of the width. At that length EntropySGD can only show how fast it learns, not how it
# ends; the order of the training losses would be settled by the published 200 epochs, which we did not run (the presets of `gpu` are untested). A few seeds make wide intervals, and "not all intervals lie above 0" is a weak statement
# by nature: it would turn if EntropySGD were flatter on both pairs, on training and on test data. "Very sharp" has no definition in the paper; ours is about the published grid. The largest
# rises are what an ascent found: better searches can only raise the ratios, so they cannot make the approximation right at small radii, but could change the smallest ratio.
#
# Train three times as long, so that the best epoch is no longer the last, and see which curve is then the lowest and which the flattest:
#
# ```bash
# papermill notebooks/kanai2021/flat_or_well_trained.ipynb out.ipynb -p epochs 15
# ```
