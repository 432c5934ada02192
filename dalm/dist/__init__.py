"""Distributions that torch lacks: discretised likelihoods whose masses sum to one."""

from dalm.dist.bins import log_logistic_mass, log_normal_mass
from dalm.dist.chain import NormalChain, NormalDensity, NormalPredictor, normal, scatter
from dalm.dist.outputs import Bernoulli, Categorical, Levels, LogisticMixture, Normal, Output
from dalm.dist.predictors import Grouped, Independent, Mixture, Predictor

__all__ = ["Bernoulli", "Categorical", "Grouped", "Independent", "Levels", "LogisticMixture", "Mixture", "Normal", "NormalChain", "NormalDensity", "NormalPredictor", "Output", "Predictor", "log_logistic_mass", "log_normal_mass", "normal", "scatter"]
