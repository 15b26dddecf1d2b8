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
# # TRADES, and when to switch optimisers
#
# *Does EntropySGD also help TRADES, does it help to stop using it near the end, and is the reason that the loss is rough early on?*
#
# TRADES minimises the cross-entropy $\ell$ of clean images $x$ plus the divergence of the prediction $p_\theta$ between an image and its
# neighbours, $\ell(x)+\beta\max_{\lVert x'-x\rVert_\infty\le\epsilon}\mathrm{KL}(p_\theta(x)\,\Vert\,p_\theta(x'))$, with $\beta=6$. $\epsilon$
# is the largest change of a pixel (pixel scale), $\theta$ the parameters. AWP perturbs the weights as well, relatively by $\gamma_A$.
# EntropySGD (*EnSGD*) takes $L$ noisy gradient steps of rate $\eta'$, averages them with weight $\alpha$, and moves $\theta$ towards the average
# by an outer step of rate $\eta$. *Robust accuracy* is the share of test images that are classified correctly under attack.
#
# :::{prf:observation} Table 2 of Kanai et al.
# :label: kanai2021-tab2
# :nonumber:
# With TRADES, EntropySGD is more robust against AutoAttack than SGD, both alone and with AWP; switching from EntropySGD to SGD at
# epoch 150 of 200 ("tuned") is the most robust of all ({cite:t}`kanai2021`, appendix F.2; WideResNet-34-10, CIFAR-10, 3 runs).
# :::
#
# :::{prf:observation} Switching to SGD, appendix F.2.2 of Kanai et al.
# :label: kanai2021-obs-switch
# :nonumber:
# With TRADES and AWP, EntropySGD for 150 epochs and SGD from then on is more robust than EntropySGD throughout. The reading: non-smoothness affects
# training mainly early, while the learning rate is large, and that phase shapes the final result.
# :::
#
# **In short.** Of the gains that table 2 credits to EntropySGD and to the switch, none is beyond chance at the two-sided 5 % level with three
# runs, and the switch changes together with an averaging weight. Taken apart on MNIST, at equal averaging weight the switch changes robust accuracy by -0.1 points, with an interval of two points to either side, and EntropySGD by -5, within the spread of the seeds. The reading is half right: a
# step early in the training changes the gradient more than one late, but only because it is longer, for the loss itself becomes rougher with training, not smoother.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats

from advsmooth import checks, claims, data, plotting, records, settings
from advsmooth.analysis import step_smoothness
from advsmooth.attacks.audit import audit
from advsmooth.attacks.autoattack import AutoAttack
from advsmooth.attacks.evaluation import robust_error
from advsmooth.attacks.gradient import PGD
from advsmooth.attacks.losses import margin
from advsmooth.training import published, runs
from advsmooth.training.outer_step import outer_step

plotting.use_theme()
PAGE = "kanai2021/trades_and_switching"
TABLE = claims.claim("kanai2021-tab2").published["robust_accuracy_percent"]

# %% tags=["parameters"]
scale: str = "quick"  # quick (digits, seconds) | cpu (MNIST, hours to train, then cached) | gpu (CIFAR-10, never run)
seed: int = 0  # first seed of the networks
seeds: int = None  # networks of each kind
dataset: str = None  # digits, mnist, cifar10, or imagefolder:PATH
n: int = None  # training images, the held-out ones included
held_out: int = None  # training images set aside to choose the best epoch
test_n: int = None  # test images
eps: float = None  # budget of TRADES and of the attacks, pixel scale
pgd_steps: int = None  # attack steps in training
step_size: float = None  # length of these steps, pixel scale
network: str = None  # lenet or resnet18
w: int = None  # its width factor
epochs: int = None  # passes over the training images
batch: int = None  # examples of a mini-batch
attack_steps: int = None  # of each part of AutoAttack on the test images
audit_n: int = None  # test images on which the attack itself is examined

