"""How far a map is to be trusted, in words, in a corner of it: one line, which a click unfolds."""

from __future__ import annotations

from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from app.shell.formatting import count, number, things
from app.shell.plain_text import set_tip
from app.shell.theme import DARK, Colors, font
from engine.messages import Embedded

MARGIN = 8
WIDEST = 380  # pixels of a line; a longer one goes on in the next
VOTES = 200  # neighbours that the engine asks in feature space


def figures(event: Embedded) -> tuple[tuple[str, str], ...]:
    """(what is said, what it means) about a map, the most telling first."""
    k = event.neighbours.shape[1]
    kept = float(event.survived.mean()) if len(event.survived) else float("nan")
    lines = [
        (
            f"trustworthiness {number(event.trustworthiness, 3)}",
            "Venna and Kaski 2001; 1 is best. It falls where points lie close here that are far apart in feature space.",
        )
    ]
    if k:
        lines.append((f"{number(100 * kept, 0, '%')} of each point’s {k} true neighbours are neighbours here, on average", ""))
    if event.knn_features is not None and event.knn_map is not None:
        there, here = (number(100 * share, 1, "%") for share in (event.knn_features, event.knn_map))
        votes = min(VOTES, len(event.places) - 1)
        help = "Each image classified by its neighbours’ votes: by features those weigh by their cosine, on the map each counts the same."
        lines.append(
            (f"kNN finds the class of {there} by features ({things(votes, 'vote')}), {here} on the map ({things(k, 'vote')})", help)
        )
    if event.explained:
        shares = " + ".join(number(100 * share, 1, "%") for share in event.explained[:2])
        lines.append((f"the two axes hold {shares} of the variance", ""))
    how = ["UMAP" if event.settings.kind == "umap" else "PCA", things(event.features, "feature"), f"step {count(event.subset.step or 0)}"]
    lines.append((" · ".join(how), ""))
    begun = "continued from the map before" if event.warm else "begun afresh"
    took = f"{number(event.seconds, 1)} s" if event.seconds >= 0.05 else "kept from before"
    lines.append((f"seed {event.settings.seed} · {took} · {begun}", ""))
    lines += [(note, "") for note in event.note.split("; ") if note]
    return tuple(lines)


class MapTrust(QWidget):
    """Painted by itself, over the map."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.lines: tuple[str, ...] = ()
        self.folded = True  # all its lines would hide too many points; what the user chose stays for all maps
        self.right = self.top = False  # in which corner it lies
        self._c = DARK
        self.setFont(font(11))
        self.setAccessibleName("How far the map is to be trusted")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.hide()

    def set_colors(self, c: Colors) -> None:
        self._c = c
        self.update()

    def show_map(self, event: Embedded | None) -> None:
        told = () if event is None else figures(event)
        self.lines = tuple(line for line, _ in told)
        self.setAccessibleDescription(". ".join(self.lines))
        set_tip(self, "\n".join([f"{line}: {meaning}" if meaning else line for line, meaning in told] + ["Click to fold or unfold."]))
        self.setVisible(bool(self.lines))
        self.fit()

    def shown(self) -> tuple[str, ...]:
        """The lines that are to be seen now."""
        return tuple(f"{'▸' if self.folded else '▾'} {line}" for line in self.lines[:1]) + (() if self.folded else self.lines[1:])

    def _room(self) -> int:
        """Width of the lines: as wide as the longest, within `WIDEST` and the map."""
        metrics, around = QFontMetrics(self.font()), self.parentWidget()
        assert around is not None
        most = min(WIDEST, max(around.width() - 4 * MARGIN - 2, 80))
        return min(max((metrics.horizontalAdvance(line) + 1 for line in self.shown()), default=0), most)

    def _heights(self, room: int) -> list[int]:
        """Of each line, wrapped at this width."""
        metrics, place = QFontMetrics(self.font()), QRect(0, 0, room, 10_000)
        return [metrics.boundingRect(place, Qt.TextFlag.TextWordWrap.value, line).height() for line in self.shown()]

    def sizeHint(self) -> QSize:
        room = self._room()
        return QSize(room + 2 * MARGIN, sum(self._heights(room)) + 2 * MARGIN - 2)

    def fit(self) -> None:
        """In its corner of the map, no wider than it."""
        around = self.parentWidget()
        assert around is not None
        wanted = self.sizeHint()
        self.resize(wanted)
        place = self.place(self.right, self.top)
        self.move(place.x(), place.y())
        self.update()

    def place(self, right: bool, top: bool) -> QRect:
        """Where it lies in a corner."""
        around = self.parentWidget()
        assert around is not None
        left = around.width() - self.width() - MARGIN if right else MARGIN
        return QRect(left, MARGIN if top else around.height() - self.height() - MARGIN, self.width(), self.height())

    def fold(self) -> None:
        self.folded = not self.folded
        self.fit()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.fold()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.fold()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: object) -> None:
        self.update()

    def focusOutEvent(self, event: object) -> None:
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ground = QColor(self._c.panel)
        ground.setAlpha(225)
        painter.setBrush(ground)
        painter.setPen(QPen(QColor(self._c.accent if self.hasFocus() else self._c.line), 1))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)
        room, top = self.width() - 2 * MARGIN, MARGIN - 1
        for place, (line, height) in enumerate(zip(self.shown(), self._heights(room), strict=True)):
            painter.setPen(QColor(self._c.text if place < 2 else self._c.muted))
            painter.drawText(QRectF(MARGIN, top, room, height), Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextWordWrap, line)
            top += height
