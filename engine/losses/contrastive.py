"""Contrastive losses as plain functions of tensors, in nats: which of many views belongs to which.

Rows are unit vectors where it says so; `temperature` divides their cosines. All sums run in the number format they are given.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

CHUNK = 512  # rows of the similarity matrix that are in memory at a time


class NtXent(torch.autograd.Function):
    """The loss with its gradient, both in chunks of rows: memory for CHUNK · 2N similarities, whatever N.

    With p = softmax of a row's similarities without itself, and m the row of its partner, the gradient is

        dL/du_i = 1 / (2N τ) [ Σ_j (p_ij + p_ji) u_j - 2 u_m(i) ],

    so each chunk of similarities is computed once: the sum over j needs p_ij, and p_ji adds to the other rows.
    """

    @staticmethod
    def forward(ctx, u: Tensor, temperature: float, chunk: int) -> tuple[Tensor, Tensor]:  # u: [2N, d], unit rows; i and i + N are partners
        """NT-Xent loss and top-1 accuracy, scalars, of unit rows u [2N, d]; the gradient is computed with them, chunk by chunk."""
        count = len(u)
        partner = u.roll(count // 2, 0)
        positive = (u * partner).sum(1) / temperature  # [2N]
        learns = ctx.needs_input_grad[0]  # held-out views do not
        gradient = torch.zeros_like(u) if learns else u.new_zeros(0)
        scaled = u / temperature
        total = u.new_zeros(())
        right = u.new_zeros(())
        for start in range(0, count, chunk):
            rows = slice(start, min(start + chunk, count))
            similar = scaled[rows] @ u.T  # [c, 2N]
            own = torch.arange(rows.start, rows.stop, device=u.device)
            similar[own - start, own] = -math.inf
            own_pair = similar[own - start, (own + count // 2) % count]  # with the rounding of the others it is compared with
            right += (similar.amax(1) <= own_pair).sum()
            log_sum = similar.logsumexp(1)  # [c]
            total += (log_sum - positive[rows]).sum()
            if not learns:
                continue
            p = similar.sub_(log_sum[:, None]).exp_()  # [c, 2N]
            gradient[rows] += p @ u
            gradient.addmm_(p.T, u[rows])
        if learns:
            gradient = (gradient - 2 * partner) / (count * temperature)
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(right)
        return total / count, right / count

    @staticmethod
    def backward(ctx, grad_loss: Tensor, _grad_right: Tensor) -> tuple[Tensor, None, None]:
        """The gradient [2N, d] kept by `forward`, times that of the loss."""
        (gradient,) = ctx.saved_tensors
        return grad_loss * gradient, None, None


def nt_xent(z: Tensor, temperature: float, chunk: int = CHUNK) -> tuple[Tensor, Tensor]:
    """Normalized temperature-scaled cross-entropy (Chen et al. 2020, SimCLR, eq. 1): the mean over all 2N views, in nats,
    and the share of views whose partner is the most similar of all.

    Args:
        z: projections [N, 2, d] of two views of each of N images; any length.
    """
    u = F.normalize(z.transpose(0, 1).flatten(0, 1), dim=1)  # [2N, d]
    loss, right = NtXent.apply(u, temperature, chunk)  # type: ignore[misc]
    return loss, right


def info_nce(query: Tensor, key: Tensor, negatives: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the right key among it and the negatives (van den Oord et al. 2018; He et al. 2020, MoCo, eq. 1), and the share
    of queries whose key is the most similar.

    Args:
        query, key: unit rows [B, d]; negatives: unit rows [K, d] for all, or [B, K, d] for each.
    """
    positive = (query * key).sum(1, keepdim=True)  # [B, 1]
    others = query @ negatives.T if negatives.ndim == 2 else torch.einsum("bd,bkd->bk", query, negatives)
    logits = torch.cat([positive, others], 1) / temperature
    target = torch.zeros(len(query), dtype=torch.long, device=query.device)
    return F.cross_entropy(logits, target), (logits.argmax(1) == 0).to(query.dtype).mean()


@torch.no_grad()
def top1_retrieval(asking: Tensor, answering: Tensor) -> Tensor:
    """Share of rows of `asking` whose own row of `answering` is the most similar of all by cosine, a scalar. Both [B, d]."""
    similar = F.normalize(asking, dim=1) @ F.normalize(answering, dim=1).T
    return (similar.argmax(1) == torch.arange(len(similar), device=similar.device)).float().mean()


@torch.no_grad()
def follow(leader: torch.nn.Module, follower: torch.nn.Module, momentum: float) -> None:
    """θ_k ← m θ_k + (1 - m) θ_q for all parameters (He et al. 2020, eq. 2). Running statistics are the follower's own."""
    for theirs, ours in zip(leader.parameters(), follower.parameters(), strict=True):
        ours.lerp_(theirs, 1 - momentum)
