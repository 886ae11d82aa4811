"""The draws of a run and their branches as a tree to go back in."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QAbstractItemView, QTreeWidget, QTreeWidgetItem

from app.panes.sampling.sample_tree import RunSamples, SampleNode
from app.shell.formatting import count
from app.shell.plain_text import without_markup
from app.widgets.parts import Card, muted


class BranchTree(Card):
    """`node_chosen(node)` by click or Enter."""

    node_chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__(12, 8)
        self.tree = QTreeWidget()
        self.tree.setHeaderHidden(True)
        self.tree.setAccessibleName("Draws and their branches")
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.tree.setIndentation(14)
        self.tree.itemClicked.connect(self._chosen)
        self.tree.itemActivated.connect(self._chosen)
        self.inside.addWidget(self.tree, 1)
        note = muted("Choose another value at a pixel and it grows here as a branch. Click one to go back to it.")
        note.setProperty("role", "small")
        self.inside.addWidget(note)

    def show_samples(self, samples: RunSamples) -> int:
        """Every root with its branches; returns how many branches there are."""
        self.tree.clear()
        chosen: QTreeWidgetItem | None = None

        def add(node: SampleNode, parent: QTreeWidget | QTreeWidgetItem) -> None:
            nonlocal chosen
            item = QTreeWidgetItem(parent, [node.title()])
            item.setData(0, Qt.ItemDataRole.UserRole, node)
            step = "" if node.step is None else f"\nstep {count(node.step)}"
            item.setToolTip(0, without_markup(f"{node.title()}\n{node.settings.summary()}{step}"))
            if node is samples.node:
                chosen = item
            for child in node.children:
                add(child, item)

        for root in samples.roots:
            add(root, self.tree)
        self.tree.expandAll()
        if chosen is not None:
            self.tree.setCurrentItem(chosen)
        return sum(root.descendants() for root in samples.roots)

    def _chosen(self, item: QTreeWidgetItem, _column: int = 0) -> None:
        node = item.data(0, Qt.ItemDataRole.UserRole)
        if node is not None:
            self.node_chosen.emit(node)
