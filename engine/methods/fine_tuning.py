"""Fine-tuning: the encoder of another run and a linear head learn classes together, from a share of the labels.

What self-supervision saves in labels is told by comparing `start` "run" with "scratch": the same network, the same few images.
Cross-entropy is in nats, averaged over images.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from engine.bases.encoder import EncoderMethod
from engine.config import WEIGHT_DECAY, BadSetting, Training, make_config, setting
from engine.method import CannotLearn, DataSpec, Method
from engine.methods import UnknownMethod, method_named
from engine.methods.classifier import ImageClassifier
from engine.protocols import Encoder, PatchEncoder, PatchTokens, provides

OF_THE_TRAINING = {f.name for f in fields(Training)}  # settings that no network is built from


@dataclass(frozen=True)
class Config(Training):
    encoder: str = setting(
        "", "Name or folder of the run whose encoder learns on; without one a classifier's network starts from scratch.", folder="run"
    )
    start: str = setting(
        "run", "Begin with that run's weights or, to compare, with random ones in the same network.", choices=("run", "scratch")
    )
    frozen: bool = setting(False, "Leave the encoder as it is and train the head alone: a linear probe as a training.")
    base: str = setting("classifier", "Method whose network it is; taken over from the encoder's run.", group="", kept=True)
    settings: str = setting("", "That method's settings, as JSON; taken over from the encoder's run.", group="", kept=True)
    label_share: float = setting(
        0.01, "Share of the training images it may learn from, the same of every class.", low=0.001, high=1.0, log=True, group="Objective"
    )
    label_smoothing: float = setting(
        0.0, "Share of the target that is spread evenly over all classes.", low=0.0, high=0.5, group="Objective"
    )
    augmentation: str = setting(
        "shift",
        "What is done to training images: nothing, a small random shift, or a shift and a mirror image in half of the cases.",
        choices=("none", "shift", "shift_and_flip"),
        group="Objective",
    )
    micro_batch_size: int = setting(
        0, "Images whose activations are in memory at a time; 0: the whole batch, or of a pretrained backbone as many as take about 2 GB. "
        "Batch norm sees a piece at a time.", low=0, high=16384, unit="images", group="Training",
    )  # fmt: skip
    batch_size: int = setting(64, "Images per optimizer step; at most as many as there are.", low=2, high=16384, unit="images", log=True,
        group="Training")  # fmt: skip
    learning_rate: float = setting(2e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    weight_decay: float = setting(0.02, WEIGHT_DECAY, low=0.0, high=1.0, group="Training")
    ema: float = setting(
        0.99, "Decay of the averaged weights that are shown and scored; 0 shows the raw ones.", low=0.0, high=0.99999, group="Training"
    )


class FeatureNetwork(nn.Module):
    """Another method as a network: images -> its features [B, F]."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, x: Tensor) -> Tensor:
        """Images [B, C, H, W] -> features [B, F]."""
        method: Any = self.method
        if isinstance(method, EncoderMethod) and type(method).encode is EncoderMethod.encode:
            return method.features(x)  # the same numbers, under autocast where there is one
        return method.encode(x).flatten(1)


