"""What panes are told about a checkpoint, against the method asked directly and against geometry."""

from __future__ import annotations

import math
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from engine import messages as m
from engine.config import Training
from engine.data import open_data
from engine.method import DataSpec, Description, Frame, Method
from engine.queries.latent import log_standard_normal
from engine.queries.session import CannotAnswer, Model, QuerySession
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan, ResumePlan

CONFIG = {"network": "mlp", "width": 8, "latent": 4, "batch_size": 64}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for method in ("vae", "autoencoder"):
        list(train(Plan(method, "digits", CONFIG, steps=8, name=method, device="cpu"), root))
    return root


@pytest.fixture
def session():
    return QuerySession()


def test_decode_is_the_method_itself_in_eval_mode(runs, session):
    z = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    answer = session.answer(m.Decode(run=str(runs / "vae"), z=z, stamp=7, channel="latent"))
    method = Model(Run.open(runs / "vae"), 8).method
    expected = (method.decode(torch.from_numpy(z)).clamp(0, 1) * 255).round().byte().numpy()
    assert np.array_equal(answer.images, expected)
    assert (answer.stamp, answer.channel, answer.step) == (7, "latent", 8)
    assert answer.log_prior == pytest.approx([-0.5 * (row @ row) - 2 * math.log(2 * math.pi) for row in z.astype(float)])


def test_every_step_has_its_own_weights(runs, session):
    z = np.ones((1, 4), np.float32)
    pictures = [session.answer(m.Decode(run=str(runs / "vae"), step=step, z=z)).images for step in (0, 4, 8)]
    assert not np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[1], pictures[2])


def test_an_image_is_shown_as_the_network_sees_it(runs, session, tmp_path):
    digits = open_data("digits").splits["valid"].images
    Image.fromarray(digits[5, 0]).save(tmp_path / "five.png")
    answer = session.answer(m.Encode(run=str(runs / "vae"), path=str(tmp_path / "five.png")))
    assert answer.label == "five.png"
    assert np.array_equal(answer.seen, digits[5])
    same = session.answer(m.Encode(run=str(runs / "vae"), index=5))
    assert np.array_equal(answer.mean, same.mean)
    assert (answer.sigma > 0).all() and math.isfinite(answer.nats)


def test_a_large_colour_photograph_is_adapted_and_says_how(runs, session, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 140, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    answer = session.answer(m.Encode(run=str(runs / "vae"), path=str(tmp_path / "photo.png")))
    assert answer.seen.shape == (1, 8, 8)
    assert answer.notes
    assert answer.original.shape[2] == 3


def test_an_autoencoder_has_no_prior_and_says_so(runs, session):
    sampled = session.answer(m.SamplePrior(run=str(runs / "autoencoder"), count=5))
    assert "no prior" in sampled.note
    assert sampled.images.shape == (5, 1, 8, 8)
    decoded = session.answer(m.Decode(run=str(runs / "autoencoder"), z=np.zeros((1, 4), np.float32)))
    assert decoded.log_prior is None
    assert (session.answer(m.Encode(run=str(runs / "autoencoder"), index=0)).sigma == 0).all()


def test_prior_samples_of_one_seed_are_the_same_and_the_temperature_scales_them(runs, session):
    ask = {"run": str(runs / "vae"), "count": 6, "seed": 3}
    warm, same, cool = (session.answer(m.SamplePrior(**ask, temperature=t)) for t in (1.0, 1.0, 0.5))
    assert np.array_equal(warm.images, same.images)
    assert cool.z == pytest.approx(warm.z * 0.5)
    assert not warm.note


def test_the_grid_walks_two_dimensions_and_leaves_the_others(runs, session):
    z = np.array([0.3, -0.2, 0.1, 0.7], np.float32)
    grid = session.answer(m.DecodeGrid(run=str(runs / "vae"), z=z, x=2, y=0, span=2.0, count=5))
    corner = z.copy()
    corner[2], corner[0] = -2.0, 2.0  # top left: x lowest, y highest
    alone = session.answer(m.Decode(run=str(runs / "vae"), z=corner[None]))
    assert np.abs(grid.images[0].astype(int) - alone.images[0]).max() <= 1
    with pytest.raises(CannotAnswer, match="4 latent dimensions"):
        session.answer(m.DecodeGrid(run=str(runs / "vae"), z=z, x=4))


def test_interpolation_ends_at_its_ends(runs, session):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 4)).astype(np.float32)
    answer = session.answer(m.Interpolate(run=str(runs / "vae"), a=a, b=b, count=7))
    for z, images in ((answer.lerp_z, answer.lerp), (answer.slerp_z, answer.slerp)):
        assert z[0] == pytest.approx(a, abs=1e-6) and z[-1] == pytest.approx(b, abs=1e-6)
        assert images.shape == (7, 1, 8, 8)


