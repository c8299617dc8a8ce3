"""Digits as people draw them: strokes written down by hand, for tests alone. Nothing was chosen by how they are read.

Each shape is a list of strokes, each stroke the points that the pen passes, in a box of 1 × 1 (x to the right, y down);
between them the pen moves smoothly. Three shapes a digit, and each in two hands: upright, and slanted with a finer pen.
"""

import math
from dataclasses import dataclass, replace
from random import Random

SHAPES = {
    0: [
        [[(0.5, 0.1), (0.25, 0.25), (0.2, 0.55), (0.35, 0.87), (0.6, 0.88), (0.78, 0.6), (0.74, 0.25), (0.5, 0.1)]],
        [[(0.6, 0.12), (0.38, 0.16), (0.3, 0.5), (0.4, 0.85), (0.58, 0.86), (0.68, 0.5), (0.6, 0.18), (0.48, 0.1)]],
        [[(0.45, 0.14), (0.7, 0.16), (0.85, 0.45), (0.72, 0.8), (0.42, 0.88), (0.17, 0.66), (0.2, 0.3), (0.5, 0.12)]],
    ],
    1: [
        [[(0.5, 0.1), (0.5, 0.5), (0.5, 0.9)]],
        [[(0.33, 0.3), (0.45, 0.2), (0.55, 0.1)], [(0.55, 0.1), (0.54, 0.5), (0.53, 0.9)]],
        [
            [(0.36, 0.26), (0.52, 0.1)],
            [(0.52, 0.1), (0.52, 0.5), (0.52, 0.88)],
            [(0.32, 0.88), (0.52, 0.88), (0.72, 0.88)],
        ],
    ],
    2: [
        [
            [(0.25, 0.3), (0.35, 0.13), (0.6, 0.1), (0.74, 0.28), (0.62, 0.52), (0.25, 0.87)],
            [(0.25, 0.87), (0.8, 0.86)],
        ],
        [
            [
                (0.24, 0.28), (0.42, 0.11), (0.66, 0.18), (0.66, 0.42), (0.45, 0.68), (0.27, 0.85), (0.24, 0.76),
                (0.36, 0.74), (0.58, 0.86), (0.8, 0.82),
            ]
        ],
        [[(0.2, 0.22), (0.5, 0.12), (0.72, 0.22), (0.68, 0.45), (0.2, 0.86)], [(0.2, 0.86), (0.5, 0.83), (0.82, 0.88)]],
    ],
    3: [
        [
            [
                (0.25, 0.18), (0.5, 0.1), (0.7, 0.24), (0.62, 0.42), (0.42, 0.48), (0.68, 0.54), (0.74, 0.74),
                (0.52, 0.9), (0.24, 0.82),
            ]
        ],
        [
            [(0.24, 0.13), (0.72, 0.13)],
            [(0.72, 0.13), (0.45, 0.42)],
            [(0.45, 0.42), (0.68, 0.5), (0.74, 0.7), (0.56, 0.88), (0.24, 0.84)],
        ],
        [
            [(0.28, 0.2), (0.52, 0.11), (0.7, 0.22), (0.6, 0.42), (0.4, 0.47)],
            [(0.4, 0.47), (0.7, 0.52), (0.78, 0.72), (0.55, 0.9), (0.2, 0.78)],
        ],
    ],
    4: [
        [[(0.62, 0.1), (0.2, 0.62)], [(0.2, 0.62), (0.84, 0.62)], [(0.64, 0.3), (0.64, 0.9)]],
        [
            [(0.28, 0.12), (0.24, 0.34), (0.26, 0.5), (0.5, 0.53), (0.72, 0.5)],
            [(0.72, 0.12), (0.71, 0.5), (0.68, 0.9)],
        ],
        [[(0.66, 0.1), (0.45, 0.34), (0.2, 0.58)], [(0.2, 0.58), (0.5, 0.6), (0.82, 0.56)], [(0.66, 0.1), (0.62, 0.9)]],
    ],
    5: [
        [
            [(0.72, 0.12), (0.32, 0.12)],
            [(0.32, 0.12), (0.28, 0.46)],
            [(0.28, 0.46), (0.55, 0.4), (0.76, 0.58), (0.68, 0.82), (0.45, 0.9), (0.22, 0.82)],
        ],
        [
            [(0.34, 0.14), (0.3, 0.42)],
            [(0.3, 0.42), (0.5, 0.4), (0.7, 0.52), (0.72, 0.74), (0.52, 0.89), (0.26, 0.84)],
            [(0.34, 0.14), (0.54, 0.13), (0.76, 0.1)],
        ],
        [
            [
                (0.78, 0.14), (0.5, 0.13), (0.36, 0.16), (0.32, 0.3), (0.32, 0.44), (0.55, 0.46), (0.7, 0.62),
                (0.6, 0.84), (0.36, 0.9), (0.2, 0.8),
            ]
        ],
    ],
    6: [
        [
            [
                (0.66, 0.1), (0.42, 0.24), (0.27, 0.5), (0.28, 0.76), (0.46, 0.9), (0.68, 0.82), (0.74, 0.64),
                (0.58, 0.5), (0.38, 0.58), (0.29, 0.72),
            ]
        ],
        [
            [
                (0.4, 0.1), (0.33, 0.35), (0.3, 0.62), (0.36, 0.84), (0.56, 0.9), (0.7, 0.76), (0.62, 0.58),
                (0.45, 0.56), (0.32, 0.68),
            ]
        ],
        [
            [
                (0.74, 0.16), (0.56, 0.12), (0.34, 0.32), (0.24, 0.6), (0.36, 0.86), (0.6, 0.88), (0.76, 0.7),
                (0.64, 0.52), (0.42, 0.52), (0.26, 0.66),
            ]
        ],
    ],
    7: [
        [[(0.22, 0.14), (0.5, 0.13), (0.78, 0.12)], [(0.78, 0.12), (0.58, 0.46), (0.42, 0.9)]],
        [[(0.24, 0.14), (0.76, 0.13)], [(0.76, 0.13), (0.6, 0.45), (0.48, 0.9)], [(0.36, 0.5), (0.74, 0.48)]],
        [[(0.22, 0.26), (0.26, 0.14), (0.5, 0.15), (0.76, 0.12)], [(0.76, 0.12), (0.66, 0.4), (0.6, 0.9)]],
    ],
    8: [
        [
            [
                (0.68, 0.2), (0.48, 0.1), (0.3, 0.24), (0.42, 0.42), (0.64, 0.58), (0.7, 0.78), (0.48, 0.9),
                (0.28, 0.78), (0.38, 0.58), (0.6, 0.42), (0.7, 0.24), (0.62, 0.14),
            ]
        ],
        [
            [(0.5, 0.1), (0.34, 0.18), (0.34, 0.38), (0.5, 0.47), (0.66, 0.38), (0.66, 0.18), (0.5, 0.1)],
            [(0.5, 0.47), (0.28, 0.58), (0.28, 0.8), (0.5, 0.9), (0.72, 0.8), (0.72, 0.58), (0.5, 0.47)],
        ],
        [
            [
                (0.5, 0.48), (0.34, 0.36), (0.36, 0.16), (0.54, 0.1), (0.68, 0.2), (0.62, 0.38), (0.46, 0.5),
                (0.3, 0.66), (0.36, 0.86), (0.56, 0.9), (0.7, 0.76), (0.64, 0.58), (0.5, 0.48),
            ]
        ],
    ],
    9: [
        [
            [(0.68, 0.28), (0.54, 0.12), (0.34, 0.2), (0.3, 0.4), (0.46, 0.52), (0.64, 0.42), (0.69, 0.26)],
            [(0.69, 0.26), (0.68, 0.6), (0.62, 0.9)],
        ],
        [
            [
                (0.7, 0.24), (0.5, 0.11), (0.3, 0.26), (0.36, 0.46), (0.58, 0.46), (0.7, 0.26), (0.7, 0.56),
                (0.58, 0.84), (0.34, 0.88),
            ]
        ],
        [
            [
                (0.64, 0.3), (0.62, 0.16), (0.44, 0.12), (0.32, 0.28), (0.42, 0.46), (0.6, 0.4), (0.66, 0.22),
                (0.64, 0.55), (0.6, 0.9),
            ]
        ],
    ],
}  # fmt: skip


