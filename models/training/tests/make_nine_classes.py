"""Makes fixtures/nine-classes, a model with a class that its card describes, and fixtures/three-classes, one that lacks most
of the known ones. From the repository's root:

PYTHONPATH=models/training:target/onnxruntime/python /usr/bin/python3 models/training/tests/make_nine_classes.py
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import nn

from contourd_training.card import to_toml
from contourd_training.export import export
from contourd_training.store import PLANES

FIXTURES = Path(__file__).resolve().parents[3] / "fixtures"
# The intensities that each class takes for its own, of 0 to 1. An eye holds its lens, a brain its organs.
BANDS = {
    "eye": (0.74, 0.90), "lens": (0.83, 0.90), "optic_nerve": (0.67, 0.73), "chiasm": (0.59, 0.65),
    "pituitary": (0.51, 0.57), "hippocampus": (0.35, 0.41), "brainstem": (0.43, 0.49), "brain": (0.26, 0.50),
    "cochlea": (0.93, 1.07),
}
DESCRIPTION = {
    "name": "cochlea", "sided": True, "structures": ["Cochlea_L", "Cochlea_R"],
    "colours": [[170, 110, 255], [104, 60, 184]], "rules": "largest_component",
    "code": {"value": "80169004", "scheme": "SCT", "meaning": "Cochlea"},
}
# Log odds by which a class is sure or unsure of an intensity, for each unit of its distance from the band's end.
SLOPE = 100.0


class Bands(nn.Module):
    """Pixel by pixel: a class is there where the intensity lies in its band."""

    valid = False

    def __init__(self, classes: list[str]) -> None:
        super().__init__()
        count = len(classes)
        self.off = nn.Conv2d(1, 2 * count, 1)
        self.say = nn.Conv2d(2 * count, 2 * count, 1)
        with torch.no_grad():
            self.off.weight.fill_(1.0)
            self.off.weight[1::2] = -1.0
            self.say.weight.zero_()
            self.say.bias.zero_()
            for c, (low, high) in enumerate(BANDS[name] for name in classes):
                middle = (low + high) / 2
                self.off.bias[2 * c], self.off.bias[2 * c + 1] = -middle, middle
                self.say.weight[2 * c + 1, 2 * c:2 * c + 2] = -SLOPE
                self.say.bias[2 * c + 1] = SLOPE * (high - low) / 2

    def surround(self, _pixels: int) -> tuple[int, int]:
        """No zeros around a slice are needed."""
        return 0, 0

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits: background 0, each class what its band says."""
        return self.say(torch.relu(self.off(image)))


def make(name: str, classes: list[str], described: list[dict]) -> None:
    """One model folder."""
    folder = FIXTURES / name
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for plane in PLANES:
        path = folder / f"{plane}.onnx"
        export(Bands(classes), path)
        entries.append({"plane": plane, "file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
    card = {
        "format": 1, "name": name, "version": "1", "created": "2026-01-01", "purpose": "research",
        "statement": "Research use only: a fixture of the tests; its networks look at grey values alone.",
        "licence": "Apache-2.0", "classes": classes, "input_factor": 0.001, "padding": "same", "multiple": 1,
        "working": {"spacing": [1.5, 1.5, 1.5], "shape": [150, 172, 128], "intensity_rule": "maximum",
                    "intensity_scale": 1000.0, "margin_top": 4.5},
        **({"class": described} if described else {}),
        "network": entries,
        "training": {"data": "none", "commands": ["python3 models/training/tests/make_nine_classes.py"]},
    }
    (folder / "card.toml").write_text(to_toml(card), encoding="utf-8")


def main() -> None:
    make("nine-classes", list(BANDS), [DESCRIPTION])
    make("three-classes", ["brain", "optic_nerve", "eye"], [])


if __name__ == "__main__":
    main()
