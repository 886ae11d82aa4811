"""What the Latent pane and the inspector ask: a checkpoint in numbers, images from latents, and images as latents."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine import messages as m
from engine.common.interpolation import lerp, slerp
from engine.data import adapt
from engine.losses.likelihoods import normal, sample_generators
from engine.method import judged
from engine.protocols import (
    ConditionalDecoder,
    Decoder,
    Encoder,
    ImportanceWeighted,
    LatentPrior,
    LatentSpace,
    LatentVariable,
    ObservationSampler,
    provides,
)
from engine.queries.answers import answers
from engine.queries.arrays import array, image_array, image_tensor
from engine.queries.pictures import original_shown, read_picture, some_of
from engine.queries.session import CannotAnswer, Model, QuerySession, answer_head

ELBO_SAMPLES = 16  # per image


@answers(m.Describe)
def describe(session: QuerySession, query: m.Describe) -> m.Described:
    """Numbers and diagnosis of a checkpoint on its probe, with the scale and centre [D] of its latents. Raises: BadRun."""
    model = session.model(query.run, query.step)
    found = model.describe()
    faults = (m.Diagnosis("warning", model.probe_fault),) if model.probe_fault else ()
    return m.Described(
        **answer_head(query, model),
        numbers=found.numbers,
        diagnosis=(*judged(model.method, found, model.step), *faults),
        latent=0 if found.scale is None else len(found.scale),
        kl=array(found.kl),
        scale=array(found.scale),
        centre=array(found.centre),
        pictures=None if found.pictures is None else image_array(found.pictures),
        captions=found.captions,
        active=None if found.active is None else found.active.cpu().numpy(),
        names=found.names,
        classes=model.spec.classes if found.class_scores else _classes(model),
        share=array(found.share),
        class_scores=found.class_scores,
    )


@answers(m.Decode)
def decode(session: QuerySession, query: m.Decode) -> m.Decoded:
    """Images uint8 [N, C, H, W] of latents float32 [N, D]. A slider asks this 60 times a second.

    Raises:
        CannotAnswer: the method decodes nothing, or D is another one. BadRun.
    """
    model = session.model(query.run, query.step)
    started = time.perf_counter()
    z = _latents(model, query.z)
    images = _decoded(model, z, query.label)
    milliseconds = 1000 * (time.perf_counter() - started)
    return m.Decoded(
        **answer_head(query, model), images=images, log_prior=_log_prior(model, z), milliseconds=milliseconds, decode=decoded_as(model)
    )


@answers(m.Encode)
def encode(session: QuerySession, query: m.Encode) -> m.Encoded:
    """The posterior's mean and sigma [D] of one image, and the reconstruction from the mean.

    Raises:
        CannotAnswer: no latent space with an encoder. BadRun, BadData.
    """
    model = session.model(query.run, query.step)
    method = model.require(LatentVariable, "place an image in a latent space")
    picture = read_picture(
        session, m.PictureRef(query.label, query.path, query.image, index=query.index), model, remedy="; drop an image instead"
    )
    seen, notes = adapt(picture, model.spec.shape)
    x = image_tensor(seen[None])
    latents = method.posterior(x)
    reconstruction = image_array(method.decode(latents.mean))[0]
    nats = None
    if provides(model.method, ImportanceWeighted):
        target = model.method.evaluate_target(x, model.generator())
        nats = -float(model.method.elbo(target, model.generator(1), ELBO_SAMPLES)[0])
    return m.Encoded(
        **answer_head(query, model),
        label=query.label or _label(session, model, query),
        mean=array(latents.mean[0]),
        sigma=array(latents.sigma[0]),
        seen=seen,
        original=original_shown(picture),
        reconstruction=reconstruction,
        notes=(*picture.notes, *notes),
        nats=nats,
        decode=decoded_as(model),
    )


def _label(session: QuerySession, model: Model, query: m.Encode) -> str:
    if query.path is not None:
        return Path(query.path).name
    if query.image is not None:
        return "pasted image"
    return f"validation image {(query.index or 0) % len(session.run_data(model).splits['valid'])}"


@answers(m.Interpolate)
def interpolate(session: QuerySession, query: m.Interpolate) -> m.Interpolated:
    """Images on the straight line and on the arc between two latents [D]. Raises: as `decode`."""
    model = session.model(query.run, query.step)
    a, b = (array(_latents(model, end[None])[0]) for end in (query.a, query.b))
    t = torch.linspace(0, 1, query.count).numpy()
    straight, arc = lerp(a, b, t), slerp(a, b, t)
    both = torch.from_numpy(np.concatenate([straight, arc]))
    images = _decoded(model, both, query.label)
    return m.Interpolated(
        **answer_head(query, model),
        lerp=images[: query.count],
        slerp=images[query.count :],
        lerp_z=straight,
        slerp_z=arc,
        lerp_log_prior=_log_prior(model, both[: query.count]),
        slerp_log_prior=_log_prior(model, both[query.count :]),
        decode=decoded_as(model),
    )


@answers(m.DecodeGrid)
def decode_grid(session: QuerySession, query: m.DecodeGrid) -> m.GridDecoded:
    """Images on a plane through z [D], along two of its dimensions. Raises: as `decode`."""
    model = session.model(query.run, query.step)
    z = _latents(model, query.z[None]).repeat(query.count**2, 1)
    prior = _prior(model, "lay a plane through")
    walk = torch.linspace(-query.span, query.span, query.count)
    for dim, values in ((query.x, walk.repeat(query.count)), (query.y, walk.flip(0).repeat_interleave(query.count))):
        if not 0 <= dim < len(prior.scale):
            raise CannotAnswer(f"This run has {len(prior.scale)} latent dimensions; choose one from 0 to {len(prior.scale) - 1}.")
        z[:, dim] = float(prior.centre[dim]) + float(prior.scale[dim]) * values
    images = _decoded(model, z, query.label)
    return m.GridDecoded(**answer_head(query, model), images=images, count=query.count, decode=decoded_as(model))


@answers(m.SamplePrior)
def sample_prior(session: QuerySession, query: m.SamplePrior) -> m.PriorSampled:
    """Images of z ~ p(z), or of N(centre, diag((temperature · scale)²)) where that is not known. Raises: CannotAnswer, BadRun."""
    model = session.model(query.run, query.step)
    prior = _prior(model, "draw from")
    own = sample_generators(query.count, model.generator(query.seed))
    if provides(model.method, LatentPrior):
        z = model.method.sample_prior(query.count, query.temperature, own)
    else:
        z = prior.centre + prior.scale * normal(prior.scale.expand(query.count, -1), 1, own)[:, 0] * query.temperature
    note = ""
    if model.method.sampling == "none":
        note = f"{model.method.title} has no prior: a Gaussian fitted to its codes was decoded; these are no samples of images."
    images = _decoded(model, z, query.label)
    return m.PriorSampled(**answer_head(query, model), z=array(z), images=images, note=note, decode=decoded_as(model))


@answers(m.Reconstruct)
def reconstruct(session: QuerySession, query: m.Reconstruct) -> m.Reconstructed:
    """Some of the probe's images decoded from their codes. Raises: CannotAnswer: no encoder or no decoder. BadRun."""
    model = session.model(query.run, query.step)
    decoder, encoder = model.require(Decoder, "decode"), model.require(Encoder, "encode")
    images = some_of(model.probe(), query.count)
    reconstructions = image_array(decoder.decode(encoder.encode(images)))
    return m.Reconstructed(
        **answer_head(query, model), originals=image_array(images), reconstructions=reconstructions, decode=decoded_as(model)
    )