def test_the_log_prior_is_the_sum_of_one_dimensional_gaussians():
    z = torch.tensor([[1.0, -2.0, 0.5]])
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum()
    assert float(log_standard_normal(z)) == pytest.approx(float(expected))


def test_a_description_is_kept_and_carries_the_newest_stamp(runs, session):
    first = session.answer(m.Describe(run=str(runs / "vae"), stamp=1))
    second = session.answer(m.Describe(run=str(runs / "vae"), stamp=2, channel="x"))
    assert (second.stamp, second.channel, second.latent) == (2, "x", 4)
    assert first.numbers == second.numbers
    assert first.kl is not None and first.kl.shape == (4,)


def test_a_page_of_data_keeps_image_index_and_label_together(session):
    data = open_data("digits")
    page = session.answer(m.BrowseData(data="digits", split="train", label=3, offset=2, count=4))
    for image, index, label in zip(page.images, page.indices, page.labels, strict=True):
        assert np.array_equal(image, data.splits["train"].images[index])
        assert label == data.classes[3] == data.classes[int(data.splits["train"].labels[index])]
    assert page.total == int((np.asarray(data.splits["train"].labels) == 3).sum())


def test_data_are_shown_as_a_network_sees_them(runs, session):
    page = session.answer(m.BrowseData(data="shapes", count=3, seen_by=str(runs / "vae")))
    assert page.images.shape == (3, 1, 8, 8)
    assert page.notes


def test_text_is_paged_as_text(session):
    page = session.answer(m.BrowseData(data="pydoc-text", offset=0, count=100))
    assert 90 <= len(page.text) <= 100
    assert page.total > 100_000


def test_a_run_that_is_gone_is_one_sentence(session, tmp_path):
    with pytest.raises(BadRun) as error:
        session.answer(m.Decode(run=str(tmp_path / "none"), z=np.zeros((1, 4), np.float32)))
    assert "\n" not in str(error.value)


def test_codes_of_another_run_are_refused_in_words(runs, session):
    with pytest.raises(CannotAnswer, match="4 latent dimensions, not 7"):
        session.answer(m.Decode(run=str(runs / "vae"), z=np.zeros((1, 7), np.float32)))


def test_live_panes_fall_back_to_the_newest_checkpoint_that_can_be_read(session, tmp_path):
    list(train(Plan("vae", "digits", CONFIG, steps=8, name="run", device="cpu"), tmp_path))
    newest = tmp_path / "run" / "checkpoints" / "step-00000008" / "model.safetensors"
    data = bytearray(newest.read_bytes())
    data[-5] ^= 4
    newest.write_bytes(data)
    z = np.zeros((1, 4), np.float32)
    assert session.answer(m.Decode(run=str(tmp_path / "run"), z=z)).step == 4
    with pytest.raises(BadRun):
        session.answer(m.Decode(run=str(tmp_path / "run"), step=8, z=z))


# -- the folder is looked into only when it changed ----------------------------------------------------------------------


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """The run folders that are opened, as often as they are."""
    paths: list[str] = []
    real = Run.open

    def note(path) -> Run:
        paths.append(str(path))
        return real(path)

    monkeypatch.setattr(Run, "open", note)
    return paths


def aged(path) -> None:
    """As if the manifest had been written a while ago: a file of this very moment is not trusted to be told from the next one."""
    os.utime(path / "manifest.json", (1_700_000_000, 1_700_000_000))


