"""Snapshot ensembles: the models at the ends of the periods predict together (Liu et al., section 5)."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class SnapshotEnsemble(nn.Module):
    """``log`` of the mean of the models' softmax outputs.

    The output is a normalised log probability, so its cross-entropy is ``-log`` of the mean probability of the label:
    attacks go through the ensemble as through one network, as in Liu et al.

    Args:
        models: at least one, with equal numbers of classes.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        if not models:
            raise ValueError("models=[]: an ensemble needs at least one model")
        self.models = nn.ModuleList(models)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, ...)`` inputs to ``(n, K)`` log probabilities."""
        each = torch.stack([functional.log_softmax(model(x), dim=1) for model in self.models])
        return each.logsumexp(dim=0) - math.log(len(self.models))


def from_states(model: nn.Module, states: Sequence[Mapping[str, Tensor]]) -> SnapshotEnsemble:
    """The ensemble of one architecture at several stored states; ``model`` itself is not touched."""
    members = []
    for state in states:
        member = copy.deepcopy(model)
        member.load_state_dict(state)
        members.append(member)
    return SnapshotEnsemble(members)
