import sys
from collections.abc import Callable

import pytest
import torch
from torch import nn

from recap_assets.engines.small.towers import SmallClip
from recap_assets.specs.models import Optimizer, SmallTower
from recap_assets.training.engine.eager import AdamW
from recap_assets.training.engine.optimizers import Muon, ScheduledOptimizer, orthogonalize


@pytest.mark.parametrize("shape", [(16, 16), (16, 20), (16, 200), (200, 16)])
def test_singular_values_become_about_one(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(
        orthogonalize(torch.randn(shape) @ torch.diag(torch.linspace(0.2, 3.0, shape[1])))
    )
    assert values.max() < 1.3
    assert values.min() > 0.3


def test_steps_are_those_of_torchs_muon_up_to_its_bfloat16():
    torch.manual_seed(0)
    start, gradients = torch.randn(24, 40), torch.randn(3, 24, 40)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimizers = (
        Muon([{"params": [ours], "lr": 0.1}]),
        torch.optim.Muon([theirs], lr=0.1, momentum=0.9, weight_decay=0.1),
    )
    for gradient in gradients:
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        for optimizer in optimizers:
            optimizer.step()
    ours, theirs = ours.detach(), theirs.detach()
    assert float((ours - start).norm()) == pytest.approx(float((theirs - start).norm()), rel=0.02)
    torch.testing.assert_close(ours, theirs, atol=0.01, rtol=0)


def test_kernels_are_orthogonalised_as_matrices():
    kernel = nn.Parameter(torch.zeros(8, 4, 3, 3))
    kernel.grad = torch.randn(8, 4, 3, 3)
    Muon([{"params": [kernel], "lr": 1.0}]).step()
    values = torch.linalg.svdvals(kernel.detach().flatten(1))
    assert 0.3 < values.min() <= values.max() < 1.3


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_rates_warm_up_and_end_near_zero(schedule):
    spec = Optimizer(schedule=schedule, warmup_fraction=0.1)
    optimizer = ScheduledOptimizer(nn.Linear(2, 2), spec, 100)
    factors = [optimizer.factor(step) for step in range(100)]
    assert factors[:10] == pytest.approx([0.1 * (n + 1) for n in range(10)])
    assert factors[9:] == sorted(factors[9:], reverse=True)
    assert 0 < factors[-1] < 0.02


def test_kernels_and_text_matrices_have_rates_of_their_own_and_tables_are_left_to_adamw():
    spec = SmallTower(image_size=32, image_stages=(8, 16), text_width=32)
    model = nn.ModuleDict({"clip": SmallClip(spec, 300)})
    optimizers = ScheduledOptimizer(model, Optimizer(), 10).optimizers
    name_of = {parameter: name for name, parameter in model.named_parameters()}
    image, text = (
        {name_of[parameter] for parameter in group["params"]}
        for group in optimizers["muon"].param_groups
    )
    assert [group["peak"] for group in optimizers["muon"].param_groups] == [0.1, 0.04]
    assert "clip.visual.blocks.0.conv1.weight" in image
    assert "clip.text.layers.0.up.weight" in text
    assert all("visual" in name for name in image)
    assert not any("visual" in name for name in text)
    rest = {name_of[p] for group in optimizers["adamw"].param_groups for p in group["params"]}
    assert {"clip.text.embedding.weight", "clip.text.position", "clip.logit_scale"} <= rest
    assert image | text | rest == set(name_of.values())


def test_adamw_alone_where_asked():
    optimizer = ScheduledOptimizer(nn.Linear(2, 2), Optimizer(kind="adamw"), 10)
    assert list(optimizer.optimizers) == ["adamw"]


def steps_of(optimizer: Callable[..., torch.optim.Optimizer]) -> torch.Tensor:
    """Parameters after three steps, the last by a state that was saved and loaded."""
    weights = torch.tensor([1.0, -2.0, 0.5]).requires_grad_()
    adam = optimizer([weights], lr=0.1, weight_decay=0.2)
    for _ in range(3):
        adam.load_state_dict(adam.state_dict())
        (weights**2).sum().backward()
        adam.step()
        adam.zero_grad()
    return weights.detach()


def test_our_adamw_is_torchs_bit_by_bit():
    assert torch.equal(steps_of(AdamW), steps_of(torch.optim.AdamW))


def test_training_does_not_import_torchs_compiler(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # type: ignore[arg-type]
    with pytest.raises(ImportError):
        steps_of(torch.optim.AdamW)
    steps_of(AdamW)
    model = nn.Linear(4, 4)
    optimizer = ScheduledOptimizer(model, Optimizer(), 2)
    assert set(optimizer.optimizers) == {"adamw", "muon"}
    model(torch.ones(1, 4)).sum().backward()
    optimizer.step(0)
    optimizer.load_state(optimizer.state())
