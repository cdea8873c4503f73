"""KServe's Python server with custom models: V2 for rows, and V1 with base64 for pictures, as its example has it."""

import base64

from common import PORT, WORKERS, Picture, Small, predictions
from kserve import InferOutput, InferResponse, Model, ModelServer
from kserve.utils.utils import generate_uuid


class SmallModel(Model):
    """Rows of numbers."""

    def load(self):
        self.small = Small()
        self.ready = True
        return True

    async def predict(self, payload, headers=None, response_headers=None):
        """Scores an OIP request."""
        tensor = payload.inputs[0]
        output = self.small.rows(tensor.as_numpy(), tensor.shape)
        answer = InferOutput(name="y", shape=list(output.shape), datatype="FP32")
        answer.set_data_from_numpy(output, binary_data=False)
        return InferResponse(response_id=payload.id or generate_uuid(), model_name=self.name, infer_outputs=[answer])


class PictureModel(Model):
    """Pictures in base64."""

    def load(self):
        self.picture = Picture()
        self.ready = True
        return True

    def predict(self, payload, headers=None, response_headers=None):
        """Scores a V1 request."""
        encoded = base64.b64decode(payload["instances"][0]["b64"])
        return predictions(self.picture.classes(encoded))


if __name__ == "__main__":
    models = [SmallModel("mlp-32"), PictureModel("image-classification")]
    for model in models:
        model.load()
    ModelServer(http_port=PORT, workers=WORKERS, enable_grpc=False, enable_latency_logging=False).start(models)
