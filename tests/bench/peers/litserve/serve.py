"""LitServe: an API for each model on one server, pictures in base64 as its examples have them."""

import base64

import litserve as ls
from common import PORT, WORKERS, Picture, Small, oip, predictions


class SmallAPI(ls.LitAPI):
    """Rows of numbers."""

    def setup(self, device):
        self.small = Small()

    def decode_request(self, request):
        return request["inputs"][0]

    def predict(self, tensor):
        return self.small.rows(tensor["data"], tensor["shape"])

    def encode_response(self, output):
        return oip("mlp-32", output)


class PictureAPI(ls.LitAPI):
    """Pictures in base64."""

    def setup(self, device):
        self.picture = Picture()

    def decode_request(self, request):
        return base64.b64decode(request["instances"][0]["b64"])

    def predict(self, encoded):
        return self.picture.classes(encoded)

    def encode_response(self, output):
        return predictions(output)


if __name__ == "__main__":
    apis = [
        SmallAPI(api_path="/v2/models/mlp-32/infer"),
        PictureAPI(api_path="/v1/models/image-classification:predict"),
    ]
    server = ls.LitServer(apis, accelerator="cpu", devices=1, workers_per_device=WORKERS, fast_queue=False)
    server.run(host="127.0.0.1", port=PORT, num_api_servers=WORKERS, generate_client_file=False, log_level="warning", access_log=False)
