"""Other names for the classes of a set; classes of one name become one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.data.dataset import Source


def rename_classes(source: Source, names: Mapping[str, str]) -> None:
    """Give classes other names. One that gets the name of another is merged with it, at the place of the first of them.

    The classes as they were are kept as `understood["classes"]`; names that no class has are noted.
    """
    source.understood["classes"] = list(source.classes)
    for name in names:
        if name not in source.classes:
            source.notes.append(f"No class is called “{name}”, so none was renamed to “{names[name]}”.")
    new = [names.get(name, name) for name in source.classes]
    classes = tuple(dict.fromkeys(new))
    number = np.array([classes.index(name) for name in new], np.int64)
    for part in source.parts.values():
        if part.labels is not None:
            part.labels = number[part.labels]
    for name in classes:
        former = [old for old, now in zip(source.classes, new, strict=True) if now == name]
        if len(former) > 1:
            source.notes.append(f"The classes {', '.join(f'“{old}”' for old in former[:10])} were made one, “{name}”, as asked for.")
    source.classes = classes
