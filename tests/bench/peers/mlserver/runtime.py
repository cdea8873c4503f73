"""Custom runtimes of MLServer, which has none for ONNX of its own."""

import json

from common import Picture, Small
from mlserver import MLModel
from mlserver.codecs import Base64Codec, NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class SmallModel(MLModel):
    """Rows of numbers."""

    async def load(self) -> bool:
        self.small = Small()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = self.decode(payload.inputs[0], default_codec=NumpyCodec)
        output = self.small.rows(rows, payload.inputs[0].shape)
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("y", output)])


class PictureModel(MLModel):
    """Encoded pictures, in base64 as the protocol carries bytes."""

    async def load(self) -> bool:
        self.picture = Picture()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        encoded = self.decode(payload.inputs[0], default_codec=Base64Codec)[0]
        text = json.dumps({"classes": self.picture.classes(encoded)})
        return InferenceResponse(model_name=self.name, outputs=[StringCodec.encode_output("prediction", [text])])
