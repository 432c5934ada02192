"""The nouns and the promises: what a datum is, what a model can do, how a model is written down."""

from dalm.core.checks import among, within
from dalm.core.codable import Autoregressive, Variational
from dalm.core.configuration import build, config, restore
from dalm.core.model import (
    Bound,
    Density,
    Estimator,
    Generative,
    Latent,
    Learner,
    Likelihood,
    Loss,
    Recipe,
    evaluating,
    families,
    signature,
)
from dalm.core.spec import Spec

__all__ = [
    "Autoregressive",
    "Bound",
    "Density",
    "Estimator",
    "Generative",
    "Latent",
    "Learner",
    "Likelihood",
    "Loss",
    "Recipe",
    "Spec",
    "Variational",
    "among",
    "build",
    "config",
    "evaluating",
    "families",
    "restore",
    "signature",
    "within",
]
