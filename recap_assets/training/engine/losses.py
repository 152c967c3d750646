"""The losses of a CLIP."""

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


def several_positives_loss(
    image_features: Tensor,
    text_features: Tensor,
    logit_scale: Tensor,
    owners: Tensor,
    shares: Tensor,
    logit_bias: Tensor | None = None,
) -> Tensor:
    """The contrastive loss where an image has several texts, in nats.

    For an image, the mean over its texts of the cross-entropy of that text among those of other
    images: its own other texts are left out of the softmax (DreamLIP, arXiv 2403.17007, section
    3.2). For a text, the cross-entropy of its image among all images; the mean over an image's
    texts. Where each image has one text it is `contrastive_loss`.

    Args:
        image_features: Unit vectors, shape (n, dimension).
        text_features: Unit vectors, shape (m, dimension).
        logit_scale: What the cosines are multiplied by.
        owners: Shape (m,): the image of each text.
        shares: Shape (m,): of a text in its image's mean; they add up to 1 for each image.
        logit_bias: What is added to the cosines, where a model has it.
    """
    per_text = logit_scale * text_features @ image_features.T
    if logit_bias is not None:
        per_text = per_text + logit_bias
    own = per_text.gather(1, owners[:, None])[:, 0]
    is_own = functional.one_hot(owners, len(image_features)).bool()
    others = per_text.masked_fill(is_own, -torch.inf).logsumexp(0)[owners]
    of_images = torch.logaddexp(own, others) - own
    of_texts = functional.cross_entropy(per_text, owners, reduction="none")
    return ((of_images + of_texts) * shares).sum() / (2 * len(image_features))


def margin_loss(
    image_features: Tensor,
    text_features: Tensor,
    logit_scale: Tensor,
    margins: tuple[Tensor, Tensor],
    logit_bias: Tensor | None = None,
) -> Tensor:
    """The contrastive loss with every non-pair nearer by a margin, in nats.

    Args:
        image_features: Unit vectors, shape (n, dimension).
        text_features: Unit vectors of the same shape; a row belongs to the image of its number.
        logit_scale: What the cosines are multiplied by.
        margins: As `margins_of` gives them.
        logit_bias: What is added to the cosines, where a model has it.
    """
    cosines = image_features @ text_features.T
    of_images, of_texts = margins
    per_image = logit_scale * (cosines + of_images)
    per_text = logit_scale * (cosines.T + of_texts)
    if logit_bias is not None:
        per_image, per_text = per_image + logit_bias, per_text + logit_bias
    own = torch.arange(len(per_image), device=per_image.device)
    both = functional.cross_entropy(per_image, own) + functional.cross_entropy(per_text, own)
    return both / 2


def margins_of(
    image_features: Tensor, text_features: Tensor, strength: float
) -> tuple[Tensor, Tensor]:
    """How much further non-pairs are than pairs, times `strength`; never below 0, and 0 for pairs.

    Returns:
        Shape (n, n) both: for the texts of each image, and for the images of each text.
    """
    cosines = image_features @ text_features.T
    own = cosines.diagonal()[:, None]
    of_images = strength * (own - cosines).clamp(min=0)
    of_texts = strength * (own - cosines.T).clamp(min=0)
    return of_images, of_texts