class FineTuning(ImageClassifier):
    """A classifier whose network is the encoder of another method.

    The features are standardized by batch statistics before the linear layer (as in He et al. 2022, appendix A.1), since encoders differ
    in how large theirs are. A frozen encoder stays in eval mode: its batch norm takes no statistics either.
    """

    Config = Config
    title = "Fine-tuning"
    source = "Chen et al., Big Self-Supervised Models are Strong Semi-Supervised Learners, NeurIPS 2020 (arXiv 2006.10029)"
    summary = (
        "The encoder of another run goes on to learn from a few images with classes, together with a linear head. "
        "Started from random weights instead, the same network on the same few images tells what the first training was worth."
    )
    formula = "min −log softmax(W f(x) + b)<sub>y</sub> over W, b and the encoder f"
    parents: ClassVar = {"encoder": ""}

    def __init__(self, config: Config, data: DataSpec) -> None:
        Method.__init__(self, config, data)  # not Classifier's: it would build a network of its own
        if len(data.classes) < 2:
            raise CannotLearn("Fine-tuning needs images of at least two named classes; choose a data set with classes.")
        method = _method(config, data)
        self.network = FeatureNetwork(method)
        self.head = nn.Sequential(nn.BatchNorm1d(_width(method), affine=False), nn.Linear(_width(method), len(data.classes)))
        self.images_at_once = 0 if config.frozen else method.images_at_once
        if config.frozen:
            self.network.requires_grad_(False)
            self.network.eval()

    @torch.no_grad()
    def init_from_data(self, x: Tensor) -> None:
        """Initialize from images x [N, C, H, W]; what the features do not come from (decoders, heads, teachers) is no parameter of this
        training.
        """
        self.network.method.init_from_data(x)
        if self.config.frozen:
            return
        parameters = list(self.network.requires_grad_(True).parameters())
        with torch.enable_grad():
            features = self.network(x[:2])
            if not features.requires_grad:
                self.network.requires_grad_(False)  # nothing to learn (k-means), or no gradient through it (codes of a VQ-VAE)
                return
            gradients = torch.autograd.grad(features.sum(), parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.requires_grad_(gradient is not None)

    @classmethod
    def settings_from(cls, setting: str, method: str, config: dict[str, Any]) -> dict[str, Any]:
        """The settings that follow from the run it starts from: its method and that one's settings."""
        if method == cls.name:  # a fine-tuned run passes on the network it was given
            return {"base": config["base"], "settings": config["settings"]}
        values = {name: value for name, value in config.items() if name not in OF_THE_TRAINING}
        return {"base": method, "settings": json.dumps(values, separators=(",", ":"))}

    def init_from_run(self, setting: str, config: dict[str, Any], arrays: dict[str, Tensor]) -> None:
        """Take over the encoder's weights [...] of the run. Raises: CannotLearn: the encoder there is another one."""
        if self.config.start == "scratch":
            return
        inside = "network.method."  # of a fine-tuned run
        if "base" in config and any(name.startswith(inside) for name in arrays):
            arrays = {name.removeprefix(inside): array for name, array in arrays.items() if name.startswith(inside)}
        method = self.network.method
        own = method.state_dict()
        fitting = {name: array for name, array in arrays.items() if name in own and own[name].shape == array.shape}
        missing = [name for name, parameter in method.named_parameters() if parameter.requires_grad and name not in fitting]
        if missing or not fitting:
            raise CannotLearn(
                f"The weights of that run do not fit a {method.title} for this data ({', '.join(missing[:3]) or 'none does'}); "
                "fine-tune on data of the shape and with as many classes as it was trained on."
            )
        method.load_state_dict(fitting, strict=False)

    def patch_network(self) -> PatchTokens | None:
        """The vision transformer that learns on, where it is one."""
        method = self.network.method
        return method.patch_network() if provides(method, PatchEncoder) else None

    def train(self, mode: bool = True) -> FineTuning:
        """As torch's; a frozen network stays in eval mode."""
        super().train(mode)
        if self.config.frozen:
            self.network.eval()
        return self


def _method(config: Config, data: DataSpec) -> Method:
    """The method whose encoder learns on, as its run had it. Raises: BadSetting."""
    try:
        kind = method_named(config.base)
        values = json.loads(config.settings or "{}")
        made = kind(make_config(kind.Config, values), data)
    except (UnknownMethod, json.JSONDecodeError, AttributeError) as error:
        raise BadSetting(f"No network can be built from base and settings ({error}); name a run as encoder, which fills them in.") from None
    if not provides(made, Encoder):
        raise BadSetting(f"{kind.title} has no encoder; name another run as encoder.")
    return made


@torch.no_grad()
def _width(method: Method) -> int:
    """How many features it gives: told by a copy whose weights are all zero, since a method may stand here without any."""
    with torch.device("cpu"):
        copied: Any = copy.deepcopy(method).to_empty(device="cpu").eval()
        for tensor in (*copied.parameters(), *copied.buffers()):
            tensor.zero_()
        return copied.encode(torch.zeros(1, *method.data.shape)).flatten(1).shape[1]
