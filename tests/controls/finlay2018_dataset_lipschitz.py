"""Negative controls of notebooks/finlay2018/dataset_lipschitz."""

import torch
from negative_controls import control

from advsmooth import checks, claims, data
from advsmooth.analysis import lipschitz

TAB4 = claims.claim("finlay2018-tab4")
SAMPLE = data.load("digits").take(300, seed=5)
POINTS = SAMPLE.x.flatten(1).double()


@control(TAB4.id, "mnist", "fashionmnist", "cifar10", "cifar100")
def distance_instead_of_reciprocal(name):
    """The number the caption describes, the distance itself, is not the one the table prints."""
    published = {key.lower().replace("-", ""): value for key, value in TAB4.published.items()}[name]
    return checks.within(
        name, "", measured=1 / published, published=published, tolerance=TAB4.tolerance, sample="", scale="cpu"
    )


@control(TAB4.id, "blockwise")
def nearest_of_any_class():
    """A search that forgets to leave out the same class finds closer neighbours."""
    distance = torch.cdist(POINTS, POINTS, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
    found = lipschitz.separation(SAMPLE, block=23).nearest
    return checks.equal("blockwise", "", measured=found, expected=distance.min(1).values, atol=1e-6, sample="")


@control(TAB4.id, "mcshane-fits")
def constant_too_small_to_fit():
    constant = 0.9 * lipschitz.separation(SAMPLE).lipschitz
    fitted = lipschitz.mcshane(POINTS, SAMPLE.y, constant, POINTS)
    one_hot = torch.nn.functional.one_hot(SAMPLE.y).double()
    return checks.equal("mcshane-fits", "", measured=fitted, expected=one_hot, atol=1e-9, sample="")


@control(TAB4.id, "mcshane-lipschitz")
def extension_with_a_larger_constant():
    constant = lipschitz.separation(SAMPLE).lipschitz
    fitted = lipschitz.mcshane(POINTS, SAMPLE.y, 1.5 * constant, torch.cat([POINTS, POINTS + 0.1]))
    everywhere = torch.cat([POINTS, POINTS + 0.1])
    quotients = torch.cdist(fitted, fitted, p=torch.inf) / torch.cdist(everywhere, everywhere).clamp_min(1e-12)
    return checks.at_most("mcshane-lipschitz", "", measured=quotients, bound=constant, rtol=1e-6, sample="")
