"""The quality of a classifier of two classes: numbers for metrics.json, and a picture of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score, roc_curve

from everscore.score.columns import Array

_DIGITS = 6
_SIDE = 300
_MARGIN = 46


def summary(truth: Array, probability: Array) -> dict[str, Any]:
    """ROC AUC, log loss, Brier score, rows and share of positives."""
    return {
        "rows": len(truth),
        "positive": _rounded(np.mean(truth)),
        "rocAuc": _rounded(roc_auc_score(truth, probability)),
        "logLoss": _rounded(log_loss(truth, probability)),
        "brier": _rounded(brier_score_loss(truth, probability)),
    }


def roc_points(truth: Array, probability: Array, count: int = 51) -> list[list[float]]:
    """Points [false positive rate, true positive rate] of the ROC curve, evenly spread over the former."""
    false, true, _ = roc_curve(truth, probability)
    at = np.linspace(0, 1, count)
    return [[_rounded(x), _rounded(y)] for x, y in zip(at, np.interp(at, false, true), strict=True)]


def calibration(truth: Array, probability: Array, bins: int = 10) -> list[dict[str, Any]]:
    """For each of `bins` equal ranges of the probability: rows, mean probability, share that came true."""
    place = np.minimum((probability * bins).astype(int), bins - 1)
    return [
        {
            "rows": int(inside.sum()),
            "predicted": _rounded(probability[inside].mean()),
            "observed": _rounded(truth[inside].mean()),
        }
        for inside in (place == each for each in range(bins))
        if inside.any()
    ]


def _rounded(number: Any) -> float:
    return round(float(number), _DIGITS)


def quality_svg(title: str, roc: Iterable[Iterable[float]], calibrated: Iterable[dict[str, Any]]) -> bytes:
    """The ROC curve and the calibration side by side, in colours that both light and dark pages show."""
    width, height = 2 * _SIDE + 3 * _MARGIN, _SIDE + 2 * _MARGIN + 10
    dots = [(each["predicted"], each["observed"]) for each in calibrated]
    left, right = _MARGIN, 2 * _MARGIN + _SIDE
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    style = 'font-family="system-ui, sans-serif" font-size="13" fill="#7a8290"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style} role="img" aria-label="{title}">',
        f'<text x="{_MARGIN}" y="22" font-size="15">{title}</text>',
        *_frame(left, "false positive rate", "true positive rate"),
        _line(left, [tuple(each) for each in roc]),
        *_frame(right, "predicted probability", "share that came true"),
        _line(right, dots),
        *(f'<circle cx="{_x(right, x)}" cy="{_y(y)}" r="4" fill="#2f81f7"/>' for x, y in dots),
        "</svg>",
    ]
    return ("\n".join(parts) + "\n").encode()


def _frame(left: int, below: str, beside: str) -> list[str]:
    bottom, side = _MARGIN + _SIDE, left - 28
    turned = f'transform="rotate(-90 {side} {_y(0.5)})"'
    parts = [
        f'<rect x="{left}" y="{_MARGIN}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#7a8290"/>',
        f'<path d="M{_x(left, 0)} {_y(0)}L{_x(left, 1)} {_y(1)}" stroke="#7a8290" stroke-dasharray="4 4"/>',
        f'<text x="{_x(left, 0.5)}" y="{bottom + 34}" text-anchor="middle">{below}</text>',
        f'<text x="{side}" y="{_y(0.5)}" text-anchor="middle" {turned}>{beside}</text>',
    ]
    for tick in (0, 0.5, 1):
        parts.append(
            f'<text x="{_x(left, tick)}" y="{bottom + 16}" text-anchor="middle" font-size="11">{tick}</text>'
        )
        parts.append(
            f'<text x="{left - 6}" y="{_y(tick) + 4}" text-anchor="end" font-size="11">{tick}</text>'
        )
    return parts


def _line(left: int, points: Iterable[tuple[float, ...]]) -> str:
    path = "L".join(f"{_x(left, x)} {_y(y)}" for x, y in points)
    return f'<path d="M{path}" fill="none" stroke="#2f81f7" stroke-width="2"/>'


def _x(left: int, share: float) -> float:
    return round(left + share * _SIDE, 1)


def _y(share: float) -> float:
    return round(_MARGIN + (1 - share) * _SIDE, 1)
