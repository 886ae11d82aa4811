"""Self-distillation as plain functions of tensors, in nats: a student says of every crop what its teacher says of another one.

Answers are logits over K prototypes. What keeps them from collapsing, and how to tell when they have, is here too;
networks are not. Sums run in the number format they are given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.messages import Diagnosis, Number

ROUNDS = 3  # of Sinkhorn and Knopp (Oquab et al. 2023, section 4)
NEAR = 1e-8  # KoLeo, added to differences and to distances as in its released code, so that duplicates stay finite
LEAST_HIDDEN = 0.1  # share of a masked image's patches (Oquab et al. 2023, ssl_default_config.yaml)
MASKED_IMAGES = 0.5  # probability that a crop is masked at all (likewise)

UNIFORM = 0.98  # an entropy above this share of ln K: all prototypes alike
FEW = 2.0  # first choices as varied as fewer prototypes than this, used alike: all images fall on the same one
FEWEST = 16  # crops to say so
NEARLY = 0.85  # the same, of a teacher that hardly prefers any prototype
SILENT = 0.01  # nats of KL below which the student has nothing left to learn


# ---------------------------------------------------------------------------------------------------------------------
# Schedules over the progress of the training, 0 to 1
# ---------------------------------------------------------------------------------------------------------------------


def along_cosine(first: float, last: float, progress: float) -> float:
    """From `first` to `last`, both exactly, slowly at both ends."""
    share = 0.5 * (1 - math.cos(math.pi * progress))
    return (1 - share) * first + share * last


def warmed(first: float, last: float, share: float, progress: float) -> float:
    """From `first` in a straight line to `last`, which is reached after `share` of the training."""
    part = 1.0 if progress >= share else progress / share
    return (1 - part) * first + part * last


# ---------------------------------------------------------------------------------------------------------------------
# What the teacher says
# ---------------------------------------------------------------------------------------------------------------------


def centred(logits: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """Answers [..., K] as probabilities: what all images say is taken away, and a low temperature sharpens the rest (Caron et al. 2021,
    section 3.1)."""
    return torch.softmax((logits - centre) / temperature, -1)


def moved(centre: Tensor, mean: Tensor, momentum: float) -> Tensor:
    """c ← m c + (1 - m) · mean of the teacher's logits, before any temperature (Caron et al. 2021, eq. 4). centre, mean [K] -> [K]."""
    return momentum * centre + (1 - momentum) * mean


def sinkhorn_knopp(logits: Tensor, temperature: float, rounds: int = ROUNDS) -> Tensor:
    """Answers [N, K] as probabilities such that the batch uses all prototypes alike: N / K of it falls on each.

    Columns and rows are scaled in turn (Cuturi 2013; Caron et al. 2020, SwAV), rows last: they sum to 1. In logarithms, so that no
    logit is too large.
    """
    log_q = logits / temperature
    for _ in range(rounds):
        log_q = log_q - log_q.logsumexp(0, keepdim=True)  # every prototype gets as much
        log_q = log_q - log_q.logsumexp(1, keepdim=True)  # every image gives 1
    return log_q.exp()


# ---------------------------------------------------------------------------------------------------------------------
# Losses
# ---------------------------------------------------------------------------------------------------------------------


def entropy(q: Tensor) -> Tensor:
    """Of answers [..., K], the mean over all of them."""
    return torch.special.entr(q).sum(-1).mean()


def dino(q: Tensor, logits: Tensor, temperature: float) -> Tensor:
    """H(teacher of one crop, student of another), the mean over all such pairs and images (Caron et al. 2021, eq. 3).

    Args:
        q: the teacher's answers to its crops [T, B, K], probabilities.
        logits: the student's to all crops [S, B, K]; the first T are the teacher's, in its order. A crop is not compared with itself, so
            there are T (S - 1) pairs: 2 S - 2 for two global crops.
    """
    log_p = torch.log_softmax(logits / temperature, 2)
    pairs = -(q.flatten(1) @ log_p.flatten(1).T) / q.shape[1]  # [T, S], the mean over images
    others = 1 - torch.eye(len(q), len(logits), dtype=pairs.dtype, device=pairs.device)
    return (pairs * others).sum() / others.sum()


def koleo(h: Tensor) -> Tensor:
    """-mean ln of the distance to the nearest neighbour among unit vectors: low where features are spread evenly (Sablayrolles et al.
    2019; Oquab et al. 2023, section 4). [B, D] of any length; 0 where there is no neighbour."""
    if len(h) < 2:
        return h.sum() * 0
    u = F.normalize(h, dim=1)
    with torch.no_grad():
        similar = (u @ u.T).fill_diagonal_(-math.inf)
        nearest = similar.argmax(1)
    return -(F.pairwise_distance(u, u[nearest], eps=NEAR) + NEAR).log().mean()


def hidden_patches(crops: int, patches: int, most: float, generator: torch.Generator) -> Tensor:
    """Which patches the student does not see, bool [crops, patches]: of every second crop, by chance, from a tenth up to the share `most`.

    Each patch by itself; iBOT and DINOv2 hide whole blocks, for which the grids of small images have no room.
    """
    noise = torch.rand(crops, patches + 2, generator=generator, device=generator.device)
    least = min(LEAST_HIDDEN, most)
    count = ((least + noise[:, 0] * (most - least)) * patches).round() * (noise[:, 1] < MASKED_IMAGES)
    return noise[:, 2:].argsort(1).argsort(1) < count[:, None]