@pytest.mark.parametrize("step", [None, 8])
def test_that_a_slider_opens_the_folder_once(runs, session, opened, step):
    aged(runs / "vae")
    for i in range(50):
        session.answer(m.Decode(run=str(runs / "vae"), step=step, z=np.full((1, 4), i / 50, np.float32)))
    assert len(opened) == 1


def test_that_a_slider_never_describes_the_checkpoint(runs, session, monkeypatch):
    monkeypatch.setattr(type(session.model(str(runs / "vae"), 8).method), "describe", lambda *_: pytest.fail("it described"))
    z = np.zeros((1, 4), np.float32)
    session.answer(m.Decode(run=str(runs / "vae"), step=8, z=z))
    session.answer(m.Interpolate(run=str(runs / "vae"), step=8, a=z[0], b=z[0] + 1))


def test_that_a_grid_and_a_description_describe_once(runs, session, monkeypatch):
    kind = type(session.model(str(runs / "vae"), 8).method)
    real, asked = kind.describe, []
    monkeypatch.setattr(kind, "describe", lambda self, *given, **more: (asked.append(1), real(self, *given, **more))[1])
    for _ in range(3):
        session.answer(m.Describe(run=str(runs / "vae")))
        session.answer(m.SamplePrior(run=str(runs / "vae"), count=2))
        session.answer(m.DecodeGrid(run=str(runs / "vae"), z=np.zeros(4, np.float32)))
    assert len(asked) == 1


def test_that_another_run_of_the_same_name_is_noticed(session, tmp_path, opened):
    z = np.ones((1, 4), np.float32)
    pictures = []
    for seed in (0, 1):
        if (tmp_path / "run").exists():
            shutil.rmtree(tmp_path / "run")
        list(train(Plan("vae", "digits", CONFIG, seed=seed, steps=8, name="run", device="cpu"), tmp_path))
        aged(tmp_path / "run")
        pictures.append(session.answer(m.Decode(run=str(tmp_path / "run"), z=z)).images)
        before = len(opened)
        session.answer(m.Decode(run=str(tmp_path / "run"), z=z))
        assert len(opened) == before  # and is then kept again
    assert not np.array_equal(*pictures)
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(BadRun):
        session.answer(m.Decode(run=str(tmp_path / "run"), z=z))


def test_that_a_live_slider_follows_the_newest_checkpoint(session, tmp_path):
    z = np.ones((1, 4), np.float32)
    steps = []
    begin = Plan("vae", "digits", CONFIG, steps=4, name="run", device="cpu")
    for plan in (begin, ResumePlan(tmp_path / "run", steps=8)):
        list(train(plan, tmp_path))
        steps += [session.answer(m.Decode(run=str(tmp_path / "run"), z=z)).step for _ in range(2)]
    assert steps == [4, 4, 8, 8]


# -- what a method can do decides ----------------------------------------------------------------------------------------


class Gan(Method):
    """A decoder with a prior and no encoder."""

    name, title, family, source, summary, sampling = "gan", "GAN", "", "", "", "direct"
    Config = Training
    latent_size = 3

    def __init__(self) -> None:
        super().__init__(Training(), DataSpec((1, 8, 8)))
        self.weight = nn.Parameter(torch.linspace(-1, 1, 3 * 64).reshape(3, 64))

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(z @ self.weight).reshape(-1, 1, 8, 8)

    def sample(self, n, y=None, temperature=1.0, generator=None):
        yield Frame(self.decode(temperature * torch.randn(n, 3, generator=generator)), 1, 1)

    def describe(self, x: torch.Tensor, generator: torch.Generator) -> Description:
        return Description(scale=torch.ones(3), centre=torch.zeros(3))


@pytest.fixture
def gan(runs, session, monkeypatch) -> str:
    """A run whose checkpoint is looked at through a GAN."""
    path = str(runs / "vae")
    monkeypatch.setattr(session.model(path, None), "method", Gan())
    return path


