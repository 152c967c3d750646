"""Muon on matrices and convolution kernels, AdamW on the rest, one schedule for both."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from recap_assets.specs.models import Optimizer
from recap_assets.training.engine.eager import AdamW, EagerOptimizer

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5
MUON_MOMENTUM = 0.9
"""Runs here have a few hundred steps: 0.95, made for long ones, learns visibly less."""
MUON_WEIGHT_DECAY = 0.1
_NOT_MATRICES = ("embedding", "position", "head", "logit")


def orthogonalize(matrix: Tensor) -> Tensor:
    """Push all singular values to about 1: five Newton-Schulz steps of a quintic (Jordan 2024).

    `torch.optim.Muon` does the same in bfloat16, which a CPU without such instructions emulates 20
    to 50 times slower; float32 costs nothing elsewhere. For a wide matrix the steps run on its
    Gram matrix, which has fewer entries.

    Args:
        matrix: Shape (rows, columns), float32.

    Returns:
        The same shape.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonalize(matrix.T).T
    a, b, c = NEWTON_SCHULZ
    x = matrix / matrix.norm().clamp(min=1e-7)
    wide = matrix.shape[1] >= 2 * matrix.shape[0]
    gram, factor = x @ x.T, None
    for step in range(NEWTON_SCHULZ_STEPS):
        update = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        update.diagonal().add_(a)
        last = step == NEWTON_SCHULZ_STEPS - 1
        if wide:
            factor = update if factor is None else update @ factor
            gram = gram if last else update @ gram @ update
        else:
            x = update @ x
            gram = gram if last else x @ x.T
    return x if factor is None else factor @ x


class Muon(EagerOptimizer):
    """Momentum whose update is orthogonalised; kernels count as (channels out, the rest)."""

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        defaults = {"lr": 0.0, "momentum": MUON_MOMENTUM, "weight_decay": MUON_WEIGHT_DECAY}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient (Nesterov momentum)."""
        del closure
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    self._update(parameter, parameter.grad, group["lr"], group["momentum"])

    def _update(self, parameter: Tensor, gradient: Tensor, rate: float, momentum: float) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        buffer = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        matrix = gradient.lerp(buffer, momentum).flatten(1)
        scale = rate * math.sqrt(max(1.0, matrix.shape[0] / matrix.shape[1]))
        parameter.add_(orthogonalize(matrix).view(parameter.shape), alpha=-scale)


class ScheduledOptimizer:
    """All optimizers of one run: warm-up, then linear or cosine decay to zero at the last step.

    Args:
        model: Parameters below a module named `visual` belong to the image side.
        spec: Rates and schedule.
        steps: Steps of the whole run.
    """

    def __init__(self, model: nn.Module, spec: Optimizer, steps: int) -> None:
        self.spec = spec
        self.steps = steps
        kernels, matrices, decayed, plain = [], [], [], []
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            if spec.kind == "muon" and _is_matrix(name, parameter):
                (kernels if "visual" in name.split(".") else matrices).append(parameter)
            else:
                (decayed if parameter.ndim > 1 else plain).append(parameter)
        muon = [
            {"params": kernels, "peak": spec.image_muon_rate},
            {"params": matrices, "peak": spec.text_muon_rate},
        ]
        adamw = [
            {"params": decayed, "peak": spec.adamw_rate, "weight_decay": spec.weight_decay},
            {"params": plain, "peak": spec.adamw_rate, "weight_decay": 0.0},
        ]
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "adamw": AdamW(adamw, lr=0.0, betas=spec.betas, fused=True)
        }
        if kernels or matrices:
            self.optimizers["muon"] = Muon(muon)

    def factor(self, step: int) -> float:
        """The schedule at `step`, counted from 0, as a fraction of the peak rates."""
        warmup = max(1, round(self.spec.warmup_fraction * self.steps))
        if step < warmup:
            return (step + 1) / warmup
        left = (self.steps - step) / max(1, self.steps - warmup)
        return left if self.spec.schedule == "linear" else 0.5 - 0.5 * math.cos(math.pi * left)

    def step(self, step: int) -> None:
        """Update all parameters with the rates of `step` and drop the gradients."""
        factor = self.factor(step)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = factor * group["peak"]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """All state as named tensors."""
        return {
            f"{kind}.{number}.{name}": value
            for kind, optimizer in self.optimizers.items()
            for number, state in optimizer.state_dict()["state"].items()
            for name, value in state.items()
        }

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Take over what `state` gave."""
        for kind, optimizer in self.optimizers.items():
            content = optimizer.state_dict()
            for name, value in tensors.items():
                of, number, key = name.split(".")
                if of == kind:
                    content["state"].setdefault(int(number), {})[key] = value
            optimizer.load_state_dict(content)


def _is_matrix(name: str, parameter: Tensor) -> bool:
    return parameter.ndim >= 2 and not any(part in name for part in _NOT_MATRICES)
