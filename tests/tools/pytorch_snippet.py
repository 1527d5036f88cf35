"""Runs the dense model of README.md: prints its mean log probability and KL divergence, as JSON.

    python pytorch_snippet.py SNIPPET.py CASE

The case is a directory as for pytorch_models.py.
"""

import json
import pathlib
import sys

import numpy as np
import torch

snippet, case = sys.argv[1:]
names = {}
exec(pathlib.Path(snippet).read_text(), names)
x, draws, mean, logvar = (torch.from_numpy(np.load(f"{case}/{name}.npy")) for name in ("x", "draws", "mean", "logvar"))
noise = (draws - mean) / torch.exp(0.5 * logvar)
log_prob, kl = names["Vae"](f"{case}/model.safetensors")(x.flatten(1), noise)
print(json.dumps([float(term.double().mean()) for term in (log_prob, kl)]))
