"""Which classes a model has and what is known about them: from the store, the recipe and, for eight, from contourd.

A class beyond the eight is described by a `[[class]]` table of the recipe or of store.json, in the words of the card
(models/README.md), into which it is copied.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field

from .strict import RecipeError, build, require

# The classes that contourd describes itself, with the colour of their first structure (for pictures of a training).
KNOWN = {"eye": (255, 205, 60), "lens": (0, 191, 255), "optic_nerve": (0, 230, 0), "chiasm": (255, 255, 0),
         "pituitary": (64, 224, 190), "hippocampus": (255, 0, 255), "brainstem": (255, 128, 0), "brain": (216, 54, 149)}
MOST = 32
RULES = ("largest_component", "none")
SCHEMES = ("SCT", "FMA", "UBERON", "DCM")


@dataclass(frozen=True)
class CodeConfig:
    """What the organ is, as DICOM codes it (PS3.3 section 8.8), without its side."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class ClassConfig:
    """One class that contourd does not know: how it is named, coded, drawn and cleaned. Sided: left, then right."""

    name: str
    sided: bool
    structures: list[str]
    colours: list[list[int]]
    rules: str
    code: CodeConfig
    enclosed_by: str = ""
    volume_cc: list[float] = field(default_factory=list)
    volume_source: str = ""

    def check(self, where: str) -> None:
        """Refuses what contourd would refuse in a card, so that it is found before the training and not after it."""
        word = re.fullmatch(r"[a-z][a-z0-9_]{0,31}", self.name)
        require(word is not None, f"{where}.name", "lower-case letters, digits, _, beginning with a letter, at most 32")
        require(self.name not in KNOWN, f"{where}.name", f"contourd describes {self.name} itself")
        count = 2 if self.sided else 1
        good = len(self.structures) == count and all(re.fullmatch(r"[A-Za-z0-9_^~-]{1,16}", s) for s in self.structures)
        require(good, f"{where}.structures", f"needs {count} names of at most 16 letters, digits, _, -, ^, ~")
        ends = not self.sided or (self.structures[0].endswith("_L") and self.structures[1].endswith("_R"))
        require(ends, f"{where}.structures", "of a sided class end in _L and _R, in this order")
        colours = len(self.colours) == count and all(len(c) == 3 and 0 <= min(c) <= max(c) <= 255 for c in self.colours)
        require(colours, f"{where}.colours", f"needs {count} of [red, green, blue], 0 to 255")
        require(self.rules in RULES, f"{where}.rules", f"must be one of {', '.join(RULES)}")
        code = self.code
        known = code.scheme in SCHEMES or code.scheme.startswith("99")
        require(known, f"{where}.code.scheme", f"{', '.join(SCHEMES)}, or a private one beginning with 99")
        require(1 <= len(code.value) <= 16, f"{where}.code.value", "1 to 16 characters")
        require(1 <= len(code.meaning) <= 64, f"{where}.code.meaning", "1 to 64 characters")
        require(code.scheme != "SCT" or verhoeff(code.value), f"{where}.code.value", "its SNOMED CT check digit is wrong")
        both = bool(self.volume_cc) == bool(self.volume_source)
        require(both, f"{where}.volume_cc", "goes with volume_source, and that with volume_cc")
        order = not self.volume_cc or (len(self.volume_cc) == 2 and 0 < self.volume_cc[0] < self.volume_cc[1])
        require(order, f"{where}.volume_cc", "must be [least, greatest] in cm3")

    def card(self) -> dict:
        """The entry of the card: what is optional and absent is left out."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value not in ("", [])}


def verhoeff(digits: str) -> bool:
    """Whether the last digit of a SNOMED CT identifier is the check digit of the others (Verhoeff's, base 10)."""
    if not digits.isdecimal():
        return False
    turned = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
    check = 0
    for position, digit in enumerate(map(int, reversed(digits))):
        for _ in range(position % 8):
            digit = turned[digit]
        # Product in the dihedral group of a pentagon: 0 to 4 turns, 5 to 9 mirrors.
        a, b = check, digit
        check = ((a + b) % 5 if b < 5 else 5 + (a + b) % 5) if a < 5 else (5 + (a - b) % 5 if b < 5 else (a - b) % 5)
    return check == 0


@dataclass(frozen=True)
class Classes:
    """The classes of a model in the order of label bits and network outputs.

    `implied`: (inner, outer) positions, such that every voxel of inner is one of outer; outer pairs come first.
    `mirror[c]`: the class whose place class c takes in an image flipped left to right; c itself unless per side.
    """

    names: list[str]
    implied: list[tuple[int, int]]
    mirror: list[int]
    described: list[ClassConfig]

    def __len__(self) -> int:
        return len(self.names)

    def colour(self, c: int) -> tuple[int, int, int]:
        """Red, green, blue of class c in pictures."""
        own = {entry.name: entry.colours[0] for entry in self.described}
        return KNOWN.get(self.names[c]) or tuple(own[self.names[c]])


def resolve(names: list[str], in_store: list[dict], in_recipe: list[ClassConfig], implied: dict[str, str],
            opposite: dict[str, str]) -> Classes:
    """Brings store and recipe together.

    `names` are the store's classes, `in_store` its descriptions (JSON), the others come from the recipe. Raises
    RecipeError where they contradict each other, or name a class that the store does not have.
    """
    described: dict[str, ClassConfig] = {}
    listed = [(f"store.json class[{n}]", build(ClassConfig, entry, f"store.json class[{n}]"))
              for n, entry in enumerate(in_store)] + [(f"class[{n}]", entry) for n, entry in enumerate(in_recipe)]
    for where, entry in listed:
        entry.check(where)
        require(entry.name in names, where, f"{entry.name} is no class of the store; it has {', '.join(names)}")
        same = described.setdefault(entry.name, entry) == entry
        require(same, where, f"{entry.name} is described otherwise before; recipe and store must say the same")
    for name in names:
        if name not in KNOWN and name not in described:
            raise RecipeError(f"class {name} of the store is neither known to contourd nor described; "
                              "add a [[class]] table to the recipe (models/README.md, Classes)")
    pairs = [*implied.items(), *((e.name, e.enclosed_by) for e in described.values() if e.enclosed_by)]
    outer: dict[str, str] = {}
    for inner, out in pairs:
        missing = [c for c in (inner, out) if c not in names]
        require(not missing, f"implied.{inner}", f"{', '.join(missing)} is no class of the store")
        require(outer.setdefault(inner, out) == out, f"implied.{inner}", "two classes are said to enclose it")
    mirror = list(range(len(names)))
    for left, right in opposite.items():
        missing = [c for c in (left, right) if c not in names]
        require(not missing, f"opposite.{left}", f"{', '.join(missing)} is no class of the store")
        a, b = names.index(left), names.index(right)
        require(a != b and mirror[a] == a and mirror[b] == b, f"opposite.{left}", "each class has one opposite")
        mirror[a], mirror[b] = b, a
    ordered = [(names.index(inner), names.index(outer[inner])) for inner in sorted(outer, key=lambda c: _depth(outer, c))]
    return Classes(names, ordered, mirror, [described[n] for n in names if n in described])


def _depth(outer: dict[str, str], name: str) -> int:
    """How many classes enclose this one."""
    depth, seen = 0, {name}
    while name in outer:
        name, depth = outer[name], depth + 1
        require(name not in seen, f"implied.{name}", "encloses itself")
        seen.add(name)
    return depth
