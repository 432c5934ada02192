"""The families. One family is one file; this list is written by hand."""

from __future__ import annotations

from dalm.core import Generative
from dalm.models.dcgan import DCGAN
from dalm.models.discriminant import Discriminant
from dalm.models.gaussian import Gaussian
from dalm.models.kde import KDE
from dalm.models.pixelcnn import PixelCNN
from dalm.models.reference import REFERENCES, Copycat, Histogram, Noise
from dalm.models.vae import VAE

FAMILIES: tuple[type[Generative], ...] = (Gaussian, Discriminant, KDE, PixelCNN, VAE, DCGAN)
"""Every family, in the order in which a scoreboard shows them."""

__all__ = [
    "DCGAN",
    "FAMILIES",
    "KDE",
    "REFERENCES",
    "VAE",
    "Copycat",
    "Discriminant",
    "Gaussian",
    "Histogram",
    "Noise",
    "PixelCNN",
]
