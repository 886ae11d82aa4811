"""A question that a moving slider asks again and again: never two under way, and the newest state always gets its answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from app.shell.bridge import Bridge
from engine.messages import Query, QueryFailed


class LatestQuery:
    """Keeps at most one query of its channel in flight; of those wanted meanwhile only the last is sent.

    `on_answer(query, answer)` gets the query it belongs to, so that the pane can see whether it still looks at that run and step.
    """

    def __init__(
        self,
        bridge: Bridge,
        channel: str,
        on_answer: Callable[[Any, Any], None],
        on_failure: Callable[[QueryFailed], None] | None = None,
    ) -> None:
        self.bridge, self.channel, self.on_answer, self.on_failure = bridge, channel, on_answer, on_failure
        self.in_flight: Query | None = None
        self.next: Query | None = None

    def want(self, query: Query) -> None:
        if self.in_flight is None:
            self._send(query)
        else:
            self.next = query

    def forget(self) -> None:
        """Nothing more is wanted; an answer under way is dropped."""
        self.next = self.in_flight = None
        self.bridge.forget(self.channel)

    def _send(self, query: Query) -> None:
        self.in_flight, self.next = query, None
        self.bridge.ask(self.channel, query, partial(self._answered, query), partial(self._failed, query))

    def _go_on(self, query: Query) -> bool:
        if query is not self.in_flight:
            return False
        self.in_flight = None
        if self.next is not None:
            self._send(self.next)
        return True

    def _answered(self, query: Query, answer: Any) -> None:
        if self._go_on(query):
            self.on_answer(query, answer)

    def _failed(self, query: Query, failure: QueryFailed) -> None:
        overtaken = self.next is not None
        if self._go_on(query) and self.on_failure is not None and not overtaken:
            self.on_failure(failure)