# %% tags=["hide-input"]
FULL = published.kanai_trades()
cfg = settings.resolve(
    globals(),
    seeds=settings.count(at_least=3, quick=3),
    dataset=settings.text(quick="digits", cpu="mnist", gpu="cifar10"),
    n=settings.count(at_least=50, quick=720, cpu=3000, gpu=50_000),
    held_out=settings.count(quick=72, cpu=300, gpu=1000),
    test_n=settings.count(at_least=20, quick=100, cpu=500, gpu=10_000),
    eps=settings.radius(quick=0.1, cpu=0.2, gpu=FULL.eps),
    pgd_steps=settings.count(quick=3, cpu=10, gpu=FULL.steps),
    step_size=settings.radius(quick=0.04, cpu=0.05, gpu=FULL.step_size),
    network=settings.choice("lenet", "resnet18", quick="lenet", cpu="lenet", gpu="resnet18"),
    w=settings.count(quick=2, cpu=2, gpu=16),
    epochs=settings.count(at_least=4, quick=8, cpu=15, gpu=200),
    batch=settings.count(at_least=2, quick=64, cpu=128),
    attack_steps=settings.count(quick=6, cpu=20, gpu=100),
    audit_n=settings.count(at_least=5, quick=30, cpu=100),
)
cfg

# %% [markdown]
# ## The published differences, and their noise
#
# Each cell of table 2 is a mean and a standard deviation of three runs. A difference of two cells means little if it is no larger than
# the two standard deviations *pooled* (the root of their mean square). Welch's test says how often three runs
# each would differ by as much, in either direction, if there were nothing to find.

# %% tags=["hide-input"]
NAMES = dict(zip(TABLE, ["TRADES", "+EnSGD", "+AWP", "+AWP+EnSGD", "+AWP+EnSGD(tuned)"], strict=True))
CELLS = {NAMES[key]: value for key, value in TABLE.items()}
RUNS = 3
PAIRS = {
    "ensgd": ("+EnSGD", "TRADES"),
    "awp-ensgd": ("+AWP+EnSGD", "+AWP"),
    "tuned": ("+AWP+EnSGD(tuned)", "+AWP+EnSGD"),
    "awp": ("+AWP", "TRADES"),
}
rows = []
for better, worse in PAIRS.values():
    (m1, s1), (m2, s2) = CELLS[better], CELLS[worse]
    p = stats.ttest_ind_from_stats(m1, s1, RUNS, m2, s2, RUNS, equal_var=False).pvalue
    rows.append((f"{better} − {worse}", m1 - m2, (m1 - m2) / np.sqrt((s1**2 + s2**2) / 2), p))
gaps = pd.DataFrame(rows, columns=["difference", "points", "in pooled deviations", "p (Welch)"], index=list(PAIRS))
gaps.set_index("difference").map(checks.show)

# %% [markdown]
# The gain of EntropySGD over AWP is well within one pooled standard deviation. The other two gains are just over two of them; with three runs each that
# stays short of the usual level of 5 % in the two-sided test, and the rounding of the printed numbers can move it to either side. Only the gain of AWP itself, not at issue here, is beyond doubt.
# (That the deviations have $n-1$ in the denominator is our assumption; with $n$, all $p$ are larger.)
#
# ## What is trained
#
# The five columns of table 2 and three controls, at reduced width and length, with one network for each seed. "Tuned" changes two things at once: the
# optimiser after three quarters of the training, and the averaging weight $\alpha$, 0.3 without and 0.75 with the switch. The controls take them apart:
# $\alpha=0.75$ *without* a switch, and with switches after a half and a quarter. As published, AWP and EntropySGD begin after a twentieth of the training
# in the runs with AWP, and the rates fall by 10 after a half and three quarters. A short training has few outer steps, so ours have $\eta=1$ and $L=5$ in place of 0.1 and 20 or 30.
#
# Which way $\alpha$ works depends on the source: in algorithm 1 of the paper the newest iterate enters the average with weight $\alpha$; in
# the public code it builds on, and here, with $1-\alpha$. So here $\alpha=0.3$ is nearly the last iterate, and $\alpha=0.75$ a longer average; in which of
# the two senses the paper tuned it we do not know.

# %% tags=["hide-input"]
loaded, test = (data.load(cfg.dataset, split, device=cfg.device) for split in ("train", "test"))
images, test = loaded.take(min(cfg.n, len(loaded)), seed=0), test.take(min(cfg.test_n, len(test)), seed=0)
few = min(cfg.audit_n, len(test))
OBJECTIVE = {"eps": cfg.eps, "steps": cfg.pgd_steps, "step_size": cfg.step_size}
objective = published.kanai_trades(**OBJECTIVE)
shared = {"w": cfg.w, "epochs": cfg.epochs, "held_out": cfg.held_out, "batch": cfg.batch, "network": cfg.network}
planned = published.kanai_trades_runs(images, objective, settings.seeds(cfg.seed, cfg.seeds), **shared)
watch = records.Stopwatch()
planned["result"] = runs.trained_all(list(planned.run))