# ---------------------------------------------------------------------------------------------------------------------


def _classes(model: Model) -> tuple[str, ...]:
    """The classes that latents can be decoded as."""
    return model.spec.classes if model.method.conditional and provides(model.method, ConditionalDecoder) else ()


def decoded_as(model: Model) -> str:
    """What `decode` gives: the "mean" of p(x|z) of a model that can draw x ~ p(x|z) too, else "": its decoder is a plain function."""
    return "mean" if provides(model.method, ObservationSampler) else ""


def _decoded(model: Model, z: Tensor, label: int | None) -> np.ndarray:
    """Images uint8 [N, C, H, W] of latents [N, D], of a class where one is asked for. Raises: CannotAnswer."""
    decoder = model.require(Decoder, "decode")
    if label is None:
        return image_array(decoder.decode(z))
    classes = len(_classes(model))
    if not classes or not provides(decoder, ConditionalDecoder):
        raise CannotAnswer(f"{model.method.title} knows no classes in this run; decode without one.")
    if not 0 <= label < classes:
        raise CannotAnswer(f"There is no class {label}; choose one from 0 to {classes - 1}.")
    return image_array(decoder.decode_class(z, torch.full((len(z),), label)))


class DiagonalGaussian(NamedTuple):
    """N(centre, diag(scale²)): the prior, or what stands in for it."""

    centre: Tensor  # [D]
    scale: Tensor  # [D]


def _prior(model: Model, purpose: str) -> DiagonalGaussian:
    """Raises: CannotAnswer: there is no latent space."""
    found = model.describe()
    if found.centre is None or found.scale is None:
        raise CannotAnswer(f"{model.method.title} has no latent space to {purpose}.")
    return DiagonalGaussian(found.centre.cpu(), found.scale.cpu())


def _latents(model: Model, z: np.ndarray) -> Tensor:
    """Latents from the window, if they are this run's: float32 [N, D].

    Raises: CannotAnswer.
    """
    if provides(model.method, LatentSpace) and z.shape[-1] != model.method.latent_size:
        raise CannotAnswer(f"This run has {model.method.latent_size} latent dimensions, not {z.shape[-1]}; encode or sample anew.")
    return torch.from_numpy(np.ascontiguousarray(z, dtype=np.float32))


def log_standard_normal(z: Tensor) -> Tensor:
    """log N(z; 0, I) in nats, float64: [N, D] -> [N]."""
    return -0.5 * (z.double().square().sum(1) + z.shape[1] * math.log(2 * math.pi))


def _log_prior(model: Model, z: Tensor) -> np.ndarray | None:
    if provides(model.method, LatentPrior):
        return array(model.method.log_prior(z.double()))
    return None if model.method.sampling == "none" else array(log_standard_normal(z))
