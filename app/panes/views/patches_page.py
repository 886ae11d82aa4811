"""The page of a vision transformer's patches: attention maps, principal components as colours, and which patches are alike."""

from __future__ import annotations

from dataclasses import dataclass, field

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QComboBox, QGridLayout, QHBoxLayout, QPushButton, QScrollArea, QSlider, QVBoxLayout, QWidget

from app.panes.views import patch_pictures
from app.panes.views.patch_board import PatchBoard
from app.shell.formatting import number
from app.shell.plain_text import set_tip
from app.shell.theme import Colors
from app.widgets.parts import Card, TextLines, button, heading, muted
from engine.messages import AttentionShown, PatchesColored, PatchesCompared, PictureRef

MODES = ("Attention", "PCA", "Similarity")
ATTENTION, COMPONENTS, SIMILARITIES = range(len(MODES))
TIPS = (
    "Self-attention: a token takes in the others, weighted by softmax(QKᵀ/√d), with weights of its own for each layer and head. "
    "Vaswani et al. 2017 (arXiv 1706.03762); shown on images as by Caron et al. 2021, DINO (arXiv 2104.14294).",
    "Principal component analysis (PCA) of the features of all patches of all images shown: the scores on the three components with "
    "the largest variance are red, green and blue. Oquab et al. 2023, DINOv2 (arXiv 2304.07193).",
    "cos(a, b) = a·b / (|a| |b|) of the features of two patches, from −1 to 1; 1: the same direction. Amir et al. 2021 (arXiv 2112.05814).",
)
ABOUT = (
    "Attention weights: how much a token takes in of each patch. Bright: much. Click a patch to see its own attention.",
    "Principal components: patches of like colour have like features, in all images. Foreground: colour only one side of the first "
    "component, which often is the object.",
    "Cosine similarity: bright patches have features like those of the outlined patch. Click another patch to compare it.",
)
LAYER = "Which block of the transformer, from the first to the last. Later blocks tell of objects rather than of edges and places."
HEAD = "Each layer attends several times side by side, each head by weights of its own; the mean is over the heads."
OPACITY = "How much of the image the colours hide."
FOREGROUNDS = (("all patches", ""), ("component 1 above 0", "above"), ("component 1 below 0", "below"))
FOREGROUND = (
    "The first component often parts an object from what is behind it. Keep one side of 0: the rest is not coloured, and the components "
    "are computed anew from what is kept (DINOv2, section 7.5)."
)
SIDE = 264  # px of the column at the right
HINT = "The patches appear here."


@dataclass
class PatchesLook:
    """What is looked at of one run."""

    mode: int = ATTENTION
    picture: PictureRef = field(default_factory=lambda: PictureRef("Validation image 0", index=0))
    layer: int = 0  # from 1; 0: the last
    head: int = -1  # from 0; -1: the mean over heads
    query: tuple[int, int] | None = None  # the patch whose attention is shown; None: the class token's
    patch: tuple[int, int] | None = None  # that others are compared with, or whose components are told; None: none was clicked
    foreground: str = ""