# %% tags=["hide-input"]
attack = AutoAttack(eps=cfg.eps, components=("apgd-ce", "apgd-t"), steps=cfg.attack_steps)


def accuracies(run: runs.Run, state: dict) -> dict[str, float]:
    model = run.fresh()
    model.load_state_dict(state)
    found = robust_error(model, test.x, test.y, attack, generator=settings.generator(cfg.seed))
    return {"robust accuracy": 1 - found.error, "clean accuracy": 1 - found.clean_error}


def tested(method: str, seed: int, run: runs.Run, result: runs.Trained) -> list[dict]:
    """The weights of the last epoch and of the best on held-out images, once if they are the same."""
    epochs = {row.which: int(row.epoch) for row in result.last_and_best().itertuples()}
    found = {epoch: accuracies(run, result.kept[epoch - 1]) for epoch in set(epochs.values())}
    base = {"part": "test", "method": method, "seed": seed}
    return [
        {**base, "which": which, "epoch": epoch, "quantity": quantity, "value": value}
        for which, epoch in epochs.items()
        for quantity, value in found[epoch].items()
    ]


rows = [row for each in planned.itertuples(index=False) for row in tested(*each)]

# %% [markdown]
# ## Roughness, measured
#
# "Non-smooth" has a meaning here that can be measured: after one gradient step of rate $h$, how much of the gradient is news?
#
# $$
# c(h)=\frac{\lVert\nabla\mathcal L(\theta-h\,g)-\nabla\mathcal L(\theta)\rVert}{\lVert g\rVert},\qquad g=\nabla\mathcal L(\theta),
# $$
#
# with $\mathcal L$ the TRADES loss of one mini-batch, its attack run again after the step. For a loss with a $C$-Lipschitz gradient $c(h)\le C\,h$.
# Where the loss is smooth at the scale of the step, $c$ grows like $h$; where the gradient jumps, because the attack finds another example, $c$ does not shrink with $h$.
# With the examples *frozen* the jumps are taken away. We measure $c$ for all rates of the schedule at the weights after every epoch, trained with SGD, without AWP.

# %% tags=["hide-input"]
E = cfg.epochs
CUT = int(0.75 * E)
sgd = planned[planned.method == "TRADES"].run.iloc[0].recipe
in_force = {epoch: round(sgd.rate(epoch - 1e-6, E), 6) for epoch in range(1, E + 1)}
shown_epochs = sorted({round(k) for k in np.linspace(1, E, min(E, 10))})
some = slice(0, min(cfg.batch, len(images)))
for each in planned[planned.method == "TRADES"].itertuples():
    states = {epoch: each.result.kept[epoch - 1] for epoch in shown_epochs}
    rates = sorted(set(in_force.values()))
    at = (images.x[some], images.y[some])
    found = step_smoothness.along(each.run.fresh(), states, objective, *at, rates, seed=cfg.seed)
    long = found.melt(["epoch", "rate"], ["anew", "frozen"], "quantity")
    rows += long.assign(part="steps", method=each.method, seed=each.seed).to_dict("records")

# %% [markdown]
# Two more measurements: how far the weights travel in the last quarter, with the switch and without; and what EntropySGD does with the published scope
# $\gamma=0.03$ and noise $\epsilon_E=10^{-4}$. The second compares an outer step with one that has neither pull nor noise, only the average.

# %% tags=["hide-input"]
by_kind = planned.set_index(["method", "seed"])
for seed_ in planned.seed.unique():
    first = {"part": "travel", "seed": seed_, "quantity": "last quarter"}
    for method in planned.method.unique():
        run, result = by_kind.loc[(method, seed_)]
        moved = step_smoothness.distance(result.model, result.kept[CUT - 1], result.kept[-1])
        rows.append({**first, "method": method, "value": moved})
    tuned, stays = (by_kind.loc[(m, seed_)].result for m in ("+AWP+EnSGD(tuned)", "+AWP+EnSGD, no switch"))
    apart = [step_smoothness.distance(stays.model, tuned.kept[k], stays.kept[k]) for k in range(CUT)]
    rows.append({**first, "quantity": "apart before", "value": max(apart)})
    run, result = by_kind.loc[("+EnSGD", seed_)]
    walk = {**run.recipe.optimisers[0].options, "batch": cfg.batch, "seed": cfg.seed}
    free = {**walk, "scope": 1e-12, "noise": 0.0}
    steps = [outer_step(result.model, objective, images.x, images.y, **options) for options in (walk, free)]
    rows.append(
        {**first, "part": "pull", "quantity": "share", "value": float((steps[0] - steps[1]).norm() / steps[0].norm())}
    )

