"""How chains are run: density and its shape, sampler, step size, leapfrog steps, chains, steps, seed."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Signal

from app.shell.formatting import count
from app.widgets.parts import button, muted
from app.widgets.settings_card import SettingsCard
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


class ChainSettingsCard(SettingsCard):
    """`changed` comes for changes by the user only."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._ours = False
        start = ChainSettings()
        self.target = self.box("Density", {name: title for name, (title, _) in DENSITIES.items()}, start.target)
        self.row(muted("Density", wrap=False), self.target, wide=self.target)
        self.shape = self.slider("shape", 0.0, 1.0, start.shape, f"0 is easy to sample, 1 is hard. {STAYS}")
        self.sampler = self.box("Sampler", SAMPLER_TITLES, start.sampler)
        self.row(muted("Sampler", wrap=False), self.sampler, wide=self.sampler)
        tip = f"ε: how far a step goes. One Langevin step is one leapfrog step of it. {STAYS}"
        self.step_size = self.slider("step size", SHORTEST_STEP, LONGEST_STEP, start.step_size, tip)
        self.leapfrog = self.slider(
            "leapfrog", 1, MOST_LEAPFROG, start.leapfrog, f"Leapfrog steps before HMC accepts or stays. {STAYS}", digits=0
        )
        self.chains = self.box("Chains", {n: str(n) for n in CHAINS}, start.chains)
        self.steps = self.box("Steps", {n: count(n) for n in STEPS}, start.steps)
        self.row(muted("Chains", wrap=False), self.chains, None, muted("Steps", wrap=False), self.steps)
        self.seed = self.whole_number("Seed: where the chains begin, and their noise", 999_999, 64)
        self._ours = True
        self.seed.setText(str(start.seed))
        self._ours = False
        self.take_next_seed = self.next_of(self.seed)
        self.row(muted("Seed", wrap=False), self.seed, button("Next", self.take_next_seed, "Other starts and other noise."), None)
        self.explained = muted()
        self.inside.addWidget(self.explained)
        self._explain()

    def _moved(self, *_: object) -> None:
        if self._ours:
            return
        self._explain()
        self.changed.emit()

    def _explain(self) -> None:
        self.shape.describe(DENSITIES[self.target.currentData()][1], "", tip=f"0 is easy to sample, 1 is hard. {STAYS}")
        self.leapfrog.setEnabled(self.sampler.currentData() == "hmc")
        self.explained.setText(EXPLAINED[self.sampler.currentData()])

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
