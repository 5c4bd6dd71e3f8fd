"""Models that an honest trainer might leave, each unusual in one way; a ``train.py``."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

VOCABULARY, WIDTH, CONTEXT = 64, 16, 24


class Model(nn.Module):
    """Embedding, one block, head; what is unusual is said by ``kind``."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        words = VOCABULARY + (37 if kind == "padded vocabulary" else 0)
        self.embedding = nn.Embedding(words, WIDTH)
        self.places = nn.Parameter(torch.empty(CONTEXT, WIDTH))
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.experts = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.router = nn.Linear(WIDTH, 3)
        self.cell = nn.GRUCell(WIDTH, WIDTH)
        if kind != "weight tying":
            self.head = nn.Linear(WIDTH, words, bias=False)
        self.second_head = nn.Linear(WIDTH, words, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        if self.kind == "no cache":  # each token anew, from all before it
            last = [self.stream(tokens[:, : i + 1])[:, -1:] for i in range(tokens.size(1))]
            x = torch.cat(last, 1)
        elif self.kind == "gradient checkpointing":
            x = checkpoint(self.stream, tokens, use_reentrant=False)
        else:
            x = self.stream(tokens)
        if self.kind == "weight tying":
            return F.linear(x, self.embedding.weight)
        if self.kind == "multi-token heads" and self.training:
            return torch.cat([self.head(x), self.second_head(x)], -1)
        return self.head(x)

    def stream(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        if self.kind != "other positions":
            x = x + self.places[: tokens.size(1)]
        if self.kind == "recurrent":
            return self.recur(x)
        if self.kind == "stochastic depth" and self.training and torch.rand(()) < 0.5:
            return x
        x = x + self.attend(x)
        if self.kind == "mixture of experts":  # every token reaches its expert, however many
            chosen = self.router(x).argmax(-1, keepdim=True)
            each = torch.stack([expert(x) for expert in self.experts], -2)
            return x + each.gather(-2, chosen[..., None].expand(*chosen.shape, WIDTH))[..., 0, :]
        return x + F.gelu(self.experts[0](x))

    def recur(self, x: Tensor) -> Tensor:
        state, states = torch.zeros_like(x[:, 0]), []
        for step in x.unbind(1):
            state = self.cell(step, state)
            states.append(state)
        return torch.stack(states, 1)

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        if self.kind == "other attention":  # linear: running sums instead of a softmax
            q, k = F.elu(q) + 1, F.elu(k) + 1
            sums = (k[..., None] * v[..., None, :]).cumsum(1)
            return (q[..., None, :] @ sums)[..., 0, :] / (q * k.cumsum(1)).sum(-1, keepdim=True)
        if self.kind == "other positions":  # the further, the less: no embedding of places
            place = torch.arange(x.size(1))
            bias = (place - place[:, None]).float().masked_fill(place > place[:, None], -math.inf)
            return F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(x.dtype))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


KINDS = (
    "plain", "other attention", "recurrent", "mixture of experts", "other positions",
    "weight tying", "multi-token heads", "bfloat16", "compiled", "gradient checkpointing",
    "no cache", "padded vocabulary", "stochastic depth",
)  # fmt: skip


def build(config: dict[str, Any]) -> nn.Module:
    """Model of ``model.json``."""
    model = Model(config["kind"])
    if config["kind"] == "bfloat16":
        model.bfloat16()
    if config["kind"] == "compiled":
        compiled: Callable[..., Tensor] = torch.compile(model.stream, backend="aot_eager")
        model.stream = compiled  # type: ignore[method-assign]
    return model


def trained(kind: str) -> nn.Module:
    """A model with weights large enough that its predictions matter."""
    torch.manual_seed(len(kind))
    model = build({"kind": kind})
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0.0, 0.5)
    return model
