"""A look-alike of nanoGPT's trainer: its options, its constants, its prints; the model is a toy."""

import os
import pickle
import sys
from ast import literal_eval

import numpy as np
import torch
from model import Bigram

# defaults, overridden by --name=value
out_dir = "out"
eval_interval = 2000
log_interval = 1
eval_iters = 200
always_save_checkpoint = True
dataset = "openwebtext"
gradient_accumulation_steps = 5 * 8
batch_size = 12
block_size = 1024
n_layer = 12
n_head = 12
n_embd = 768
dropout = 0.0
bias = False
learning_rate = 6e-4  # max learning rate
max_iters = 600000
weight_decay = 1e-1
beta1 = 0.9
beta2 = 0.95
grad_clip = 1.0
decay_lr = True
warmup_iters = 2000
lr_decay_iters = 600000
min_lr = 6e-5
device = "cuda"
compile = True

for argument in sys.argv[1:]:
    name, _, text = argument.removeprefix("--").partition("=")
    if name not in globals():
        raise ValueError(f"Unknown config key: {name}")
    try:
        value = literal_eval(text)
    except (SyntaxError, ValueError):
        value = text
    assert type(value) is type(globals()[name]), argument
    globals()[name] = value

seed_offset = 0
os.makedirs(out_dir, exist_ok=True)
torch.manual_seed(1337 + seed_offset)
with open(os.path.join("data", dataset, "meta.pkl"), "rb") as file:
    vocab_size = pickle.load(file)["vocab_size"]


def get_batch(split):
    data = np.memmap(os.path.join("data", dataset, f"{split}.bin"), dtype=np.uint16, mode="r")
    at = torch.randint(len(data) - block_size, (batch_size,))
    rows = np.stack([data[i : i + block_size + 1] for i in at]).astype(np.int64)
    return torch.from_numpy(rows)


model = Bigram(vocab_size)
optimizer = torch.optim.AdamW(model.parameters(), lr=100 * learning_rate, betas=(beta1, beta2))
for iter_num in range(max_iters + 1):
    if iter_num % eval_interval == 0:
        with torch.no_grad():
            losses = {s: np.mean([float(model(get_batch(s))) for _ in range(eval_iters)])
                      for s in ("train", "val")}  # fmt: skip
        print(f"step {iter_num}: train loss {losses['train']:.4f}, val loss {losses['val']:.4f}")
        if iter_num:
            torch.save(model.state_dict(), os.path.join(out_dir, "ckpt.pt"))
    optimizer.zero_grad()
    loss = model(get_batch("train"))
    loss.backward()
    optimizer.step()
    if iter_num % log_interval == 0:
        print(f"iter {iter_num}: loss {loss.item():.4f}, time 1.00ms, mfu -100.00%")