# %% [markdown]
# ## Is the attack strong enough?
#
# Robust accuracies are under APGD on the cross-entropy, then on the margin to each other class (two of the four parts of AutoAttack, with fewer steps at the smaller scales).
# The audit takes the "tuned" network of the first seed: PGD on the margin with more steps and restarts, at a budget of 1, and the page's attack on what it leaves; then the page's attack against the standard AutoAttack, all four parts.

# %% tags=["hide-input"]
subject = by_kind.loc[("+AWP+EnSGD(tuned)", cfg.seed)]
model = subject.run.fresh()
model.load_state_dict(subject.result.best)
probe = (test.x[:few], test.y[:few])
pgd = PGD(eps=cfg.eps, steps=cfg.attack_steps, step_size=cfg.eps / 5, loss=margin, early_stop=True)
audited = audit(model, *probe, pgd, generator=settings.generator(cfg.seed), stronger=attack, allowed=0.03)
for row in audited.table.itertuples():
    rows.append({"part": "audit", "quantity": f"{row.test}, {row.setting}, {row.measure}", "value": row.value})
standard = {"quick": AutoAttack(eps=cfg.eps, steps=20, queries=300)}.get(cfg.scale, AutoAttack(eps=cfg.eps))
for name, each in {"APGD-CE and APGD-T": attack, "AutoAttack": standard}.items():
    left = 1 - robust_error(model, *probe, each, generator=settings.generator(cfg.seed)).error
    rows.append({"part": "audit", "quantity": f"{name}, accuracy", "value": left})
table = pd.DataFrame(rows)
if cfg.scale != "quick":
    arguments = {"dataset": cfg.dataset, "n": len(images), "objective": OBJECTIVE, "seed": cfg.seed}
    arguments |= {name: shared[name] for name in ("network", "w", "batch")}
    replay = records.plain(published.replay_trades)
    label = f"{cfg.scale}-{images.name.replace(':', '-')}-{cfg.network}"
    read = [images, test]
    records.save(PAGE, table, cfg=cfg, data=read, cost=watch.read(), function=replay, arguments=arguments, label=label)

# %% [markdown]
# Records of larger runs are shown beside this run. Which of them decides was fixed beforehand: CIFAR-10 if there is a record, else MNIST, else this run. Two things were added after the first records, because
# they hold networks that learned nothing: a comparison counts in a source only if both of its networks *learned* in at least three seeds, a robust accuracy of at least 0.2, twice that of
# guessing one of ten classes; and of two records of one data set the newer one comes first. What no source can decide is not judged.
#
# The two records of MNIST failed in different ways. At $\epsilon=0.3$ with five attack steps in training, nine of the twelve networks with $\alpha=0.75$ learned to fool five steps, not to resist: of the one
# audited below, PGD of 20 steps leaves 12 % and AutoAttack nothing. So the second, at 0.2, has ten steps and a LeNet; it was planned on a seed that is used for nothing else. There only +AWP+EnSGD, with
# $\alpha=0.3$, never left the start, in any of the three seeds.

# %% tags=["hide-input"]
here = {
    "sample": f"{cfg.network}({cfg.w}), {images.name}, n = {len(images):,}, {cfg.seeds} seeds, {len(test):,} test images",
    "scale": cfg.scale,
}


def by_seed(t: pd.DataFrame, method: str, which: str = "best", quantity: str = "robust accuracy") -> pd.Series:
    """Percent, by seed."""
    chosen = t[(t.part == "test") & (t.method == method) & (t.which == which) & (t.quantity == quantity)]
    return 100 * chosen.set_index("seed").value


def learned(t: pd.DataFrame, *methods: str) -> bool:
    """Whether all of them are robust at all in at least three seeds."""
    return int(pd.concat([by_seed(t, method) >= 20 for method in methods], axis=1).all(axis=1).sum()) >= 3


sources = {} if cfg.scale != "quick" else {f"this run: {images.name}": (table, here)}
for r in sorted(records.every(PAGE), key=lambda r: r.provenance["date"]):
    name = f"record: {r.provenance['data'][0]['name']}, ε {r.provenance['parameters']['eps']:.2g}"
    sources[name] = (r.table, {"sample": r.summary(), "scale": r.scale})
newest_first = list(sources)[::-1]
in_order = sorted(newest_first, key=lambda name: ("record: " not in name, "cifar" not in name, "mnist" not in name))


