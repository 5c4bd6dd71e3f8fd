"""Train a small convolutional network on images for a number of images, and leave the model.

The file of this setting that may be edited. It writes ``model.safetensors``, ``model.json``,
``trainer.json`` and ``metrics.jsonl`` into ``--out``. Another process scores the model: it calls
``build`` with what ``model.json`` holds, and the model maps images (n, 28, 28) of bytes to logits
(n, classes).

The same seed draws the same parameters by name, the same pool and the same order of images,
whatever else an edit does.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return"

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

CLASSES = 10
MEAN, SPREAD = 73.0, 90.0  # of the pixels of the training images, 0 to 255
DIVERGED = 3


@dataclass(frozen=True)
class TrainOptions:
    """Everything that can be said on the command line, as ``--name=value``."""

    # the rung
    width: int = 24  # channels of the first stage, half those of the second
    depth: int = 2  # convolutions a stage
    images: int = 100_000  # trained on, repeats counted
    pool: int = 25_000  # distinct ones that they are drawn from
    stop: float = 1.0  # share of the planned steps that is run
    resolution: int = 28  # pixels a side that the network sees
    seed: int = 0
    data: str = "."
    out: str = "."
    threads: int = 1
    # optimizer: one rate at every width, so that who shrinks the setting must find the rule
    optimizer: str = "adamw"  # adamw, or sgd with Nesterov's momentum
    lr: float = 0.004  # of AdamW; SGD_RATE times that for sgd
    weight_decay: float = 0.05  # decoupled: lr times this, a step
    beta2: float = 0.99
    batch: int = 32
    # schedule
    schedule: str = "cosine"  # cosine, linear (both to zero) or constant
    warmup: float = 0.05  # share of the steps
    average: float = 0.0  # last share of the steps whose weights are averaged
    # data and loss
    augmentation: str = "none"  # none, flip, shift, flip_shift or cutout
    label_smoothing: float = 0.0
    # structure
    activation: str = "relu"  # relu, gelu, silu or tanh
    norm: str = "batch"  # batch, group or none
    residual: bool = True
    dropout: float = 0.0  # before the head
    kernel: int = 3
    pooling: str = "mean"  # of the last stage: mean or max


SGD_RATE = 25.0
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu, "gelu": F.gelu, "silu": F.silu, "tanh": torch.tanh,
}  # fmt: skip
CHOICES = {
    "optimizer": ("adamw", "sgd"),
    "schedule": ("cosine", "linear", "constant"),
    "augmentation": ("none", "flip", "shift", "flip_shift", "cutout"),
    "activation": tuple(ACTIVATIONS),
    "norm": ("batch", "group", "none"),
    "pooling": ("mean", "max"),
}


def truth(text: str) -> bool:
    """Read ``true`` or ``false``."""
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} must be true or false")
    return text == "true"


def parse(argv: list[str]) -> TrainOptions:
    """Read the command line; argparse ends the program with 2 and a line where it is wrong."""
    parser = argparse.ArgumentParser(prog="train", allow_abbrev=False)
    kinds: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "str": str, "bool": truth}
    for field in fields(TrainOptions):
        parser.add_argument(
            f"--{field.name}",
            type=kinds[str(field.type)],
            default=field.default,
            choices=CHOICES.get(field.name),
        )
    o = TrainOptions(**vars(parser.parse_args(argv)))
    for name in ("width", "depth", "images", "pool", "stop", "resolution", "lr", "batch"):
        if not 0 < getattr(o, name) < math.inf:
            parser.error(f"--{name}={getattr(o, name)}: must be positive and finite")
    if o.stop > 1:
        parser.error(f"--stop={o.stop}: must be at most 1")
    return o


# ---------------------------------------------------------------------------------------- model


@dataclass(frozen=True)
class NetworkShape:
    """What ``model.json`` holds: enough to build the model again."""

    width: int
    depth: int
    resolution: int
    activation: str
    norm: str
    residual: bool
    dropout: float
    kernel: int
    pooling: str


class Convolution(nn.Module):
    """Convolution, norm, activation, added to its input where the shapes allow it."""

    def __init__(self, a: NetworkShape, inner: int, outer: int, *, stride: int = 1) -> None:
        super().__init__()
        self.act, self.stride, self.kind = ACTIVATIONS[a.activation], stride, a.norm
        self.weight = nn.Parameter(torch.empty(outer, inner, a.kernel, a.kernel))
        self.scale = nn.Parameter(torch.empty(outer))
        self.bias = nn.Parameter(torch.empty(outer))
        self.is_added = a.residual and stride == 1 and inner == outer
        if a.norm == "batch":
            self.register_buffer("mean", torch.zeros(outer))
            self.register_buffer("variance", torch.ones(outer))

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, inner, height, width) to (n, outer, height / stride, width / stride)."""
        y = F.conv2d(x, self.weight, stride=self.stride, padding=self.weight.size(-1) // 2)
        if self.kind == "batch":
            state = self.mean, self.variance
            y = F.batch_norm(y, *state, self.scale, self.bias, training=self.training)  # type: ignore[arg-type]
        elif self.kind == "group":
            y = F.group_norm(y, 1, self.scale, self.bias)
        else:
            y = y * self.scale[:, None, None] + self.bias[:, None, None]
        y = self.act(y)
        return x + y if self.is_added else y


class Network(nn.Module):
    """Two stages, the second with half the pixels a side and twice the channels; a linear head."""

    def __init__(self, a: NetworkShape) -> None:
        super().__init__()
        self.a = a
        w = a.width
        stages = [Convolution(a, 1, w, stride=2)]
        stages += [Convolution(a, w, w) for _ in range(a.depth)]
        stages += [Convolution(a, w, 2 * w, stride=2)]
        stages += [Convolution(a, 2 * w, 2 * w) for _ in range(a.depth)]
        self.layers = nn.Sequential(*stages)
        self.head = nn.Parameter(torch.empty(CLASSES, 2 * w))
        self.offset = nn.Parameter(torch.empty(CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        """Bytes (n, 28, 28) to logits (n, classes)."""
        x = ((images.float() - MEAN) / SPREAD)[:, None]
        if x.size(-1) != self.a.resolution:
            x = F.adaptive_avg_pool2d(x, self.a.resolution)
        x = self.layers(x.contiguous(memory_format=torch.channels_last))
        x = x.mean((2, 3)) if self.a.pooling == "mean" else x.amax((2, 3))
        if self.a.dropout:
            x = F.dropout(x, self.a.dropout, self.training)
        return F.linear(x, self.head, self.offset)


def build(config: dict[str, Any]) -> Network:
    """Model of ``model.json``, weights not yet loaded."""
    return Network(NetworkShape(**config))


def generator(seed: int, name: str) -> torch.Generator:
    """Random numbers of one purpose; an edit elsewhere leaves them as they were."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def initialise(model: Network, seed: int) -> None:
    """Draw each parameter from (seed, its name) alone."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            leaf = name.rpartition(".")[2]
            if leaf == "weight":
                spread = math.sqrt(2.0 / p[0].numel())
                p.normal_(0.0, spread, generator=generator(seed, name))
            elif leaf == "head":
                p.normal_(0.0, p.size(1) ** -0.5, generator=generator(seed, name))
            else:
                p.fill_(1.0 if leaf == "scale" else 0.0)


# ----------------------------------------------------------------------------------------- data


class Images:
    """Images of a pool in an order fixed by the seed, one epoch after another.

    The pool is the first part of the first epoch's order of all images: until it is used up, its
    size changes nothing.
    """

    def __init__(self, folder: Path, *, pool: int, seed: int) -> None:
        self.images = torch.from_numpy(np.load(folder / "train_images.npy"))
        self.labels = torch.from_numpy(np.load(folder / "train_labels.npy").astype(np.int64))
        self.seed, self.epoch = seed, 0
        order = torch.randperm(len(self.images), generator=generator(seed, "epoch 0"))
        self.pool = self.order = order[:pool]

    def batch(self, first: int, count: int) -> tuple[Tensor, Tensor]:
        """Images (count, 28, 28) of bytes and labels (count,) from place ``first`` on."""
        parts = []
        while count > 0:
            epoch, place = divmod(first, len(self.pool))
            if epoch != self.epoch:
                rng = generator(self.seed, f"epoch {epoch}")
                again = torch.randperm(len(self.pool), generator=rng)
                self.epoch, self.order = epoch, self.pool[again] if epoch else self.pool
            parts.append(self.order[place : place + count])
            first, count = first + len(parts[-1]), count - len(parts[-1])
        chosen = torch.cat(parts)
        return self.images[chosen], self.labels[chosen]


def augmented(x: Tensor, kind: str, rng: torch.Generator) -> Tensor:
    """Images flipped, shifted by up to two pixels, or with a square of eight blanked."""
    n, side = len(x), x.size(-1)
    if "flip" in kind:
        x = torch.where(torch.rand(n, 1, 1, generator=rng) < 0.5, x.flip(-1), x)
    if "shift" in kind:
        by = torch.randint(5, (2, n, 1), generator=rng) + torch.arange(side)
        x = F.pad(x, (2, 2, 2, 2))
        x = x[torch.arange(n)[:, None, None], by[0][:, :, None], by[1][:, None, :]]
    if kind == "cutout":
        corner = torch.randint(side - 7, (2, n, 1), generator=rng)
        rows, columns = ((torch.arange(side) - c).abs_() for c in corner + 3)
        x = x.masked_fill((rows <= 4)[:, :, None] & (columns <= 4)[:, None, :], 0)
    return x


# ----------------------------------------------------------------------------------------- loop


def optimizer(model: Network, o: TrainOptions) -> torch.optim.Optimizer:
    """AdamW or SGD; norms and offsets are not decayed."""
    named = list(model.named_parameters())
    decayed = [p for name, p in named if name.endswith(("weight", "head"))]
    rest = [p for name, p in named if not name.endswith(("weight", "head"))]
    if o.optimizer == "adamw":
        groups: list[dict[str, Any]] = [{"params": decayed, "weight_decay": o.weight_decay}]
        groups += [{"params": rest, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=o.lr, betas=(0.9, o.beta2), fused=True)
    groups = [{"params": decayed, "weight_decay": o.weight_decay / SGD_RATE}]
    groups += [{"params": rest, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=o.lr * SGD_RATE, momentum=0.9, nesterov=True, fused=True)


def share_of_peak(o: TrainOptions, done: float, step: float) -> float:
    """Learning rate as a share of the peak; ``done`` of 1, ``step`` one step."""
    up = (done + step) / o.warmup if o.warmup > 0 else 1.0
    down = {"cosine": 0.5 + 0.5 * math.cos(math.pi * done), "linear": 1.0 - done}
    return min(1.0, up) * down.get(o.schedule, 1.0)


def lines(steps: int) -> Iterator[int]:
    """Steps after which progress is written: at most forty, the last among them."""
    yield from range(0, steps - 1, -(-steps // 40))
    yield steps - 1


def train(o: TrainOptions) -> int:
    """Train and write the model; 0, or 3 if the loss is lost."""
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)  # dropout
    begun, out = time.perf_counter(), Path(o.out)
    data = Images(Path(o.data), pool=o.pool, seed=o.seed)
    kept = {f.name: getattr(o, f.name) for f in fields(NetworkShape)}
    model = build(kept).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    initialise(model, o.seed)
    opt, rng = optimizer(model, o), generator(o.seed, "augmentation")
    steps = max(1, o.images // o.batch)
    run = max(1, round(o.stop * steps))
    params = list(model.parameters())
    mean, averaged = [p.detach().clone() for p in params] if o.average else [], 0
    due, text = set(lines(run)), ""
    for step in range(run):
        images, labels = data.batch(step * o.batch, o.batch)
        if o.augmentation != "none":
            images = augmented(images, o.augmentation, rng)
        loss = F.cross_entropy(model(images), labels, label_smoothing=o.label_smoothing)
        loss.backward()
        share = share_of_peak(o, step / steps, 1 / steps)
        for group in opt.param_groups:
            group["lr"] = share * o.lr * (SGD_RATE if o.optimizer == "sgd" else 1.0)
        opt.step()
        opt.zero_grad()
        if o.average and step >= (1.0 - o.average) * steps:
            averaged += 1
            torch._foreach_lerp_(mean, [p.detach() for p in params], 1.0 / averaged)
        if step in due:
            value = loss.item()
            if not value < 50:
                return DIVERGED
            seconds = round(time.perf_counter() - begun, 3)
            line = {"step": step + 1, "steps": run, "loss": value, "seconds": seconds}
            text += json.dumps(line) + "\n"
            (out / "metrics.jsonl").write_text(text)
    if averaged:
        with torch.no_grad():
            torch._foreach_copy_(params, mean)
    write(model, o, images=run * o.batch, seconds=time.perf_counter() - begun)
    return 0


def write(model: Network, o: TrainOptions, *, images: int, seconds: float) -> None:
    """Leave weights, architecture and what was spent."""
    out = Path(o.out)
    weights = {name: q.detach().contiguous() for name, q in model.state_dict().items()}
    save_file(weights, str(out / "model.safetensors"))
    (out / "model.json").write_text(json.dumps(asdict(model.a)) + "\n")
    spent = {"images": images, "epochs": images / min(o.pool, 60_000), "seconds": seconds}
    (out / "trainer.json").write_text(json.dumps(spent) + "\n")


if __name__ == "__main__":
    sys.exit(train(parse(sys.argv[1:])))
