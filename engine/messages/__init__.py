"""The whole vocabulary between window and engine, one file for each conversation. Nothing heavy is imported."""

from engine.messages.base import *  # noqa: F403
from engine.messages.bayes import *  # noqa: F403
from engine.messages.chains import *  # noqa: F403
from engine.messages.classifier_errors import *  # noqa: F403
from engine.messages.curation import *  # noqa: F403
from engine.messages.data import *  # noqa: F403
from engine.messages.disentanglement import *  # noqa: F403
from engine.messages.embedding import *  # noqa: F403
from engine.messages.jobs import *  # noqa: F403
from engine.messages.latent import *  # noqa: F403
from engine.messages.methods import *  # noqa: F403
from engine.messages.patches import *  # noqa: F403
from engine.messages.probing import *  # noqa: F403
from engine.messages.rate_distortion import *  # noqa: F403
from engine.messages.rollout import *  # noqa: F403
from engine.messages.runs import *  # noqa: F403
from engine.messages.sampling import *  # noqa: F403
from engine.messages.scoring import *  # noqa: F403
from engine.messages.views import *  # noqa: F403