def judged(*methods: str) -> str | None:
    """The first source in which these methods learned."""
    return next((name for name in in_order if learned(sources[name][0], *methods)), None)


decides = judged("TRADES") or in_order[0]
source, where = sources[decides]
notes = {
    name: w["sample"] if name.startswith("record: ") else f"{w['scale']} scale: {w['sample']}"
    for name, (_, w) in sources.items()
}
note = "\n".join(notes.values())
audits = {name: t[t.part == "audit"].set_index("quantity").value.map(checks.show) for name, (t, _) in sources.items()}
pd.DataFrame(audits).reindex(dict.fromkeys(key for each in audits.values() for key in each.index)).fillna("")


# %% [markdown]
# ## Table 2
#
# Robust test accuracy, in percent: published, and ours with the weights that were best on held-out images and with the last ones, mean and standard deviation over the seeds.


# %% tags=["hide-input"]
def words(values: pd.Series) -> str:
    return f"{values.mean():.1f} ± {values.std():.1f}"


pd.DataFrame(
    {
        method: {"published": "{} ± {}".format(*CELLS[method]) if method in CELLS else ""}
        | {
            f"{name}, {which}": words(by_seed(t, method, which))
            for name, (t, _) in sources.items()
            for which in ("best", "last")
        }
        for method in published.KANAI_TRADES_SHORT
    }
).T

# %% [markdown]
# ## Two changes at once
#
# Each row of the figure is a difference between networks of the same seed. The third row is the published comparison of tuned and not tuned; the four below the dotted line
# split it into its parts and move the switch.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Differences of robust accuracy: the first one named is better right of zero. Left, published, with the pooled standard deviation of the two cells. Right, ours, between networks of the same seed: a marker per seed, a bar for the 95 % interval of the mean; only where both networks learned in three seeds. Note the two scales."}, "image": {"alt": "Seven rows around a vertical line at zero. Published gains, in the first three rows, are at most half a point. Our intervals are many points wide for the comparisons that change the optimiser or the averaging weight, where there are any, and narrow around zero for the switch alone."}}
STAYS = "+AWP+EnSGD, no switch"
DIFFERENCES = {
    "+EnSGD − TRADES": PAIRS["ensgd"],
    "+AWP+EnSGD − +AWP": PAIRS["awp-ensgd"],
    "tuned − not tuned\n(switch and α)": PAIRS["tuned"],
    "α 0.75 − α 0.3\n(no switch)": (STAYS, "+AWP+EnSGD"),
    "switch at 3/4 − none\n(α 0.75)": ("+AWP+EnSGD(tuned)", STAYS),
    "switch at 1/2 − none": ("+AWP+EnSGD, switch at 1/2", STAYS),
    "switch at 1/4 − none": ("+AWP+EnSGD, switch at 1/4", STAYS),
}
printed = {PAIRS[name]: gaps.loc[name] for name in ("ensgd", "awp-ensgd", "tuned")}
fig, (paper, ours) = plt.subplots(1, 2, figsize=(plotting.WIDTH, 4.3), width_ratios=[1, 2.4], sharey=True)
for place, (first, second) in enumerate(DIFFERENCES.values()):
    for k, ((name, (t, _)), style) in enumerate(zip(sources.items(), plotting.styles(), strict=False)):
        if not learned(t, first, second):
            continue
        d = (by_seed(t, first) - by_seed(t, second)).to_numpy()
        y = place + 0.22 * (k - (len(sources) - 1) / 2)
        ours.plot(checks.mean_interval(d), [y, y], color=style["color"], lw=2.2, solid_capstyle="butt")
        marked = {"color": style["color"], "mfc": "white", "label": name}
        ours.plot(d, np.full(len(d), y), style["marker"], **marked)
    if (first, second) in printed:
        gap = printed[first, second]
        spread = gap.points / gap["in pooled deviations"]
        paper.errorbar(gap.points, place, xerr=spread, fmt="D", color=plotting.INK, ms=4.5, lw=1.2, capsize=3)
for ax in (paper, ours):
    ax.axvline(0, color=plotting.INK, lw=0.8)
    ax.axhline(2.5, color=plotting.GREY, lw=0.6, ls=":")
    ax.grid(axis="y", visible=False)
