"""The optimiser of thesis section 2.2.3.2: SGD with momentum on a normalised gradient, and its learning-rate rule."""

from __future__ import annotations

import math
from typing import Iterable

import torch

from .config import OptimiserConfig


class NormalisedSgd:
    """v <- mu v - alpha g / |g|; theta <- theta + v, with g the gradient summed over the batches since the last step.

    PyTorch's `backward` adds to `.grad`, so calling it once a batch gives that sum. The norm runs over all parameters.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], momentum: float):
        self.parameters = [p for p in parameters if p.requires_grad]
        self.momentum = momentum
        self.velocity = [torch.zeros_like(p) for p in self.parameters]

    @torch.no_grad()
    def step(self, alpha: float) -> float:
        """One update; clears the gradients and returns |g|. A zero or not finite norm changes nothing."""
        gradients = [p.grad for p in self.parameters]
        norm = math.sqrt(sum(float(g.double().pow(2).sum()) for g in gradients if g is not None))
        if norm > 0 and math.isfinite(norm):
            for p, g, v in zip(self.parameters, gradients, self.velocity):
                v.mul_(self.momentum)
                if g is not None:
                    v.add_(g, alpha=-alpha / norm)
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


def annealed(config: OptimiserConfig, progress: float) -> float:
    """Upper bound of the learning rate at `progress` (0 to 1) of the budget: half a cosine down to alpha_min."""
    if not config.anneal:
        return config.alpha_init
    share = 0.5 * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))
    return config.alpha_min + (config.alpha_init - config.alpha_min) * share
