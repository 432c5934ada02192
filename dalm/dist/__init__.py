"""Distributions that torch lacks: discretised likelihoods whose masses sum to one."""

from dalm.dist.bins import log_logistic_mass, log_normal_mass
from dalm.dist.chain import NormalChain, NormalDensity, normal, scatter
from dalm.dist.outputs import Bernoulli, Categorical, LogisticMixture, Normal, Output

__all__ = ["Bernoulli", "Categorical", "LogisticMixture", "Normal", "NormalChain", "NormalDensity", "Output", "log_logistic_mass", "log_normal_mass", "normal", "scatter"]
