"""Runs our program and its peers in turn and prints the median of the ratios.

For each `--peer`: ours, peer, ours, peer, … for `--rounds` rounds. A ratio is made of two neighbours, so that whatever
else the machine does falls on both. Every program prints a line of JSON (README.md); in our command `{batch}`, `{image}`,
`{hidden}`, `{latents}` and `{seconds}` are filled in, and to a peer's command the flags are added.

    python run.py --ours '../../target/release/elbo bench --json --batch {batch} --seconds {seconds}' \
        --peer 'target/release/burn-vae --backend flex' --peer 'target/release/candle-vae' --rounds 5
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys


def arguments():
    parser = argparse.ArgumentParser(
        description="Runs our program and its peers in turn and prints the median of the ratios"
    )
    parser.add_argument("--ours", required=True, help="our command, with {batch}, {image}, {hidden}, {latents}, {seconds}")
    parser.add_argument("--ours-key", default="rows.0.images_per_second", help="where in our JSON the speed is: a.0.b")
    parser.add_argument("--peer", action="append", required=True, help="a peer's command; may be given again")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--image", default="28x28x1", help="height, width and channels")
    parser.add_argument("--hidden", default="400", help="widths and convolutions such as conv32k4s2, with commas")
    parser.add_argument("--latents", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--save", help="a file for every measurement as JSON")
    flags = parser.parse_args()
    if flags.rounds < 1:
        parser.error("--rounds: wanted at least 1")
    return flags


def output_of(command):
    """The object in the last line of JSON that a command prints, or, if there is none, in the whole of its output."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise SystemExit(f"error: {shlex.join(command)}: exit status {done.returncode}: {last}")
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    for text in [*reversed(lines), done.stdout]:
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            continue
    raise SystemExit(f"error: {shlex.join(command)}: wanted a line of JSON on stdout, found none")


def speed_in(value, key):
    """The number at a dotted path: `rows.0.images_per_second`."""
    for part in key.split("."):
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, ValueError, TypeError):
            raise SystemExit(f"error: --ours-key {key}: {part} is not in our output") from None
    return float(value)


def compare(ours, key, peer, rounds):
    """One row of the table: pairs of neighbours, their ratios; and what the programs printed."""
    pairs, reports = [], []
    for number in range(rounds):
        our_report, report = output_of(ours), output_of(peer)
        reports.append({"ours": our_report, "peer": report})
        our_speed = speed_in(our_report, key)
        pairs.append((our_speed, report["images_per_second"]))
        ratio = our_speed / report["images_per_second"]
        print(
            f"{report['peer']}: round {number + 1} of {rounds}: {our_speed:,.0f} / {pairs[-1][1]:,.0f} = {ratio:.2f}",
            file=sys.stderr,
        )
    ratios = [our_speed / peer_speed for our_speed, peer_speed in pairs]
    our_median, peer_median = (statistics.median(column) for column in zip(*pairs))
    spread = f"{min(ratios):.2f} - {max(ratios):.2f}"
    row = [
        report["peer"],
        report["adapter"],
        f"{our_median:,.0f}",
        f"{peer_median:,.0f}",
        f"{statistics.median(ratios):.2f}",
        spread,
    ]
    return row, reports


def main():
    flags = arguments()
    sizes = {name: str(getattr(flags, name)) for name in ("batch", "image", "hidden", "latents", "seconds")}
    ours = flags.ours
    for name, value in sizes.items():
        ours = ours.replace("{" + name + "}", value)
    added = [part for name, value in sizes.items() for part in (f"--{name}", value)]

    compared = [compare(shlex.split(ours), flags.ours_key, shlex.split(peer) + added, flags.rounds) for peer in flags.peer]
    hidden = flags.hidden.replace(",", "-")
    print(f"{flags.image}-{hidden}-{flags.latents}, batch {flags.batch}, images/s of training, medians of {flags.rounds} rounds\n")
    print("| peer | its adapter | ours | peer | ours / peer | min - max |")
    print("|---|---|---:|---:|---:|---:|")
    for row, _ in compared:
        print("| " + " | ".join(row) + " |")
    if flags.save:
        with open(flags.save, "w") as file:
            json.dump([reports for _, reports in compared], file, indent=2)


if __name__ == "__main__":
    main()
