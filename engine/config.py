"""Settings of a method, declared once: `setting(...)` gives a dataclass field its range, unit and sentence.

The form in the window, `--set`, the tooltip and the manifest all read the same declaration. No torch here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.messages import FieldInfo

LONGEST_TEXT = 1000  # characters: a folder's path fits


def setting(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    choices: tuple[str, ...] = (),
    log: bool = False,
    label: str = "",
    group: str = "Model",
    kept: bool = False,
    needs: str = "",
    folder: str = "",
    of_colour: bool = False,
) -> Any:
    """A dataclass field that knows its range (inclusive), unit and one sentence of help.

    Without a group it is offered nowhere; it then holds its default, or, `kept`, what the program itself notes of a run. `needs` is the
    switch (a setting that is true or false) without which it has no effect; one `of_colour` has none on images of one channel. `folder`: it
    names a folder, see `FieldInfo`.
    """
    about = {"help": help, "low": low, "high": high, "unit": unit, "choices": choices, "log": log, "kept": kept, "needs": needs}
    about |= {"label": label, "group": group, "folder": folder, "of_colour": of_colour}
    return dataclasses.field(default=default, metadata=about)


def condition_setting() -> Any:
    """What a method that can be told classes or captions is told."""
    return setting(
        "class",
        "What it is told where it is conditional: the class, or the words of the image’s caption.",
        choices=("class", "caption"),
        needs="conditional",
    )


WEIGHT_DECAY = "Shrinking of the weights, never of biases and norms; by AdamW apart from the gradient, by SGD and LARS as a part of it."


@dataclass(frozen=True)
class Training:
    """What every method's configuration has: how the optimizer walks."""

    # No fields: what a method that does not offer these as settings has in their place.
    micro_batch_size = 0  # examples looked at together; 0: the whole batch
    label_share = 1.0  # of the training images
    conditional = False
    condition = "class"  # what a conditional method is told
    context = 0  # symbols in a window of a text
    units = "characters"  # of a text

    batch_size: int = setting(128, "Images per optimizer step.", low=1, high=16384, unit="images", log=True, group="Training")
    learning_rate: float = setting(1e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    schedule: str = setting(
        "cosine", "How the learning rate falls: to zero along a cosine, or not at all.", choices=("cosine", "constant"), group="Training"
    )
    warmup: int = setting(100, "Steps over which the learning rate rises from zero.", low=0, high=100_000, unit="steps", group="Training")
    weight_decay: float = setting(0.0, WEIGHT_DECAY, low=0.0, high=1.0, group="Training")
    final_weight_decay: float = setting(
        -1.0, "Weight decay at the end, reached along a cosine; below 0: as at the start.", low=-1.0, high=1.0, group="Training"
    )
    optimizer: str = setting(
        "adamw",
        "How a gradient moves the weights: AdamW; SGD with a momentum of 0.9, or β1 where the method sets it; LARS, SGD whose steps are "
        "scaled to each layer's weights, for large batches. SGD wants a learning rate some 10 to 100 times AdamW's.",
        choices=("adamw", "sgd", "lars"),
        group="Training",
    )
    clip: float = setting(100.0, "Longest gradient; longer ones are scaled down, 0 switches it off.", low=0.0, high=1e6, group="Training")
    ema: float = setting(
        0.999, "Decay of the averaged weights that are shown and scored; 0 shows the raw ones.", low=0.0, high=0.99999, group="Training"
    )

    @property
    def conditioned_on(self) -> str:
        """See `Method.condition`."""
        return self.condition if self.conditional else ""


class BadSetting(ValueError):
    """One sentence: which setting, what is wrong, what is allowed."""


def fields_of(config: type) -> tuple[FieldInfo, ...]:
    """The settings of a config dataclass in form order: its own first, the training ones last. Those without a group are not offered."""
    infos = []
    for f in dataclasses.fields(config):
        about = f.metadata
        if not about["group"]:
            continue
        kind = "choice" if about["choices"] else {bool: "bool", int: "int", float: "float", str: "text"}[type(f.default)]
        infos.append(
            FieldInfo(
                name=f.name,
                label=about["label"] or f.name.replace("_", " "),
                kind=kind,
                default=f.default,  # type: ignore[arg-type]
                help=about["help"],
                low=about["low"],
                high=about["high"],
                unit=about["unit"],
                choices=about["choices"],
                log=about["log"],
                group=about["group"],
                needs=about["needs"],
                folder=about["folder"],
                of_colour=about["of_colour"],
            )
        )
    return tuple(sorted(infos, key=lambda info: info.group == "Training"))


def make_config(config: type, values: Mapping[str, Any]) -> Any:
    """A checked config from changed values; strings (from `--set`) are parsed.

    Raises:
        BadSetting: unknown name, wrong type or out of range.
    """
    infos = {info.name: info for info in fields_of(config)}
    fixed = {f.name: f for f in dataclasses.fields(config) if f.name not in infos}  # they stand in manifests all the same
    checked = {}
    for name, value in values.items():
        if name in fixed and value == fixed[name].default:
            continue
        if name in fixed and fixed[name].metadata["kept"] and isinstance(value, type(fixed[name].default)):
            checked[name] = value
            continue
        if name not in infos:
            raise BadSetting(f"There is no setting “{name}”; there are: {', '.join(infos)}.")
        checked[name] = _check(infos[name], value)
    return config(**checked)


def require_effect(config: Any) -> None:
    """Raises: BadSetting: a setting was changed whose switch is off, so that it would change nothing."""
    different = changed(config)
    for info in fields_of(type(config)):
        if info.name in different and info.needs and not getattr(config, info.needs):
            remedy = f"set {info.needs}=true too, or leave {info.name} out"
            raise BadSetting(f"“{info.name}” has no effect while “{info.needs}” is off: {remedy}.")


def changed(config: Any) -> dict[str, Any]:
    """The settings that differ from their defaults, of those that are offered."""
    offered = (f for f in dataclasses.fields(config) if f.metadata["group"])
    return {f.name: getattr(config, f.name) for f in offered if getattr(config, f.name) != f.default}


def _check(info: FieldInfo, value: Any) -> Any:
    """The value as its setting wants it. The form refuses while one types, by the same `FieldInfo`; pydantic would state each range twice.

    Raises: BadSetting.
    """
    wrong = BadSetting(f"“{value}” is no value for {info.name}: {_allowed(info)}.")
    if info.kind == "choice":
        if value not in info.choices:
            raise wrong
        return value
    if info.kind == "text":
        if not isinstance(value, str) or len(value) > LONGEST_TEXT:
            raise wrong
        return value.strip()
    if info.kind == "bool":
        words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
        if isinstance(value, bool):
            return value
        if str(value).lower() not in words:
            raise wrong
        return words[str(value).lower()]
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise wrong from None
    if not math.isfinite(number) or (info.low is not None and number < info.low) or (info.high is not None and number > info.high):
        raise wrong
    if info.kind == "int":
        if number != int(number):
            raise wrong
        return int(number)
    return number


def _allowed(info: FieldInfo) -> str:
    if info.kind == "choice":
        return "one of " + ", ".join(info.choices)
    if info.kind == "bool":
        return "true or false"
    if info.kind == "text":
        return f"a text of at most {LONGEST_TEXT} characters"
    kind = "a whole number" if info.kind == "int" else "a number"
    unit = f" {info.unit}" if info.unit else ""
    if info.low is not None and info.high is not None:
        return f"{kind} from {info.low:g} to {info.high:g}{unit}"
    return kind + unit
