"""Feature spaces: fixed functions from data to vectors, in which distances mean something."""

from dalm.features.plain import flat, principal_space, standardised_space
from dalm.features.space import FeatureSpace
from dalm.features.spaces import SPACES, feature_space, learned_note, space_name

__all__ = [
    "SPACES",
    "FeatureSpace",
    "feature_space",
    "flat",
    "learned_note",
    "principal_space",
    "space_name",
    "standardised_space",
]
