"""How chains are run: density and its shape, sampler, step size, leapfrog steps, chains, steps, seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtGui import QIntValidator
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QWidget

from app.shell.formatting import count
from app.shell.theme import Colors
from app.widgets.latent_slider import LatentSlider
from app.widgets.parts import Card, button, muted
from engine.common.chains import DENSITIES, EXPLAINED, SAMPLER_TITLES

CHAINS = (1, 2, 4, 8)
STEPS = (200, 1000, 5000)
LONGEST_STEP, SHORTEST_STEP = 1.5, 0.01
MOST_LEAPFROG = 50
STAYS = "The noise stays, so the same chains change. Double click: the default."


@dataclass(frozen=True)
class ChainSettings:
    """What the controls say."""

    target: str = "banana"
    shape: float = 0.5
    sampler: str = "hmc"
    step_size: float = 0.15
    leapfrog: int = 15
    chains: int = 4
    steps: int = 1000
    seed: int = 0


class ChainSettingsCard(Card):
    """`changed` comes for changes by the user only."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__(12, 6)
        start = ChainSettings()
        self.target = self._box("Density", {name: title for name, (title, _) in DENSITIES.items()}, start.target)
        self._row(muted("Density", wrap=False), self.target)
        self.shape = self._slider("shape", 0.0, 1.0, start.shape, 2, f"0 is easy to sample, 1 is hard. {STAYS}")
        self.sampler = self._box("Sampler", SAMPLER_TITLES, start.sampler)
        self._row(muted("Sampler", wrap=False), self.sampler)
        tip = f"ε: how far a step goes. One Langevin step is one leapfrog step of it. {STAYS}"
        self.step_size = self._slider("step size", SHORTEST_STEP, LONGEST_STEP, start.step_size, 2, tip)
        self.leapfrog = self._slider(
            "leapfrog", 1, MOST_LEAPFROG, start.leapfrog, 0, f"Leapfrog steps before HMC accepts or stays. {STAYS}"
        )
        self.chains = self._box("Chains", {n: str(n) for n in CHAINS}, start.chains)
        self.steps = self._box("Steps", {n: count(n) for n in STEPS}, start.steps)
        self._row(muted("Chains", wrap=False), self.chains, None, muted("Steps", wrap=False), self.steps)
        self.seed = QLineEdit(str(start.seed))
        self.seed.setValidator(QIntValidator(0, 999_999, self))
        self.seed.setFixedWidth(64)
        self.seed.setAccessibleName("Seed: where the chains begin, and their noise")
        self.seed.textChanged.connect(self._moved)
        self._row(muted("Seed", wrap=False), self.seed, button("Next", self.take_next_seed, "Other starts and other noise."), None)
        self.explained = muted()
        self.inside.addWidget(self.explained)
        self._explain()

    def _row(self, *parts: QWidget | None) -> None:
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        for part in parts:
            if part is None:
                row.addStretch(1)
            else:
                row.addWidget(part, 1 if part in (self.target, getattr(self, "sampler", None)) else 0)
        self.inside.addWidget(holder)

    def _box(self, name: str, entries: dict, chosen: object) -> QComboBox:
        box = QComboBox()
        box.setAccessibleName(name)
        for value, title in entries.items():
            box.addItem(title, value)
        box.setCurrentIndex(box.findData(chosen))
        box.activated.connect(self._moved)
        return box

    def _slider(self, name: str, low: float, high: float, start: float, digits: int, tip: str) -> LatentSlider:
        slider = LatentSlider(low, high, value_width=44)
        slider.with_sign, slider.unit, slider.digits = False, "", digits
        slider.describe(name, "", tip=tip)
        slider.set_exact(start)
        slider.moved.connect(self._moved)
        slider.reset_asked.connect(partial(self._reset, slider, start))
        self.inside.addWidget(slider)
        return slider

    def set_colors(self, c: Colors) -> None:
        for slider in (self.shape, self.step_size, self.leapfrog):
            slider.set_colors(c)

    def _reset(self, slider: LatentSlider, value: float) -> None:
        slider.set_exact(value)
        self._moved()

    def _moved(self, *_: object) -> None:
        self._explain()
        self.changed.emit()

    def _explain(self) -> None:
        self.shape.describe(DENSITIES[self.target.currentData()][1], "", tip=f"0 is easy to sample, 1 is hard. {STAYS}")
        self.leapfrog.setEnabled(self.sampler.currentData() == "hmc")
        self.explained.setText(EXPLAINED[self.sampler.currentData()])

    def take_next_seed(self) -> None:
        self.seed.setText(str(int(self.seed.text() or 0) + 1))

    def value(self) -> ChainSettings:
        return ChainSettings(
            target=self.target.currentData(),
            shape=round(self.shape.exact, 4),
            sampler=self.sampler.currentData(),
            step_size=round(self.step_size.exact, 4),
            leapfrog=max(1, round(self.leapfrog.exact)),
            chains=int(self.chains.currentData()),
            steps=int(self.steps.currentData()),
            seed=int(self.seed.text() or 0),
        )
