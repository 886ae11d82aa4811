"""Which images the map is drawn of, and how: data, split, how many, kind, neighbours, least distance, seed, and the button that draws."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QDoubleValidator, QIntValidator, QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QComboBox, QHBoxLayout, QLineEdit, QSizePolicy, QWidget

from app.panes.embedding.controller import MapPlan
from app.shell.formatting import count
from app.shell.plain_text import PlainLabel, set_tip
from app.shell.theme import role
from app.widgets.parts import button, muted
from engine.messages import MapSettings

SPLITS_TIP = (
    "Validation images were never trained on and are for looking and choosing. Test images are for the figures at the end: whatever is "
    "chosen by them makes them look too good. Training images show what was learned by heart."
)
OTHER = "\0other"  # the entry that opens another data set
SPLIT_NAMES = {"valid": "validation", "test": "test", "train": "training"}
SPLITS = tuple((f"{words} images", split) for split, words in SPLIT_NAMES.items())
LIMITS = (500, 1000, 2000, 5000, 10_000, 20_000, 50_000)
KINDS = (("UMAP", "umap"), ("PCA", "pca"))
WIDE = 1080  # pixels from which all stands on one line
CHANGED = "Settings changed – run again"


class MapControls(QWidget):
    """`changed` comes for changes by the user only."""

    changed = Signal()
    draw_asked = Signal()
    other_asked = Signal()  # a data set that is not listed

    def __init__(self) -> None:
        super().__init__()
        self._ours = False
        self.data = self._choice("Data set", "Whose images are drawn: the run’s own, or any other set that its network can look at.", 12)
        self.split = self._choice("Split", SPLITS_TIP, 8)
        for text, split in SPLITS:
            self.split.addItem(text, split)
        self.limit = self._choice("How many images", "So many, evenly spread over the split. Fewer are drawn sooner.", 5)
        for limit in LIMITS:
            self.limit.addItem(count(limit), limit)
        self.kind = self._choice(
            "Kind of map", "UMAP keeps neighbours together; distances between groups say little. PCA: the two widest axes.", 5
        )
        for text, kind in KINDS:
            self.kind.addItem(text, kind)
        self.neighbours = self._number(
            "Neighbours", 42, "How many neighbours UMAP keeps together and trust is counted on. Many: the large shape; few: detail."
        )
        self.neighbours.setValidator(QIntValidator(2, 200, self))
        self.min_dist = self._number("Least distance", 48, "How close points may lie on a UMAP, 0 to 1. Small: dense clumps.")
        self.min_dist.setValidator(QDoubleValidator(0.0, 1.0, 3, self))
        self.seed = self._number("Seed of the map", 58, "The same settings and seed give the same map.")
        self.seed.setValidator(QIntValidator(0, 999_999, self))
        self.draw_button = button("Draw the map", self.draw_asked.emit, "Draw by these settings, begun afresh.", primary=True)
        self.notice = PlainLabel("")
        role(self.notice, "warning")
        self._lay_out()
        self.show_plan(MapPlan())

    def _choice(self, name: str, tip: str, width: int) -> QComboBox:
        made = QComboBox()
        made.setAccessibleName(name)
        set_tip(made, tip)
        made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        made.setMinimumContentsLength(width)
        made.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        made.activated.connect(self._moved)
        return made

    def _number(self, name: str, width: int, tip: str) -> QLineEdit:
        made = QLineEdit()
        made.setAccessibleName(name)
        set_tip(made, tip)
        made.setFixedWidth(width)
        made.textEdited.connect(self._moved)
        made.returnPressed.connect(self.draw_asked)
        return made

    def _lay_out(self) -> None:
        self.lines = QBoxLayout(QBoxLayout.Direction.TopToBottom, self)
        self.lines.setContentsMargins(0, 0, 0, 0)
        self.lines.setSpacing(6)
        upper, lower = QHBoxLayout(), QHBoxLayout()
        for row in (upper, lower):
            row.setSpacing(6)
            self.lines.addLayout(row)
        for box in (self.data, self.split, self.limit, self.kind):
            upper.addWidget(box)
        self.upper_rest = upper
        self.umap_only = []
        for text, field in (("neighbours", self.neighbours), ("least distance", self.min_dist), ("seed", self.seed)):
            label = muted(text, wrap=False)
            lower.addWidget(label)
            lower.addWidget(field)
            lower.addSpacing(4)
            if text != "neighbours":
                self.umap_only += [label, field]
        lower.addWidget(self.draw_button)
        lower.addWidget(self.notice, 1)
        lower.addStretch(0)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        across = QBoxLayout.Direction.LeftToRight if self.width() >= WIDE else QBoxLayout.Direction.TopToBottom
        if self.lines.direction() != across:
            self.lines.setDirection(across)

    def _moved(self, *_: object) -> None:
        if self.data.currentData() == OTHER:
            self.data.setCurrentIndex(max(0, self.data.findData(self._data)))
            self.other_asked.emit()
            return
        self._data = self.data.currentData()
        self._show_kind()
        self.changed.emit()

    def _show_kind(self) -> None:
        for part in self.umap_only:
            part.setEnabled(self.kind.currentData() == "umap")

    # -- what they say -----------------------------------------------------------------------------------------------------

    def set_data(self, choices: list[tuple[str, str]]) -> None:
        """(words, data set) besides the run's own, which is the empty one."""
        if [(self.data.itemText(i), self.data.itemData(i)) for i in range(self.data.count())] == choices:
            return
        self.data.clear()
        for text, data in choices:
            self.data.addItem(text, data)
        self.data.setCurrentIndex(max(0, self.data.findData(self._data)))

    def value(self) -> MapPlan:
        """What the controls say; a field that says nothing stands for its least value."""
        fields = self.neighbours.text(), self.min_dist.text().replace(",", "."), self.seed.text()
        settings = MapSettings(
            kind=str(self.kind.currentData()),
            neighbours=max(2, int(fields[0] or 2)),
            min_dist=min(max(float(fields[1]) if fields[1] not in ("", ".") else 0.0, 0.0), 1.0),
            seed=int(fields[2] or 0),
        )
        return MapPlan(self._data, str(self.split.currentData()), int(self.limit.currentData()), settings)

    def show_plan(self, plan: MapPlan) -> None:
        settings = plan.settings
        self._data = plan.data
        self.data.setCurrentIndex(max(0, self.data.findData(plan.data)))
        self.split.setCurrentIndex(self.split.findData(plan.split))
        self.limit.setCurrentIndex(self.limit.findData(plan.limit))
        self.kind.setCurrentIndex(self.kind.findData(settings.kind))
        self.neighbours.setText(str(settings.neighbours))
        self.min_dist.setText(f"{settings.min_dist:g}")
        self.seed.setText(str(settings.seed))
        self._show_kind()

    def say_changed(self, changed: bool) -> None:
        """Whether the map on screen was drawn with other settings."""
        self.notice.setText(CHANGED if changed else "")
