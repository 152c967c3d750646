"""The loss of a CLIP."""

import torch
from torch import Tensor
from torch.nn import functional


def contrastive_loss(
    image_features: Tensor,
    text_features: Tensor,
    logit_scale: Tensor,
    logit_bias: Tensor | None = None,
) -> Tensor:
    """The mean of both directions' cross-entropy, in nats; the numbers of open_clip's ClipLoss.

    It is here since importing open_clip takes longer than training a small model.

    Args:
        image_features: Unit vectors, shape (n, dimension).
        text_features: Unit vectors of the same shape; a row belongs to the image of its number.
        logit_scale: What the cosines are multiplied by.
        logit_bias: What is added to them, where a model has it.
    """
    per_image = logit_scale * image_features @ text_features.T
    per_text = logit_scale * text_features @ image_features.T
    if logit_bias is not None:
        per_image, per_text = per_image + logit_bias, per_text + logit_bias
    own = torch.arange(len(per_image), device=per_image.device)
    both = functional.cross_entropy(per_image, own) + functional.cross_entropy(per_text, own)
    return both / 2
