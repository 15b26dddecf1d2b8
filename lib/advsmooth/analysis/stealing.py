"""Functionality stealing: a thief asks a network for its answers and trains a copy on them (Orekondy et al. 2019).

The victim's answer to a query ``x`` is its probabilities ``p(x)``. The thief, with probabilities ``q``, is trained on
the cross-entropy ``-sum_k p_k log q_k`` over the queries, and judged by the same at other inputs: the smaller, the
better the copy. It splits (Gibbs) into ``H(p) + KL(p || q)``. The first part, the victim's entropy, is the victim's own
and the least that any thief can reach; only the second says how well it was copied.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from advsmooth.attacks.isolation import frozen
from advsmooth.attacks.losses import cross_entropy
from advsmooth.data import Dataset, from_arrays
from advsmooth.training.objectives import Objective, Outcome
from advsmooth.training.runs import Run


def log_answers(model: nn.Module, x: Tensor, *, batch: int = 256) -> Tensor:
    """The logarithms of the probabilities a network gives inputs, ``(n, K)``, in float64 and eval mode."""
    with frozen(model), torch.no_grad():
        return torch.cat([model(some).double().log_softmax(1) for some in x.split(batch)])


@dataclass(frozen=True)
class Copy:
    """How close a thief comes to its victim; means over inputs, in nats.

    Attributes:
        cross_entropy: ``-sum_k p_k log q_k``.
        entropy: of the victim, the least possible cross-entropy.
        agreement: share of the inputs for which both name the same class.
    """

    cross_entropy: float
    entropy: float
    agreement: float

    @property
    def divergence(self) -> float:
        """``KL(p || q)``, what is left of the cross-entropy without the victim's entropy."""
        return self.cross_entropy - self.entropy


def compare(victim: Tensor, thief: Tensor) -> Copy:
    """A thief against its victim, both as :func:`log_answers` on the same inputs.

    Raises:
        ValueError: for tables of different shapes.
    """
    if victim.shape != thief.shape or victim.ndim != 2:
        raise ValueError(f"answers of shapes {tuple(victim.shape)}, {tuple(thief.shape)}: allowed are two equal (n, K)")
    p = victim.exp()
    # A probability of exactly zero adds nothing, whatever the logarithm beside it; 0 * inf would be NaN.
    crossed = torch.where(p > 0, p * thief, 0.0).sum(1)
    own = torch.where(p > 0, p * victim, 0.0).sum(1)
    same = (victim.argmax(1) == thief.argmax(1)).double()
    return Copy(-crossed.mean().item(), -own.mean().item(), same.mean().item())


@dataclass(frozen=True)
class Imitation(Objective):
    """The mean cross-entropy to recorded answers.

    A mini-batch of the loop has whole numbers for labels, so here ``y`` is the number of the query, whose answer is
    looked up. The loop's own accuracy, which compares predictions with ``y``, therefore means nothing.

    Attributes:
        answers: probabilities of the victim, one row a query, ``(n, K)``.
        checksum: of the answers, for the checkpoint to tell victims apart.
    """

    answers: Tensor = field(repr=False, compare=False)
    checksum: str

    def outer(self, model: nn.Module, x: Tensor, moved: Tensor, y: Tensor) -> Outcome:  # noqa: ARG002
        """See :meth:`Objective.outer`."""
        logits = model(x)
        return Outcome(cross_entropy(logits, self.answers[y]).mean(), logits)


def theft(thief: Run, victim: nn.Module) -> Run:
    """The training of a thief on a victim's answers, for :func:`advsmooth.training.runs.trained`.

    Args:
        thief: architecture, recipe and seed; its data are the queries, whose labels the thief never sees.
        victim: maps inputs to logits.
    """
    queries = thief.data
    answers = log_answers(victim, queries.x).exp().to(queries.x.dtype)
    checksum = hashlib.sha256(answers.cpu().contiguous().numpy().tobytes()).hexdigest()
    recipe = replace(thief.recipe, objective=Imitation(answers, checksum))
    return replace(thief, data=_numbered(queries), recipe=recipe)


def _numbered(queries: Dataset) -> Dataset:
    """The queries with their numbers for labels."""
    device, source = str(queries.x.device), f"{queries.source}; queries of a thief, numbered"
    y = torch.arange(len(queries))
    return from_arrays(queries.name, queries.split, queries.x.cpu(), y, queries.class_names, source, device)
