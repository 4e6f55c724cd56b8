"""The loss of method section 3: a weighted cross-entropy per class, blind where the truth is unknown; and, beside the
thesis, a soft Dice loss under the same rule."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def class_losses(margins: torch.Tensor, targets: torch.Tensor, positive_weight: torch.Tensor) -> torch.Tensor:
    """The loss of each class, float (C,).

    `margins` (M, C, h, w): logit of the class minus logit of its background; a softmax over two maps depends on
    nothing else. `targets` int8 (M, C, h, w): 1, 0 or -1 (unknown). `positive_weight` (C,) is t_c: every positive pixel
    weighs t_c / N1, every negative (1 - t_c) / N0, with N1 and N0 counted in this batch. A class without positive (or
    negative) pixels keeps the other part; one without any known pixel contributes 0; finite margins give finite losses.
    """
    positive, negative = targets == 1, targets == 0
    n1 = positive.sum((0, 2, 3)).clamp(min=1).to(margins.dtype)
    n0 = negative.sum((0, 2, 3)).clamp(min=1).to(margins.dtype)
    t = positive_weight.to(margins.dtype)
    weight = positive * (t / n1).view(1, -1, 1, 1) + negative * ((1 - t) / n0).view(1, -1, 1, 1)
    # -log softmax of the right map is softplus of the margin of the wrong one: stable for any size.
    entropy = F.softplus(torch.where(positive, -margins, margins))
    return (weight * entropy).sum((0, 2, 3))


def dice_losses(margins: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """One minus the soft Dice of each class over the whole batch, float (C,), in the shapes of `class_losses`.

    Over the batch and not patch by patch, because most patches of a batch do not hold a small class. Counted are known
    pixels only; the one pixel that is added to both sides keeps a class without positives finite (what is marked of it
    still costs), and a class without known pixels costs nothing.
    """
    positive, known = (targets == 1).to(margins.dtype), (targets >= 0).to(margins.dtype)
    p = torch.sigmoid(margins) * known
    both, either = (p * positive).sum((0, 2, 3)), p.sum((0, 2, 3)) + positive.sum((0, 2, 3))
    return 1 - (2 * both + 1) / (either + 1)


def losses(margins: torch.Tensor, targets: torch.Tensor, positive_weight: torch.Tensor, dice: float) -> torch.Tensor:
    """What a class costs, float (C,): its cross-entropy and `dice` times its Dice loss. The total is their mean."""
    found = class_losses(margins, targets, positive_weight)
    return found + dice * dice_losses(margins, targets) if dice else found
