"""Train the feature net for scikit-learn's digits and write
`src/dalm/features/digits-cnn-v1.safetensors`, and beside it fingerprints of what it learned from.

It sees the first 1,100 rows only (the training split), so that features of validation and test rows
are as honest as those of samples. Run `python scripts/train_digits_features.py`; it takes seconds
on one core, prints the accuracy on the last 500 rows and the hash. Another machine may round
differently and give another hash: then raise the version in the name, because scores of two
versions do not compare.
"""

from __future__ import annotations

import torch
from safetensors.torch import save
from sklearn.datasets import load_digits  # type: ignore[import-untyped]
from torch import Tensor, nn

from dalm.features.digits import LEARNED, WEIGHTS, DigitsNet
from dalm.features.learned import write_learned
from dalm.features.space import sha8

ROWS = 1100
BATCH = 61
EPOCHS = 60


def shifted(x: Tensor, generator: torch.Generator) -> Tensor:
    """The batch moved by at most one pixel in each direction.

    The last 500 digits are by other writers, who place them elsewhere.
    """
    row, column = torch.randint(0, 3, (2,), generator=generator).tolist()
    padded = nn.functional.pad(x, (1, 1, 1, 1))
    return padded[:, :, row : row + 8, column : column + 8]


def train(x: Tensor, y: Tensor, seed: int = 0) -> DigitsNet:
    """A net that classifies digits.

    Args:
        x: (B, 1, 8, 8), levels 0 … 16.
        y: (B,) their labels.
        seed: of weights, order and shifts.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    net = DigitsNet()
    batches = len(x) // BATCH
    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=EPOCHS * batches)

    for _ in range(EPOCHS):
        order = torch.randperm(len(x), generator=generator)
        for rows in order[: batches * BATCH].split(BATCH):
            scores = net(shifted(x[rows], generator))
            loss = nn.functional.cross_entropy(scores, y[rows], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return net.eval()


def main() -> None:
    """Train, say how good it is, and write the weights."""
    torch.set_num_threads(1)
    digits = load_digits()
    x = torch.tensor(digits.images).float()[:, None]
    y = torch.tensor(digits.target)
    net = train(x[:ROWS], y[:ROWS])
    content = save(net.state_dict())
    WEIGHTS.write_bytes(content)
    write_learned(LEARNED, x[:ROWS])

    right = (net(x[-500:]).argmax(1) == y[-500:]).float().mean().item()
    size = f"{len(content):,} bytes"
    print(f"{WEIGHTS.name}: {size}, #{sha8(content)}, {right:.1%} right on the last 500")


if __name__ == "__main__":
    main()
