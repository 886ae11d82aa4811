"""No “1 images”: numbers stand with their nouns by one helper on either side, and no sentence glues an s to a number by itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.shell.formatting import things
from engine.common.counting import has_or_have, is_or_are, number_of, was_or_were

ROOT = Path(__file__).resolve().parents[3]
NOUNS = "images|runs|files|steps|samples|classes|points|pictures|keys|frames|groups|days|folders|lines|minutes|errors|rows"
GLUED = re.compile(rf"\{{([^{{}}]*)\}} (?:[a-z-]+ )?(?:{NOUNS})\b")
ROOMS = (
    "engine/cli",
    "engine/queries",
    "engine/training",
    "engine/worker",
    "engine/storage",
    "engine/data",
    "engine/evaluation",
    "engine/common",
    "engine/methods",
    "app/shell",
    "app/panes",
    "app/widgets",
)
NEVER_ONE = re.compile(
    r"[A-Z_]+( \+ 1)?(:,)?"  # limits
    r"|count\((MOST_DROPPED|MOST_OF_A_BATCH|len\((paths|taken)\)|left)\)|len\(paths\)|room|len\(parts\)"  # each said apart where it is one
    r"|self\.deep_files:,"
    r"|len\(others\) \+ 1|len\(work\.samples\)|work\.length:,|frames|n|fitted:,|job\.samples|self\.micro_batch_size|report\.bad_total:,"
    r"|phase\.optimizer for phase in method\.phases|path\.name|"  # no numbers
    r"|SPLITS\[.*\]|number_of\(.*\)|of|split|extractor\.run\.path\.name|method\.title|frame\.frames|frames:,(\.0f)?|"
    r"|event\.rate:,\.0f|length|words|what|kind|run\.name|fact|name|"
    r"mean|some|images:,|decisions|shown|size|count\((size|stretch)\)|side|self\.coordinate|x\.shape\[1\] - 1|type\(method\)\.title|"
    r"ours|theirs|"
    r"count:,|'has been' if running else 'was'|model\.run\.path\.name|len\(self\.places\)|number\(.*\)"
)


@pytest.mark.parametrize(("number", "words"), [(0, "0 images"), (1, "1 image"), (2, "2 images"), (12000, "12,000 images")])
def test_that_one_is_singular(number: int, words: str):
    assert number_of(number, "image") == words
    assert things(number, "image") == words.replace(",", "\u202f")
    verbs = (was_or_were(number), is_or_are(number), has_or_have(number))
    assert verbs == (("was", "is", "has") if number == 1 else ("were", "are", "have"))
    assert number_of(1, "class", "classes") == "1 class" and things(3, "class", "classes") == "3 classes"


def test_that_no_sentence_glues_a_plural_to_a_number():
    found = []
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                for match in GLUED.finditer(line):
                    if not NEVER_ONE.fullmatch(match[1]) and "== 1" not in line:
                        found.append(f"{path.relative_to(ROOT)}:{number} {match[0]}")
    assert found == []
