"""Train a small GPT within a budget of FLOPs. The one file of this setting that may be edited.

Read it top to bottom: knobs, rules that derive everything from depth, operations, model,
optimizers, loop. It writes ``model.safetensors``, ``model.json``, ``trainer.json`` and
``metrics.jsonl`` into ``--out``. Another process, which this one never meets, scores the model:
it calls ``build`` with what ``model.json`` holds, and the model maps tokens (batch, time) to
logits (batch, time, vocabulary).

The budget is honest: FLOPs a token are counted on the operations of the first step, and the
number of steps follows. A change that costs more a token trains on fewer tokens.

The architecture is today's nanochat in our own words: rotary positions, QK norm, ReLU squared,
RMS norm without parameters, untied head, softcapped logits, value embeddings, smear, scalars on
the residual stream, Muon for matrices, AdamW for the rest. CPU and CUDA run the same file.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return, import-not-found"

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from operations import capped, head_loss, norm, relu2, rotate
from safetensors.torch import save_file
from tokens import KnobError, Metrics, TokenWindows, counted_flops, parse_knobs, tune_cpu
from torch import Tensor, nn

# ---------------------------------------------------------------------------------------- knobs


@dataclass(frozen=True)
class Knobs:
    """Everything that can be said on the command line, as ``--name=value``.

    Learning rates are multiples of the rule's, never absolute: a number tuned at one depth says
    nothing about the next, a rule may.
    """

    # the rung
    depth: int = 2  # the dial
    flops: float = 1.27e11  # budget of training, forward and backward
    stop: float = 1.0  # share of the planned steps that is run, and of the budget that is spent
    pool: float = 1.0  # share of the training text that is drawn from
    seed: int = 0  # of initialisation and order of the data
    data: str = "."
    out: str = "."
    threads: int = 1
    device: str = "cpu"  # cpu or cuda
    rules: str = "small"  # small or nanochat, see RULES
    aspect: int = 0  # width = aspect * depth; 0: by rule
    context: int = 0  # tokens a window; 0: by rule
    batch_rows: int = 0  # windows a forward pass, where memory is short; 0: all of the batch
    # structure
    head_dim: int = 0  # 0: by rule
    qk_norm: bool = True
    activation: str = "relu2"  # relu2, gelu, or swiglu with as many parameters
    mlp_ratio: float = 4.0
    value_embeddings: bool = True
    smear: bool = True  # part of the last token's embedding in this one's
    residual_scalars: bool = True
    tied_head: bool = False
    softcap: float = 15.0  # 0: none
    rope_base: float = 10_000.0
    # optimizers
    matrix_optimizer: str = "muon"  # muon or adamw
    lr_multiplier: float = 1.0  # of all four below
    matrix_lr_multiplier: float = 1.0
    embedding_lr_multiplier: float = 1.0
    unembedding_lr_multiplier: float = 1.0
    scalar_lr_multiplier: float = 1.0
    lr_width_scaling: bool = True
    weight_decay: float = 0.0  # added to the rule's, matrices only
    momentum: float = 0.95  # of Muon
    orthogonal_steps: int = 5  # of Muon, at most 5
    row_variance: bool = True  # NorMuon's second moment
    beta1: float = 0.8  # of AdamW
    beta2: float = 0.95
    # schedule
    batch_multiplier: float = 1.0
    warmup: float = 0.0  # share of the steps
    warmdown: float = 0.5  # share of the steps
    final_lr: float = 0.0  # share of the peak
    average: float = 0.0  # last share of the steps whose weights are averaged
    # loss
    z_loss: float = 0.0

    def __post_init__(self) -> None:
        for name, known in (
            ("activation", ("relu2", "gelu", "swiglu")),
            ("matrix_optimizer", ("muon", "adamw")),
            ("rules", tuple(RULES)),
            ("device", ("cpu", "cuda")),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"--{name}={getattr(self, name)}: must be {' or '.join(known)}")
        for name in ("depth", "flops", "threads", "lr_multiplier", "batch_multiplier", "warmdown"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"--{name}={getattr(self, name)}: must be positive and finite")
        for name, most in (("stop", 1), ("pool", 1), ("orthogonal_steps", len(POLAR))):
            if not 0 < getattr(self, name) <= most:
                raise ValueError(f"--{name}={getattr(self, name)}: must be over 0, at most {most}")
        if not 0 <= self.momentum < 1 or self.z_loss < 0 or self.softcap < 0:
            raise ValueError("--momentum must be in [0, 1), --z_loss and --softcap not negative")


# ---------------------------------------------------------------------------------------- rules


@dataclass(frozen=True)
class Rules:
    """How everything follows from depth, with tokens in proportion to parameters."""

    aspect: int
    head_dim: int
    context: int
    batch_tokens: float  # at reference_tokens
    reference_tokens: float  # of a training run
    reference_width: int
    matrix_lr: float
    embedding_lr: float
    unembedding_lr: float
    scalar_lr: float
    matrix_width_exponent: float  # learning rate ~ (reference_width / width)^exponent, above it
    other_width_exponent: float
    lr_follows_batch: bool  # learning rate ~ sqrt(batch / batch_tokens)
    weight_decay: float


RULES = {
    # Measured here, at five tokens a parameter and there only (benchmarks/results/
    # nanochat_sweep.csv, read in dev/LOG.md): rates fall as width^-0.8 although the batch grows.
    # The head's rate matters most: at nanochat's ratio to the matrices', a quarter of this one, d2
    # loses .03 bpb.
    "small": Rules(
        aspect=16, head_dim=16, context=128,
        batch_tokens=1024, reference_tokens=5.7e5, reference_width=32,
        matrix_lr=0.023, embedding_lr=0.41, unembedding_lr=0.038, scalar_lr=0.0068,
        matrix_width_exponent=0.8, other_width_exponent=0.8,
        lr_follows_batch=False, weight_decay=0.0,
    ),
    # nanochat's documented rules, anchored at its d12. Not measured here.
    "nanochat": Rules(
        aspect=64, head_dim=128, context=2048,
        batch_tokens=2**19, reference_tokens=1.16e9, reference_width=768,
        matrix_lr=0.02, embedding_lr=0.3, unembedding_lr=0.008, scalar_lr=0.005,
        matrix_width_exponent=0.0, other_width_exponent=0.5,
        lr_follows_batch=True, weight_decay=0.2,
    ),
}  # fmt: skip

BATCH_EXPONENT = 0.383  # of tokens: the critical batch grows about so, at every scale published


@dataclass(frozen=True)
class Architecture:
    """What ``model.json`` holds: enough to build the model again."""

    depth: int
    width: int
    hidden: int
    head_dim: int
    vocabulary: int
    context: int
    qk_norm: bool
    activation: str
    value_embeddings: bool
    smear: bool
    residual_scalars: bool
    tied_head: bool
    softcap: float
    rope_base: float


def architecture(k: Knobs, vocabulary: int) -> Architecture:
    """Shape of the model: width follows depth, the rest follows width."""
    rules = RULES[k.rules]
    width = (k.aspect or rules.aspect) * k.depth
    head_dim = k.head_dim or rules.head_dim
    if width % head_dim or head_dim % 2:
        raise KnobError(f"--head_dim={head_dim}: must be even and divide the width, {width}")
    swiglu = k.activation == "swiglu"  # three matrices instead of two, each two thirds as large
    derived: dict[str, Any] = {
        "width": width,
        "hidden": round(k.mlp_ratio * width * (2 / 3 if swiglu else 1)),
        "head_dim": head_dim,
        "vocabulary": vocabulary,
        "context": k.context or rules.context,
    }
    same = {f.name: getattr(k, f.name) for f in fields(Architecture) if f.name not in derived}
    return Architecture(**derived, **same)


@dataclass(frozen=True)
class Plan:
    """What the budget buys."""

    flops_per_token: float
    batch: int  # windows a step
    steps: int
    stop: int  # the step after which the run ends, the schedule's last or before
    matrix_lr: float
    embedding_lr: float
    unembedding_lr: float
    scalar_lr: float
    weight_decay: float


def plan(k: Knobs, a: Architecture, flops_per_token: float) -> Plan:
    """Tokens from the budget, batch from the tokens, learning rates from width and batch."""
    rules = RULES[k.rules]
    tokens = k.flops / flops_per_token
    batch = rules.batch_tokens * (tokens / rules.reference_tokens) ** BATCH_EXPONENT
    batch *= k.batch_multiplier
    windows = max(1, round(batch / a.context))
    narrow = rules.reference_width / a.width
    if k.rules == "small":
        narrow = min(1.0, narrow)  # below it, at the smoke rung, rates stay
    lr = k.lr_multiplier * ((batch / rules.batch_tokens) ** 0.5 if rules.lr_follows_batch else 1.0)
    matrix, other = lr, lr
    if k.lr_width_scaling:
        matrix *= narrow**rules.matrix_width_exponent
        other *= narrow**rules.other_width_exponent
    # nanochat: decay ~ sqrt(batch) / tokens; capped, or small depths would be all decay
    decay = (batch / rules.batch_tokens) ** 0.5 * rules.reference_tokens / tokens
    steps = max(1, round(tokens / (windows * a.context)))
    return Plan(
        flops_per_token=flops_per_token,
        batch=windows,
        steps=steps,
        stop=max(1, round(k.stop * steps)),
        matrix_lr=matrix * k.matrix_lr_multiplier * rules.matrix_lr,
        embedding_lr=other * k.embedding_lr_multiplier * rules.embedding_lr,
        unembedding_lr=other * k.unembedding_lr_multiplier * rules.unembedding_lr,
        scalar_lr=other * k.scalar_lr_multiplier * rules.scalar_lr,
        weight_decay=rules.weight_decay * min(1.0, decay) + k.weight_decay,
    )


# ---------------------------------------------------------------------------------------- model


class Block(nn.Module):
    """Attention, then MLP, each added to the stream. Projections back into it begin at zero."""

    def __init__(self, a: Architecture, layer: int) -> None:
        super().__init__()
        self.a, self.heads = a, a.width // a.head_dim
        gated = a.activation == "swiglu"
        self.qkv = nn.Parameter(torch.empty(3 * a.width, a.width))
        self.proj = nn.Parameter(torch.empty(a.width, a.width))
        self.up = nn.Parameter(torch.empty(a.hidden * (2 if gated else 1), a.width))
        self.down = nn.Parameter(torch.empty(a.width, a.hidden))
        # A second embedding of the token itself, added to the values of every other layer, the
        # last included: many parameters, no FLOPs. Worth .02-.04 bpb at d2 (dev/LOG.md).
        self.has_values = a.value_embeddings and layer % 2 == (a.depth - 1) % 2
        if self.has_values:
            self.values = nn.Parameter(torch.empty(a.vocabulary, a.width))
            self.gate = nn.Parameter(torch.empty(self.heads, min(16, a.width)))

    def attention(self, x: Tensor, tokens: Tensor, rotary: Tensor) -> Tensor:
        """Mix over time; ``x`` is normed already."""
        batch, time, heads = x.size(0), x.size(1), self.heads
        qkv = F.linear(x, self.qkv).view(batch, time, 3 * heads, -1)
        qk, v = qkv.split([2 * heads, heads], 2)
        qk = rotate(qk, rotary)
        if self.a.qk_norm:
            qk = norm(qk)
        if self.has_values:
            gate = 2 * torch.sigmoid(F.linear(x[..., : self.gate.size(1)], self.gate))
            v = v + gate[..., None] * F.embedding(tokens, self.values).view_as(v)
        q, k = qk.transpose(1, 2).split(heads, 1)
        y = F.scaled_dot_product_attention(q, k, v.transpose(1, 2), is_causal=True)
        return F.linear(y.transpose(1, 2).reshape(x.shape), self.proj)

    def mlp(self, x: Tensor) -> Tensor:
        """Mix over channels; ``x`` is normed already."""
        h = F.linear(x, self.up)
        if self.a.activation == "relu2":
            h = relu2(h)
        elif self.a.activation == "gelu":
            h = F.gelu(h)
        else:
            gate, h = h.chunk(2, -1)
            h = F.silu(gate) * h
        return F.linear(h, self.down)

    def forward(self, x: Tensor, tokens: Tensor, rotary: Tensor) -> Tensor:
        """Stream (batch, time, width) to stream."""
        x = x + self.attention(norm(x), tokens, rotary)
        return x + self.mlp(norm(x))


class GPT(nn.Module):
    """Tokens (batch, time) to logits (batch, time, vocabulary), or to the loss of ``targets``."""

    rotary: Tensor

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.a = a
        self.embedding = nn.Parameter(torch.empty(a.vocabulary, a.width))
        self.blocks = nn.ModuleList(Block(a, i) for i in range(a.depth))
        if not a.tied_head:
            self.head = nn.Parameter(torch.empty(a.vocabulary, a.width))
        if a.smear:
            self.smear_scalar = nn.Parameter(torch.empty(1))
            self.smear_gate = nn.Parameter(torch.empty(1, min(16, a.width)))
        if a.residual_scalars:  # each layer's input = stream * its scalar + embedding * another
            self.stream_scalar = nn.Parameter(torch.empty(a.depth))
            self.embedding_scalar = nn.Parameter(torch.empty(a.depth))
        turns = a.rope_base ** (-torch.arange(0, a.head_dim, 2) / a.head_dim)
        angles = torch.outer(torch.arange(a.context).float(), turns)[:, None]
        rotary = torch.stack([angles.cos(), angles.sin()], -1)
        # one copy a head: broadcasting complex products costs three times as much
        rotary = rotary.expand(-1, 2 * a.width // a.head_dim, -1, -1).contiguous()
        self.register_buffer("rotary", rotary, persistent=False)

    def forward(
        self, tokens: Tensor, targets: Tensor | None = None, *, z_loss: float = 0.0
    ) -> Tensor:
        """Logits, or the loss where there are targets."""
        a, rotary = self.a, self.rotary[: tokens.size(1)]
        x = norm(F.embedding(tokens, self.embedding))
        if a.smear:
            # Without it d2 is .03 bpb worse with about twice the seed noise. assumption: it must
            # first build a head that looks one token back, and when is luck (dev/LOG.md).
            gate = torch.sigmoid(F.linear(x[:, 1:, : self.smear_gate.size(1)], self.smear_gate))
            x = torch.cat([x[:, :1], x[:, 1:] + 2 * self.smear_scalar * gate * x[:, :-1]], 1)
        first = x
        for i, block in enumerate(self.blocks):
            if a.residual_scalars:
                x = self.stream_scalar[i] * x + self.embedding_scalar[i] * first
            x = block(x, tokens, rotary)
        x = norm(x)
        w = self.embedding if a.tied_head else self.head
        if targets is None:
            return capped(F.linear(x, w).float(), a.softcap)
        flat = x.view(-1, a.width)
        return head_loss(flat, w, targets.flatten(), softcap=a.softcap, z_loss=z_loss)


def build(config: dict[str, Any]) -> GPT:
    """Model of ``model.json``, weights not yet loaded."""
    return GPT(Architecture(**config))


def initialise(model: GPT, seed: int) -> None:
    """Draw each parameter from (seed, its name) alone.

    An edit that adds, drops or reshapes one parameter leaves all others as they were, so a trial
    stays paired with its baseline in everything the edit does not touch.
    """
    bound = math.sqrt(3.0 / model.a.width)  # uniform with standard deviation width^-1/2
    for name, p in model.named_parameters():
        digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
        rng = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        leaf = name.rpartition(".")[2]
        with torch.no_grad():
            if leaf == "embedding":
                p.normal_(0.0, 0.02 if model.a.tied_head else 1.0, generator=rng)
            elif leaf == "head":
                p.normal_(0.0, 0.001, generator=rng)
            elif leaf in ("qkv", "up", "values"):
                p.uniform_(-bound, bound, generator=rng)
            elif leaf in ("proj", "down", "gate", "smear_gate"):
                p.zero_()
            else:
                p.fill_({"stream_scalar": 1.0, "embedding_scalar": 0.1, "smear_scalar": 1.0}[leaf])


# ----------------------------------------------------------------------------------- optimizers

# Polar Express (Amsel et al. 2025): the best odd quintics for five steps, safety factor 1.02.
POLAR = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)


class Muon:
    """Momentum, then the nearest orthogonal matrix, for all matrices of one shape at once.

    q, k and v count as three matrices. Rows are the shorter side. ``row_variance`` evens out the
    rows' sizes by a running second moment and keeps the norm of the whole (NorMuon).
    """

    def __init__(self, params: list[tuple[str, nn.Parameter]], k: Knobs, decay: float) -> None:
        self.k, self.decay = k, decay
        self.groups: dict[torch.Size, list[tuple[nn.Parameter, int, bool]]] = {}
        for name, p in params:
            parts = 3 if name.endswith("qkv") else 1
            tall = p.size(0) // parts > p.size(1)
            shape = self._matrices(p, parts, tall).shape[1:]
            self.groups.setdefault(shape, []).append((p, parts, tall))
        self.momentum = {shape: self._gathered(shape).zero_() for shape in self.groups}
        self.second = {s: torch.zeros_like(m[:, :, :1]) for s, m in self.momentum.items()}

    @staticmethod
    def _matrices(x: Tensor, parts: int, tall: bool) -> Tensor:
        split = x.detach().view(parts, -1, x.size(1))
        return split.mT if tall else split

    def _gathered(self, shape: torch.Size, *, grad: bool = False) -> Tensor:
        units = self.groups[shape]
        return torch.cat([self._matrices(p.grad if grad else p, n, t) for p, n, t in units])  # type: ignore[arg-type]

    def step(self, lr: float, *, momentum: float) -> None:
        """Apply one update to every matrix."""
        for shape, units in self.groups.items():
            grad = self._gathered(shape, grad=True).float()
            running = self.momentum[shape].lerp_(grad, 1 - momentum)
            update = self._orthogonal(grad.lerp_(running, momentum))
            if self.k.row_variance:
                update = self._even_rows(update, self.second[shape])
            for (p, n, tall), part in zip(
                units, update.split([n for _, n, _ in units]), strict=True
            ):
                target = self._matrices(p, n, tall)
                size = (shape[1] / shape[0]) ** 0.5 if tall else 1.0  # matrices that widen
                if self.decay:  # cautious: only where update and weight agree
                    target.addcmul_(target, (part * target > 0).float(), value=-lr * self.decay)
                target.sub_(part, alpha=lr * size)

    def _orthogonal(self, x: Tensor) -> Tensor:
        if x.is_cuda:
            x = x.bfloat16()
        x = x / (torch.linalg.matrix_norm(x, keepdim=True) * 1.02 + 1e-6)
        for a, b, c in POLAR[: self.k.orthogonal_steps]:
            gram = torch.bmm(x, x.mT)
            x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
        return x.float()

    @staticmethod
    def _even_rows(update: Tensor, second: Tensor) -> Tensor:
        power = update.square().mean(-1, keepdim=True)
        inverse = second.lerp_(power, 0.05).clamp(min=1e-10).rsqrt_()
        after = (power * inverse * inverse).sum((1, 2), keepdim=True)
        kept = (power.sum((1, 2), keepdim=True) / after.clamp_(min=1e-10)).sqrt_()
        return update * inverse.mul_(kept)


class Adam:
    """AdamW without decay, all tensors of one rate in one fused call.

    torch.optim's class makes the same calls at three times their price in Python.
    """

    def __init__(self, params: list[Tensor], lr: float, k: Knobs) -> None:
        self.params, self.lr, self.k = params, lr, k
        self.first = [torch.zeros_like(p) for p in params]
        self.second = [torch.zeros_like(p) for p in params]
        self.steps = [torch.zeros((), device=p.device) for p in params]

    def step(self, share: float) -> None:
        """Apply one update at ``share`` of the peak rate."""
        grads = [p.grad for p in self.params if p.grad is not None]
        torch._foreach_add_(self.steps, 1)
        torch._fused_adamw_(
            self.params, grads, self.first, self.second, [], self.steps,
            lr=self.lr * share, beta1=self.k.beta1, beta2=self.k.beta2, weight_decay=0.0,
            eps=1e-10, amsgrad=False, maximize=False,
        )  # fmt: skip


MATRICES = ("qkv", "proj", "up", "down")


def optimizers(model: GPT, k: Knobs, p: Plan) -> tuple[Muon | None, list[Adam]]:
    """Muon for the blocks' matrices; AdamW for embeddings, head and scalars, at own rates."""
    named = list(model.named_parameters())
    leaf = {name: name.rpartition(".")[2] for name, _ in named}
    matrices = [(name, q) for name, q in named if leaf[name] in MATRICES]
    rates = {"embedding": p.embedding_lr, "values": p.embedding_lr, "head": p.unembedding_lr}
    if model.a.tied_head:
        rates["embedding"] = p.unembedding_lr
    groups: dict[float, list[Tensor]] = {}
    for name, q in named:
        if leaf[name] not in MATRICES:
            groups.setdefault(rates.get(leaf[name], p.scalar_lr), []).append(q)
    if k.matrix_optimizer == "adamw":
        # Where orthogonal updates have size lr, Adam's have size lr an entry: width^-1/2 less
        # is about the same norm. A start, not a tuned rate: matrix_lr_multiplier moves it.
        lr = 0.5 * p.matrix_lr * (RULES[k.rules].reference_width / 4) ** -0.5
        groups.setdefault(lr, []).extend(q for _, q in matrices)
        return None, [Adam(group, lr, k) for lr, group in groups.items()]
    return Muon(matrices, k, p.weight_decay), [Adam(group, lr, k) for lr, group in groups.items()]


