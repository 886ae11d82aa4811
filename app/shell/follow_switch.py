"""Two buttons beside the time cursor: it follows the newest checkpoint, or the best one."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from app.shell import formatting
from app.shell.plain_text import set_tip
from app.shell.state import BEST, NEWEST

HELP = {
    NEWEST: "Look at the newest checkpoint, and at every newer one as it comes (Alt+End).",
    BEST: "Look at the checkpoint that did best on validation images, and at a better one as it comes (Alt+Home).",
}


class FollowSwitch(QWidget):
    """Emits `chosen("newest" | "best")`; what is lit is what the state says. Neither is lit where a step was chosen by hand."""

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.buttons = {name: QPushButton(name) for name in (NEWEST, BEST)}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        for name, button in self.buttons.items():
            button.setCheckable(True)
            button.setAccessibleName(f"Follow the {name} checkpoint")
            button.setFixedHeight(22)
            button.setProperty("kind", f"follow_{name}")
            button.clicked.connect(lambda _checked=False, name=name: self._press(name))
            row.addWidget(button)
        row.addStretch()
        self._lit = NEWEST
        self.show_choice(NEWEST, None, any_step=False)

    def show_choice(self, follows: str, best: int | None, *, any_step: bool) -> None:
        """`best` is the best checkpoint, None where none was judged."""
        self._lit = follows if any_step else ""
        for name, button in self.buttons.items():
            button.setChecked(name == self._lit)
            button.setEnabled(any_step and (name == NEWEST or best is not None))
            set_tip(button, HELP[name])
        if best is not None:
            set_tip(self.buttons[BEST], f"{HELP[BEST]} Now that is step {formatting.count(best)}.")
        elif any_step:
            set_tip(self.buttons[BEST], "No checkpoint of this run was judged on validation images, so none is known as the best.")

    def _press(self, name: str) -> None:
        self.buttons[name].setChecked(name == self._lit)  # lit by what the state says
        self.chosen.emit(name)
