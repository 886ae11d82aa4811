"""How the Embedding pane is laid out: what is drawn above, the map at the left, its legend and what was selected at the right.

The pane connects the parts; here they only get their places, which of them are seen, and their sizes.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIntValidator, QPainter, QResizeEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.panes.embedding.hover_card import HoverCard
from app.panes.embedding.lasso_page import LassoPage
from app.panes.embedding.map_controls import MapControls
from app.panes.embedding.map_legend import ColorClasses, ColorScale, MapLegend
from app.panes.embedding.map_trust import MapTrust
from app.panes.embedding.projected_image_page import ProjectedImagePage
from app.panes.embedding.raster import MapViewport
from app.panes.embedding.scatter import Scatter
from app.shell.plain_text import set_tip
from app.shell.theme import DARK, Colors, font
from app.widgets.figure import Figure
from app.widgets.parts import Card, TextLines, button, heading, set_heading
from app.widgets.shown_step import ShownStep
from engine.messages import Embedded

SIDE_LEAST, SIDE_MOST = 240, 340  # pixels
ABOVE = 196  # pixels of the page that neither the legend nor the pages below it have
LEGEND_LEAST = 56  # pixels
APART = 18  # pixels between a point and its card
PRINTED_SIDE = 260  # pixels of the legend on an exported picture
HINT = "The map of the features appears here."


class LegendArea(QScrollArea):
    """As high as the legend where there is room, else it scrolls."""

    def __init__(self, legend: MapLegend) -> None:
        super().__init__()
        self.legend = legend
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        holder = QWidget()
        holder.setObjectName("contents")
        inner = QVBoxLayout(holder)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addWidget(legend)
        self.setWidget(holder)
        self.setWidgetResizable(True)

    def sizeHint(self) -> QSize:
        return self.legend.sizeHint()

    def minimumSizeHint(self) -> QSize:
        return QSize(80, LEGEND_LEAST - 14)


class EmbeddingPage(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self._c = DARK
        self.title = ""  # over the legend of an exported picture
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(6)
        self.controls = MapControls()
        column.addWidget(self.controls)
        row = QHBoxLayout()
        self.status = TextLines(2, "What is going on")
        self.shown_step = ShownStep()
        self.stop_button = button("Stop", None, "End it at once; the map that is there stays.")
        self.stop_button.setProperty("kind", "link")
        policy = self.stop_button.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # the map does not move when there is something to stop
        self.stop_button.setSizePolicy(policy)
        row.addWidget(self.status, 1)
        row.addWidget(self.stop_button, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.shown_step)
        column.addLayout(row)
        columns = QHBoxLayout()
        columns.setSpacing(12)
        column.addLayout(columns, 1)
        left = QVBoxLayout()
        left.setSpacing(6)
        columns.addLayout(left, 1)
        self._build_tools(left)
        self._build_map(left)
        self.side = QWidget()
        self._build_side(self.side)
        columns.addWidget(self.side)
        self.show_side(0)

    def _build_tools(self, left: QVBoxLayout) -> None:
        row = QHBoxLayout()
        row.setSpacing(6)
        self.colored_by = QComboBox()
        self.colored_by.setAccessibleName("Colour by")
        set_tip(self.colored_by, "What the colours of the points stand for.")
        self.colored_by.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.colored_by.setMinimumContentsLength(12)
        self.colored_by.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.clusters = QLineEdit("10")
        self.clusters.setAccessibleName("How many clusters")
        set_tip(self.clusters, "How many clusters k-means looks for among the features. Press Enter to find them.")
        self.clusters.setValidator(QIntValidator(2, 200, self))
        self.clusters.setFixedWidth(42)
        self.clusters.hide()
        self.trust = QCheckBox("trust")
        self.trust.setAccessibleName("Show trust")
        set_tip(self.trust, "Fainter the fewer of a point’s true neighbours are its neighbours on the map.")
        self.search = QLineEdit()
        self.search.setAccessibleName("Search images by number, class or file name")
        self.search.setPlaceholderText("Number, class, file")
        set_tip(self.search, "Select images by their number in the split, their class or a part of their file’s name. Press Enter.")
        self.search.setClearButtonEnabled(True)
        self.search.setMinimumWidth(64)
        self.search.setMaximumWidth(260)
        self.lasso = QPushButton("Lasso")
        self.lasso.setAccessibleName("Lasso")
        self.lasso.setCheckable(True)
        set_tip(self.lasso, "Draw round points to select them. With Shift held, it is on as long.")
        self.export_button = QPushButton("Export")
        self.export_button.setProperty("kind", "link")
        self.export_button.setAccessibleName("Export")
        set_tip(self.export_button, "Copy the map, save it as PNG with its legend, or all points as CSV.")
        row.addWidget(self.colored_by)
        row.addWidget(self.clusters)
        row.addWidget(self.trust)
        row.addWidget(self.search, 4)
        row.addStretch(1)
        row.addWidget(self.lasso)
        row.addWidget(self.export_button)
        left.addLayout(row)

    def _build_map(self, left: QVBoxLayout) -> None:
        card = Card(3, 0)
        self.map = Scatter("Map of the features", HINT)
        card.inside.addWidget(self.map)
        left.addWidget(card, 1)
        self.words = MapTrust(self.map)
        self.hover_card = HoverCard(self.map)
        self._card_at = QPointF()  # the point that it stands beside
        self.hover_card.resized.connect(lambda: self.put_card(self._card_at))
        self.map.installEventFilter(self)
        self.lasso.toggled.connect(self.map.set_lasso)

    def _build_side(self, side: QWidget) -> None:
        column = QVBoxLayout(side)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        self.legend_heading = heading("Legend")
        self.legend_heading.setFixedHeight(22)
        column.addWidget(self.legend_heading)
        self.legend_card = Card(6, 0)
        self.legend = MapLegend()
        self.legend_area = LegendArea(self.legend)
        self.legend_card.inside.addWidget(self.legend_area)
        column.addWidget(self.legend_card)
        self.legend_note = TextLines(3, "About the colours", small=True)
        column.addWidget(self.legend_note)
        row = QHBoxLayout()
        row.setSpacing(12)
        self.tabs = QButtonGroup(self)
        for index, name in enumerate(("Selection", "Your image")):
            tab = QPushButton(name.upper())
            tab.setProperty("kind", "tab")
            tab.setCheckable(True)
            tab.setAccessibleName(name)
            self.tabs.addButton(tab, index)
            row.addWidget(tab)
        row.addStretch(1)
        column.addLayout(row)
        self.selection, self.projected_image = LassoPage(), ProjectedImagePage()
        column.addWidget(self.selection, 1)
        column.addWidget(self.projected_image, 1)
        self.tabs.idClicked.connect(self.show_side)

    def set_colors(self, c: Colors) -> None:
        self._c = c
        for part in (
            self.status,
            self.shown_step,
            self.map,
            self.words,
            self.hover_card,
            self.legend,
            self.legend_note,
            self.selection,
            self.projected_image,
        ):
            part.set_colors(c)

    # -- what is seen ----------------------------------------------------------------------------------------------------

    def show_side(self, index: int) -> None:
        """The selection (0) or the dropped image (1)."""
        self.tabs.button(index).setChecked(True)
        pages = (self.selection, self.projected_image)
        pages[1 - index].hide()  # first, or for a moment there would have to be room for both
        pages[index].show()

    def show_legend(self, colors: ColorClasses | ColorScale | None, title: str, note: str) -> None:
        self.legend.show_colors(colors)
        self.title = title
        set_heading(self.legend_heading, title)
        self.legend_note.set_text(note)
        self.legend_note.setVisible(bool(note))
        self.fit()

    def fit(self) -> None:
        """The side as wide as the page allows, the legend as high as its rows, but it leaves room for what is below."""
        self.side.setFixedWidth(min(max(round(0.3 * self.width()), SIDE_LEAST), SIDE_MOST))
        some = self.legend.colors is not None
        self.legend_card.setVisible(some)
        self.legend_area.updateGeometry()
        wanted = self.legend.sizeHint().height() + 14
        below = max(page.minimumSizeHint().height() for page in (self.selection, self.projected_image))
        below += self.legend_note.height() + 6 if self.legend_note.text else 0
        self.legend_card.setMaximumHeight(min(wanted, max(self.height() - ABOVE - below, LEGEND_LEAST)))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.fit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.map and event.type() == QEvent.Type.Resize:
            self.words.fit()
        return super().eventFilter(watched, event)

    def put_words(self, event: Embedded | None) -> None:
        """The words about the map in the corner where they hide the fewest points; at the lower left where that is as good as any."""
        if event is not None and self.map.width() > 0:
            x, y = event.places[:, 0], event.places[:, 1]
            at = MapViewport.whole(x, y, self.map.width(), self.map.height(), 1.0).to_screen(event.places)
            at_x, at_y = at[..., 0], at[..., 1]

            def hidden(corner: tuple[bool, bool]) -> int:
                place = self.words.place(*corner)
                across, down = (at_x >= place.left()) & (at_x <= place.right()), (at_y >= place.top()) & (at_y <= place.bottom())
                return int((across & down).sum())

            self.words.right, self.words.top = min(((False, False), (True, False), (False, True), (True, True)), key=hidden)
        self.words.fit()

    def put_card(self, at: QPointF) -> None:
        """The card of a point beside it, within the map."""
        self._card_at = at
        card, room = self.hover_card, self.map.rect()
        left = at.x() + APART
        if left + card.width() > room.right() - 4:
            left = at.x() - APART - card.width()
        if left < 4:
            left = min(max(at.x() - card.width() / 2, 4), room.right() - 4 - card.width())
        top = min(max(at.y() - card.height() / 2, 4), room.bottom() - 4 - card.height())
        card.move(round(left), round(max(top, 4)))

    # -- out of the window -------------------------------------------------------------------------------------------------

    def figure(self) -> Figure:
        """The map, its legend and how far it is to be trusted."""
        drawn = self.map.figure()
        high = max(self.map.height(), self.legend.height() + 190)

        def draw(painter: QPainter) -> None:
            drawn.draw(painter)
            self._draw_legend(painter)

        return Figure(drawn.width + PRINTED_SIDE, high, self._c.background, draw)

    def _draw_legend(self, painter: QPainter) -> None:
        """To the right of the map."""
        painter.translate(self.map.width() + 12, 12)
        painter.setPen(QColor(self._c.text))
        painter.setFont(font(13, bold=True))
        room = PRINTED_SIDE - 24
        painter.drawText(QRectF(0, 0, room, 20), Qt.AlignmentFlag.AlignVCenter, self.title)
        painter.translate(0, 26)
        painter.setFont(self.legend.font())
        self.legend.draw(painter, room)
        painter.translate(0, self.legend.height() + 12)
        painter.setFont(font(11))
        painter.setPen(QColor(self._c.muted))
        painter.drawText(QRectF(0, 0, room, 150), Qt.TextFlag.TextWordWrap, "\n".join(self.words.lines))
