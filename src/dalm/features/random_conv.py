"""`random-conv-v1`: random convolutions at up to three scales.

Their outputs are pooled to means over quadrants and to standard deviations. Untrained features rank
models sensibly without a trained net (Ulyanov et al. 2018; Naeem et al. 2020 use random nets for
data unlike ImageNet).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dalm.core import Spec
from dalm.features.space import FeatureSpace, sha8

FILTERS = 8
KERNEL = 5
MOST_SCALES = 3
SEED = 20170907


class RandomConv(nn.Module):
    """Random 5×5 convolutions on an image pyramid.

    Means over quadrants say where things are, standard deviations what texture they have.

    Args:
        spec: an image Spec; discrete levels are scaled to [0, 1].

    >>> RandomConv(Spec((1, 28, 28)))(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 120])
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        channels, height, width = spec.shape
        self.scale = 1.0 if spec.levels is None else 1.0 / (spec.levels - 1)
        # A scale below 4 pixels a side has less in it than its filter is wide.
        large_enough = [min(height, width) >= 4 * 2**s for s in range(MOST_SCALES)]
        self.scales = sum(large_enough) or 1

        shape = (self.scales, FILTERS, channels, KERNEL, KERNEL)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(SEED))
        fan_in = KERNEL**2 * channels
        self.register_buffer("filters", noise * (2 / fan_in) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Images, (B, C, H, W), to (B, scales * 40)."""
        parts: list[Tensor] = []
        for filters in self.get_buffer("filters"):
            maps = nn.functional.conv2d(x * self.scale, filters, padding=KERNEL // 2).relu()
            quadrants = nn.functional.adaptive_avg_pool2d(maps, 2)
            textures = maps.flatten(2).std(2, correction=0)
            parts += [quadrants.flatten(1), textures]
            if min(x.shape[2:]) > 1:
                x = nn.functional.avg_pool2d(x, 2)
        return torch.cat(parts, 1)


def random_conv_space(spec: Spec) -> FeatureSpace:
    """Random features, named by the hash of the filters and of what they are applied to.

    >>> random_conv_space(Spec((3, 32, 32), levels=256)).name.split("#")[0]
    'random-conv-v1'
    """
    net = RandomConv(spec)
    filters = net.get_buffer("filters").numpy().tobytes()
    content = repr((spec.shape, spec.levels)).encode() + filters
    return FeatureSpace(f"random-conv-v1#{sha8(content)}", net)


def are_images(spec: Spec) -> bool:
    """Whether data are images, (C, H, W).

    >>> are_images(Spec((2,)))
    False
    """
    return len(spec.shape) == 3
