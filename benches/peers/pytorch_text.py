"""Trains the model of `elbo train --data FOLDER --hidden gru256` with PyTorch, on the CPU, and evaluates it after each epoch.

    python pytorch_text.py FOLDER [--epochs 3] [--seed 0] [--batch-size 64] [--latents 32] [--embedding 128] [--units 256] [--min-count 3]

FOLDER has train, valid and test, as .txt or .txt.gz, tokens separated by blanks. Batches have sentences of similar length, as Elbo's. It
prints, in nats per sentence, the reconstruction and the KL divergence over the validation and test sets, of one draw of each posterior, and
the tokens per second of training, the ends of sentences included.
"""

import argparse
import gzip
import random
import time
from collections import Counter
from pathlib import Path

import torch
from torch import nn

END, UNKNOWN = 0, 1


def read(folder, part):
    """The sentences of a part, as lists of words."""
    path = Path(folder) / f"{part}.txt.gz"
    opened = gzip.open(path, "rt") if path.exists() else open(Path(folder) / f"{part}.txt")
    with opened as file:
        return [words for line in file if (words := line.split())]


class Vae(nn.Module):
    """The encoder reads a sentence with its end; the decoder sees the token before each position, and the latents."""

    def __init__(self, words, embedding, units, latents):
        super().__init__()
        self.beginning = words
        self.encoder_embedding = nn.Embedding(words, embedding)
        self.encoder = nn.GRU(embedding, units, batch_first=True)
        self.posterior = nn.Linear(units, 2 * latents)
        self.decoder_embedding = nn.Embedding(words + 1, embedding)
        self.start = nn.Linear(latents, units)
        self.decoder = nn.GRU(embedding + latents, units, batch_first=True)
        self.likelihood = nn.Linear(units, words)
        for table in (self.encoder_embedding, self.decoder_embedding):
            nn.init.uniform_(table.weight, -0.1, 0.1)

    def forward(self, targets, lengths):
        """The negative log probability and the KL divergence of each sentence."""
        states, _ = self.encoder(self.encoder_embedding(targets))
        posterior = self.posterior(states[torch.arange(len(targets)), lengths - 1])
        mean, logvar = posterior.chunk(2, dim=1)
        z = mean + (0.5 * logvar).exp() * torch.randn_like(mean)
        kl = 0.5 * (mean**2 + logvar.exp() - logvar - 1.0).sum(dim=1)
        inputs = torch.cat([torch.full_like(targets[:, :1], self.beginning), targets[:, :-1]], dim=1)
        inputs = torch.cat([self.decoder_embedding(inputs), z[:, None].expand(-1, targets.shape[1], -1)], dim=2)
        outputs, _ = self.decoder(inputs, torch.tanh(self.start(z))[None])
        nll = nn.functional.cross_entropy(self.likelihood(outputs).transpose(1, 2), targets, reduction="none")
        counted = torch.arange(targets.shape[1])[None] < lengths[:, None]
        return (nll * counted).sum(dim=1), kl


def batches(sentences, size):
    """Padded batches of sentences of similar length, in a random order."""
    order = sorted(random.sample(range(len(sentences)), len(sentences)), key=lambda index: len(sentences[index]))
    chunks = [order[first : first + size] for first in range(0, len(order), size)]
    for chunk in random.sample(chunks, len(chunks)):
        rows = [sentences[index] + [END] for index in chunk]
        lengths = torch.tensor([len(row) for row in rows])
        longest = int(lengths.max())
        yield torch.tensor([row + [END] * (longest - len(row)) for row in rows]), lengths


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    for name, default in [("epochs", 3), ("seed", 0), ("batch-size", 64), ("latents", 32), ("embedding", 128), ("units", 256), ("min-count", 3)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    random.seed(given.seed)
    train, valid, test = (read(given.folder, part) for part in ("train", "valid", "test"))
    counts = Counter(word for sentence in train for word in sentence)
    known = [word for word, count in counts.most_common() if count >= given.min_count]
    numbers = {word: number + 2 for number, word in enumerate(known)}
    parts = (train, valid, test)
    train, valid, test = ([[numbers.get(word, UNKNOWN) for word in sentence] for sentence in part] for part in parts)
    model = Vae(len(known) + 2, given.embedding, given.units, given.latents)
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    tokens = sum(len(sentence) + 1 for sentence in train)
    for epoch in range(1, given.epochs + 1):
        start = time.time()
        for targets, lengths in batches(train, given.batch_size):
            nll, kl = model(targets, lengths)
            adam.zero_grad()
            (nll + kl).mean().backward()
            adam.step()
        seconds = time.time() - start
        for name, part in (("validation", valid), ("test", test)):
            with torch.no_grad():
                terms = [torch.stack(model(*batch)) for batch in batches(part, given.batch_size)]
            nll, kl = torch.cat(terms, dim=1).mean(dim=1).tolist()
            print(f"epoch {epoch}: {name} nll {nll:.2f}, kl {kl:.3f}, nll + kl {nll + kl:.2f}, {tokens / seconds:.0f} tokens/s", flush=True)


if __name__ == "__main__":
    main()
