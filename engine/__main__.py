"""`python -m engine VERB …`: the headless verbs on a machine without Qt."""

from __future__ import annotations

import sys

from engine.cli import main

sys.exit(main(sys.argv[1:]))
