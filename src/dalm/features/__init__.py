"""Feature spaces: fixed functions from data to vectors, in which distances mean something."""

from dalm.features.spaces import FeatureSpace, feature_space

__all__ = ["FeatureSpace", "feature_space"]
