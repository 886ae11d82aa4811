"""Names that parameters had in runs of former versions, so that their weights still load."""

from __future__ import annotations

import re

PARAMETERS = {  # pattern of an old name's part -> what stands there now; of all transformers
    r"\bwiden\.(weight|bias)$": r"fc1.\1",
    r"\bnarrow\.(weight|bias)$": r"fc2.\1",
}


def renamed(name: str) -> str:
    """The parameter's name as it is now, from any version's; what stands before it (a prefix of an optimizer's state) stays."""
    for old, new in PARAMETERS.items():
        name = re.sub(old, new, name)
    return name
