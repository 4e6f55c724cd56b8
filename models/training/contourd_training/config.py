"""The recipe of a model: one TOML file, read strictly (an unknown key is an error)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from .classes import ClassConfig
from .strict import RecipeError, build, require

PLANES = ("axial", "coronal", "sagittal")
OPTIMISERS = ("normalised_sgd", "sgd", "adam")
SCHEDULES = ("window", "poly")


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
    """`positive_weight` is t_c: the share of the positive pixels in the loss of a class; `by_class` overrides it.
    `dice_weight` is the weight of a soft Dice loss that is added (thesis: none)."""

    positive_weight: float = 0.3
    dice_weight: float = 0.0
    by_class: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class OptimiserConfig:
    """The update of the parameters and the rule of its learning rate; the defaults are the thesis's.

    `accumulate` is N, `window` is F (in iterations), `sufficient` is d_loss. `anneal` also bounds the learning rate
    from above by a half cosine from `alpha_init` to `alpha_min` over the budget, so that a short training ends at the
    small rate which the rule alone would reach only after days. `kind` "sgd" and "adam" step along the mean gradient
    of the N batches, not its direction; schedule "poly" is alpha_init (1 - progress)^0.9. `weight_decay` is L2 and
    of those two only.
    """

    kind: str = "normalised_sgd"
    schedule: str = "window"
    weight_decay: float = 0.0
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
class ComputeConfig:
    """How numbers are computed. `amp`: half precision where it is safe (float16 with a loss scale on CUDA, bfloat16 on
    CPU); `channels_last`: the memory order in which convolutions are usually faster."""

    amp: bool = False
    channels_last: bool = True


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training, but for its data and its duration.

    `implied`: class = the class that encloses it. `opposite`: left class = right class, for classes declared per side.
    `described`: the `[[class]]` tables of classes that contourd does not know.
    """

    seed: int
    model: ModelConfig
    implied: dict[str, str] = field(default_factory=dict)
    opposite: dict[str, str] = field(default_factory=dict)
    described: list[ClassConfig] = field(default_factory=list, metadata={"key": "class"})
    network: NetworkConfig = field(default_factory=NetworkConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)

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
        recipe = build(Recipe, tree, "")
        recipe.check()
        return recipe

    def check(self) -> None:
        """Refuses values that no training could use."""
        net, sampling, optimiser = self.network, self.sampling, self.optimiser
        require(net.padding in ("same", "valid"), "network.padding", "must be \"same\" or \"valid\"")
        require(net.base_width >= 1 and 1 <= net.poolings <= 6, "network", "base_width >= 1 and 1 to 6 poolings")
        require(net.input_factor > 0, "network.input_factor", "must be positive")
        require(sampling.batch >= 1, "sampling.batch", "must be at least 1")
        require(set(sampling.patch) == set(PLANES), "sampling.patch", f"needs exactly the planes {', '.join(PLANES)}")
        for number, entry in enumerate(self.described):
            entry.check(f"class[{number}]")
        for plane, size in sampling.patch.items():
            require(len(size) == 2 and min(size) > 0, f"sampling.patch.{plane}", "must be [rows, columns]")
        weights = [self.loss.positive_weight, *self.loss.by_class.values()]
        require(all(0 < t < 1 for t in weights), "loss", "every weight must lie between 0 and 1")
        require(self.loss.dice_weight >= 0, "loss.dice_weight", "must not be negative")
        require(optimiser.kind in OPTIMISERS, "optimiser.kind", f"must be one of {', '.join(OPTIMISERS)}")
        require(optimiser.schedule in SCHEDULES, "optimiser.schedule", f"must be one of {', '.join(SCHEDULES)}")
        decay = optimiser.weight_decay == 0 or (optimiser.weight_decay > 0 and optimiser.kind != "normalised_sgd")
        require(decay, "optimiser.weight_decay", "must be positive, and goes with sgd and adam only")
        require(optimiser.accumulate >= 1, "optimiser.accumulate", "must be at least 1")
        require(optimiser.window >= 2, "optimiser.window", "must be at least 2")
        require(0 <= optimiser.momentum < 1, "optimiser.momentum", "must lie in [0, 1)")
        require(0 < optimiser.alpha_min <= optimiser.alpha_init, "optimiser", "needs 0 < alpha_min <= alpha_init")
        gain = self.augmentation.gain
        require(len(gain) == 2 and 0 < gain[0] <= gain[1], "augmentation.gain", "must be [lowest, highest], positive")
        require(0 <= self.augmentation.remap < 1, "augmentation.remap", "must lie in [0, 1): the curve has to rise")
