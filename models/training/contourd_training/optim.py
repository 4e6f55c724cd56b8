"""The optimiser of thesis section 2.2.3.2: SGD with momentum on a normalised gradient, and its learning-rate rule.
Beside it, what is usual elsewhere: plain SGD and Adam, and a learning rate that falls as a power of what is left."""

from __future__ import annotations

import math
from typing import Iterable

import torch

from .config import OptimiserConfig

# Of Chen et al., DeepLab (2018), and of nnU-Net after it.
POLY_POWER = 0.9


class NormalisedSgd:
    """v <- mu v - alpha g / |g|; theta <- theta + v, with g the gradient summed over the batches since the last step.

    PyTorch's `backward` adds to `.grad`, so calling it once a batch gives that sum. The norm runs over all parameters.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], momentum: float):
        self.parameters = [p for p in parameters if p.requires_grad]
        self.momentum = momentum
        self.velocity = [torch.zeros_like(p) for p in self.parameters]

    @torch.no_grad()
    def step(self, alpha: float, scale: float = 1.0) -> float:
        """One update; clears the gradients, which are `scale` times what they should be, and returns |g|. A zero or
        not finite norm changes nothing."""
        gradients = [p.grad for p in self.parameters]
        norm = _norm(gradients) / scale
        if norm > 0 and math.isfinite(norm):
            for p, g, v in zip(self.parameters, gradients, self.velocity):
                v.mul_(self.momentum)
                if g is not None:
                    v.add_(g, alpha=-alpha / (norm * scale))
                p.add_(v)
        for p in self.parameters:
            p.grad = None
        return norm

    def state_dict(self) -> dict:
        """What a checkpoint needs."""
        return {"velocity": self.velocity}

    def load_state_dict(self, state: dict) -> None:
        """Takes a checkpoint's state back."""
        for mine, saved in zip(self.velocity, state["velocity"], strict=True):
            mine.copy_(saved)


class MeanGradient:
    """SGD with momentum or Adam of PyTorch, along the mean gradient of the N batches since the last step; in the shape
    of NormalisedSgd."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter], config: OptimiserConfig):
        self.parameters = [p for p in parameters if p.requires_grad]
        self.batches = config.accumulate
        options = {"lr": config.alpha_init, "weight_decay": config.weight_decay}
        if config.kind == "adam":
            self.inner = torch.optim.Adam(self.parameters, betas=(config.momentum, 0.999), **options)
        else:
            self.inner = torch.optim.SGD(self.parameters, momentum=config.momentum, **options)

    @torch.no_grad()
    def step(self, alpha: float, scale: float = 1.0) -> float:
        """As NormalisedSgd's: the norm is that of the sum."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = _norm(gradients) / scale
        if norm > 0 and math.isfinite(norm):
            for gradient in gradients:
                gradient.div_(self.batches * scale)
            self.inner.param_groups[0]["lr"] = alpha
            self.inner.step()
        for p in self.parameters:
            p.grad = None
        return norm

    def state_dict(self) -> dict:
        """What a checkpoint needs."""
        return self.inner.state_dict()

    def load_state_dict(self, state: dict) -> None:
        """Takes a checkpoint's state back."""
        self.inner.load_state_dict(state)


def optimiser(parameters: Iterable[torch.nn.Parameter], config: OptimiserConfig) -> NormalisedSgd | MeanGradient:
    """The optimiser that a recipe asks for."""
    if config.kind == "normalised_sgd":
        return NormalisedSgd(parameters, config.momentum)
    return MeanGradient(parameters, config)


def _norm(gradients: Iterable[torch.Tensor | None]) -> float:
    """L2 norm over all of them. One number crosses from the device, not one for each tensor."""
    squares = [g.double().pow(2).sum() for g in gradients if g is not None]
    return math.sqrt(float(torch.stack(squares).sum())) if squares else 0.0


class LearningRateRule:
    """After each F iterations: when the mean loss of the last F/2 exceeds d_loss times that of the F/2 before, alpha
    is halved (not below its minimum); after two such insufficient decreases in a row F doubles."""

    def __init__(self, config: OptimiserConfig):
        self.alpha_min, self.sufficient = config.alpha_min, config.sufficient
        self.alpha, self.window = config.alpha_init, config.window
        self.losses: list[float] = []
        self.insufficient = 0

    def update(self, loss: float) -> None:
        """Takes the loss of one iteration (one update of the parameters)."""
        self.losses.append(loss)
        if len(self.losses) < self.window:
            return
        half = self.window // 2
        current = sum(self.losses[-half:]) / half
        previous = sum(self.losses[-2 * half:-half]) / half
        self.losses.clear()
        if current <= self.sufficient * previous:
            self.insufficient = 0
            return
        self.alpha = max(self.alpha / 2, self.alpha_min)
        self.insufficient += 1
        if self.insufficient == 2:
            self.window *= 2
            self.insufficient = 0

    def state_dict(self) -> dict:
        """What a checkpoint needs."""
        return {key: getattr(self, key) for key in ("alpha", "window", "losses", "insufficient")}

    def load_state_dict(self, state: dict) -> None:
        """Takes a checkpoint's state back."""
        self.alpha, self.window = state["alpha"], state["window"]
        self.losses, self.insufficient = list(state["losses"]), state["insufficient"]


def learning_rate(config: OptimiserConfig, rule: LearningRateRule, progress: float) -> float:
    """The rate of an iteration at `progress` (0 to 1) of the budget: the rule's, bounded from above by half a cosine
    down to alpha_min where the recipe anneals; or alpha_init (1 - progress)^0.9, not below alpha_min."""
    left = 1 - min(max(progress, 0.0), 1.0)
    if config.schedule == "poly":
        return max(config.alpha_init * left**POLY_POWER, config.alpha_min)
    if not config.anneal:
        return rule.alpha
    share = 0.5 * (1 - math.cos(math.pi * left))
    return min(rule.alpha, config.alpha_min + (config.alpha_init - config.alpha_min) * share)
