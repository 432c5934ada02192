"""Distributions that torch lacks: discretised likelihoods whose masses sum to one. And how much
information is in any of them.
"""

from dalm.probability.bins import log_logistic_mass, log_normal_mass
from dalm.probability.choice import make_head, make_levels_head, suited_head
from dalm.probability.counted import (
    counted_entropy,
    counted_jensen_shannon,
    counted_kl,
    counted_mutual_information,
)
from dalm.probability.heads import (
    BernoulliHead,
    CategoricalHead,
    LevelsHead,
    NormalHead,
    OutputHead,
)
from dalm.probability.information import (
    conditional_entropy,
    cross_entropy,
    entropy,
    jensen_shannon,
    kl,
    mutual_information,
)
from dalm.probability.logistic_mixture import LogisticMixtureHead
from dalm.probability.monte_carlo import (
    Estimate,
    cross_entropy_of,
    entropy_of,
    jensen_shannon_of,
    kl_of,
    mutual_information_of,
)
from dalm.probability.neighbours import knn_entropy, knn_kl, knn_mutual_information
from dalm.probability.normal import NormalChain, NormalDensity, normal, scatter

__all__ = [
    "BernoulliHead",
    "CategoricalHead",
    "Estimate",
    "LevelsHead",
    "LogisticMixtureHead",
    "NormalChain",
    "NormalDensity",
    "NormalHead",
    "OutputHead",
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
    "kl",
    "kl_of",
    "knn_entropy",
    "knn_kl",
    "knn_mutual_information",
    "log_logistic_mass",
    "log_normal_mass",
    "make_head",
    "make_levels_head",
    "mutual_information",
    "mutual_information_of",
    "normal",
    "scatter",
    "suited_head",
]
