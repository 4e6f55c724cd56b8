"""The offline trainer of contourd: from a training store to three ONNX networks and their card.

Axis order of arrays is (z, y, x) = (k, j, i) for volumes, (rows, columns) for slices, (N, channels, rows, columns)
for batches. One recipe (TOML) describes one model; nothing else decides how it is trained.
"""

__version__ = "1.1.0"
