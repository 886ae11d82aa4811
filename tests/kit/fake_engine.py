"""An engine that says what it is told to: no thread, no torch. What the window sends is kept in `sent`. And two small panes."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np

from app.panes import Context, Pane
from engine import messages as m

FIELDS = (
    m.FieldInfo("latent", "latent", "int", 16, "Numbers per image between encoder and decoder.", 1, 512, "dimensions", log=True),
    m.FieldInfo("network", "network", "choice", "conv", "What the encoder and the decoder are made of.", choices=("conv", "mlp")),
    m.FieldInfo(
        "likelihood",
        "likelihood",
        "choice",
        "discretized_logistic",
        "How a pixel is thought to be drawn.",
        choices=("bernoulli", "gaussian", "discretized_logistic"),
        group="Objective",
    ),
    m.FieldInfo("beta", "β", "float", 1.0, "Weight of the KL term.", 0.0, 100.0, group="Objective"),
    m.FieldInfo("binarize", "binarize", "bool", False, "Draw black or white by each pixel's grey.", group="Objective"),
    m.FieldInfo("batch_size", "batch size", "int", 128, "Images per optimizer step.", 1, 16384, "images", log=True, group="Training"),
    m.FieldInfo("learning_rate", "learning rate", "float", 1e-3, "Step size of the optimizer.", 1e-6, 1.0, log=True, group="Training"),
)
VAE = m.MethodInfo(
    "vae",
    "VAE",
    "Explicit density · bound",
    "bound",
    "direct",
    False,
    ("encode", "decode", "latents", "posterior", "log_prob", "sample"),
    "Kingma & Welling, Auto-Encoding Variational Bayes, 2014",
    "The encoder gives each image a Gaussian <i>q(z|x)</i>. A slider moves one coordinate of <i>z</i>; "
    "the decoder draws the mean of <i>p(x|z)</i>.",
    "ELBO = E<sub>q</sub>[log p(x|z)] − KL(q‖p)",
    FIELDS,
)
AUTOENCODER = replace(
    VAE,
    name="autoencoder",
    title="Autoencoder",
    density="none",
    sampling="none",
    capabilities=("encode", "decode", "latents", "posterior"),
    fields=FIELDS[:2] + FIELDS[-2:],
)
READY = m.Ready((AUTOENCODER, VAE), "CPU", ("cpu",), 2, "bf16", {"torch": "2.13.0"}, 1.8)
STEPS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 4180)


def run(name: str, method: m.MethodInfo = VAE, steps: tuple[int, ...] = STEPS, **changes: object) -> m.RunInfo:
    """A run's line, finished at its last checkpoint unless told otherwise."""
    made = m.RunInfo(
        run=f"/runs/{name}",
        name=name,
        method=method.name,
        title=method.title,
        data="digits",
        data_name="fashion-mnist",
        status="done",
        step=steps[-1] if steps else 0,
        total_steps=12000,
        checkpoints=tuple(m.CheckpointInfo(step, step >= 4096) for step in steps),
        config={},
        changed={"latent": 16, "likelihood": "discretized_logistic"},
        headline="3.41 b/dim",
        shape=(1, 28, 28),
        capabilities=method.capabilities,
        device="cpu",
        precision="bf16",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


DATA = (
    m.DataInfo("/data/FashionMNIST", "fashion-mnist", "images", "60\u202f000 · 28×28"),
    m.DataInfo("digits", "digits", "images", "1\u202f797 · 8×8 · built in", True),
    m.DataInfo("shapes", "shapes", "images", "procedural · 6 factors", True),
)


def curve(n: int = 4180) -> m.Metrics:
    steps = np.arange(1, n + 1)
    noise = np.random.default_rng(0).normal(0, 0.03, n)
    return m.Metrics("/runs/a", {"loss": (steps, (2 * np.exp(-steps / 700) + 1 + noise).astype(np.float32))}, history=True)


def described(run: str, step: int) -> m.Described:
    return m.Described(
        stamp=0,
        run=run,
        step=step,
        numbers=(
            m.Number("reconstruction", -1893.2, "nat", 1, "Mean log p(x|z) over the probe images."),
            m.Number("KL", 17.8, "nat", 1),
            m.Number("active dimensions", 9, "of 12", 0),
            m.Number("bits / dim (ELBO)", 3.52),
        ),
        diagnosis=(m.Diagnosis("warning", "3 dimensions carry no information. β is 1.0; free bits are off."),),
        latent=12,
        kl=np.linspace(3.9, 0, 12).astype(np.float32),
        scale=np.ones(12, np.float32),
        centre=np.zeros(12, np.float32),
    )


def example() -> tuple[m.Event, ...]:
    """What the pictures of the design show."""
    runs = (
        run("a", status="training"),
        run("b", title="Autoencoder", method=AUTOENCODER, changed={"latent": 32}, headline="0.011 mse"),
        run("c", status="stopped", changed={"beta": 4.0, "binarize": True}, headline="84.5 nat"),
        run("d", status="interrupted", headline="3.7 b/dim"),
        run(
            "e",
            status="failed",
            changed={},
            headline="",
            message="The loss became infinite at step 311; lower the learning rate and continue.",
        ),
    )
    return (
        READY,
        m.DataListed(DATA),
        m.RunsListed(runs, "/runs"),
        m.JobChanged("train-1", "train", "running", "/runs/a", "VAE · fashion-mnist"),
        m.Progress("train-1", "/runs/a", 4180, 12000, "step", 3130.2, 134.0),
    )


class FakeEngine:
    """Replays `events` at the start; answers Describe, CheckData and FollowRun by itself."""

    def __init__(self, events: tuple[m.Event, ...] = (), *, ends: bool = True) -> None:
        self.script = events
        self.sent: list[m.Command | m.Query] = []
        self.events: deque[m.Event] = deque()
        self.started = False
        self.closed = False
        self.ends = ends
        self.data_fault = ""  # of the data of every run

    def start(self) -> None:
        self.started = True
        self.events.extend(self.script)

    def send(self, message: m.Command | m.Query) -> None:
        self.sent.append(message)
        if isinstance(message, m.Describe):
            answer = described(message.run, message.step or 0)
            self.events.append(replace(answer, stamp=message.stamp, channel=message.channel))
        elif isinstance(message, m.CheckData):
            named = {"stamp": message.stamp, "channel": message.channel, "run": message.run}
            self.events.append(m.DataChecked(**named, data="/old", fault=self.data_fault))
        elif isinstance(message, m.FollowRun):
            self.events.append(replace(curve(), run=message.run))

    def drain(self, limit: int = 200) -> list[m.Event]:
        return [self.events.popleft() for _ in range(min(limit, len(self.events)))]

    def close(self, timeout: float = 2.5) -> bool:
        self.closed = True
        return self.ends

    def say(self, *events: m.Event) -> None:
        self.events.extend(events)

    def told(self, kind: type) -> list:
        """Everything of one type that the window sent."""
        return [message for message in self.sent if isinstance(message, kind)]


class Plain(Pane):
    title = "Plain"
    order = 1
    wants_run = False
    most_images = 1000

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.taken: list[str] = []

    def accept_image(self, path: str) -> bool:
        self.taken.append(path)
        return True


class NeedsSampling(Pane):
    title = "Needs sampling"
    order = 900
    needs = ("sample",)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.calls: list[str] = []

    def activate(self) -> None:
        self.calls.append("activate")

    def deactivate(self) -> None:
        self.calls.append("deactivate")
