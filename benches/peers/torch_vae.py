"""The peer built on PyTorch: the same VAE on the CPU or on CUDA, and the speed of its matrix products.

`--mode` is how it runs:

- `eager`     PyTorch as it comes, `torch.optim.Adam` with its defaults
- `fused`     the same with fused Adam
- `compiled`  `torch.compile` around forward and loss, fused Adam
- `graphs`    `compiled`, and the whole step (batch, forward, backward, Adam) in one CUDA graph that is replayed
- `sgemm`     no training: GFLOP/s of the products of the model in f32 (TF32 off), and on CUDA of 4096^3

The order of a run, the flags and the line of JSON are those of `protocol/src/lib.rs`.
"""

import argparse
import json
import math
import os
import platform
import re
import time
from pathlib import Path

import brotli
import torch
from torch import nn
from torch.nn import functional as F

MNIST_PIXELS = 784
LAYER = r"\d+|conv(\d+)k(\d+)s(\d+)"


def arguments():
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Trains the benchmark's VAE with PyTorch and prints images a second")
    parser.add_argument("--mode", choices=["eager", "fused", "compiled", "graphs", "sgemm"], default="eager")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--image", default="28x28x1", help="height, width and channels")
    parser.add_argument("--hidden", default="400", help="widths and convolutions such as conv32k4s2, with commas")
    parser.add_argument("--latents", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--warmup-steps", type=int, default=20)
    parser.add_argument("--images", type=int, default=40_000)
    parser.add_argument("--mnist", type=Path, default=here / "../../assets/mnist")
    parser.add_argument("--threads", type=int, help="of the CPU; PyTorch's choice if absent")
    flags = parser.parse_args()
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*(x[1-9]\d*)?", flags.image):
        parser.error(f"--image: wanted a height, a width and perhaps channels, as 64x64x3, found {flags.image}")
    height, width, channels = map(int, (flags.image + "x1").split("x")[:3])
    flags.size = (channels, height, width)
    flags.hidden = flags.hidden.split(",")
    if not all(re.fullmatch(LAYER, text) for text in flags.hidden):
        parser.error(f"--hidden: wanted widths and convolutions, as conv32k4s2, found {','.join(flags.hidden)}")
    if flags.mode == "sgemm" and any(text.startswith("conv") for text in flags.hidden):
        parser.error("--mode sgemm: wanted widths alone in --hidden")
    flags.images = flags.images * MNIST_PIXELS // math.prod(flags.size)
    if flags.mode == "graphs" and flags.device != "cuda":
        parser.error("--mode graphs: CUDA graphs need --device cuda")
    if flags.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch finds no CUDA device")
    if not 0 < flags.batch <= flags.images:
        parser.error(f"--batch: wanted 1 to {flags.images}, found {flags.batch}")
    return flags


def adapter(device):
    if device == "cuda":
        return f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
    name = platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as info:
            name = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), name)
    return f"{name}, {torch.get_num_threads()} threads"