paper.set(xlim=(-1, 1), ylim=(len(DIFFERENCES) - 0.5, -0.5))
paper.set_yticks(range(len(DIFFERENCES)), list(DIFFERENCES))
labelled = dict(zip(*reversed(ours.get_legend_handles_labels()), strict=True))
ours.legend(labelled.values(), labelled, fontsize=8, loc="lower left")
plotting.label(paper, "Published", "points", "")
plotting.label(ours, "Ours", "difference of robust accuracy (percentage points)", "")
plotting.finish(fig, note)

# %% [markdown]
# ## Early and late


# %% tags=["hide-input"] mystnb={"figure": {"caption": "How much of the gradient is news after one step, with SGD. Left: against the rate of the step, at weights of the first half and of the last quarter of the training; with markers, attack run again; dotted, examples frozen; the thin grey line is proportional to the rate. Right: after every epoch, at the rate in force (filled) and at the largest rate throughout (open). Mean over the seeds, band from the smallest to the largest."}, "image": {"alt": "Left, rising lines on doubly logarithmic axes for early and late weights, close to proportional to the rate. Right, the change at the rate in force falls in two steps with the schedule, while the change at a fixed rate does not fall."}}
def geometric(values: pd.Series) -> float:
    return float(np.exp(np.log(values).mean()))


def phase(t: pd.DataFrame) -> pd.DataFrame:
    """The measurements, with their phase and whether the rate is the one in force."""
    steps = t[t.part == "steps"]
    total = steps.epoch.max()
    when = np.select([steps.epoch <= total / 2, steps.epoch > 0.75 * total], ["early", "late"], "between")
    order = sorted(steps.rate.unique(), reverse=True)
    drops = (steps.epoch > total / 2).astype(int) + (steps.epoch > 0.75 * total)
    return steps.assign(phase=when, now=steps.rate == [order[k] for k in drops])


measured = phase(source)
fig, (left, right) = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.4), sharey=True)
for (when, kind), style in zip((("early", "-"), ("late", "--")), plotting.styles(), strict=False):
    for quantity, line in (("anew", kind), ("frozen", ":")):
        t = measured[(measured.phase == when) & (measured.quantity == quantity)]
        each = t.groupby(["rate", "seed"]).value.agg(geometric).unstack()
        marker = style["marker"] if quantity == "anew" else ""
        tag = {"anew": f"{when} weights", "frozen": f"{when}, frozen"}[quantity]
        left.plot(each.index, each.mean(axis=1), color=style["color"], ls=line, marker=marker, label=tag)
        if quantity == "anew":
            plotting.band(left, each.index, each.min(axis=1), each.max(axis=1), style["color"])
rates = np.array(sorted(measured.rate.unique()))
left.plot(rates, 0.5 * left.get_ylim()[1] * rates / rates.max(), color=plotting.GREY, lw=0.8)
left.set(xscale="log", yscale="log")
plotting.label(left, "Against the step", "rate of the step", "relative change of the gradient")
left.legend(fontsize=8)
for (now, face, tag), style in zip(
    ((True, None, "rate in force"), (False, "white", "largest rate")), plotting.styles(), strict=False
):
    t = measured[(measured.quantity == "anew") & (measured.now if now else measured.rate == rates.max())]
    each = t.pivot(index="epoch", columns="seed", values="value")
    plotting.band(right, each.index, each.min(axis=1), each.max(axis=1), style["color"])
    right.plot(each.index, each.mean(axis=1), **style, mfc=face or style["color"], label=tag)
for share in (0.5, 0.75):
    right.axvline(share * measured.epoch.max() + 0.5, color=plotting.GREY, lw=0.8, ls=":")
plotting.label(right, "Along the training", "after epoch", "")
right.legend(fontsize=8)
plotting.finish(fig, f"{notes[decides]}; one mini-batch")

# %% [markdown]
# The left panel says why a large rate is hard: at the largest rate, one step changes the gradient by about its own length once the network has learned something. It also says that
# the loss is not smooth at the scale of these steps: over two orders of magnitude of the rate the change falls by less than two. That is not the attack's doing alone: with frozen examples the kinks of the
# ReLUs remain, and re-running the attack adds to them (by how much, and with which certainty, the checks say).
#
# The right panel separates the two halves of the reading. At the rate in force the change is largest just before the first drop and small at the end. At a *fixed* rate it grows while the network learns and
# never comes down: the early weights are the smooth ones. (So the check below that the change at the rate in force is larger early is an easy one: the
# rate falls a hundredfold, the change by far less.) What makes the middle of the training rough is a network that has learned something, times a rate that is still large.
# Whether that phase "shapes the final result" is what moving the switch tests. If only the large rate needed EntropySGD, a switch when the rate first falls, at 1/2, would cost nothing and one at 1/4 would.
#
# ## Checks
#
# Differences are taken seed by seed: networks of one seed share their first weights, held-out images and order of the data, and those with and without a switch are the same network
# until it comes. A direction holds if the 95 % interval of the mean difference over the seeds lies above zero. Robust accuracy is that of the best held-out weights, as in the paper.