def masked_patches(q: Tensor, logits: Tensor, hidden: Tensor, temperature: float) -> Tensor:
    """What the student says of the patches it does not see, against what the teacher says who sees them (Zhou et al. 2022, iBOT, eq. 2):
    the mean over an image's hidden patches, then over all images; one that hides none counts 0.

    Args:
        q, logits: of the hidden patches only [M, K], image after image.
        hidden: bool [B, N] with M places in it.
    """
    share = hidden / hidden.sum(1, keepdim=True).clamp(min=1)  # [B, N]
    each = -(q * torch.log_softmax(logits / temperature, 1)).sum(1)  # [M]
    return (each * share[hidden].to(each.dtype)).sum() / len(hidden)


def recognized(asking: Tensor, answering: Tensor) -> Tensor:
    """Share of images whose vector [B, d] points most alike the other one of the same image, once the mean over all images is taken from
    both: it says nothing of an image, and the centre takes it from the answers too. Where all vectors are alike nothing is recognized."""
    u, v = (F.normalize(rows - rows.mean(0), dim=1) for rows in (asking, answering))
    similar = u @ v.T
    own = similar.diagonal().clone()
    others = similar.fill_diagonal_(-math.inf).amax(1)
    return (own > others).to(asking.dtype).mean()


# ---------------------------------------------------------------------------------------------------------------------
# Diagnosis
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answers:
    """How teacher and student answer, in nats."""

    entropy: float  # of the teacher's answer to one image, the mean
    used: int  # prototypes that are the nearest one of a crop, by the raw logits: Sinkhorn–Knopp and the centre make answers look varied
    spread: float  # e to the entropy of how often each of them is: so many, used alike
    crops: int  # that were asked about
    kl: float  # from the teacher's answer to the student's
    prototypes: int


def answers_of(q: Tensor, raw: Tensor, logits: Tensor, temperature: float) -> Answers:
    """From the teacher's answers [T, B, K], its logits as they are [T, B, K], and the student's logits [S, B, K], as in `dino`."""
    own = entropy(q)
    often = raw.flatten(0, 1).argmax(1).bincount(minlength=q.shape[2]).double()
    spread = entropy(often / often.sum()).exp().item()
    kl = (dino(q, logits, temperature) - own).item()
    return Answers(own.item(), int((often > 0).sum()), spread, int(often.sum()), kl, q.shape[2])


def numbers_of(a: Answers) -> tuple[Number, ...]:
    """The rows that a run's page shows of the teacher's and the student's answers."""
    most = math.log(a.prototypes)
    return (
        Number("teacher entropy", a.entropy, "nat", 3, f"Of its answer to one image; {most:.2f}: all prototypes alike, 0: a single one."),
        Number(
            "prototypes in use",
            a.used,
            f"of {min(a.prototypes, a.crops)}",
            0,
            f"First choices of the teacher for {a.crops} crops, before centring; as varied as {a.spread:.1f} used alike.",
        ),
        Number("KL(teacher ‖ student)", a.kl, "nat", 3, "Of their answers to two crops of an image; near 0 nothing is left to learn."),
    )


def diagnose(a: Answers) -> Diagnosis:
    """Which of the two collapses has happened, and what to change (Caron et al. 2021, section 5.3).

    - entropy of single answers above UNIFORM · ln K: uniform collapse; bad. Centring without sharpening leads there.
    - first choices as varied as fewer than FEW prototypes: all images fall on one; bad. Sharpening without centring leads there.
    - KL below SILENT, or entropy above NEARLY · ln K: warning.
    - else: good.
    """
    most = math.log(a.prototypes)
    if a.entropy > UNIFORM * most:
        return Diagnosis(
            "bad",
            f"The teacher gives all prototypes the same weight (entropy {a.entropy:.2f} of at most {most:.2f} nats): uniform "
            "collapse. Lower teacher_temperature and later_temperature.",
        )
    if a.spread < FEW and a.crops >= FEWEST:
        return Diagnosis(
            "bad",
            f"Nearly all images have the same first choice ({a.used} of {a.prototypes} prototypes in use by {a.crops} crops): one-hot "
            "collapse. Lower centre_momentum, choose centering=sinkhorn, or raise teacher_temperature and later_temperature.",
        )
    if a.kl < SILENT:
        return Diagnosis(
            "warning",
            f"The student already answers as the teacher does (KL {a.kl:.3f} nats): nothing is left to learn. "
            "Crop more (lower crop_least), take more local_crops, or lower later_temperature.",
        )
    if a.entropy > NEARLY * most:
        return Diagnosis(
            "warning",
            f"The teacher’s answers are nearly uniform (entropy {a.entropy:.2f} of at most {most:.2f} nats): it has just begun, or is on "
            "its way to uniform collapse. Entropy should fall as the training goes on.",
        )
    return Diagnosis(
        "good",
        f"The answers have not collapsed: entropy {a.entropy:.2f} of at most {most:.2f} nats, "
        f"{a.used} of {a.prototypes} prototypes in use by {a.crops} crops.",
    )
