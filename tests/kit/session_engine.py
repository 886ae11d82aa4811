"""The engine without its threads: whatever a pane asks is answered at once by a real session."""

from __future__ import annotations

from typing import Any

from engine import messages as m
from engine.data import BadData
from engine.queries.session import CannotAnswer, QuerySession
from engine.storage.run_folders import BadRun


class PatientEngine:
    """`sent` holds what was asked, in order."""

    def __init__(self, session: QuerySession) -> None:
        self.session = session
        self.events: list[Any] = []
        self.sent: list[Any] = []

    def start(self) -> None: ...

    def send(self, message: Any) -> None:
        self.sent.append(message)
        try:
            if isinstance(message, m.Query):
                self.events.append(self.session.answer(message))
            elif isinstance(message, m.Work):
                told = [event for event in self.session.work(message) if event is not None]
                self.events += [*told, m.Ended(message.job, "ok", "Done.")]
        except (BadData, BadRun, CannotAnswer) as error:
            if isinstance(message, m.Query):
                about = {"stamp": message.stamp, "channel": message.channel, "kind": type(message).__name__}
                self.events.append(m.QueryFailed(**about, message=str(error)))
            else:
                self.events.append(m.Ended(message.job, "failed", str(error)))

    def drain(self, limit: int = 200) -> list[Any]:
        out, self.events = self.events, []
        return out

    def close(self, timeout: float = 2.5) -> bool:
        return True

    def of(self, kind: type) -> list[Any]:
        """Everything of one kind that was asked."""
        return [message for message in self.sent if isinstance(message, kind)]
