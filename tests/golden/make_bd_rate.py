"""Regenerate bd_rate.json: what the PyPI package bjontegaard says about five pairs of curves.

Run it in an environment of its own:

    uv venv peers && uv pip install --python peers/bin/python bjontegaard==1.3.0
    peers/bin/python tests/golden/make_bd_rate.py "why the numbers are made again"
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).with_name("bd_rate.json")

#: name -> (kbit/s, quality).
CURVES = {
    "opus": ([6.0, 12.0, 24.0, 48.0], [2.51, 3.52, 4.13, 4.41]),
    "mp3": ([8.1, 16.2, 32.4, 64.0], [1.72, 2.88, 3.81, 4.38]),
    "video": ([686.76, 309.58, 157.11, 85.95], [40.28, 37.18, 34.24, 31.42]),
    "video test": ([893.34, 407.8, 204.93, 112.75], [40.39, 37.21, 34.17, 31.24]),
    "narrow": ([1.0, 2.0, 4.0, 8.0], [4.10, 4.14, 4.17, 4.19]),
    "narrow test": ([0.9, 1.9, 4.1, 8.2], [4.09, 4.15, 4.175, 4.185]),
    "five points": ([5.1, 9.7, 18.3, 40.2, 88.0], [30.2, 33.1, 35.9, 38.4, 40.0]),
}

PAIRS = [
    ("opus", "mp3"),
    ("mp3", "opus"),
    ("video", "video test"),
    ("narrow", "narrow test"),
    ("five points", "video"),
]


def main() -> None:
    """Compute and write."""
    import bjontegaard

    if len(sys.argv) < 2:
        sys.exit("give the reason why the numbers are made again")
    cases = []
    for anchor, test in PAIRS:
        case: dict[str, Any] = {
            "anchor": list(zip(*CURVES[anchor], strict=True)),
            "test": list(zip(*CURVES[test], strict=True)),
        }
        for method in ("pchip", "cubic"):
            case[method] = float(
                bjontegaard.bd_rate(
                    *CURVES[anchor], *CURVES[test], method=method, require_matching_points=False, min_overlap=0
                )
            )
        cases.append(case)
    content = {"reason": sys.argv[1], "bjontegaard": version("bjontegaard"), "cases": cases}
    GOLDEN.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
