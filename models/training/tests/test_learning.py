"""Loss, optimiser and learning-rate rule against values worked out by hand or by brute force."""

import math

import numpy as np
import pytest
import torch

from contourd_training.config import OptimiserConfig
from contourd_training.loss import class_losses, total_loss
from contourd_training.optim import LearningRateRule, NormalisedSgd, annealed


def brute_force(logits, targets, t):
    """The definition of the loss, pixel by pixel, with an explicit softmax."""
    m, c, h, w = targets.shape
    out = []
    for k in range(c):
        n1, n0 = (targets[:, k] == 1).sum(), (targets[:, k] == 0).sum()
        loss = 0.0
        for n in range(m):
            for i in range(h):
                for j in range(w):
                    if targets[n, k, i, j] == -1:
                        continue
                    pair = np.exp(logits[n, 2 * k:2 * k + 2, i, j])
                    p = pair[1] / pair.sum()
                    loss -= t[k] / n1 * math.log(p) if targets[n, k, i, j] == 1 else (1 - t[k]) / n0 * math.log(1 - p)
        out.append(loss)
    return out


def test_the_loss_is_the_definition_pixel_by_pixel():
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (3, 6, 4, 5))
    margins = torch.tensor(logits[:, 1::2] - logits[:, ::2])
    targets = rng.integers(-1, 2, (3, 3, 4, 5)).astype(np.int8)
    t = np.array([0.3, 0.1, 0.6])
    found = class_losses(margins, torch.tensor(targets), torch.tensor(t))
    assert found.tolist() == pytest.approx(brute_force(logits, targets, t), rel=1e-9)
    assert float(total_loss(margins, torch.tensor(targets), torch.tensor(t))) == pytest.approx(
        float(found.mean()))


def test_a_loss_by_hand():
    # One positive of margin 0 (log 2), three negatives of margin 0, one unknown: 0.3 log 2 + 0.7 log 2.
    targets = torch.tensor([[[[1, 0, 0, 0, -1]]]], dtype=torch.int8)
    margins = torch.tensor([[[[0.0, 0.0, 0.0, 0.0, 50.0]]]])
    assert float(class_losses(margins, targets, torch.tensor([0.3]))) == pytest.approx(math.log(2), rel=1e-6)


@pytest.mark.parametrize("value, expected", [(-1, 0.0), (0, 0.7 * math.log(2)), (1, 0.3 * math.log(2))])
def test_a_class_with_only_one_kind_of_pixel_is_never_nan(value, expected):
    targets = torch.full((2, 1, 3, 3), value, dtype=torch.int8)
    margins = torch.zeros(2, 1, 3, 3, requires_grad=True)
    loss = class_losses(margins, targets, torch.tensor([0.3]))
    loss.sum().backward()
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    assert torch.isfinite(margins.grad).all()


def test_unknown_pixels_have_no_gradient_and_large_margins_stay_finite():
    targets = torch.tensor([[[[1, 0, -1]]]], dtype=torch.int8)
    margins = torch.tensor([[[[-400.0, 400.0, -18.0]]]], requires_grad=True)
    loss = class_losses(margins, targets, torch.tensor([0.3])).sum()
    loss.backward()
    assert float(loss) == pytest.approx(0.3 * 400 + 0.7 * 400)
    assert margins.grad.flatten().tolist() == pytest.approx([-0.3, 0.7, 0.0])