# %% tags=["hide-input"]
def better(name: str, sentence: str, pair: tuple[str, str], role: str = "trend", on: str | None = None) -> checks.Check:
    """Compared on the source that decides for this pair, or on the one given."""
    on = on or judged(*pair)
    if on is None:
        more = "three seeds in which both networks learn: longer training, or other rates"
        return checks.not_run(name, sentence, needs=more, role=role, scale=where["scale"])
    t, at = sources[on]
    first, second = (by_seed(t, method) for method in pair)
    return checks.positive(name, sentence, differences=(first - second).to_numpy(), role=role, **at)


TUNED = "+AWP+EnSGD(tuned)"
arena = sources[judged(TUNED, "TRADES") or decides][0]
runner_up = max((method for method in CELLS if method != TUNED), key=lambda method: by_seed(arena, method).mean())
table_2 = [
    better("ensgd-over-sgd", "with TRADES, EntropySGD is more robust than SGD", PAIRS["ensgd"]),
    better("with-awp", "with TRADES and AWP, EntropySGD is more robust than SGD", PAIRS["awp-ensgd"]),
    better(
        "tuned-best",
        "the tuned training is more robust than the best of the other four on average",
        (TUNED, runner_up),
    ),
    checks.not_run(
        "cells",
        "the five published cells are within the tolerance",
        needs="WideResNet-34-10 on CIFAR-10, 200 epochs, 3 runs of 5 methods on several GPUs",
    ),
]
PUBLISHED = {"sample": f"published means and standard deviations of {RUNS} runs", "role": "observed", "scale": ""}
table_2 += [
    checks.at_most(
        f"published-{name}",
        f"as published, {gaps.difference[name]} is beyond chance at 5 % (Welch's p)",
        measured=gaps["p (Welch)"][name],
        bound=0.05,
        **PUBLISHED,
    )
    for name in PAIRS
]
table_2.append(
    checks.at_most(
        "published-within-one",
        "as published, the gain of EntropySGD with AWP is within one pooled standard deviation",
        measured=gaps["in pooled deviations"]["awp-ensgd"],
        bound=1.0,
        **PUBLISHED,
    )
)
table_2.append(
    checks.at_most(
        "average-only",
        "scope and noise as published change an outer step of EntropySGD by less than a twentieth of its length: it is an average of SGD iterates",
        measured=source[source.part == "pull"].value,
        bound=0.05,
        role="observed",
        **where,
    )
)

# %% tags=["hide-input"]
COMPARED = {
    "as-published": (
        "tuned, with the switch and another averaging weight, is more robust than not tuned",
        PAIRS["tuned"],
        "trend",
    ),
    "switch-alone": (
        "at equal averaging weight, the switch at 3/4 makes it more robust",
        ("+AWP+EnSGD(tuned)", STAYS),
        "trend",
    ),
    "alpha-alone": (
        "without a switch, the averaging weight of tuned makes it more robust",
        (STAYS, "+AWP+EnSGD"),
        "observed",
    ),
    "switch-at-half": (
        "at equal averaging weight, a switch at 1/2 makes it more robust",
        ("+AWP+EnSGD, switch at 1/2", STAYS),
        "observed",
    ),
    "switch-at-quarter": ("and so does a switch at 1/4", ("+AWP+EnSGD, switch at 1/4", STAYS), "observed"),
}
switch = [better(name, sentence, pair, role) for name, (sentence, pair, role) in COMPARED.items()]
travel = source[(source.part == "travel") & (source.quantity == "last quarter")].set_index(["method", "seed"]).value
label, on = f"this run ({images.name})", f"this run: {images.name}"
if on in sources:
    observed = {"role": "observed", "on": on}
    switch += [
        better("here-switch-alone", f"{label}: the same", COMPARED["switch-alone"][1], **observed),
        better("here-as-published", "and with the other averaging weight", PAIRS["tuned"], **observed),
    ]
    table_2 += [
        better("here-ensgd", f"{label}: EntropySGD is more robust than SGD", PAIRS["ensgd"], **observed),
        better("here-awp", "and so it is with AWP", PAIRS["awp-ensgd"], **observed),
    ]
