"""Runs the modules of models of text that `elbo export --pytorch` wrote, trains them for a step, and saves them again.

    python pytorch_text.py CASE...

Each case is a directory with model.py, model.safetensors, the padded tokens.npy, lengths.npy, and mean.npy, logvar.npy and draws.npy of the
posterior. Writes
trained.safetensors, and prints, as JSON for each case, the largest difference, and the mean log probability and KL divergence with the same noise, before and
after the step.
"""

import importlib.util
import json
import sys

import numpy as np
import torch

torch.manual_seed(0)


def check(case):
    spec = importlib.util.spec_from_file_location("model", f"{case}/model.py")
    model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)
    vae = model.load(f"{case}/model.safetensors").eval()
    assert json.loads(model.MODEL)["model"]
    tokens, lengths, draws = (torch.from_numpy(np.load(f"{case}/{name}.npy")) for name in ("tokens", "lengths", "draws"))
    inputs = [tokens.long(), lengths.long()]
    difference = 0.0
    if hasattr(vae, "encode"):
        with torch.no_grad():
            found = vae.encode(*inputs)
        mean, logvar = (torch.from_numpy(np.load(f"{case}/{name}.npy")) for name in ("mean", "logvar"))
        difference = max(float((found - want).abs().max()) for found, want in zip(found, (mean, logvar)))
        inputs.append((draws - mean) / torch.exp(0.5 * logvar))

    def terms():
        with torch.no_grad():
            return [float(term.double().mean()) for term in vae(*inputs)]

    before = terms()
    model.Vae().load_state_dict(vae.state_dict())
    optimiser = torch.optim.Adam(vae.parameters(), lr=0.01)
    log_prob, kl = vae.train()(*inputs)
    (kl - log_prob).mean().backward()
    optimiser.step()
    model.save(vae.eval(), f"{case}/trained.safetensors")
    return {"difference": difference, "before": before, "after": terms()}


print(json.dumps({case: check(case) for case in sys.argv[1:]}))
