"""Locked companion of ``train.py``: three operations by hand, each beside its plain form.

At these sizes a CPU spends its time on small operations, not on arithmetic; by hand there are
fewer. Elsewhere the plain form runs, which a compiler fuses. All are checked against their plain
form by a test. An edit that wants another operation writes it in ``train.py``.
"""

# ruff: noqa: D102  (forward and backward are what their class says)

# mypy: disable-error-code="no-untyped-call, no-any-return, override"

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class Norm(torch.autograd.Function):
    """``x / sqrt(mean(x^2))`` over the last axis: RMS norm without parameters."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        rms = torch.linalg.vector_norm(x, dim=-1, keepdim=True).mul_(x.size(-1) ** -0.5)
        inverse = rms.add_(1e-6).reciprocal_()
        y = x * inverse
        ctx.save_for_backward(y, inverse)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        y, inverse = ctx.saved_tensors
        return torch.addcmul(g, y, (g * y).mean(-1, keepdim=True), value=-1.0).mul_(inverse)


class Relu2(torch.autograd.Function):
    """``relu(x)^2``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        positive = x.relu()
        ctx.save_for_backward(positive)
        return positive * positive

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return (g * ctx.saved_tensors[0]).mul_(2.0)


class HeadLoss(torch.autograd.Function):
    """``cross_entropy(softcap * tanh(x @ w.T / softcap), targets)`` (+ z_loss * logsumexp^2).

    In chunks that stay in the cache, gradients made on the way forward: logits are the largest
    tensor of a small model. Softcapped logits cannot overflow exp, so no maximum is subtracted.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w: Tensor, targets: Tensor, cap: float, z_loss: float
    ) -> Tensor:
        n, chunk = x.size(0), max(1, (1 << 18) // w.size(0))
        gx, gw, total = torch.empty_like(x), torch.zeros_like(w), x.new_zeros(())
        scaled, rows = x * (1.0 / cap), torch.arange(chunk)
        for i in range(0, n, chunk):
            part, target = scaled[i : i + chunk], targets[i : i + chunk]
            place = rows[: part.size(0)]
            t = torch.mm(part, w.t()).tanh_()
            p = (t * cap).exp_()
            mass = p.sum(-1, keepdim=True)
            log_mass = mass.log()
            total += log_mass.sum() - cap * t[place, target].sum()
            weight = mass.mul_(n).reciprocal_()
            if z_loss:
                total += z_loss * log_mass.square().sum()
                weight = weight.addcmul_(weight, log_mass, value=2.0 * z_loss)
            p.mul_(weight)
            p[place, target] -= 1.0 / n
            p.mul_(t.mul_(t).sub_(1.0))  # minus the derivative of tanh; the sign goes below
            torch.mm(p, w, out=gx[i : i + chunk])
            gw.addmm_(p.t(), part, alpha=-cap)
        ctx.save_for_backward(gx.neg_(), gw)
        return total / n

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        gx, gw = ctx.saved_tensors
        return gx * g, gw * g, None, None, None


def norm(x: Tensor) -> Tensor:
    """Norm of the last axis, by hand on a CPU and left to the compiler elsewhere."""
    y: Tensor = Norm.apply(x) if x.device.type == "cpu" else F.rms_norm(x, (x.size(-1),))
    return y


def rotate(x: Tensor, rotary: Tensor) -> Tensor:
    """Rotary positions: neighbours in the last axis are turned as one complex number."""
    pairs = x.float().unflatten(-1, (-1, 2))
    if x.device.type == "cpu":
        turned = torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(rotary))
    else:  # the compiler knows no complex numbers
        (a, b), (cos, sin) = pairs.unbind(-1), rotary.unbind(-1)
        turned = torch.stack([a * cos - b * sin, a * sin + b * cos], -1)
    return turned.flatten(-2).type_as(x)


def relu2(x: Tensor) -> Tensor:
    """``relu(x)^2``."""
    y: Tensor = Relu2.apply(x) if x.device.type == "cpu" else F.relu(x).square()
    return y


def head_loss(x: Tensor, w: Tensor, targets: Tensor, *, softcap: float, z_loss: float) -> Tensor:
    """Mean cross-entropy of softcapped logits ``x @ w.T``, plus ``z_loss * logsumexp^2``."""
    if softcap and x.device.type == "cpu":
        loss: Tensor = HeadLoss.apply(x, w, targets, softcap, z_loss)
        return loss
    logits = capped(F.linear(x, w).float(), softcap)
    loss = F.cross_entropy(logits, targets)
    return loss + z_loss * logits.logsumexp(-1).square().mean() if z_loss else loss


def capped(logits: Tensor, softcap: float) -> Tensor:
    """Bend logits smoothly into (-softcap, softcap); 0 leaves them alone."""
    return softcap * torch.tanh(logits / softcap) if softcap else logits
