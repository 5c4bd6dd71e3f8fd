"""Train a small GPT within a budget of FLOPs. The one file of this setting that may be edited.

Read it top to bottom: knobs, rules that derive everything from depth, model, optimizer, loop.
It writes ``model.safetensors``, ``model.json``, ``trainer.json`` and ``metrics.jsonl`` into
``--out``; another process, which this one never meets, scores the model. ``build`` is what that
process calls, and a model maps tokens (batch, time) to logits (batch, time, vocabulary).

The budget is honest: FLOPs a token are counted on the operations of the first step, and the
number of steps follows. A change that costs more a token trains on fewer tokens.

The architecture is nanochat's as of late 2026, in our own words and for one device.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokens import KnobError, Metrics, TokenWindows, counted_flops, parse_knobs, tune_cpu
from torch import Tensor, nn

# ---------------------------------------------------------------------------------------- knobs


@dataclass(frozen=True)
class Knobs:
    """Everything that can be said on the command line, as ``--name=value``."""

    depth: int = 2
    flops: float = 1.25e11
    seed: int = 0
    data: str = "."
    out: str = "."
    threads: int = 1
    device: str = "cpu"
    scale: str = "small"  # which table of rules below: small (CPU) or nanochat (GPU)
    aspect: int = 0  # width = aspect * depth; 0: the table's
    context: int = 0  # 0: the table's
    head_dim: int = 0  # 0: the table's
    # structure
    qk_norm: bool = True
    activation: str = "relu2"  # relu2, gelu, swiglu (same parameters)
    mlp_ratio: float = 4.0
    value_embeddings: bool = True
    residual_scalars: bool = True
    tied_head: bool = False
    softcap: float = 15.0  # 0: none
    rope_base: float = 10000.0
    # optimizer
    matrix_optimizer: str = "muon"  # muon, adamw
    matrix_lr: float = 0.02
    embedding_lr: float = 0.3
    unembedding_lr: float = 0.008
    scalar_lr: float = 0.5
    lr_multiplier: float = 1.0
    lr_width_scaling: bool = True
    weight_decay: float = 0.0
    momentum: float = 0.95
    ns_steps: int = 5
    normuon: bool = True
    batch_multiplier: float = 1.0
    warmup: float = 0.0  # share of the steps
    warmdown: float = 0.65
    final_lr: float = 0.0
    average: float = 0.0  # share of the steps whose weights are averaged at the end
    z_loss: float = 0.0
    salt: int = 0
    order: int = -1


def main() -> int:
    return 0


# --------------------------------------------------------------------------------------- model


class Norm(torch.autograd.Function):
    """RMS norm without parameters; by hand because on a CPU small operations are the bill."""

    @staticmethod
    def forward(ctx, x):
        r = torch.linalg.vector_norm(x, dim=-1, keepdim=True).mul_(x.size(-1) ** -0.5)
        r = r.add_(1e-6).reciprocal_()
        y = x * r
        ctx.save_for_backward(y, r)
        return y

    @staticmethod
    def backward(ctx, g):
        y, r = ctx.saved_tensors
        dot = (g * y).mean(-1, keepdim=True)
        return torch.addcmul(g, y, dot, value=-1.0).mul_(r)


def norm(x):
    return Norm.apply(x)


class Relu2(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        r = x.relu()
        ctx.save_for_backward(r)
        return r * r

    @staticmethod
    def backward(ctx, g):
        (r,) = ctx.saved_tensors
        return (g * r).mul_(2.0)


class HeadLoss(torch.autograd.Function):
    """Mean cross-entropy of softcapped logits, chunked so that the logits never leave the cache.

    The gradient is made on the way forward. No maximum is subtracted: softcapped logits cannot
    overflow exp.
    """

    @staticmethod
    def forward(ctx, x, w, targets, cap, z):
        n = x.size(0)
        gx = torch.empty_like(x)
        gw = torch.zeros_like(w)
        total = 0.0
        chunk = max(1, (1 << 18) // w.size(0))
        xs = x * (1.0 / cap)
        rows = torch.arange(chunk)
        for i in range(0, n, chunk):
            xc, t = xs[i : i + chunk], targets[i : i + chunk]
            k = xc.size(0)
            th = torch.mm(xc, w.t()).tanh_()
            e = (th * cap).exp_()
            lse = e.sum(-1)
            picked = th.gather(1, t[:, None]).squeeze(1)
            total = total + (lse.log() - cap * picked).sum()
            e.mul_(lse.mul(n).reciprocal_()[:, None])
            e[rows[:k], t] -= 1.0 / n
            # d logit = cap (1 - th^2) d(z), z = x w / cap
            e.addcmul_(e * th, th, value=-1.0)
            torch.mm(e, w, out=gx[i : i + k])
            gw.addmm_(e.t(), xc, beta=1.0, alpha=cap)
        ctx.save_for_backward(gx, gw)
        return total / n

    @staticmethod
    def backward(ctx, g):
        gx, gw = ctx.saved_tensors
        return gx * g, gw * g, None, None, None


class Block(nn.Module):
    def __init__(self, c: dict, i: int):
        super().__init__()
        C = c["width"]
        self.c = c
        self.qkv = nn.Parameter(torch.empty(3 * C, C))
        self.proj = nn.Parameter(torch.empty(C, C))
        h = c["hidden"]
        self.up = nn.Parameter(torch.empty(h * (2 if c["activation"] == "swiglu" else 1), C))
        self.down = nn.Parameter(torch.empty(C, h))
        self.has_ve = c["value_embeddings"] and i % 2 == (c["depth"] - 1) % 2
        if self.has_ve:
            self.ve = nn.Parameter(torch.empty(c["vocabulary"], C))
            self.ve_gate = nn.Parameter(torch.empty(C // c["head_dim"], 16))

    def forward(self, x, idx, rope):
        B, T, C = x.shape
        c = self.c
        D = c["head_dim"]
        H = C // D
        h = norm(x)
        qkv = F.linear(h, self.qkv).view(B, T, 3 * H, D)
        qk, v = qkv.split([2 * H, H], 2)
        qk = rotate(qk, rope)
        if c["qk_norm"]:
            qk = norm(qk)
        q, k = qk.transpose(1, 2).split(H, 1)
        if self.has_ve:
            gate = 2 * torch.sigmoid(F.linear(h[..., :16], self.ve_gate))
            v = v + gate[..., None] * F.embedding(idx, self.ve).view(B, T, H, D)
        y = F.scaled_dot_product_attention(q, k, v.transpose(1, 2), is_causal=True)
        y = y.transpose(1, 2).reshape(B, T, C)
        x = x + F.linear(y, self.proj)
        u = F.linear(norm(x), self.up)
        a = c["activation"]
        if a == "relu2":
            u = Relu2.apply(u)
        elif a == "gelu":
            u = F.gelu(u)
        else:
            g, u = u.chunk(2, -1)
            u = F.silu(g) * u
        return x + F.linear(u, self.down)


def rotate(x, rope):
    z = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(z * rope).flatten(-2)


class GPT(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        C, V = c["width"], c["vocabulary"]
        self.wte = nn.Parameter(torch.empty(V, C))
        self.blocks = nn.ModuleList(Block(c, i) for i in range(c["depth"]))
        if not c["tied_head"]:
            self.head = nn.Parameter(torch.empty(V, C))
        if c["residual_scalars"]:
            self.resid = nn.Parameter(torch.ones(c["depth"]))
            self.x0 = nn.Parameter(torch.zeros(c["depth"]))
        d = c["head_dim"]
        freq = c["rope_base"] ** (-torch.arange(0, d, 2) / d)
        ang = torch.outer(torch.arange(c["context"]).float(), freq)
        self.register_buffer("rope", torch.polar(torch.ones_like(ang), ang)[:, None], False)

    def forward(self, idx, targets=None, z=0.0):
        c = self.c
        x = norm(F.embedding(idx, self.wte))
        x0 = x
        for i, b in enumerate(self.blocks):
            if c["residual_scalars"]:
                x = self.resid[i] * x + self.x0[i] * x0
            x = b(x, idx, self.rope[: idx.size(1)])
        x = norm(x)
        w = self.wte if c["tied_head"] else self.head
        if targets is not None and c["softcap"] > 0:
            return HeadLoss.apply(x.view(-1, c["width"]), w, targets.view(-1), c["softcap"], z)
        logits = F.linear(x, w).float()
        if c["softcap"] > 0:
            logits = c["softcap"] * torch.tanh(logits / c["softcap"])
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1), targets.view(-1))


def build(config):
    return GPT(config)


def init(model, seed):
    C = model.c["width"]
    s = math.sqrt(3.0 / C)
    with torch.no_grad():
        for name, p in model.named_parameters():
            key = int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:7], "big")
            g = torch.Generator().manual_seed(key)
            leaf = name.rsplit(".", 1)[-1]
            if leaf == "wte":
                p.normal_(0, 1.0 if not model.c["tied_head"] else 0.02, generator=g)
            elif leaf == "head":
                p.normal_(0, 0.001, generator=g)
            elif leaf in ("qkv", "up", "ve"):
                p.uniform_(-s, s, generator=g)
            elif leaf in ("proj", "down", "ve_gate"):
                p.zero_()
            elif leaf == "resid":
                p.fill_(1.0)
            elif leaf == "x0":
                p.fill_(0.1)


# ----------------------------------------------------------------------------------- optimizer

POLAR = [
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
]


class Muon:
    """Momentum, then the nearest orthogonal matrix, for all matrices of one shape at once."""

    def __init__(self, params, k):
        self.momentum, self.ns, self.normuon = k.momentum, k.ns_steps, k.normuon
        self.wd = k.weight_decay
        self.groups = {}
        for name, p in params:
            n = 3 if name.endswith("qkv") else 1
            m = p.view(n, -1, p.size(1))
            tr = m.size(1) > m.size(2)
            shape = (m.size(2), m.size(1)) if tr else (m.size(1), m.size(2))
            scale = max(1.0, m.size(1) / m.size(2)) ** 0.5
            self.groups.setdefault(shape, []).append((p, n, tr, scale))
        self.state = {}
        for shape, units in self.groups.items():
            b = sum(n for _, n, _, _ in units)
            sc = torch.cat([torch.full((n, 1, 1), s) for _, n, _, s in units])
            self.state[shape] = (torch.zeros(b, *shape), torch.zeros(b, shape[0], 1), sc)

    def step(self, lr, t, momentum):
        for shape, units in self.groups.items():
            buf, second, sc = self.state[shape]
            g = torch.cat(
                [
                    p.grad.view(n, -1, p.size(1)).mT if tr else p.grad.view(n, -1, p.size(1))
                    for p, n, tr, _ in units
                ]
            )
            buf.lerp_(g, 1 - momentum)
            x = g.lerp_(buf, momentum)
            x.div_(x.norm(dim=(1, 2), keepdim=True) * 1.02 + 1e-6)
            for a, b, c in POLAR[: self.ns]:
                A = x @ x.mT
                Bm = torch.baddbmm(A, A, A, beta=b, alpha=c)
                x = torch.baddbmm(x, Bm, x, beta=a)
            if self.normuon:
                row = x.square().mean(-1, keepdim=True)
                before = row.sum((1, 2), keepdim=True)
                second.lerp_(row, 0.05)
                inv = second.clamp(min=1e-10).rsqrt()
                after = (row * inv.square()).sum((1, 2), keepdim=True)
                x = x * (inv * (before / after.clamp(min=1e-10)).sqrt())
            x.mul_(sc)
            i = 0
            for p, n, tr, _ in units:
                u = x[i : i + n]
                u = (u.mT if tr else u).reshape(p.shape)
                if self.wd:
                    u = u + self.wd * p * (u * p > 0)
                p.sub_(u, alpha=lr)
                i += n


# ----------------------------------------------------------------------------------------- run


def run(k: Knobs) -> int:
    torch.manual_seed(k.seed)
    tune_cpu(k.threads)
    aspect = k.aspect or 16
    ctx = k.context or 128
    hd = k.head_dim or 16
    width = aspect * k.depth
    data = TokenWindows(Path(k.data), context=ctx, seed=(k.seed if k.order < 0 else k.order))
    hidden = int(k.mlp_ratio * width)
    if k.activation == "swiglu":
        hidden = round(hidden * 2 / 3)
    c = dict(
        depth=k.depth,
        width=width,
        hidden=hidden,
        head_dim=hd,
        vocabulary=data.vocabulary,
        context=ctx,
        qk_norm=k.qk_norm,
        activation=k.activation,
        value_embeddings=k.value_embeddings,
        residual_scalars=k.residual_scalars,
        tied_head=k.tied_head,
        softcap=k.softcap,
        rope_base=k.rope_base,
    )
    model = GPT(c)
    init(model, k.seed + 1000 * k.salt)
    named = list(model.named_parameters())
    mats = [(n, p) for n, p in named if n.startswith("blocks") and n.split(".")[-1] in ("qkv", "proj", "up", "down")]
    N = sum(p.numel() for _, p in mats) + data.vocabulary * width
    x, y = data.batch(0, 1)
    fpt = counted_flops(lambda: model(x, y).backward()) / ctx
    for p in model.parameters():
        p.grad = None
    tokens = k.flops / fpt
    batch = max(1, round(k.batch_multiplier * 8 * (tokens / 5.7e5) ** 0.383))
    steps = max(1, round(tokens / (batch * ctx)))
    s = k.lr_multiplier * (min(1.0, 32 / width) if k.lr_width_scaling else 1.0)
    muon = Muon(mats, k)
    groups = [
        dict(params=[p for n, p in named if n.endswith("wte") or n.endswith(".ve")], lr=k.embedding_lr * s),
        dict(params=[p for n, p in named if n == "head"], lr=k.unembedding_lr * s),
        dict(params=[p for n, p in named if n in ("resid", "x0") or n.endswith("gate")], lr=k.scalar_lr * s * 0.01),
    ]
    for g in groups:
        g["base"] = g["lr"]
    adam = torch.optim.AdamW([g for g in groups if g["params"]], betas=(0.8, 0.95), eps=1e-10, weight_decay=0.0, fused=True)
    metrics = Metrics(Path(k.out), steps=steps)
    avg, navg = None, 0
    for step in range(steps):
        x, y = data.batch(step * batch, batch)
        loss = model(x, y, k.z_loss)
        loss.backward()
        done = step / steps
        f = 1.0
        if k.warmup > 0:
            f = min(f, (step + 1) / (k.warmup * steps))
        f = min(f, max(k.final_lr, (1 - done) / k.warmdown))
        with torch.no_grad():
            mom = k.momentum - 0.1 * max(0.0, 1 - done / 0.1)
            muon.step(k.matrix_lr * s * f, step, mom)
            for g in adam.param_groups:
                g["lr"] = g["base"] * f
            adam.step()
            for p in model.parameters():
                p.grad = None
            if k.average > 0 and step >= steps * (1 - k.average):
                navg += 1
                ps = list(model.parameters())
                if avg is None:
                    avg = [p.clone() for p in ps]
                else:
                    torch._foreach_lerp_(avg, ps, 1 / navg)
        if metrics.wanted(step + 1):
            v = loss.item()
            metrics.write(step + 1, loss=v)
            if not math.isfinite(v) or v > math.log(data.vocabulary) + 3:
                return 3
    if avg is not None:
        with torch.no_grad():
            torch._foreach_copy_(list(model.parameters()), avg)
    out = Path(k.out)
    save_file(model.state_dict(), str(out / "model.safetensors"))
    (out / "model.json").write_text(json.dumps(c))
    sec = metrics.seconds()
    (out / "trainer.json").write_text(
        json.dumps(dict(tokens=steps * batch * ctx, flops=fpt * steps * batch * ctx, fpt=fpt, steps=steps, batch=batch, N=N, seconds=sec))
    )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(run(parse_knobs(Knobs, sys.argv[1:])))
    except KnobError as e:
        sys.stderr.write(f"train: {e}\n")
        sys.exit(2)
