"""The networks of `benches/training.rs` in PyTorch on a CPU: images per second of training steps.

    OMP_WAIT_POLICY=passive python3 benches/training_pytorch.py [THREADS]
"""

import sys
import time

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, inputs, channels, stride, norm):
        super().__init__()

        def after():
            return nn.BatchNorm2d(channels) if norm else nn.Identity()

        self.first = nn.Sequential(
            nn.Conv2d(inputs, channels, 3, stride, 1, bias=not norm), after(), nn.ReLU()
        )
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=not norm), after()
        )
        self.shortcut = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, channels, 1, stride), after())

    def forward(self, x):
        return torch.relu(self.second(self.first(x)) + self.shortcut(x))


def resnet(blocks, norm):
    layers = [nn.Conv2d(3, 16, 3, 1, 1), nn.BatchNorm2d(16) if norm else nn.Identity(), nn.ReLU()]
    inputs = 16
    for stage, count in enumerate(blocks):
        for block in range(count):
            channels = 16 << stage
            layers.append(Block(inputs, channels, 2 if stage and not block else 1, norm))
            inputs = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


def main():
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
    images, labels = torch.randn(128, 3, 32, 32), torch.arange(128) % 10
    images = images.to(memory_format=torch.channels_last)
    for name, blocks in [("resnet8", [1, 1, 1]), ("resnet20", [3, 3, 3])]:
        for norm in [False, True]:
            net = resnet(blocks, norm).to(memory_format=torch.channels_last).train()
            sgd = torch.optim.SGD(net.parameters(), 0.05, 0.9, weight_decay=5e-4, nesterov=True)
            seconds = []
            for _ in range(12):
                start, cpu = time.perf_counter(), time.process_time()
                sgd.zero_grad()
                nn.functional.cross_entropy(net(images), labels).backward()
                sgd.step()
                seconds.append((time.perf_counter() - start, time.process_time() - cpu))
            wall = sorted(s[0] for s in seconds[2:])[5]
            cpu = sorted(s[1] for s in seconds[2:])[5]
            print(f"{name}, norm {norm}: {128 / wall:.0f} images/s, {128 / cpu:.0f} per CPU second")


main()
