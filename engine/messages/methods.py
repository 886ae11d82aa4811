"""What the engine tells about itself and its methods once it is ready: what a form, a tooltip and a pane are made from."""

from __future__ import annotations

from dataclasses import dataclass

from engine.messages.base import Answer, Event, Query

__all__ = ["FieldInfo", "FolderInspected", "InspectFolder", "MethodInfo", "Ready"]


@dataclass(frozen=True)
class FieldInfo:
    """One setting of a method: the form, the tooltip, `--set` and the manifest are made from it."""

    name: str
    label: str
    kind: str  # "int" | "float" | "bool" | "choice" | "text" | "name" (of a folder)
    default: int | float | bool | str
    help: str  # one sentence
    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()
    log: bool = False  # a range better walked by factors
    group: str = "Model"  # heading in the form: "Model", "Objective", "Training"
    needs: str = ""  # the switch without which it has no effect
    folder: str = ""  # it names a folder: "model" (config.json with weights) | "run" (or the name of a run)
    of_colour: bool = False  # it has no effect on images of one channel


@dataclass(frozen=True)
class MethodInfo:
    """What the window knows of a method."""

    name: str  # "vae"
    title: str  # "VAE"
    family: str  # its branch on the map, for example "Explicit density · bound"
    density: str  # "exact" | "bound" | "none"
    sampling: str  # "direct" | "iterative" | "none"
    conditional: bool
    capabilities: tuple[str, ...]  # see engine.protocols.CAPABILITIES
    source: str  # the paper
    summary: str  # two or three sentences for "What you are looking at"
    formula: str  # rich text
    fields: tuple[FieldInfo, ...]
    accepts: str = "images"  # "images" | "text": the kind of data it learns from
    needs: str = ""  # "classes" | "frames": what images must come with, whatever the settings; "": nothing
    ends_by_itself: bool = False  # its training has an end of its own, whatever was planned
    units: tuple[tuple[str, str], ...] = ()  # (term of the loss, its unit)
    sample_fields: tuple[FieldInfo, ...] = ()  # settings of its sampler, of a `ConfigurableSampler`

    def unit_of(self, term: str) -> str:
        """Empty where a term has none."""
        return dict(self.units).get(term, "")


@dataclass(frozen=True, eq=False)
class Ready(Event):
    """Sent once, when torch is imported and the methods are known."""

    methods: tuple[MethodInfo, ...]
    device: str  # "CPU", "NVIDIA H200", ...: what "auto" means here
    devices: tuple[str, ...]  # of: cpu cuda mps
    cores: int
    precision: str  # what "auto" means here: "fp32" | "bf16"
    versions: dict[str, str]
    seconds: float  # from the engine's start


@dataclass(frozen=True, eq=False, kw_only=True)
class InspectFolder(Query):
    """Whether a folder holds what a setting wants -> `FolderInspected`."""

    kind: str  # `FieldInfo.folder`
    path: str


@dataclass(frozen=True, eq=False, kw_only=True)
class FolderInspected(Answer):
    """In one sentence why the folder cannot be used; empty: it can, as far as names and first bytes of its files tell."""

    path: str
    fault: str = ""
