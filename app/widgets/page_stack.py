"""Pages in one place, of which one is seen."""

from __future__ import annotations

from PySide6.QtWidgets import QSizePolicy, QStackedWidget, QWidget


class PageStack(QStackedWidget):
    """Needs no more room than the page in front: a page that nobody sees makes no small window scroll."""

    def __init__(self) -> None:
        super().__init__()
        self.currentChanged.connect(self._fit)

    def addWidget(self, page: QWidget) -> int:
        place = super().addWidget(page)
        self._fit()
        return place

    def hasHeightForWidth(self) -> bool:
        page = self.currentWidget()
        return page is not None and page.hasHeightForWidth()

    def heightForWidth(self, width: int) -> int:
        page = self.currentWidget()
        return -1 if page is None else page.heightForWidth(width)

    def _fit(self, _index: int = 0) -> None:
        for place in range(self.count()):
            policy = QSizePolicy.Policy.Preferred if place == self.currentIndex() else QSizePolicy.Policy.Ignored
            page = self.widget(place)
            if page is not None:
                page.setSizePolicy(policy, policy)
