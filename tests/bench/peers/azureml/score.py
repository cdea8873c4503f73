"""The entry script of azureml-inference-server-http: init() and run(), with raw HTTP for encoded pictures."""

import json

from azureml_inference_server_http.api.aml_request import rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse
from common import Picture, Small, oip, predictions


def init():
    """Loads the models once a worker."""
    global small, picture
    small, picture = Small(), Picture()


@rawhttp
def run(request):
    """Scores a picture or an OIP request; there is one route, so the content type tells them apart."""
    body = request.get_data()
    if request.content_type == "image/jpeg":
        answer = predictions(picture.classes(body))
    else:
        tensor = json.loads(body)["inputs"][0]
        answer = oip("mlp-32", small.rows(tensor["data"], tensor["shape"]))
    return AMLResponse(json.dumps(answer), 200, {"Content-Type": "application/json"})
