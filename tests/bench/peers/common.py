"""What every peer does the same: load the two models, turn a JPEG into a tensor, name the classes.

The picture goes through models/image-classification/export/preprocess.py, the reference of Onda's own
pipeline, so that all servers answer alike. Settings come from the bench by environment variables.
"""

import io
import os
import pathlib
import sys

import numpy as np
import onnxruntime as ort
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[3]
MODELS = pathlib.Path(os.environ.get("BENCH_MODELS", ROOT / ".local/bench/models/pair"))
WORKERS = int(os.environ.get("BENCH_WORKERS", "1"))
PORT = int(os.environ.get("BENCH_PORT", "8000"))
# One worker leaves ONNX Runtime its default, a thread for each core, as its documentation advises; workers
# beside each other would fight for the cores with it, so each takes its share.
THREADS = 0 if WORKERS <= 1 else max(1, (os.cpu_count() or 1) // WORKERS)

sys.path.insert(0, str(ROOT / "models/image-classification/export"))
from preprocess import preprocess  # noqa: E402


def session(model):
    """Opens a model of the bench's folder."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    path = MODELS / model / "1/model.onnx"
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Small:
    """The model of rows of numbers: what an OIP request asks of it."""

    def __init__(self):
        self.session = session("mlp-32")

    def __reduce__(self):
        """A session cannot be sent to another process; a new one is opened there."""
        return (type(self), ())

    def rows(self, data, shape):
        """Scores row-major numbers and gives them back as rows."""
        rows = np.asarray(data, dtype=np.float32).reshape(shape)
        return self.session.run(None, {"x": rows})[0]


class Picture:
    """The model of pictures: JPEG bytes to the five best classes."""

    def __init__(self):
        self.session = session("image-classification")
        labels = MODELS / "image-classification/1/labels.txt"
        self.labels = labels.read_text(encoding="utf-8").splitlines()

    def __reduce__(self):
        """As for rows."""
        return (type(self), ())

    def classes(self, encoded):
        """Scores one picture."""
        with Image.open(io.BytesIO(encoded)) as picture:
            tensor = preprocess(picture)
        scores = self.session.run(None, {"images": tensor[None]})[0][0]
        best = np.argpartition(scores, -5)[-5:]
        best = best[np.argsort(-scores[best])]
        return [{"index": int(i), "label": self.labels[i], "score": float(scores[i])} for i in best]


def oip(name, output):
    """The OIP answer for one output of rows."""
    return {
        "model_name": name,
        "outputs": [{"name": "y", "shape": list(output.shape), "datatype": "FP32", "data": output.ravel().tolist()}],
    }


def predictions(classes):
    """The answer for one picture."""
    return {"predictions": [{"classes": classes}]}
