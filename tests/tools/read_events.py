"""What TensorBoard reads from event files, as JSON.

values DIR  every value, by folder and tag, as its readers give it
pages DIR   what its server answers, which listens on a free port of this machine and ends with this program
"""

import base64
import json
import os
import sys
import urllib.parse
import urllib.request


def values(directory):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    found = {}
    for name in sorted(os.listdir(directory)):
        everything = {kind: 0 for kind in ("scalars", "images", "histograms", "tensors")}
        reader = EventAccumulator(os.path.join(directory, name), size_guidance=everything).Reload()
        tags = reader.Tags()
        found[name] = {
            "scalars": {tag: [[e.step, e.value] for e in reader.Scalars(tag)] for tag in tags["scalars"]},
            "images": {
                tag: [
                    [e.step, e.height, e.width, base64.b64encode(e.encoded_image_string).decode()]
                    for e in reader.Images(tag)
                ]
                for tag in tags["images"]
            },
            "histograms": {
                tag: [
                    [e.step, *(getattr(e.histogram_value, name) for name in ("min", "max", "num", "sum", "sum_squares"))]
                    for e in reader.Histograms(tag)
                ]
                for tag in tags["histograms"]
            },
            "text": {
                tag: [[e.step, tensor_util.make_ndarray(e.tensor_proto).item().decode()] for e in reader.Tensors(tag)]
                for tag in tags["tensors"]
            },
        }
    return found


def pages(directory):
    import logging

    from tensorboard import program

    logging.disable()
    server = program.TensorBoard()
    server.configure(argv=["", "--logdir", directory, "--host", "127.0.0.1", "--port", "0", "--load_fast", "false"])
    home = server.launch()

    def get(page, **query):
        address = f"{home}data/plugin/{page}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(address, timeout=60) as answer:
            return answer.read()

    found = {kind: json.loads(get(f"{kind}/tags")) for kind in ("scalars", "images", "histograms", "text")}
    for kind, page in (("scalars", "scalars/scalars"), ("histograms", "histograms/histograms"), ("text", "text/text")):
        for run, tags in found[kind].items():
            found[kind][run] = {tag: json.loads(get(page, run=run, tag=tag)) for tag in tags}
    for run, tags in found["images"].items():
        for tag in tags:
            tags[tag] = json.loads(get("images/images", run=run, tag=tag, sample=0))
            png = get("images/individualImage", **dict(urllib.parse.parse_qsl(tags[tag][-1]["query"])))
            tags[tag][-1]["png"] = base64.b64encode(png).decode()
    return found


json.dump({"values": values, "pages": pages}[sys.argv[1]](sys.argv[2]), sys.stdout)
