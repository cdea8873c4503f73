"""FastAPI on uvicorn, as their documentation has it: a typed body for JSON, the raw body for a picture, blocking
work in the thread pool, answers returned as responses, workers by `uvicorn --workers`."""

from common import Picture, Small, oip, predictions
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel

app = FastAPI()
small, picture = Small(), Picture()


class Tensor(BaseModel):
    """A tensor of an OIP request."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class InferRequest(BaseModel):
    """An OIP request."""

    inputs: list[Tensor]


@app.post("/v2/models/mlp-32/infer")
async def infer(request: InferRequest):
    """Scores rows; some microseconds, which are not worth a thread."""
    tensor = request.inputs[0]
    return JSONResponse(oip("mlp-32", small.rows(tensor.data, tensor.shape)))


@app.post("/v1/models/image-classification:predict")
async def predict(request: Request):
    """Scores a picture; some milliseconds, so in the thread pool."""
    body = await request.body()
    return JSONResponse(predictions(await run_in_threadpool(picture.classes, body)))
