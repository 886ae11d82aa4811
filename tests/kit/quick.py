"""How many examples hypothesis tries of what is quick and keeps no state between them."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