switch.append(
    checks.positive(
        "late-travel",
        "in the last quarter the weights travel further with the switch than without (log10 of the ratio)",
        differences=np.log10(travel["+AWP+EnSGD(tuned)"] / travel[STAYS]),
        role="observed",
        **where,
    )
)
switch.append(
    checks.equal(
        "same-until-switch",
        "until then the two are the same network: the distance between their weights is 0",
        measured=source[source.quantity == "apart before"].value,
        expected=0.0,
        atol=1e-12,  # the same operations in the same order: no rounding between them
        role="method",
        **where,
    )
)

# %% tags=["hide-input"]
ANEW = measured[measured.quantity == "anew"]


def early_over_late(t: pd.DataFrame) -> np.ndarray:
    each = t.groupby(["phase", "seed"]).value.agg(geometric)
    return np.log10(each["early"] / each["late"]).to_numpy()


def exponents(when: str, quantity: str = "anew") -> np.ndarray:
    chosen = measured[(measured.phase == when) & (measured.quantity == quantity)]
    each = chosen.groupby(["seed", "rate"]).value.agg(geometric).unstack()
    return np.array([step_smoothness.exponent(each.columns, row) for row in each.to_numpy()])


largest = measured[measured.rate == measured.rate.max()].groupby(["phase", "quantity", "seed"]).value.agg(geometric)
READING = {
    "early-rough": (
        "at the rate in force, the gradient changes more per step early than late (log10 of the ratio)",
        early_over_late(ANEW[ANEW.now]),
        "trend",
    ),
    "rougher-place": (
        "at one and the same rate it does so too: the early weights lie where the loss is rougher (log10 of the ratio)",
        early_over_late(ANEW[ANEW.rate == rates.max()]),
        "observed",
    ),
    "less-than-proportional": (
        "early, the change falls more slowly than the rate (1 minus the exponent)",
        1 - exponents("early"),
        "observed",
    ),
    "adversary-adds": (
        "early and at the largest rate, the attack adds to the change (log10 of anew over frozen)",
        np.log10(largest["early", "anew"] / largest["early", "frozen"]),
        "observed",
    ),
    "attack-jumps": (
        "early, with examples frozen the change is nearer to being in proportion (difference of the exponents)",
        exponents("early", "frozen") - exponents("early"),
        "observed",
    ),
}
switch += [
    checks.positive(name, sentence, differences=d, role=role, **where) for name, (sentence, d, role) in READING.items()
]

# %% [markdown]
# ## Verdict

# %%
claims.report(
    claims.verdict(
        "kanai2021-tab2",
        table_2,
        note="No published cell was run. An unresolved order means no evidence for or against it in three seeds of small networks.",
    ),
    claims.verdict(
        "kanai2021-obs-switch",
        switch,
        note="The published comparison changes the averaging weight with the switch; switch-alone is the one that isolates it.",
    ),
)

# %% [markdown]
# ## Limits, and one thing to try
#
# The networks are small and short of training; on the digits they end in the middle of their ascent, and three seeds cannot see half a point of accuracy, which is all the published
# gains are: the interval of the switch on MNIST, the narrowest, reaches two points to either side. What "tuned" gains over not tuned we cannot say, since with $\alpha=0.3$ the LeNets never left the start, and with 0.75 the ResNets learned to fool their
# attack. A share of pull and noise above a twentieth does not show that these matter: [elsewhere](entropy_in_training) a change of the weights in the seventh digit moved an outer step as much. Three seeds of the published network, with the switch at equal $\alpha$ and an
# interval off zero, would decide the claim. The preset of `gpu` trains ResNet18 of full width on CIFAR-10 for 200 epochs, with our $\eta$ and $L$; it has never been run. WideResNet-34-10 is
# in the library, but has no width factor of the kind this page varies.
#
# Schedules run by mini-batch here. The change $c(h)$ is that of plain gradient steps: momentum 0.9 makes the actual ones up to ten times longer, and rates are compared at the weights of one
# training only. EntropySGD's inner steps keep the rate $\eta'=0.1$ to the end, in the public code and here: for that optimiser the step never gets short, which is another reason why it could profit from a switch.
#
# Do longer training and more seeds show a gain of the switch?
#
# ```bash
# papermill notebooks/kanai2021/trades_and_switching.ipynb out.ipynb -p epochs 20 -p seeds 5
# ```