def test_that_a_decoder_without_an_encoder_has_a_latent_space_to_walk(gan, session):
    z = np.array([[0.5, -1, 2]], np.float32)
    decoded = session.answer(m.Decode(run=gan, z=z))
    assert np.array_equal(decoded.images, (Gan().decode(torch.from_numpy(z)) * 255).round().byte().numpy())
    assert decoded.log_prior == pytest.approx([log_standard_normal(torch.from_numpy(z)).item()])
    assert session.answer(m.SamplePrior(run=gan, count=5)).z.shape == (5, 3)
    assert session.answer(m.DecodeGrid(run=gan, z=z[0], count=3)).images.shape == (9, 1, 8, 8)
    assert session.answer(m.Interpolate(run=gan, a=z[0], b=-z[0], count=4)).slerp.shape == (4, 1, 8, 8)
    assert session.answer(m.Describe(run=gan)).latent == 3
    drawn = [e for e in session.work(m.DrawSamples(job="j", run=gan, samples=(0, 1))) if isinstance(e, m.SymbolsDrawn)]
    assert [e.final for e in drawn] == [True] and drawn[0].images is not None and drawn[0].images.shape == (2, 1, 8, 8)
    with pytest.raises(CannotAnswer, match="3 latent dimensions, not 4"):
        session.answer(m.Decode(run=gan, z=np.zeros((1, 4), np.float32)))


class ClassGan(Gan):
    """The same, darker by class."""

    conditional = True

    def decode_class(self, z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.decode(z) / (1 + y)[:, None, None, None]


def test_that_latents_are_decoded_as_the_class_that_is_asked_for(gan, session, monkeypatch):
    z = np.array([[0.5, -1, 2]], np.float32)
    asked = (
        lambda **more: session.answer(m.Decode(run=gan, z=z, **more)).images,
        lambda **more: session.answer(m.SamplePrior(run=gan, count=5, **more)).images,
        lambda **more: session.answer(m.DecodeGrid(run=gan, z=z[0], count=3, **more)).images,
        lambda **more: session.answer(m.Interpolate(run=gan, a=z[0], b=-z[0], count=4, **more)).slerp,
    )
    assert session.answer(m.Describe(run=gan)).classes == ()
    with pytest.raises(CannotAnswer, match="knows no classes"):
        asked[0](label=0)
    model = session.model(gan, None)
    monkeypatch.setattr(model, "method", ClassGan())
    assert session.answer(m.Describe(run=gan)).classes == tuple(str(digit) for digit in range(10)) == model.spec.classes
    for ask in asked:
        np.testing.assert_array_equal(ask(label=0), ask())
        np.testing.assert_allclose(ask(label=3), ask() / 4, atol=1)
    with pytest.raises(CannotAnswer, match="no class 10; choose one from 0 to 9"):
        asked[0](label=10)


def test_that_an_image_cannot_be_placed_where_there_is_no_encoder(gan, session):
    with pytest.raises(CannotAnswer, match="GAN cannot place an image in a latent space"):
        session.answer(m.Encode(run=gan, index=0))
    with pytest.raises(CannotAnswer, match="GAN cannot encode"):
        session.answer(m.Reconstruct(run=gan))


def test_that_clusters_are_no_latent_space(session, tmp_path):
    list(train(Plan("kmeans", "digits", {"clusters": 3}, steps=2, name="kmeans", device="cpu"), tmp_path))
    path = str(tmp_path / "kmeans")
    assert session.answer(m.Describe(run=path)).latent == 0
    assert session.answer(m.Reconstruct(run=path, count=2)).reconstructions.shape == (2, 1, 8, 8)
    for query in (m.Encode(run=path, index=0), m.SamplePrior(run=path)):
        with pytest.raises(CannotAnswer) as error:
            session.answer(query)
        assert "posterior" not in str(error.value)


# -- the run's own data --------------------------------------------------------------------------------------------------


def test_that_changed_data_are_refused_with_what_to_do_instead(runs, session, monkeypatch):
    model = session.model(str(runs / "vae"), None)
    changed = model.manifest.model_copy(update={"data_hash": "another"})
    monkeypatch.setattr(model, "manifest", changed)
    monkeypatch.setattr(model.run, "manifest", changed)
    with pytest.raises(BadRun, match=r"digits is not what vae was trained on \(its content changed: .*\); drop an image instead\.$"):
        session.answer(m.Encode(run=str(runs / "vae"), index=0))
    assert session.answer(m.Encode(run=str(runs / "vae"), image=np.zeros((8, 8), np.uint8))).label == "pasted image"
