"""Optimizers of torch's without torch's compiler.

torch's own import its compiler at the first step and when a parameter is added, to keep it from
compiling them. Nothing is compiled here, and the import takes longer than a small model's training.
"""

from inspect import unwrap

import torch
from torch.optim import Optimizer


class EagerOptimizer(Optimizer):
    """An optimizer whose own methods are the functions that torch keeps from its compiler."""

    add_param_group = unwrap(Optimizer.add_param_group)
    state_dict = unwrap(Optimizer.state_dict)
    load_state_dict = unwrap(Optimizer.load_state_dict)
    zero_grad = unwrap(Optimizer.zero_grad)


class AdamW(EagerOptimizer, torch.optim.AdamW):
    """`torch.optim.AdamW`, the same numbers."""

    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))
