"""The families as the conformance suite sees them: options that make them small."""

from dalm.models import DCGAN, FAMILIES, KDE, VAE, PixelCNN
from dalm.testing import TestCase

SMALL = {
    PixelCNN: {"width": 8, "depth": 2},
    VAE: {"latent": 2, "width": 16, "depth": 1, "samples": 64},
    DCGAN: {"latent": 4, "width": 4},
    KDE: {"bandwidth": 0.7},
}
CASES = {family.family: TestCase(family, SMALL.get(family, {})) for family in FAMILIES}
