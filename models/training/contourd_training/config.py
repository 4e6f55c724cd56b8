"""The recipe of a model: one TOML file, read strictly (an unknown key is an error)."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

PLANES = ("axial", "coronal", "sagittal")


class RecipeError(ValueError):
    """The recipe cannot be used; the message names the key and says what is expected."""


@dataclass(frozen=True)
class ModelConfig:
    """What the card says about the model."""

    name: str
    version: str
    licence: str
    statement: str
    data: str
    purpose: str = "research"


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of the U-Net, the same for the three planes."""

    base_width: int = 64
    poolings: int = 4
    padding: str = "valid"
    input_factor: float = 0.001


@dataclass(frozen=True)
class SamplingConfig:
    """Batches: `batch` patches (M); `patch` gives (rows, columns) in pixels for each plane."""

    batch: int = 10
    patch: dict[str, list[int]] = field(default_factory=lambda: {plane: [236, 236] for plane in PLANES})


@dataclass(frozen=True)
class LossConfig:
    """`positive_weight` is t_c: the share of the positive pixels in the loss of a class; `by_class` overrides it."""

    positive_weight: float = 0.3
    by_class: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class OptimiserConfig:
    """Normalised SGD and the rule of its learning rate.

    `accumulate` is N, `window` is F (in iterations), `sufficient` is d_loss. `anneal` also bounds the learning rate
    from above by a half cosine from `alpha_init` to `alpha_min` over the budget, so that a short training ends at the
    small rate which the rule alone would reach only after days.
    """

    accumulate: int = 10
    momentum: float = 0.9
    alpha_init: float = 0.25
    alpha_min: float = 0.001
    window: int = 200
    sufficient: float = 0.98
    anneal: bool = False


@dataclass(frozen=True)
class AugmentationConfig:
    """Ranges of the random changes; a zero (or an empty probability) switches one off.

    Angles in degrees, blur in pixels, the others are fractions: `scale` 0.1 means 0.9 to 1.1, `gain` is
    [lowest, highest], `gamma` 0.5 means exp(-0.5) to exp(0.5), `remap` is how far the knots of the random rising
    contrast curve may move, `bias` is the amplitude of the logarithm of the field, `noise` the largest deviation
    relative to the scaled image's 1.0.
    """

    rotation: float = 0.0
    scale: float = 0.0
    stretch: float = 0.0
    flip: bool = False
    gain: list[float] = field(default_factory=lambda: [1.0, 1.0])
    gamma: float = 0.0
    remap: float = 0.0
    bias: float = 0.0
    blur: float = 0.0
    noise: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training, but for its data and its duration."""

    seed: int
    model: ModelConfig
    network: NetworkConfig = field(default_factory=NetworkConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)

    @staticmethod
    def read(path: str | Path) -> "Recipe":
        """Reads and checks a recipe.

        Raises RecipeError with the key path for unknown, missing, mistyped or impossible values.
        """
        with open(path, "rb") as file:
            try:
                tree = tomllib.load(file)
            except tomllib.TOMLDecodeError as error:
                raise RecipeError(f"{path}: {error}") from error
        recipe = _build(Recipe, tree, "")
        recipe.check()
        return recipe

    def check(self) -> None:
        """Refuses values that no training could use."""
        net, sampling, optimiser = self.network, self.sampling, self.optimiser
        _require(net.padding in ("same", "valid"), "network.padding", "must be \"same\" or \"valid\"")
        _require(net.base_width >= 1 and 1 <= net.poolings <= 6, "network", "base_width >= 1 and 1 to 6 poolings")
        _require(net.input_factor > 0, "network.input_factor", "must be positive")
        _require(sampling.batch >= 1, "sampling.batch", "must be at least 1")
        _require(set(sampling.patch) == set(PLANES), "sampling.patch", f"needs exactly the planes {', '.join(PLANES)}")
        for plane, size in sampling.patch.items():
            _require(len(size) == 2 and min(size) > 0, f"sampling.patch.{plane}", "must be [rows, columns]")
        weights = [self.loss.positive_weight, *self.loss.by_class.values()]
        _require(all(0 < t < 1 for t in weights), "loss", "every weight must lie between 0 and 1")
        _require(optimiser.accumulate >= 1, "optimiser.accumulate", "must be at least 1")
        _require(optimiser.window >= 2, "optimiser.window", "must be at least 2")
        _require(0 <= optimiser.momentum < 1, "optimiser.momentum", "must lie in [0, 1)")
        _require(0 < optimiser.alpha_min <= optimiser.alpha_init, "optimiser", "needs 0 < alpha_min <= alpha_init")
        gain = self.augmentation.gain
        _require(len(gain) == 2 and 0 < gain[0] <= gain[1], "augmentation.gain", "must be [lowest, highest], positive")
        _require(0 <= self.augmentation.remap < 1, "augmentation.remap", "must lie in [0, 1): the curve has to rise")


def _require(good: bool, key: str, message: str) -> None:
    if not good:
        raise RecipeError(f"{key}: {message}")


def _build(kind: type, tree: dict[str, Any], where: str) -> Any:
    """Makes the dataclass `kind` from a TOML table; `where` is the key path for messages."""
    hints = get_type_hints(kind)
    unknown = sorted(set(tree) - set(hints))
    _require(not unknown, where or "recipe", f"unknown key {', '.join(unknown)}; known are {', '.join(hints)}")
    values = {}
    for entry in dataclasses.fields(kind):
        key = f"{where}.{entry.name}".lstrip(".")
        optional = entry.default is not dataclasses.MISSING or entry.default_factory is not dataclasses.MISSING
        if entry.name not in tree:
            _require(optional, key, "is missing")
            continue
        value, hint = tree[entry.name], hints[entry.name]
        if dataclasses.is_dataclass(hint):
            _require(isinstance(value, dict), key, "must be a table")
            values[entry.name] = _build(hint, value, key)
        elif hint is float:
            _require(isinstance(value, (int, float)) and not isinstance(value, bool), key, "must be a number")
            values[entry.name] = float(value)
        else:
            plain = getattr(hint, "__origin__", hint)
            good = isinstance(value, plain) and (plain is bool or not isinstance(value, bool))
            _require(good, key, f"must be {hint}")
            values[entry.name] = value
    return kind(**values)
