"""The nouns and the promises: what a datum is, what a model can do, how a model is written down."""

from dalm.core.checks import DalmError, among, check_seed, did_you_mean, whole, within
from dalm.core.codable import Autoregressive, Variational
from dalm.core.configuration import build, config, restore
from dalm.core.model import (
    Absorber,
    Bound,
    Density,
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
    "Absorber",
    "Autoregressive",
    "Bound",
    "DalmError",
    "Density",
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
    "check_seed",
    "config",
    "did_you_mean",
    "evaluating",
    "families",
    "restore",
    "signature",
    "whole",
    "within",
]
