"""Runs the modules that `elbo export --pytorch` wrote, trains them for a step, and saves them again.

    python pytorch_models.py CASE...

Each case is a directory with model.py, model.safetensors, and what Elbo computes: mean.npy, logvar.npy and draws.npy of the posterior
of x.npy, image.npy from z.npy. Writes trained.safetensors, and prints, as JSON for each case, the largest difference, and the mean log
probability and KL divergence with the same noise, before and after the step.
"""

import importlib.util
import json
import sys

import numpy as np
import torch

torch.manual_seed(0)


def module(case):
    spec = importlib.util.spec_from_file_location("model", f"{case}/model.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def array(case, name):
    return torch.from_numpy(np.load(f"{case}/{name}.npy"))


def terms(vae, x, noise):
    with torch.no_grad():
        return [float(term.double().mean()) for term in vae(x, noise)]


def check(case):
    model = module(case)
    vae = model.load(f"{case}/model.safetensors").eval()
    x, mean, logvar = (array(case, name) for name in ("x", "mean", "logvar"))
    with torch.no_grad():
        pairs = [*zip(vae.encode(x), (mean, logvar)), (vae.decode(array(case, "z")), array(case, "image"))]
    difference = max(float((found - want).abs().max()) for found, want in pairs)
    assert all(found.shape == want.shape for found, want in pairs)
    noise = (array(case, "draws") - mean) / torch.exp(0.5 * logvar)
    before = terms(vae, x, noise)
    # All initial values have the right shapes, too.
    model.Vae().load_state_dict(vae.state_dict())
    optimiser = torch.optim.Adam(vae.parameters(), lr=0.01)
    log_prob, kl = vae.train()(x, noise)
    (kl - log_prob).mean().backward()
    optimiser.step()
    model.save(vae, f"{case}/trained.safetensors")
    return {"difference": difference, "before": before, "after": terms(vae.eval(), x, noise)}


print(json.dumps({case: check(case) for case in sys.argv[1:]}))
