"""Triton's clients through Dapr sidecars: everything as it is directly, to the last byte."""

import http.client
import unittest

import numpy as np
import tritonclient.http as httpclient

import adapters
import inference
import settings
import streams
import values
from base import ClientTest

LENGTH = "Inference-Header-Content-Length"


class SameBytes(unittest.TestCase):
    """Bodies over HTTP: what a caller gets through the sidecar is what it gets without it."""

    def post(self, url, model, body, headers):
        host, _, base = url.partition("/")
        connection = http.client.HTTPConnection(host, timeout=30)
        try:
            connection.request("POST", f"/{base}/v2/models/{model}/infer".replace("//", "/"), body=body, headers=headers)
            response = connection.getresponse()
            return response.status, response.headers.get(LENGTH), response.headers.get("Content-Encoding"), response.read()
        finally:
            connection.close()

    def bodies(self):
        a = np.arange(64, dtype=np.int32).reshape(4, 16)
        for binary in (True, False):
            inputs = []
            for name in ("INPUT0", "INPUT1"):
                tensor = httpclient.InferInput(name, [4, 16], "INT32")
                tensor.set_data_from_numpy(a, binary_data=binary)
                inputs.append(tensor)
            outputs = [httpclient.InferRequestedOutput(name, binary_data=binary) for name in ("OUTPUT0", "OUTPUT1")]
            yield httpclient.InferenceServerClient.generate_request_body(inputs, outputs=outputs, request_id="same")

    def test_same_bytes(self):
        for body, length in self.bodies():
            for encoding in ("", "gzip", "deflate"):
                with self.subTest(binary=length is not None, encoding=encoding):
                    headers = {"Accept-Encoding": encoding} if encoding else {}
                    headers["Content-Type"] = "application/octet-stream" if length else "application/json"
                    if length:
                        headers[LENGTH] = str(length)
                    direct = self.post(settings.DIRECT_HTTP, "simple", body, headers)
                    self.assertEqual(direct[0], 200, direct)
                    self.assertEqual(self.post(settings.HTTP, "simple", body, headers), direct)


class SameAnswers(ClientTest):
    def setUp(self):
        super().setUp()
        direct = {adapters.HTTP: settings.DIRECT_HTTP, adapters.GRPC: settings.DIRECT_GRPC}
        self.direct = self.adapter(direct[self.adapter], headers={})

    def tearDown(self):
        self.direct.close()
        super().tearDown()

    def test_infer(self):
        array = np.random.default_rng(3).standard_normal((3, 5), dtype=np.float32)
        answers = [client.infer("identity_fp32", [client.input("INPUT", array)], request_id="same") for client in (self.client, self.direct)]
        self.assertEqual(answers[0].as_numpy("OUTPUT").tobytes(), array.tobytes())
        self.assertEqual(*(client.response(answer) for client, answer in zip((self.client, self.direct), answers)))

    def test_metadata(self):
        for call in ("get_server_metadata", "get_model_repository_index"):
            self.assertEqual(*(client.json(getattr(client, call)()) for client in (self.client, self.direct)))
        for call in ("get_model_metadata", "get_model_config"):
            self.assertEqual(*(client.json(getattr(client, call)("simple")) for client in (self.client, self.direct)))

    def test_errors(self):
        a, b = self.numbers()
        texts = []
        for client in (self.client, self.direct):
            with self.assertRaises(adapters.InferenceServerException) as caught:
                client.infer("simple", [client.input("INPUT0", a), client.input("OTHER", b)])
            texts.append((caught.exception.status(), caught.exception.message()))
        self.assertEqual(*texts)


class ThroughProxy(inference.Inference):
    # The sidecar itself reads gRPC messages, and has no deflate.
    test_deflate = None


def through(adapter, *mixins):
    """Names the classes after the client, whose tests they are."""
    for mixin in mixins:
        name = adapter.__name__ + mixin.__name__
        globals()[name] = type(name, (mixin, unittest.TestCase), {"adapter": adapter})


through(adapters.HTTP, SameAnswers, inference.Inference, values.Values)
through(adapters.HTTPAio, inference.Inference)
through(adapters.GRPC, SameAnswers, ThroughProxy, values.Values, streams.Streams)
through(adapters.GRPCAio, ThroughProxy, streams.Streams)
