"""Small networks and data that several tests of training share."""

from __future__ import annotations

import torch
from torch import nn

from advsmooth import data, settings
from advsmooth.models.fcn import FCN


def smooth_net(d=6, classes=3, seed=0, dtype=torch.float64):
    """Two layers with a smooth activation, so that derivatives of all orders exist."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(d, 8), nn.Softplus(), nn.Linear(8, classes)).to(dtype)


def norm_net(seed=0, dtype=torch.float64):
    """A convolution with batch norm; images (n, 1, 4, 4), 3 classes; its second norm layer is frozen in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Softplus(),
            nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Softplus(),
            nn.Flatten(), nn.Linear(64, 3),
        ).to(dtype)  # fmt: skip
    net[4].eval()
    return net


def images(n=10, seed=0, dtype=torch.float64, side=4, classes=3):
    g = settings.generator(seed)
    x = torch.rand(n, 1, side, side, generator=g, dtype=dtype)
    return x, torch.randint(classes, (n,), generator=g)


def points(n=10, d=6, seed=0, dtype=torch.float64, classes=3):
    g = settings.generator(seed)
    return torch.rand(n, d, generator=g, dtype=dtype), torch.randint(classes, (n,), generator=g)


def blobs(n=40, d=5, seed=0, dtype=torch.float64):
    """An easy problem in [0, 1]^d with three classes."""
    means = 0.3 + 0.4 * torch.eye(3, d, dtype=dtype)
    found = data.gaussian_mixture(means, n, std=0.1, seed=seed)
    return data.from_arrays("blobs", "train", found.x.clamp(0, 1), found.y, found.class_names, "a test")


def fcn(m=8, d=5, classes=3, seed=0, dtype=torch.float64, depth=3):
    return FCN(d, m, classes, depth, generator=seed, dtype=dtype)


def flags(model):
    return [module.training for module in model.modules()], [p.requires_grad for p in model.parameters()]


def snapshot(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
