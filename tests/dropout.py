"""The smallest network that draws random numbers in training, called ``tests.dropout`` as an architecture."""

from torch import Tensor, nn


class Dropout(nn.Module):
    def __init__(self, *, classes: int, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5))
        self.linear = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.body(x).mean(dim=(2, 3)))
        return logits


build = Dropout