def pair(text, size):
    """A hidden layer, the one of the decoder that mirrors it, and the size of its output; a `size` is channels first."""
    if not text.startswith("conv"):
        inputs, width = math.prod(size), int(text)
        return [nn.Flatten(), nn.Linear(inputs, width)], [nn.Linear(width, inputs), nn.Unflatten(1, size)], (width,)
    channels, kernel, stride = map(int, re.fullmatch(LAYER, text).groups())
    padding = (kernel - 1) // 2
    rests = [n + 2 * padding - kernel for n in size[1:]]
    down = nn.Conv2d(size[0], channels, kernel, stride, padding)
    up = nn.ConvTranspose2d(channels, size[0], kernel, stride, padding, [rest % stride for rest in rests])
    return [down], [up], (channels, *(rest // stride + 1 for rest in rests))


class Vae(nn.Module):
    def __init__(self, size, hidden, latents):
        super().__init__()
        encoder, decoder = [], []
        for text in hidden:
            down, up, size = pair(text, size)
            encoder += [*down, nn.ReLU()]
            decoder = [nn.ReLU(), *up, *decoder]
        values = math.prod(size)
        self.encoder = nn.Sequential(*encoder, nn.Flatten(), nn.Linear(values, 2 * latents))
        self.decoder = nn.Sequential(nn.Linear(latents, values), nn.Unflatten(1, size), *decoder)

    def forward(self, x):
        """The mean over the batch of nll + kl."""
        mean, logvar = self.encoder(x).chunk(2, dim=1)
        z = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
        nll = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        kl = 0.5 * (mean.square() + logvar.exp() - logvar - 1).sum()
        return (nll + kl) / x.shape[0]


class Training:
    """Trains on one batch when told to: `step`."""

    def __init__(self, flags):
        device = flags.device
        unpacked = brotli.decompress((flags.mnist / "train-images-idx3-ubyte.br").read_bytes())
        pixels = torch.frombuffer(bytearray(unpacked[16 : 16 + flags.images * math.prod(flags.size)]), dtype=torch.uint8)
        channels, height, width = flags.size
        channels_last = pixels.reshape(-1, height, width, channels).float() / 255
        self.images = channels_last.permute(0, 3, 1, 2).contiguous().to(device)
        rows = torch.randperm(flags.images)[: flags.images // flags.batch * flags.batch]
        self.batches = rows.reshape(-1, flags.batch).to(device)
        self.model = Vae(flags.size, flags.hidden, flags.latents).to(device)
        fused = {} if flags.mode == "eager" else {"fused": True}
        self.adam = torch.optim.Adam(self.model.parameters(), lr=1e-3, **fused)
        forward = lambda rows: self.model(self.images[rows])
        self.forward = forward if flags.mode in ("eager", "fused") else torch.compile(forward)
        self.next = 0
        self.value = None

    def train(self, rows):
        self.adam.zero_grad(set_to_none=True)
        loss = self.forward(rows)
        loss.backward()
        self.adam.step()
        return loss.detach()

    def step(self):
        self.value = self.train(self.batches[self.next % len(self.batches)])
        self.next += 1

    def loss(self):
        return self.value.item()


class GraphTraining(Training):
    """The same with the whole step in one CUDA graph: the host only launches it."""

    def __init__(self, flags):
        super().__init__(flags)
        self.adam = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=True, capturable=True)
        self.cursor = torch.zeros(1, dtype=torch.int64, device=flags.device)
        self.graph = None

    def advance(self):
        rows = self.batches.index_select(0, self.cursor).squeeze(0)
        self.value = self.train(rows)
        self.cursor.add_(1).remainder_(len(self.batches))

    def capture(self):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.advance()
        torch.cuda.current_stream().wait_stream(stream)
        self.adam.zero_grad(set_to_none=True)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.advance()

    def step(self):
        if self.graph is None:
            self.capture()
        self.graph.replay()


def run(training, count):
    """Runs `count` steps and reads the last one's loss, which waits for all of them: seconds, loss."""
    start = time.perf_counter()
    for _ in range(count):
        training.step()
    loss = training.loss()
    return time.perf_counter() - start, loss


def measure(flags):
    training = (GraphTraining if flags.mode == "graphs" else Training)(flags)
    first, _ = run(training, 1)
    if flags.warmup_steps > 0:
        run(training, flags.warmup_steps)
    count, seconds = 1, run(training, 1)[0]
    while seconds < flags.seconds / 10:
        count *= 2
        seconds = run(training, count)[0]
    count = math.ceil(flags.seconds / seconds * count)
    seconds, loss = run(training, count)
    if not math.isfinite(loss):
        raise SystemExit(f"error: the loss after the last step is {loss}: the model did not train")
    return {
        "parameters": sum(parameter.numel() for parameter in training.model.parameters()),
        "images_per_second": count * flags.batch / seconds,
        "steps": count,
        "first_step_seconds": first,
        "loss": loss,
    }


def products(flags):
    """GFLOP/s of each product of a step, as PyTorch's layers call it; weights are (out, in)."""
    batch, device, pixels = flags.batch, flags.device, math.prod(flags.size)
    hidden = [int(width) for width in flags.hidden]
    widths = [(pixels, *hidden, 2 * flags.latents), (flags.latents, *reversed(hidden), pixels)]
    rows, total_flops, total_seconds = [], 0, 0.0

    def add(name, left, right):
        nonlocal total_flops, total_seconds
        seconds = time_product(left, right, flags.seconds / 12)
        (m, k), n = left.shape, right.shape[1]
        flops = 2 * m * n * k
        rows.append({"product": name, "m": m, "n": n, "k": k, "gflops": flops / seconds / 1e9})
        return flops, seconds

    for widths_of_net in widths:
        for inputs, outputs in zip(widths_of_net, widths_of_net[1:]):
            x = torch.randn(batch, inputs, device=device)
            weight = torch.randn(outputs, inputs, device=device)
            gradient = torch.randn(batch, outputs, device=device)
            name = f"{inputs}-{outputs}"
            calls = [("forward", x, weight.T), ("weight gradient", gradient.T, x)]
            if inputs != pixels:
                calls.append(("input gradient", gradient, weight))
            for kind, left, right in calls:
                flops, seconds = add(f"{name} {kind}", left, right)
                total_flops, total_seconds = total_flops + flops, total_seconds + seconds
    if device == "cuda":
        left, right = torch.randn(2, 4096, 4096, device=device)
        add("4096^3", left, right)
    return {"gflops_of_a_step": total_flops / total_seconds / 1e9, "products": rows}


def time_product(left, right, seconds):
    """The seconds that one product takes, over as many as fill `seconds`."""
    output = left @ right

    def block(count):
        start = time.perf_counter()
        for _ in range(count):
            torch.mm(left, right, out=output)
        if left.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - start

    block(3)
    count, taken = 1, block(1)
    while taken < seconds / 10:
        count *= 2
        taken = block(count)
    count = math.ceil(seconds / taken * count)
    return block(count) / count


def main():
    flags = arguments()
    if flags.threads:
        torch.set_num_threads(flags.threads)
    torch.set_float32_matmul_precision("highest")
    torch.manual_seed(1)
    result = products(flags) if flags.mode == "sgemm" else measure(flags)
    version = torch.__version__.split("+")[0]
    print(
        json.dumps(
            {
                "peer": f"PyTorch {version} ({flags.device.upper()}, {flags.mode})",
                "adapter": adapter(flags.device),
                "batch": flags.batch,
                "image": flags.image,
                "hidden": flags.hidden,
                "latents": flags.latents,
                **result,
            }
        )
    )


if __name__ == "__main__":
    main()
