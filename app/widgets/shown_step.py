"""Which checkpoint what is seen in a pane belongs to, also while that of another one is still to come."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QFontMetrics

from app.shell.formatting import count
from app.widgets.parts import TextLines

COMES = "step {} is on its way"
FAILED = "not step {}"
WIDEST = "measure again for step 888 888"  # what fits on one line; longer texts wrap


class ShownStep(TextLines):
    """“Step 512”, and on a second line what becomes of the step that is wanted where it is another one."""

    side = Qt.AlignmentFlag.AlignRight

    def __init__(self) -> None:
        super().__init__(2, "The step that is shown", small=True)
        self.setFixedWidth(QFontMetrics(self.font()).horizontalAdvance(WIDEST) + 4)

    def show_step(self, shown: int | None, wanted: int | None, then: str = COMES, level: str = "") -> None:
        """`shown`: of which step things are, None where there is nothing; `then`: what is said of `wanted`, in the colour of `level`."""
        if shown is None:
            self.set_text("")
        elif wanted is None or shown == wanted:
            self.set_text(f"Step {count(shown)}")
        else:
            self.set_text(f"Still step {count(shown)};\n{then.format(count(wanted))}", level)