class PatchesPage(QWidget):
    """Changes its `look` by hand and tells it with `changed`; what is shown comes by `show_answer`."""

    changed = Signal()  # something that the engine must be asked for
    open_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.look = PatchesLook()
        self.layers = self.heads = 0
        self.attention: AttentionShown | None = None
        self.colors: PatchesColored | None = None
        self.cosines: PatchesCompared | None = None
        columns = QHBoxLayout(self)
        columns.setContentsMargins(0, 0, 0, 0)
        columns.setSpacing(16)
        card = Card(12, 8)
        self.board = PatchBoard()
        self.board.hint = HINT
        card.inside.addWidget(self.board, 1)
        columns.addWidget(card, 1)
        side = QVBoxLayout()
        side.setContentsMargins(0, 0, 0, 0)
        side.setSpacing(8)
        holder = QWidget()
        holder.setObjectName("contents")
        holder.setLayout(side)
        holder.setFixedWidth(SIDE)
        area = QScrollArea()
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidgetResizable(True)
        area.setWidget(holder)
        area.setFixedWidth(SIDE + area.verticalScrollBar().sizeHint().width())
        columns.addWidget(area)
        self.side = area
        self._build_modes(side)
        self._build_picture(side)
        self._build_settings(side)
        self.words = TextLines(2, "The patches in words", small=True)
        side.addWidget(self.words)
        self.measures = [TextLines(2, "Attention in numbers", small=True) for _ in range(3)]
        for line in self.measures:
            side.addWidget(line)
        self.matches_name = heading("Most similar (row, column)")
        side.addWidget(self.matches_name)
        self.matches = TextLines(1, "The most similar patches", small=True)
        side.addWidget(self.matches)
        side.addStretch(1)
        self.board.picked.connect(self._picked)
        self.board.stepped.connect(self._stepped)
        self.board.dropped.connect(self._drop_query)
        self._show()

    # -- widgets -------------------------------------------------------------------------------------------------------

    def _build_modes(self, side: QVBoxLayout) -> None:
        row = QHBoxLayout()
        row.setSpacing(12)
        self.modes = QButtonGroup(self)
        self.modes.setExclusive(True)
        for mode, name in enumerate(MODES):
            tab = QPushButton(name)
            tab.setProperty("kind", "tab")
            tab.setCheckable(True)
            tab.setAccessibleName(name)
            set_tip(tab, TIPS[mode])
            self.modes.addButton(tab, mode)
            row.addWidget(tab)
        row.addStretch(1)
        self.modes.idClicked.connect(self.set_mode)
        side.addLayout(row)
        self.about = TextLines(3, "What is shown", small=True)
        side.addWidget(self.about)

    def _build_picture(self, side: QVBoxLayout) -> None:
        side.addWidget(heading("Image"))
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(button("Open image…", self.open_asked.emit, "Look at an image of your own; dropping one does the same."))
        row.addWidget(button("Another", self.another, "Take the next image of the run’s validation split."))
        row.addStretch(1)
        side.addLayout(row)

    def _build_settings(self, side: QVBoxLayout) -> None:
        self.settings = QGridLayout()
        self.settings.setSpacing(8)
        self.settings.setColumnStretch(1, 1)
        self.layer = QSlider(Qt.Orientation.Horizontal)
        self.layer_value = muted("", wrap=False)
        self.layer.valueChanged.connect(self._layer_moved)
        self.head = QComboBox()
        self.head.activated.connect(lambda index: self._choose_head(index - 1))
        self.whose = button("The class token’s attention", self._drop_query, "Show again what the class token looks at.")
        self.foreground = QComboBox()
        self.foreground.addItems([name for name, _ in FOREGROUNDS])
        self.foreground.activated.connect(self._foreground_chosen)
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(0, 100)
        self.opacity_value = muted("", wrap=False)
        self.opacity.valueChanged.connect(self._opacity_moved)
        rows = (
            ("layer", LAYER, self.layer, self.layer_value),
            ("head", HEAD, self.head, None),
            ("foreground", FOREGROUND, self.foreground, None),
            ("opacity", OPACITY, self.opacity, self.opacity_value),
        )
        self.names = {}
        for place, (name, tip, widget, value) in enumerate(rows):
            widget.setAccessibleName(name.capitalize())
            self.names[widget] = muted(name, wrap=False)
            for part in (widget, self.names[widget]):
                set_tip(part, tip)
            self.settings.addWidget(self.names[widget], place, 0)
            self.settings.addWidget(widget, place, 1, 1, 1 if value is not None else 2)
            if value is not None:
                value.setMinimumWidth(value.fontMetrics().horizontalAdvance("24 of 24") + 2)
                value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.settings.addWidget(value, place, 2)
        side.addLayout(self.settings)
        side.addWidget(self.whose)
        self.opacity.setValue(70)

    def set_colors(self, c: Colors) -> None:
        for widget in (self.board, self.about, self.words, *self.measures, self.matches):
            widget.set_colors(c)

    # -- what is shown -------------------------------------------------------------------------------------------------

    def set_look(self, look: PatchesLook) -> None:
        """Another run's."""
        self.look = look
        self.layers = self.heads = 0
        self.clear()

    def clear(self) -> None:
        """Nothing is known yet."""
        self.attention = self.colors = self.cosines = None
        self._show()

    def say_empty(self, why: str) -> None:
        """Why this run has no patches, in the place of everything; empty: it has some."""
        self.board.hint = why or HINT
        self.side.setVisible(not why)
        self.board.update()

    def set_network(self, layers: int, heads: int) -> None:
        """What there is to choose from; 0 layers: no attention can be shown."""
        self.layers, self.heads = layers, heads
        if not layers and self.look.mode == ATTENTION:
            self.look.mode = COMPONENTS
        self._show()

    def show_answer(self, answer: AttentionShown | PatchesColored | PatchesCompared) -> None:
        """What came in place of what was there of its kind."""
        if isinstance(answer, AttentionShown):
            self.attention = answer
        elif isinstance(answer, PatchesColored):
            self.colors = answer
        else:
            self.cosines = answer
        self._show()

    def set_mode(self, mode: int) -> None:
        """One of MODES."""
        self.look.mode = mode
        self._show()
        self.changed.emit()

    def shown_step(self) -> int | None:
        """The checkpoint that what is seen belongs to."""
        shown = (self.attention, self.colors, self.cosines)[self.look.mode]
        return None if shown is None else shown.step if isinstance(shown, AttentionShown) else shown.images.step

    def table(self) -> patch_pictures.Table:
        """Columns and rows of the CSV."""
        if self.look.mode == ATTENTION and self.attention is not None:
            return patch_pictures.attention_table(self.attention)
        if self.look.mode == COMPONENTS and self.colors is not None:
            return patch_pictures.color_table(self.colors)
        if self.look.mode == SIMILARITIES and self.cosines is not None:
            return patch_pictures.cosine_table(self.cosines)
        return [], []

    def _show(self) -> None:
        mode, look = self.look.mode, self.look
        self.modes.button(mode).setChecked(True)
        self.modes.button(ATTENTION).setVisible(self.layers > 0)
        self.about.set_text(ABOUT[mode])
        self._show_settings()
        lines: list[str] = []
        measures: tuple[tuple[str, str], ...] = ()
        if mode == ATTENTION and self.attention is not None:
            self.board.set_picture(patch_pictures.attention_picture(self.attention, look.head), look.query)
            words = patch_pictures.attention_words(self.attention, look.head)
            measures = patch_pictures.attention_measures(self.attention, look.head)
        elif mode == COMPONENTS and self.colors is not None:
            self.board.set_picture(patch_pictures.color_picture(self.colors), self._patch_of(self.colors))
            words = patch_pictures.color_words(self.colors, self._patch_of(self.colors))
        elif mode == SIMILARITIES and self.cosines is not None:
            self.board.set_picture(patch_pictures.cosine_picture(self.cosines), look.patch or self.cosines.patch)
            words, lines = patch_pictures.cosine_words(self.cosines), patch_pictures.match_lines(self.cosines)
        else:
            self.board.set_picture(None)
            words = ""
        self.words.set_text(words)
        for place, line in enumerate(self.measures):
            said, meaning = measures[place] if place < len(measures) else ("", "")
            line.set_text(said)
            set_tip(line, f"{said}\n{meaning}" if said else "")
            line.setVisible(bool(said))
        self.matches.set_text("\n".join(lines))
        for widget in (self.matches, self.matches_name):
            widget.setVisible(bool(lines))

    def _patch_of(self, shown: PatchesColored) -> tuple[int, int] | None:
        """The chosen patch, where this grid has it."""
        patch = self.look.patch
        return patch if patch is not None and all(0 <= k < n for k, n in zip(patch, shown.kept.shape[1:], strict=True)) else None

    def _show_settings(self) -> None:
        attention = self.look.mode == ATTENTION
        for widget in (self.layer, self.layer_value, self.names[self.layer], self.head, self.names[self.head]):
            widget.setVisible(attention)
        for widget in (self.foreground, self.names[self.foreground]):
            widget.setVisible(self.look.mode == COMPONENTS)
        self.whose.setVisible(attention and self.look.query is not None)
        layer = self.look.layer or self.layers
        for slider in (self.layer,):
            slider.blockSignals(True)
            slider.setRange(min(1, self.layers), max(1, self.layers))
            slider.setPageStep(1)
            slider.setValue(layer)
            slider.blockSignals(False)
        self.layer_value.setText(f"{layer} of {self.layers}" if self.layers else "")
        names = patch_pictures.head_names(self.heads)
        if [self.head.itemText(k) for k in range(self.head.count())] != names:
            self.head.clear()
            self.head.addItems(names)
        self.head.setCurrentIndex(self.look.head + 1 if self.look.head < self.heads else 0)
        self.foreground.setCurrentIndex([value for _, value in FOREGROUNDS].index(self.look.foreground))

    # -- by hand -------------------------------------------------------------------------------------------------------

    def choose_picture(self, picture: PictureRef, patch: tuple[int, int] | None = None) -> None:
        """Look at another image; with a patch of it in the middle of things."""
        self.look.picture = picture
        self.look.patch = patch
        self.changed.emit()

    def another(self, step: int = 1) -> None:
        """The next image of the validation split, or the one before."""
        index = max(0, self.look.picture.index + step) if self.look.picture.index is not None else 0
        self.choose_picture(PictureRef(f"Validation image {index}", index=index))

    def _picked(self, image: int, row: int, column: int) -> None:
        patch = (row, column) if row >= 0 else None
        if self.look.mode == ATTENTION:
            if image:
                self._choose_head(image - 2)
            elif patch is not None:
                self.look.query = patch
                self._show()
                self.changed.emit()
            return
        shown = self.colors if self.look.mode == COMPONENTS else self.cosines
        if image and shown is not None:
            index = int(shown.indices[image])
            self.choose_picture(PictureRef(f"Validation image {index}", index=index), patch)
        elif patch is not None:
            self.look.patch = patch
            self._show()
            self.changed.emit()

    def _stepped(self, step: int) -> None:
        if self.look.mode == ATTENTION:
            self._choose_head(min(max(self.look.head + step, -1), self.heads - 1))
        else:
            self.another(step)

    def _choose_head(self, head: int) -> None:
        self.look.head = head
        self._show()

    def _drop_query(self) -> None:
        self.look.query = None
        if self.look.mode != ATTENTION:
            self.look.patch = None
        self._show()
        self.changed.emit()

    def _layer_moved(self, layer: int) -> None:
        self.look.layer = layer
        self.layer_value.setText(f"{layer} of {self.layers}")
        self.changed.emit()

    def _foreground_chosen(self, place: int) -> None:
        self.look.foreground = FOREGROUNDS[place][1]
        self.changed.emit()

    def _opacity_moved(self, percent: int) -> None:
        self.opacity_value.setText(number(percent, 0, "%"))
        self.board.set_opacity(percent / 100)
