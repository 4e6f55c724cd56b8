"""A picture of slices: image, truth and prediction side by side, outlined in the colours of the classes; PNG."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from .classes import Classes

GAP = 2


def outline(mask: np.ndarray) -> np.ndarray:
    """The pixels of a mask (rows, columns) with a 4-neighbour that is not in it (the edge of the image counts)."""
    wide = np.pad(mask, 1)
    inner = wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    return mask & ~inner


def panel(image: np.ndarray, marked: np.ndarray, classes: Classes, white: float) -> np.ndarray:
    """RGB uint8 (rows, columns, 3): a grey slice, and the outlines of `marked`, bool (C, rows, columns)."""
    grey = np.clip(image * (255 / white), 0, 255).astype(np.uint8)
    out = np.repeat(grey[..., None], 3, axis=2)
    # The largest first, so that a lens is not hidden under its eye's outline.
    for c in np.argsort(-marked.reshape(len(marked), -1).sum(1), kind="stable"):
        out[outline(marked[c])] = classes.colour(int(c))
    return out


def sheet(rows: list[list[np.ndarray]], upside_down: bool) -> np.ndarray:
    """Panels below and beside each other. `upside_down`: rows of coronal and sagittal slices run from the feet up."""
    lines = []
    for panels in rows:
        turned = [p[::-1] if upside_down else p for p in panels]
        spaced = [np.pad(p, ((0, GAP), (0, GAP), (0, 0)), constant_values=64) for p in turned]
        lines.append(np.concatenate(spaced, axis=1))
    return np.concatenate(lines, axis=0)


def write_png(path: Path, image: np.ndarray) -> None:
    """Writes uint8 (rows, columns, 3) as PNG (ISO/IEC 15948): 8 bits, truecolour, no filter, no interlace."""
    rows, columns, _ = image.shape
    plain = np.zeros((rows, 1 + 3 * columns), np.uint8)  # each row begins with its filter: 0, none
    plain[:, 1:] = image.reshape(rows, -1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
                     + chunk(b"IDAT", zlib.compress(plain.tobytes(), 6)) + chunk(b"IEND", b""))
