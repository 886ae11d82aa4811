"""Plain functions around scores that say "unlike the training data": how well they separate, how sure one value is, and how
briefly an image can be written down.

One convention everywhere: a high score means unlike the training data, out-of-distribution (OOD) is the positive class, and
nothing is ever flipped: an area under the ROC curve below 0.5 is a result. No torch here, and no model.
"""

from __future__ import annotations

import io
import math
import zlib

import numpy as np

LEVELS = ((0.05, "good", "looks known"), (0.01, "warning", "unusual"), (0.0, "bad", "unlike training"))


class BadScores(ValueError):
    """One sentence: why these scores cannot be compared."""


# ---------------------------------------------------------------------------------------------------------------------
# How well scores separate
# ---------------------------------------------------------------------------------------------------------------------


def auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    """Area under the ROC curve: the chance that an OOD image scores higher than a known one, ties counting half
    (Mann and Whitney 1947: U / n₁n₂).

    Args:
        known: scores of in-distribution images [n].
        unknown: scores of OOD images [m].
    """
    known, unknown = _sorted(known), _sorted(unknown)
    below = np.searchsorted(known, unknown, "left")  # known images each OOD image beats
    not_above = np.searchsorted(known, unknown, "right")
    return float((below + not_above).sum() / (2 * len(known) * len(unknown)))


def threshold_at(unknown: np.ndarray, share: float = 0.95) -> float:
    """The highest threshold at which at least `share` of the OOD images have `score ≥ threshold`."""
    ordered = _sorted(unknown)
    return float(ordered[len(ordered) - math.ceil(share * len(ordered) - 1e-9)])


def fpr_at(known: np.ndarray, unknown: np.ndarray, share: float = 0.95) -> float:
    """FPR@95: the share of known images called OOD at the threshold that catches 95 % of the OOD images.

    OOD is the positive class, as in the code of OpenOOD (Yang et al. 2022). Liang et al. 2018 and Liu et al. 2020 fix 95 % of the
    known images instead and count OOD images: another number.
    """
    return float((_finite(known) >= threshold_at(unknown, share)).mean())


def average_precision(known: np.ndarray, unknown: np.ndarray) -> float:
    """Σ (recall_k - recall_{k-1}) precision_k over all thresholds, OOD positive. It depends on how many images each side has."""
    scores = np.concatenate([_finite(known), _finite(unknown)])
    positive = np.concatenate([np.zeros(len(known)), np.ones(len(unknown))])
    order = np.argsort(-scores, kind="stable")
    scores, caught = scores[order], np.cumsum(positive[order])
    ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))  # equal scores share one threshold
    precision, recall = caught[ends] / (ends + 1), caught[ends] / len(unknown)
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def p_values(known: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(1 + #{known ≥ s}) / (n + 1) for every s: how often an image like the held-out ones would score at least as high.

    Under that hypothesis P(p ≤ α) ≤ α for every α (conformal p-value; Vovk et al. 2005). A score that is not a number counts as
    the highest.
    """
    known = _sorted(known)
    scores = np.nan_to_num(np.asarray(scores, np.float64), nan=math.inf, posinf=math.inf, neginf=-math.inf)
    return (1 + len(known) - np.searchsorted(known, scores, "left")) / (len(known) + 1)


def verdict(p_value: float) -> tuple[str, str]:
    """A p-value as (level, words)."""
    for least, level, words in LEVELS:
        if p_value >= least:
            return level, words
    raise BadScores(f"{p_value} is no p-value; it must lie between 0 and 1.")


def _finite(scores: np.ndarray) -> np.ndarray:
    """Scores as float64; one that is not a number counts as the highest, so that no image drops out of a comparison."""
    scores = np.asarray(scores, np.float64).ravel()
    if not len(scores):
        raise BadScores("There are no scores to compare; score at least one image on each side.")
    return np.nan_to_num(scores, nan=math.inf, posinf=math.inf, neginf=-math.inf)


def _sorted(scores: np.ndarray) -> np.ndarray:
    return np.sort(_finite(scores))


# ---------------------------------------------------------------------------------------------------------------------
# How briefly an image can be written down
# ---------------------------------------------------------------------------------------------------------------------

PNG_FRAME = 57 + 6  # bytes: signature 8, IHDR 25, IDAT around its data 12, IEND 12; then zlib's own header and checksum
WEBP_FRAME = 20 + 5  # bytes: RIFF 12, chunk 8; then VP8L's signature and size
WEBP_EFFORT = 4  # 6 takes thirty times as long for 2 % less on 28×28 pixels


def code_bits(images: np.ndarray) -> np.ndarray:
    """Bits of the shortest lossless code of each image [N], uint8 [N, C, H, W]: the best of PNG, WebP and deflate.

    Deflate is tried on the raw pixels and on rows under each of PNG's five filters. What every file of a format carries whatever
    its content (headers, checksums) is subtracted: a decoder that knows the size does not need it, and on small images it would
    decide which format wins.
    """
    return np.array([8 * min(lengths(image).values()) for image in images], np.float64)


def lengths(image: np.ndarray) -> dict[str, int]:
    """Bytes of one image [C, H, W] in each format, without constant headers."""
    rows = np.ascontiguousarray(image.transpose(1, 2, 0))  # [H, W, C]: channels of a pixel beside each other
    deflated = {f"deflate, {name}": _deflated(filtered) for name, filtered in _filtered(rows).items()}
    return {"PNG": _png(rows), "WebP": _webp(rows), "deflate": _deflated(rows), **deflated}


def png_bytes(image: np.ndarray) -> int:
    """Size of the image [C, H, W] as a whole PNG file, headers and all."""
    return _png(np.ascontiguousarray(image.transpose(1, 2, 0))) + PNG_FRAME


def _png(rows: np.ndarray) -> int:
    return _pillow(rows, "PNG", optimize=True) - PNG_FRAME


def _webp(rows: np.ndarray) -> int:
    colour = np.repeat(rows, 3, axis=2) if rows.shape[2] == 1 else rows  # WebP knows no grey; equal channels cost it next to nothing
    return _pillow(colour, "WEBP", lossless=True, quality=100, method=WEBP_EFFORT, exact=True) - WEBP_FRAME


def _pillow(rows: np.ndarray, kind: str, **options: object) -> int:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(rows[:, :, 0] if rows.shape[2] == 1 else rows).save(file, kind, **options)
    return file.tell()


def _deflated(rows: np.ndarray) -> int:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)  # -15: without header and checksum
    return len(packer.compress(rows.tobytes())) + len(packer.flush())


def _filtered(rows: np.ndarray) -> dict[str, np.ndarray]:
    """Differences from what is to the left, above and both, modulo 256 (PNG specification, section 9)."""
    x = rows.astype(np.int16)
    left, above, corner = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    left[:, 1:], above[1:], corner[1:, 1:] = x[:, :-1], x[:-1], x[:-1, :-1]
    guess = left + above - corner
    to_left, to_above, to_corner = (np.abs(guess - other) for other in (left, above, corner))
    paeth = np.where((to_left <= to_above) & (to_left <= to_corner), left, np.where(to_above <= to_corner, above, corner))
    guesses = {"left": left, "above": above, "average": (left + above) // 2, "Paeth": paeth}
    return {name: (x - guess).astype(np.uint8) for name, guess in guesses.items()}
