"""Half precision where it is safe: float16 with a loss scale on CUDA, bfloat16 (which needs none) on CPU."""

from __future__ import annotations

import contextlib
import math

import torch

# As PyTorch's GradScaler, which is not used: it exists on CUDA only, under another name in every other release, and
# wants to look at the gradients before the norm that the thesis's optimiser needs anyway.
FIRST_SCALE, GOOD_STEPS = 2.0**16, 2000


class Precision:
    """How the forward pass is computed, and the factor on the loss that keeps small float16 gradients from vanishing."""

    def __init__(self, device: torch.device, amp: bool):
        self.device, self.amp = device.type, amp
        self.half = torch.float16 if self.device == "cuda" else torch.bfloat16
        self.scale = FIRST_SCALE if amp and self.half == torch.float16 else 1.0
        self.good = 0

    def forward(self) -> contextlib.AbstractContextManager:
        """The context of a forward pass; the loss belongs outside of it, in float32."""
        return torch.autocast(self.device, dtype=self.half) if self.amp else contextlib.nullcontext()

    def stepped(self, norm: float) -> None:
        """Takes the norm of an update's gradient: one that overflowed (and was skipped) halves the scale, many good
        ones in a row double it."""
        if not self.amp or self.half != torch.float16:
            return
        if not math.isfinite(norm):
            self.scale, self.good = max(self.scale / 2, 1.0), 0
        elif self.good + 1 == GOOD_STEPS:
            self.scale, self.good = self.scale * 2, 0
        else:
            self.good += 1

    def state_dict(self) -> dict:
        """What a checkpoint needs."""
        return {"scale": self.scale, "good": self.good}

    def load_state_dict(self, state: dict) -> None:
        """Takes a checkpoint's state back, unless it was of another precision."""
        if self.amp and self.half == torch.float16:
            self.scale, self.good = state["scale"], state["good"]
