"""Distributions that torch lacks: discretised likelihoods whose masses sum to one. And how much information is in any of them."""

from dalm.dist.bins import log_logistic_mass, log_normal_mass
from dalm.dist.chain import NormalChain, NormalDensity, NormalPredictor, normal, scatter
from dalm.dist.estimators import (
    counted_entropy,
    counted_jensen_shannon,
    counted_kl,
    counted_mutual_information,
    knn_entropy,
    knn_kl,
    knn_mutual_information,
)
from dalm.dist.information import (
    Estimate,
    conditional_entropy,
    cross_entropy,
    cross_entropy_of,
    entropy,
    entropy_of,
    jensen_shannon,
    jensen_shannon_of,
    kl,
    kl_of,
    mutual_information,
    mutual_information_of,
)
from dalm.dist.kernels import KernelPredictor, kernel_masses
from dalm.dist.outputs import Bernoulli, Categorical, Levels, LogisticMixture, Normal, Output
from dalm.dist.predictors import Grouped, Independent, Mixture, Predictor

__all__ = [
    "Bernoulli",
    "Categorical",
    "Estimate",
    "Grouped",
    "Independent",
    "KernelPredictor",
    "Levels",
    "LogisticMixture",
    "Mixture",
    "Normal",
    "NormalChain",
    "NormalDensity",
    "NormalPredictor",
    "Output",
    "Predictor",
    "conditional_entropy",
    "counted_entropy",
    "counted_jensen_shannon",
    "counted_kl",
    "counted_mutual_information",
    "cross_entropy",
    "cross_entropy_of",
    "entropy",
    "entropy_of",
    "jensen_shannon",
    "jensen_shannon_of",
    "kernel_masses",
    "kl",
    "kl_of",
    "knn_entropy",
    "knn_kl",
    "knn_mutual_information",
    "log_logistic_mass",
    "log_normal_mass",
    "mutual_information",
    "mutual_information_of",
    "normal",
    "scatter",
]
