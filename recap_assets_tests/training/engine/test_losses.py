"""The contrastive loss is open_clip's, and small models need nothing of open_clip."""

import subprocess
import sys

import open_clip
import pytest
import torch

from recap_assets.training.engine.losses import contrastive_loss

SMALL = """
import sys
import recap_assets.engines.trained, recap_assets.training.models.kinds.captioner.engine
import recap_assets.training.engine.clip
print(sorted({"open_clip", "timm", "transformers", "torchvision"} & set(sys.modules)))
"""


@pytest.mark.parametrize("bias", [None, -2.5])
@pytest.mark.parametrize(("n", "width"), [(1, 4), (7, 33), (128, 64)])
def test_loss_and_gradients_are_those_of_open_clip(n: int, width: int, bias: float | None) -> None:
    torch.manual_seed(n)
    drawn = torch.nn.functional.normalize(torch.randn(2, n, width), dim=-1)
    found = []
    for loss in (contrastive_loss, open_clip.ClipLoss()):
        features = drawn.clone().requires_grad_()
        scale = torch.tensor(14.3, requires_grad=True)
        shift = None if bias is None else torch.tensor(bias)
        value = loss(features[0], features[1], scale, logit_bias=shift)
        value.backward()
        found.append((value, features.grad, scale.grad))
    for ours, theirs in zip(*found, strict=True):
        assert torch.equal(ours, theirs)


def test_training_and_loading_a_small_model_import_no_open_clip() -> None:
    done = subprocess.run([sys.executable, "-c", SMALL], capture_output=True, text=True, check=True)  # noqa: S603 - words of this file
    assert done.stdout.strip() == "[]"
