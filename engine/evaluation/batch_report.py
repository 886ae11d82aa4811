"""Batch typicality for the verbs `score` and `ood`: all images of a call as one batch, and batches of two data sets, as plain dictionaries
and lines of text.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from engine import messages as m
from engine.common.batch_typicality import ALPHA, LOG_P_SCORES, batch_test, check_size, compare_batches
from engine.common.counting import number_of
from engine.common.ood_metrics import BadScores


def as_one_batch(calibrated: m.Calibrated, events: list[m.ImageScored]) -> dict[str, Any] | None:
    """The images that were scored as one batch beside the held-out ones, by the best estimate of log p that the run has; None where it has
    none, or where the batch says nothing (`batch_test`).
    """
    name = next((name for name in LOG_P_SCORES if name in calibrated.known), "")
    scores = np.array([score.score for event in events for score in event.scores if score.detector == name])
    found = batch_test(calibrated.known[name], scores, calibrated.groups) if name else None
    if found is None:
        return None
    return {
        "detector": name,
        "images": found.images,
        "mean_nats": found.mean if math.isfinite(found.mean) else None,
        "held_out_mean_nats": found.held_out_mean,
        "statistic": found.statistic if math.isfinite(found.statistic) else None,
        "p_value": found.p_value,
        "p_floor": found.p_floor,
        "held_out_images": found.held_out_images,
        "held_out_groups": found.held_out_groups,
        "verdict": found.verdict,
    }


def batch_line(batch: dict[str, Any]) -> str:
    """“These 16 images as one batch: …”, as `as_one_batch` found it."""
    at = "≤" if batch["p_value"] <= batch["p_floor"] else "="
    apart = "infinite" if batch["statistic"] is None else f"{batch['statistic']:.2f} nat"
    return (
        f"{'This' if batch['images'] == 1 else 'These'} {number_of(batch['images'], 'image')} as one batch ({batch['detector']}): "
        f"|mean −log p − held-out mean| {apart}, "
        f"p {at} {batch['p_value']:.4f}, {batch['verdict']}."
    )


def require_batches(ours: m.DataScored, size: int) -> None:
    """Raises: BadScores: the run has no log p, or there are too few known images for batches of that size."""
    if not any(name in ours.scores for name in LOG_P_SCORES):
        raise BadScores(
            "This run gives no log p(x), which --batch takes the mean of; choose a run of a method with a density, or leave it out."
        )
    check_size(next(ours.scores[name] for name in LOG_P_SCORES if name in ours.scores), size, ours.groups)


def compare_as_batches(ours: m.DataScored, theirs: m.DataScored, size: int, seed: int) -> dict[str, dict[str, float]]:
    """The figures of `compare_batches`, by detector: of those that are log p or a bound on it."""
    sides = {name: (ours.scores[name], theirs.scores[name]) for name in LOG_P_SCORES if name in ours.scores}
    return {
        name: asdict(compare_batches(known, unknown, size, ours.groups, theirs.groups, ALPHA, seed))
        for name, (known, unknown) in sides.items()
    }


def batch_lines(batch: dict[str, Any]) -> list[str]:
    """A row for each data set and detector, of `compare_data`'s "batch"."""
    lines = [
        "",
        f"Batches of {number_of(batch['size'], 'image')}: |mean −log p − held-out mean|, "
        f"rejected where p ≤ {batch['alpha']} (± standard error)",
    ]
    lines.append(f"{'':<20}{'':<28}{'AUROC':>17}{'known rejected':>18}{'OOD rejected':>18}")
    for out, detectors in batch["results"].items():
        for name, one in detectors.items():
            cells = [f"{one[key]:.4f} ± {one[f'{key}_se']:.4f}" for key in ("auroc", "rejected_in", "rejected_out")]
            lines.append(f"{name:<20}{out.rpartition('/')[2][:27]:<28}{cells[0]:>17}{cells[1]:>18}{cells[2]:>18}")
    return lines
