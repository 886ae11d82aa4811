"""How samples are drawn: seed, how many, temperature, top-k, top-p, class or caption, cache; of a text its prompt and its length.

A sampler with settings of its own has those in the place of the temperature.
"""

from __future__ import annotations

from time import monotonic

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QLineEdit

from app.panes.sampling.caption_field import CaptionField
from app.panes.sampling.sample_tree import SamplingSettings
from app.panes.sampling.sampler_controls import SamplerControls
from app.shell.plain_text import set_tip
from app.shell.theme import Colors
from app.widgets.parts import button, muted
from app.widgets.settings_card import SettingsCard
from engine.messages import FieldInfo, SamplingBegan

COUNTS = (1, 4, 9, 16, 36, 64)
NOISE_STAYS = "The noise stays, so the same samples change. Double click: 1."
TEMPERATURES = {  # by whether samples are drawn symbol by symbol
    True: f"Below 1 likely symbols become likelier; 0 takes the likeliest. {NOISE_STAYS}",
    False: f"What the noise that a sample begins with is multiplied by: below 1 samples come closer to the average. {NOISE_STAYS}",
}
NO_GUIDANCE = "This run was trained without classes: no guidance."
MERGE_SECONDS = 1.0  # changes that follow each other faster are one step to undo


class SamplingSettingsCard(SettingsCard):
    """`changed(gesture)` comes for changes by the user only; those with the same `gesture` belong together, as the moves of one drag do."""

    changed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._ours = False
        self._gesture, self._changed_at = 0, 0.0
        self.seed = self.whole_number("Seed: the noise of the samples", 999_999, 64)
        self.take_next_seed = self.next_of(self.seed)
        self.next_seed = button("Next", self.take_next_seed, "Other noise, other samples.")
        self.counts = self.box("Grid: how many samples", {n: str(n) for n in COUNTS}, COUNTS[0])
        self.counts.currentIndexChanged.connect(self._moved)
        self.row(muted("Seed", wrap=False), self.seed, self.next_seed, None, muted("Grid", wrap=False), self.counts)
        self.temperature = self.slider("temperature", 0.0, 2.0, 1.0, TEMPERATURES[True])
        self.sampler = SamplerControls()
        self.sampler.moved.connect(self._moved)
        self.sampler.gesture_changed.connect(self._begin_gesture)
        self.sampler.hide()
        self.inside.addWidget(self.sampler)
        self.no_guidance = muted(NO_GUIDANCE)
        set_tip(self.no_guidance, "Guidance leads samples to their class or caption: train with conditional = true to have it.")
        self.no_guidance.hide()
        self.inside.addWidget(self.no_guidance)
        self.top_p = self.slider("top-p", 0.0, 1.0, 1.0, f"Only the likeliest symbols that together have this probability. {NOISE_STAYS}")
        self.top_k = self.whole_number("top-k", 4096, 64)
        self.top_k.setPlaceholderText("all")
        set_tip(self.top_k, "Only so many of the likeliest symbols at every place; empty: all.")
        self.cached = QCheckBox("with cache")
        self.cached.setChecked(True)
        self.cached.setAccessibleName("With cache")
        set_tip(self.cached, "Keep what was computed for earlier symbols. Without it the whole network runs for every symbol: compare.")
        self.cached.toggled.connect(self._moved)
        self.symbol_row = self.row(muted("top-k", wrap=False), self.top_k, None, self.cached)
        self.classes = self.box("Class", {})
        set_tip(self.classes, "Draw one class only. “any”: a class for each sample, drawn with its noise.")
        self.class_row = self.row(muted("class", wrap=False), self.classes, None)
        self.caption = CaptionField()
        self.caption.changed.connect(self._moved)
        self.caption_row = self.row(muted("caption", wrap=False), self.caption, wide=self.caption)
        self.decode = self.box("Pixels", {"mean": "mean of p(x|z)", "sample": "drawn from p(x|z)"})
        set_tip(self.decode, "Means of p(x|z) are smoother than what the model draws; samples of p(x|z) are samples of the model.")
        self.decode_row = self.row(muted("pixels", wrap=False), self.decode, None)
        self.prompt = QLineEdit()
        self.prompt.setPlaceholderText("Prompt")
        self.prompt.setAccessibleName("Prompt")
        set_tip(self.prompt, "How the text begins. Press Enter to grow from here. \\n stands for a line end.")
        self.prompt.editingFinished.connect(self._moved)
        self.length = self.whole_number("Length of the text in symbols", 4096, 64, live=False)
        set_tip(self.length, "How long the text gets, the prompt included. Press Enter to grow.")
        self.text_row = self.row(self.prompt, muted("length", wrap=False), self.length)

    def set_colors(self, c: Colors) -> None:
        super().set_colors(c)
        self.sampler.set_colors(c)

    def _begin_gesture(self) -> None:
        self._gesture += 1

    def _moved(self, *_: object) -> None:
        if self._ours:
            return
        now = monotonic()
        dragging = self.temperature.isSliderDown() or self.top_p.isSliderDown() or self.sampler.dragging
        if now - self._changed_at > MERGE_SECONDS and not dragging:
            self._begin_gesture()
        self._changed_at = now
        self.changed.emit(str(self._gesture))

    def value(self) -> SamplingSettings:
        """What the controls say."""
        return SamplingSettings(
            seed=int(self.seed.text() or 0),
            count=int(self.counts.currentData() or 1),
            temperature=round(self.temperature.exact, 4),
            top_k=int(self.top_k.text() or 0),
            top_p=round(self.top_p.exact, 4),
            label=self.classes.currentData(),
            caption=self.caption.caption,
            cached=self.cached.isChecked(),
            decode=self.decode.currentData(),
            prompt=self.prompt.text().replace("\\n", "\n"),
            length=max(1, int(self.length.text() or 1)),
            sampler=self.sampler.values(),
        )

    def show_settings(
        self,
        s: SamplingSettings,
        began: SamplingBegan | None,
        *,
        text: bool,
        one_row: bool,
        symbols: bool,
        fields: tuple[FieldInfo, ...] | None = None,
        guided: bool = True,
    ) -> None:
        """Say what a draw was made with, by the controls that its method has a use for.

        `one_row`: only one of its samples is drawn, so their number is what it is; `symbols`: they are drawn symbol by symbol;
        `fields`: the settings of a sampler that has some, of which a temperature is none; `guided`: False where guidance is one that the
        method has and this run has no use for.
        """
        self._ours = True
        if int(self.seed.text() or -1) != s.seed:
            self.seed.setText(str(s.seed))
        if self.counts.findData(s.count) < 0:
            self.counts.addItem(str(s.count), s.count)
        self.counts.setCurrentIndex(self.counts.findData(s.count))
        self.counts.setEnabled(not one_row)
        for slider, value in ((self.temperature, s.temperature), (self.top_p, s.top_p)):
            if not slider.isSliderDown():
                slider.set_exact(value)
        if int(self.top_k.text() or 0) != s.top_k:
            self.top_k.setText(str(s.top_k) if s.top_k else "")
        self.cached.setChecked(s.cached)
        self.prompt.setText(s.prompt.replace("\n", "\\n"))
        self.length.setText(str(s.length))
        self.text_row.setVisible(text)
        self.decode.setCurrentIndex(max(0, self.decode.findData(s.decode)))
        self.decode_row.setVisible(began is not None and bool(began.decode))
        self.show_classes(() if began is None else began.classes, s.label)
        words = () if began is None else began.words
        self.caption.show_caption(s.caption, words)
        self.caption_row.setVisible(bool(words))
        self.no_guidance.setVisible(not guided)
        for widget in (self.top_p, self.symbol_row):
            widget.setVisible(symbols)
        self.sampler.set_fields(fields or ())
        self.sampler.show_values(s.sampler)
        self.temperature.setVisible(fields is None)
        self.temperature.describe("temperature", "", tip=TEMPERATURES[symbols])
        self._ours = False

    def show_classes(self, names: tuple[str, ...], label: int | None) -> None:
        if [self.classes.itemText(index) for index in range(1, self.classes.count())] != list(names):
            self.classes.clear()
            self.classes.addItem("any", None)
            for index, name in enumerate(names):
                self.classes.addItem(name, index)
        self.classes.setCurrentIndex(max(0, self.classes.findData(label)))
        self.class_row.setVisible(bool(names))