@dataclass(frozen=True)
class Drawing:
    """One digit in one hand: its strokes on a sheet of 1 × 1, and the width of the pen."""

    digit: int
    style: str
    strokes: list[list[tuple[float, float]]]
    pen: float


def smooth(points: list[tuple[float, float]], between: int = 8) -> list[tuple[float, float]]:
    """Return a curve through the points (Catmull and Rom, 1974), with so many steps from one to the next."""
    ends = [points[0], *points, points[-1]]
    curve = []
    for before, start, end, after in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
        for step in range(between):
            t = step / between
            curve.append(
                tuple(
                    0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
                    for a, b, c, d in zip(before, start, end, after, strict=True)
                )
            )
    return [*curve, points[-1]]


def slanted(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return points as a slanted, smaller hand would set them, below and to the left of the middle."""
    slant = math.tan(math.radians(12))
    return [(0.12 + 0.6 * x + 0.6 * slant * (0.5 - y), 0.25 + 0.66 * y) for x, y in points]


def drawings() -> list[Drawing]:
    """Return all drawings: ten digits, three shapes each, in two hands."""
    return [
        Drawing(digit, f"shape {number}, {hand}", [smooth(write(stroke)) for stroke in shape], pen)
        for digit, shapes in SHAPES.items()
        for number, shape in enumerate(shapes, start=1)
        for hand, write, pen in (("upright", list, 0.08), ("slanted", slanted, 0.05))
    ]


def in_another_hand(drawing: Drawing, drawn: Random) -> Drawing:
    """Return a drawing turned by up to 20°, slanted, made narrower or wider, unsteady, and with another pen."""
    angle, slant = math.radians(drawn.uniform(-20, 20)), drawn.uniform(-0.4, 0.4)
    width, pen = drawn.uniform(0.7, 1.3), drawn.uniform(0.03, 0.16)

    def moved(x: float, y: float) -> tuple[float, float]:
        y -= 0.5
        x = width * (x - 0.5) + slant * y
        x, y = x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)
        return 0.5 + x + drawn.gauss(0, 0.012), 0.5 + y + drawn.gauss(0, 0.012)

    return replace(drawing, strokes=[[moved(*point) for point in stroke] for stroke in drawing.strokes], pen=pen)
