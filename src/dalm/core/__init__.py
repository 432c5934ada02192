"""The nouns and the promises: what a datum is, what a model can do, how a model is written down."""

from dalm.core.batch import Batch, Stream
from dalm.core.capabilities import CAPABILITIES, Capability, capabilities, conditions
from dalm.core.codable import Autoregressive, Variational
from dalm.core.completer import Completer
from dalm.core.configuration import build, config, restore
from dalm.core.density import Bound, Density, Likelihood
from dalm.core.latent import Code, Codes, Latent
from dalm.core.learning import Estimator, Learner, Player, Recipe, Step, Turn, Work
from dalm.core.model import Generative, evaluating, families
from dalm.core.outside import (
    allow,
    find_family,
    import_family,
    installed_families,
    without_places,
)
from dalm.core.spec import Spec
from dalm.core.stage import Stage

__all__ = [
    "CAPABILITIES",
    "Autoregressive",
    "Batch",
    "Bound",
    "Capability",
    "Code",
    "Codes",
    "Completer",
    "Density",
    "Estimator",
    "Generative",
    "Latent",
    "Learner",
    "Likelihood",
    "Player",
    "Recipe",
    "Spec",
    "Stage",
    "Step",
    "Stream",
    "Turn",
    "Variational",
    "Work",
    "allow",
    "build",
    "capabilities",
    "conditions",
    "config",
    "evaluating",
    "families",
    "find_family",
    "import_family",
    "installed_families",
    "restore",
    "without_places",
]
