"""Checks ONNX files with ONNX's own checker, and runs them with onnxruntime on the arrays beside them.

    python onnx_models.py CASE...

Each case is a directory with encoder.onnx, decoder.onnx, and what Elbo computes: mean.npy and logvar.npy from x.npy, image.npy from
z.npy. Prints the largest difference of all, as JSON.
"""

import json
import sys

import numpy as np
import onnx
import onnxruntime


def run(case, name, **inputs):
    """The outputs of a file by their names, for the whole batch and for its parts alike."""
    model = onnx.load(f"{case}/{name}.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)
    assert "model" in json.loads({entry.key: entry.value for entry in model.metadata_props}["elbo"])
    known = {value.name for value in [*model.graph.value_info, *model.graph.output]}
    unknown = [output for node in model.graph.node for output in node.output if output not in known]
    assert not unknown, f"no shape of {unknown}"
    assert all(node.name for node in model.graph.node)
    session = onnxruntime.InferenceSession(f"{case}/{name}.onnx", providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    whole = session.run(names, inputs)
    for count in (1, 3):
        parts = session.run(names, {name: values[:count] for name, values in inputs.items()})
        for part, values in zip(parts, whole):
            np.testing.assert_allclose(part, values[:count], atol=1e-5)
    return dict(zip(names, whole))


def largest(case, found, names):
    """The largest difference from the arrays with the names of the files."""
    differences = []
    for output, file in names.items():
        want = np.load(f"{case}/{file}.npy")
        assert found[output].shape == want.shape, (case, output, found[output].shape, want.shape)
        differences.append(float(np.abs(found[output] - want).max()))
    return max(differences)


differences = {}
for case in sys.argv[1:]:
    posterior = run(case, "encoder", x=np.load(f"{case}/x.npy"))
    likelihood = run(case, "decoder", z=np.load(f"{case}/z.npy"))
    differences[case] = max(
        largest(case, posterior, {"mean": "mean", "logvar": "logvar"}), largest(case, likelihood, {"mean": "image"})
    )
print(json.dumps(differences))
