"""Loss, optimiser and learning-rate rule against values worked out by hand or by brute force."""

import math

import numpy as np
import pytest
import torch

from contourd_training.config import OptimiserConfig
from contourd_training.loss import class_losses, dice_losses, losses
from contourd_training.optim import LearningRateRule, NormalisedSgd, learning_rate, optimiser
from contourd_training.precision import Precision
from contourd_training.trainer import read_checkpoint


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
    assert torch.equal(losses(margins, torch.tensor(targets), torch.tensor(t), 0.0), found)


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
    start = LearningRateRule(config)
    assert [learning_rate(config, start, p) for p in (0, 0.5, 1, 7)] == pytest.approx([0.25, 0.15, 0.05, 0.05])
    assert learning_rate(OptimiserConfig(), start, 0.9) == 0.25
    start.alpha = 0.1
    assert learning_rate(config, start, 0.25) == 0.1


def test_the_power_schedule_by_hand():
    config = OptimiserConfig(schedule="poly", alpha_init=0.5, alpha_min=0.01)
    found = [learning_rate(config, LearningRateRule(config), p) for p in (0, 0.75, 0.99, 1, 2)]
    assert found == pytest.approx([0.5, 0.5 * 0.25**0.9, 0.01, 0.01, 0.01])  # 0.5 * 0.01^0.9 is below alpha_min


def test_the_dice_loss_by_hand_and_blind_where_the_truth_is_unknown():
    # Margin 0 is a probability of 1/2. Known: positive, positive, negative; an unknown pixel of any margin counts nothing.
    targets = torch.tensor([[[[1, 1, 0, -1]]], [[[-1, -1, -1, -1]]]], dtype=torch.int8)
    margins = torch.zeros(2, 1, 1, 4, requires_grad=True)
    with torch.no_grad():
        margins[0, 0, 0, 3] = 9
    found = dice_losses(margins, targets)
    # Both 1/2 + 1/2 = 1, either 3/2 + 2 = 7/2: 1 - (2 + 1) / (7/2 + 1) = 1/3.
    assert found.tolist() == pytest.approx([1 / 3])
    found.sum().backward()
    assert margins.grad[0, 0, 0, 3] == 0 and (margins.grad[1] == 0).all() and (margins.grad[0, 0, 0, :2] < 0).all()
    together = losses(margins.detach(), targets, torch.tensor([0.3]), 2.0)
    assert together.tolist() == pytest.approx([math.log(2) + 2 / 3], rel=1e-6)


def test_the_dice_loss_of_a_class_that_is_absent_or_unknown_is_finite():
    margins = torch.zeros(1, 2, 1, 3, requires_grad=True)
    targets = torch.tensor([[[[0, 0, 0]], [[-1, -1, -1]]]], dtype=torch.int8)
    found = dice_losses(margins, targets)
    assert found.tolist() == pytest.approx([1 - 1 / 2.5, 0.0])  # three halves are marked, and one pixel is added
    found.sum().backward()
    assert (margins.grad[0, 0] > 0).all() and (margins.grad[0, 1] == 0).all()


def test_adam_and_sgd_step_along_the_mean_gradient_by_hand():
    for kind, scale in (("sgd", 1.0), ("adam", 1.0), ("sgd", 1024.0), ("adam", 1024.0)):
        p = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
        found = optimiser([p], OptimiserConfig(kind=kind, accumulate=2, momentum=0.5, weight_decay=0.1))
        (scale * p[0]).backward()
        (scale * 3 * p[0]).backward()
        assert found.step(0.25, scale) == pytest.approx(4.0)
        # Mean gradient (2, 0), with the decay 0.1 theta: (2.1, 0.2). Adam's first step is alpha along each sign.
        moved = [1 - 0.25 * 2.1, 2 - 0.25 * 0.2] if kind == "sgd" else [0.75, 1.75]
        assert p.tolist() == pytest.approx(moved, rel=1e-5)
        (scale * float("nan") * p[1]).backward()
        found.step(0.25, scale)
        assert p.tolist() == pytest.approx(moved, rel=1e-5) and p.grad is None


@pytest.mark.parametrize("kind", ["normalised_sgd", "sgd", "adam"])
def test_a_checkpoint_of_every_optimiser_goes_on_as_if_it_had_not_stopped(kind, tmp_path):
    config = OptimiserConfig(kind=kind, accumulate=1)
    rows = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    whole, parts = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(3))
    first, second = optimiser([whole], config), optimiser([parts], config)
    for n, row in enumerate(rows):
        if n == 3:
            torch.save(second.state_dict(), tmp_path / "state.pt")
            second = optimiser([parts], config)
            second.load_state_dict(read_checkpoint(tmp_path / "state.pt"))
        for parameter, taken in ((whole, first), (parts, second)):
            (row @ parameter**2).backward()
            taken.step(0.05)
    assert torch.equal(whole, parts)


def test_the_loss_scale_halves_on_overflow_and_doubles_after_many_good_steps():
    plain, half = Precision(torch.device("cpu"), True), Precision(torch.device("cuda"), True)
    assert plain.scale == 1.0 and plain.half == torch.bfloat16 and half.scale == 65536.0
    plain.stepped(math.inf)
    half.stepped(math.inf)
    assert plain.scale == 1.0 and half.scale == 32768.0
    for _ in range(2000):
        half.stepped(1.0)
    assert half.scale == 65536.0
    again = Precision(torch.device("cuda"), True)
    again.load_state_dict(half.state_dict())
    assert again.state_dict() == half.state_dict()
