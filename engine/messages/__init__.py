"""The whole vocabulary between window and engine, one file for each conversation. Nothing heavy is imported."""

from engine.messages.core import *  # noqa: F403
from engine.messages.embedding import *  # noqa: F403
from engine.messages.growing import *  # noqa: F403
from engine.messages.judging import *  # noqa: F403
from engine.messages.probing import *  # noqa: F403
from engine.messages.viewing import *  # noqa: F403
