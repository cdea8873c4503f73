"""A BentoML service: typed parameters make the JSON body, a path with a content type takes the picture as it is."""

from pathlib import Path
from typing import Annotated

import bentoml
from bentoml.validators import ContentType
from common import WORKERS, Picture, Small, oip, predictions


@bentoml.service(workers=WORKERS, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Onnx:
    """Both models."""

    def __init__(self) -> None:
        self.small, self.picture = Small(), Picture()

    @bentoml.api(route="/v2/models/mlp-32/infer")
    async def infer(self, inputs: list[dict]) -> dict:
        """Scores rows; some microseconds, which are not worth a thread."""
        return oip("mlp-32", self.small.rows(inputs[0]["data"], inputs[0]["shape"]))

    @bentoml.api(route="/v1/models/image-classification:predict")
    def predict(self, picture: Annotated[Path, ContentType("image/jpeg")], /) -> dict:
        """Scores a picture in the thread pool."""
        return predictions(self.picture.classes(picture.read_bytes()))
