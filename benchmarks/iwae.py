"""Importance-weighted bound with K = 5,000: the encoder is asked once, against once more for every chunk of samples.

The peer follows pythae's `VAE.get_nll`: image by image, 100 samples at a time, the encoder run anew on 100 copies.
"""

from __future__ import annotations

import math

import torch

from benchmarks import Row, interleave, main, seconds_of
from engine.config import make_config
from engine.losses.likelihoods import image_generators, iwae, log_normal
from engine.method import DataSpec, build
from engine.methods import method_named

K = 5000
IMAGES = 4
PEER_CHUNK = 100  # pythae's default batch_size of get_nll
DECODES = 8192


def measure() -> list[Row]:
    kind = method_named("vae")
    method = build(kind, make_config(kind.Config, {"likelihood": "bernoulli"}), DataSpec((1, 28, 28)), seed=0).eval()
    x = (torch.rand(IMAGES, 1, 28, 28, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    found: dict[str, torch.Tensor] = {}

    def ours() -> None:
        own = image_generators(x, 0)
        posterior = method.posterior(x)  # type: ignore[operator]
        *_, last = iwae(lambda n: method.log_weights(x, posterior, n, own), K, DECODES // IMAGES)  # type: ignore[operator]
        found["ours"] = last.log_p

    def peer() -> None:
        bounds = []
        for image in x:
            weights = []
            for _ in range(K // PEER_CHUNK):
                copies = image.expand(PEER_CHUNK, -1, -1, -1)
                q = method.posterior(copies)  # type: ignore[operator]
                noise = torch.randn(PEER_CHUNK, q.mean.shape[1])
                z = q.mean + q.sigma * noise
                recon = method.decode(z)  # type: ignore[operator]
                nats = torch.nn.functional.binary_cross_entropy(recon, copies, reduction="none").flatten(1).sum(1)
                weights.append(-nats + log_normal(z) - log_normal(z, q.mean, q.sigma))
            bounds.append(torch.cat(weights).logsumexp(0) - math.log(K))
        found["peer"] = torch.stack(bounds).double()

    with torch.inference_mode():
        method.posterior(x)  # type: ignore[operator]
        a, b, ratio = interleave(lambda: seconds_of(ours), lambda: seconds_of(peer), rounds=3)
    assert torch.allclose(found["ours"], found["peer"], atol=2.0), "the two ways estimate different numbers"
    return [
        Row("IWAE, K = 5,000", a / IMAGES, "s per image", "encoder re-run per sample chunk", b / IMAGES, 1 / ratio, "≥ 5", 1 / ratio >= 5)
    ]


if __name__ == "__main__":
    main(measure)
