"""One late import at a time.

Python breaks the deadlock of two threads that import the same package for the first time by giving each the other's half-made
modules. So a package that is imported late, because it is heavy and seldom needed, is imported within `with IMPORTING:`.
"""

from __future__ import annotations

import threading

IMPORTING = threading.RLock()