def test_the_step_uses_the_gradient_summed_over_the_batches_divided_by_its_norm():
    a, b = torch.nn.Parameter(torch.tensor([1.0, 2.0])), torch.nn.Parameter(torch.tensor([5.0]))
    optimiser = NormalisedSgd([a, b], momentum=0.9)
    # Batch gradients (1, 0 | 2) and (2, 0 | 2): sum (3, 0 | 4), norm 5.
    (a[0] + 2 * b[0]).backward()
    (2 * a[0] + 2 * b[0]).backward()
    assert optimiser.step(0.5) == pytest.approx(5.0)
    assert a.tolist() == pytest.approx([1 - 0.5 * 0.6, 2.0]) and b.tolist() == pytest.approx([5 - 0.5 * 0.8])
    # Second step: gradient (0, 7 | 0), so v = 0.9 v - 0.5 (0, 1 | 0).
    (7 * a[1]).backward()
    optimiser.step(0.5)
    assert a.tolist() == pytest.approx([0.7 - 0.9 * 0.3, 1.5]) and b.tolist() == pytest.approx([4.6 - 0.9 * 0.4])


def test_accumulating_n_batches_is_one_step_on_their_sum():
    torch.manual_seed(0)
    parts = torch.randn(4, 3)
    start = torch.randn(3)
    apart, whole = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    accumulated, single = NormalisedSgd([apart], 0.9), NormalisedSgd([whole], 0.9)
    for row in parts:
        (row @ apart**2).backward()
    (parts.sum(0) @ whole**2).backward()
    assert accumulated.step(0.1) == pytest.approx(single.step(0.1), rel=1e-5)
    assert torch.allclose(apart, whole)
    assert float((apart.detach() - start).norm()) == pytest.approx(0.1, rel=1e-5)


@pytest.mark.parametrize("gradient", [0.0, float("nan"), float("inf")])
def test_a_useless_gradient_skips_the_step(gradient):
    p = torch.nn.Parameter(torch.tensor([2.0]))
    optimiser = NormalisedSgd([p], 0.9)
    (p * 3).sum().backward()
    optimiser.step(0.25)
    velocity = optimiser.velocity[0].clone()
    (p * gradient).sum().backward()
    optimiser.step(0.25)
    assert p.item() == pytest.approx(1.75) and torch.equal(optimiser.velocity[0], velocity) and p.grad is None


def rule(**change):
    return LearningRateRule(OptimiserConfig(**{"window": 4, "alpha_init": 0.25, "alpha_min": 0.1, **change}))


def feed(rule, losses):
    for loss in losses:
        rule.update(loss)
    return rule.alpha, rule.window


def test_the_learning_rate_rule_by_hand():
    r = rule()
    # Previous half 1.0, last half 0.9: below 0.98, kept.
    assert feed(r, [1.0, 1.0, 0.9, 0.9]) == (0.25, 4)
    # Nothing happens inside a window.
    assert feed(r, [0.9, 0.9, 0.9]) == (0.25, 4)
    # 0.9 against 0.9: insufficient, halved; F waits for the second one in a row.
    assert feed(r, [0.9]) == (0.125, 4)
    assert feed(r, [0.9, 0.9, 0.5, 0.5]) == (0.125, 4)
    # Two in a row: alpha stops at its minimum, F doubles.
    assert feed(r, [1.0] * 4) == (0.1, 4)
    assert feed(r, [1.0] * 4) == (0.1, 8)
    assert feed(r, [1.0] * 7) == (0.1, 8)
    # 1.0 against the bound itself is sufficient: only a larger value is not.
    assert feed(rule(sufficient=1.0), [1.0] * 4) == (0.25, 4)


def test_the_rule_survives_a_checkpoint():
    whole, first, second = rule(), rule(), rule()
    losses = [1.0] * 10 + [0.4] * 3
    feed(whole, losses)
    feed(first, losses[:6])
    second.load_state_dict(first.state_dict())
    assert feed(second, losses[6:]) == (whole.alpha, whole.window)
    assert second.state_dict() == whole.state_dict()


def test_annealing_bounds_the_rate_only_where_it_is_asked_for():
    config = OptimiserConfig(alpha_init=0.25, alpha_min=0.05, anneal=True)
    assert [annealed(config, p) for p in (0, 0.5, 1, 7)] == pytest.approx([0.25, 0.15, 0.05, 0.05])
    assert annealed(OptimiserConfig(), 0.9) == 0.25
