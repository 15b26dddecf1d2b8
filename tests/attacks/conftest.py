"""Models for the tests of the attacks: one linear, with everything in closed form, and one small trained network."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from advsmooth import data, settings


class Linear(nn.Module):
    """``W x + b`` of flattened inputs, with its exact distances to the decision boundary (no box)."""

    def __init__(self, weight, bias=None):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias)

    def forward(self, x):
        return functional.linear(x.flatten(1), self.weight, self.bias)

    @torch.no_grad()
    def distance(self, x, y, norm):
        """``min_k (f_y - f_k) / |w_y - w_k|_*``, shape ``(n,)``; 0 where misclassified."""
        logits = self(x)
        gap = logits.gather(1, y[:, None]) - logits
        difference = self.weight[y][:, None] - self.weight[None]
        dual = difference.abs().sum(2) if norm == "linf" else difference.norm(dim=2)
        gap[torch.arange(len(x)), y] = torch.inf
        return (gap / dual).amin(1).clamp(min=0)


@pytest.fixture(scope="session")
def linear():
    """Makes a random linear model with some classes, and inputs near the middle of the box, all well inside it."""

    def make(n=30, d=12, classes=4, dtype=torch.float64, seed=0, spread=0.1):
        g = settings.generator(seed)
        model = Linear(torch.randn(classes, d, generator=g, dtype=dtype))
        with torch.no_grad():
            model.bias.copy_(-model.weight.sum(1) / 2)  # all classes meet in the middle
        x = 0.5 + spread * (2 * torch.rand(n, d, generator=g, dtype=dtype) - 1)
        return model, x, model(x).argmax(1)

    return make


@pytest.fixture(scope="session")
def digits():
    """The first 64 test digits, float32."""
    part = data.load("digits", "test", n=64)
    return part.x, part.y


@pytest.fixture(scope="session")
def trained():
    """A small convolutional network with batch norm, trained on digits for a second; in eval mode."""
    torch.manual_seed(0)  # torch's own layers draw from the global generator
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10),
    )  # fmt: skip
    train = data.load("digits")
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    g = settings.generator(0)
    for _ in range(8):
        for rows in torch.randperm(len(train), generator=g).split(64):
            optimiser.zero_grad(set_to_none=True)
            functional.cross_entropy(model(train.x[rows]), train.y[rows]).backward()
            optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return model.eval()


@pytest.fixture
def spoiled(trained):
    """The trained network with flags that an attack must leave alone, and a look at all it must not change."""
    for module in trained.modules():
        module.training = True
    trained[1].training = False  # a batch-norm layer that was frozen
    trained[0].weight.requires_grad_(False)  # and a weight

    def state():
        return (
            [module.training for module in trained.modules()],
            [(p.requires_grad, p.grad) for p in trained.parameters()],
            {name: tensor.clone() for name, tensor in trained.state_dict().items()},
        )

    yield trained, state
    trained.eval().requires_grad_(True)
    trained.zero_grad(set_to_none=True)


@pytest.fixture
def unchanged(spoiled):
    """Checks that an action leaves the spoiled network and the global random state as they were."""
    model, state = spoiled

    def check(action):
        before, random = state(), torch.random.get_rng_state()
        action(model)
        flags, gradients, tensors = state()
        assert flags == before[0]
        assert gradients == before[1], "requires_grad flags changed, or a parameter received a gradient"
        assert all(torch.equal(tensors[name], before[2][name]) for name in tensors)
        assert torch.equal(torch.random.get_rng_state(), random), "the global random state changed"

    return check