# ----------------------------------------------------------------------------------------- loop


def schedule(k: Knobs, done: float, step: float) -> float:
    """Share of the peak rate: linear up, flat, linear down; ``done`` of 1, ``step`` one step."""
    up = (done + step) / k.warmup if k.warmup > 0 else 1.0
    return min(1.0, up, k.final_lr + (1.0 - k.final_lr) * (1.0 - done) / k.warmdown)


def counted_flops_per_token(model: GPT, data: TokenWindows, device: str) -> float:
    """FLOPs of training on a token, from the operations of a forward and backward pass."""
    tokens, targets = (t.to(device) for t in data.batch(0, 1))
    flops = counted_flops(lambda: model(tokens, targets).backward())
    model.zero_grad(set_to_none=True)
    return float(flops / tokens.numel())


def microbatches(data: TokenWindows, first: int, count: int, k: Knobs) -> Iterator[Any]:
    """Inputs, targets and weight of each part of a batch."""
    rows = k.batch_rows or count
    for i in range(first, first + count, rows):
        size = min(rows, first + count - i)
        tokens, targets = data.batch(i, size)
        yield tokens.to(k.device), targets.to(k.device), size / count


def train(k: Knobs) -> int:
    """Train and write the model; 0, or 3 if the loss is lost."""
    tune_cpu(k.threads)
    out = Path(k.out)
    context = k.context or RULES[k.rules].context
    data = TokenWindows(Path(k.data), context=context, seed=k.seed, pool=k.pool)
    a = architecture(k, data.vocabulary)
    model = GPT(a)
    initialise(model, k.seed)
    model.to(k.device)
    p = plan(k, a, counted_flops_per_token(model, data, k.device))
    muon, adams = optimizers(model, k, p)
    forward = torch.compile(model) if k.device == "cuda" else model
    params: list[Tensor] = list(model.parameters())
    mean, averaged = [q.detach().clone() for q in params] if k.average else [], 0
    metrics = Metrics(out, steps=p.stop)
    start, lost = math.log(a.vocabulary), False
    for step in range(p.stop):
        done, loss = step / p.steps, torch.zeros((), device=k.device)
        for tokens, targets, weight in microbatches(data, step * p.batch, p.batch, k):
            with torch.autocast(k.device, torch.bfloat16, enabled=k.device == "cuda"):
                part = forward(tokens, targets, z_loss=k.z_loss)
            (part if weight == 1.0 else part * weight).backward()
            loss += part.detach() * weight
        share = schedule(k, done, 1 / p.steps)
        with torch.no_grad():
            if muon:  # momentum rises over the first tenth: early gradients soon mislead
                momentum = k.momentum - 0.1 * max(0.0, 1.0 - 10.0 * done)
                muon.step(p.matrix_lr * share, momentum=momentum)
            for adam in adams:
                adam.step(share)
            if k.average and done >= 1.0 - k.average:
                averaged += 1
                torch._foreach_lerp_(mean, params, 1.0 / averaged)
        for q in params:
            q.grad = None
        if metrics.wanted(step + 1):
            value = loss.item()
            lost = not value < start + 3.0  # also where it is not a number
            metrics.write(step + 1, loss=value if math.isfinite(value) else 1e9, lr=share)
            if lost:
                return 3
    if averaged:
        with torch.no_grad():
            torch._foreach_copy_(params, mean)
    write(out, model, p, seconds=metrics.seconds())
    return 0


def write(out: Path, model: GPT, p: Plan, *, seconds: float) -> None:
    """Leave weights, architecture and what was spent."""
    weights = {name: q.detach().cpu().contiguous() for name, q in model.named_parameters()}
    save_file(weights, str(out / "model.safetensors"))
    (out / "model.json").write_text(json.dumps(asdict(model.a), indent=1) + "\n")
    tokens = p.stop * p.batch * model.a.context
    scaled = sum(q.numel() for n, q in weights.items() if n.rpartition(".")[2] in MATRICES)
    spent = {"tokens": tokens, "flops": p.flops_per_token * tokens, "seconds": round(seconds, 3)}
    counts = {"matrix_and_head_parameters": scaled + model.a.vocabulary * model.a.width}
    (out / "trainer.json").write_text(json.dumps({**spent, **counts, **asdict(p)}) + "\n")


def main(argv: list[str]) -> int:
    """Command line; 2 and one line on stderr where it makes no sense."""
    try:
        return train(parse_knobs(Knobs, argv))
    except KnobError as error:
        sys.stderr.write(f"train: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
