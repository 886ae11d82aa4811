"""Data sets and single pictures: readers of foreign files, built-in sets, splits and reports. No torch here.

`open_data` and `inspect` give a `DataSet`, `read_image` gives a `Picture`, and `adapt` makes of any picture what a network sees.
A new kind of source is one file in `readers/`.
"""

from __future__ import annotations

from engine.data.builtin import built_in
from engine.data.dataset import BadData, DataSet, FirstAnswer, SampleWish, Split
from engine.data.decoder import close, read_image
from engine.data.inspecting import describe_data, first_answer_of, inspect, lasting, open_data
from engine.data.pictures import Picture, adapt, picture_from_array

__all__ = [
    "BadData",
    "DataSet",
    "FirstAnswer",
    "Picture",
    "SampleWish",
    "Split",
    "adapt",
    "built_in",
    "close",
    "describe_data",
    "first_answer_of",
    "inspect",
    "lasting",
    "open_data",
    "picture_from_array",
    "read_image",
]
