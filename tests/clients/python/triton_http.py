"""tritonclient.http against Onda."""

import http.client
import json
import unittest
import zlib

import numpy as np
import tritonclient.http as httpclient

import adapters
import errors
import inference
import server
import settings
import values
from base import ClientTest, tests_for

globals().update(tests_for(adapters.HTTP, [
    server.Server, inference.Inference, inference.Classification, values.Values, values.Strings, errors.Errors,
    inference.Threads, values.NoJSON,
]))

LENGTH = "Inference-Header-Content-Length"


class Asynchronous(ClientTest, unittest.TestCase):
    adapter = adapters.HTTP

    def test_async_infer(self):
        sent = [self.numbers(first) for first in range(4)]
        asked = [self.client.client.async_infer("simple", self.simple_inputs(a, b), request_id=str(i)) for i, (a, b) in enumerate(sent)]
        for i, ((a, b), answer) in enumerate(zip(sent, asked)):
            result = answer.get_result()
            self.check_simple(result, a, b)
            self.assertEqual(result.get_response()["id"], str(i))

    def test_timeout_of_the_client(self):
        client = httpclient.InferenceServerClient(settings.HTTP, network_timeout=0.2)
        try:
            tensor = self.client.input("INPUT", np.zeros((1, 16), dtype=np.float32))
            with self.assertRaises(Exception) as caught:
                client.infer("slow", [tensor])
            self.assertRegex(type(caught.exception).__name__ + str(caught.exception), "(?i)time")
        finally:
            client.close()
        self.assertTrue(self.client.is_server_live())


class Bodies(ClientTest, unittest.TestCase):
    """Bodies made and read by the client's own functions, and sent by hand."""

    adapter = adapters.HTTP

    def post(self, model, body, headers):
        connection = http.client.HTTPConnection(settings.DIRECT_HTTP, timeout=30)
        try:
            connection.request("POST", f"/v2/models/{model}/infer", body=body, headers=headers)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def test_offline_bodies(self):
        a, b = self.numbers()
        body, length = httpclient.InferenceServerClient.generate_request_body(self.simple_inputs(a, b))
        response, answer = self.post("simple", body, {LENGTH: str(length)})  # no content type, as the client has it
        self.assertEqual(response.status, 200, answer)
        result = httpclient.InferenceServerClient.parse_response_body(answer, header_length=int(response.headers[LENGTH]))
        self.check_simple(result, a, b)

    def test_raw_request(self):
        """A body that is the one input and nothing else."""
        array = np.arange(5, dtype=np.float32)
        response, answer = self.post("raw_fp32", array.tobytes(), {LENGTH: "0", "Content-Type": "application/octet-stream"})
        self.assertEqual(response.status, 200, answer)
        length = int(response.headers[LENGTH])
        self.assertEqual(json.loads(answer[:length])["outputs"][0]["shape"], [5])
        self.assertEqual(answer[length:], array.tobytes())

    def test_header_length_in_any_case(self):
        a, b = self.numbers()
        body, length = httpclient.InferenceServerClient.generate_request_body(self.simple_inputs(a, b))
        response, answer = self.post("simple", body, {LENGTH.lower(): str(length), "Content-Type": "application/octet-stream"})
        self.assertEqual(response.status, 200, answer)

    def test_broken_bodies(self):
        a, b = self.numbers()
        body, length = httpclient.InferenceServerClient.generate_request_body(self.simple_inputs(a, b))
        for name, sent, header in (
            ("length of words", body, "many"), ("negative length", body, "-1"), ("length beyond the body", body, str(len(body) + 1)),
            ("bytes missing", body[:-1], str(length)), ("bytes left over", body + b"x", str(length)), ("length cuts the JSON", body, str(length - 1)),
        ):
            with self.subTest(name):
                response, answer = self.post("simple", sent, {LENGTH: header})
                self.assertEqual(response.status, 400, answer)
                self.assertTrue(json.loads(answer)["error"])

    def test_compression_of_each_side_alone(self):
        a = np.zeros((64, 16), dtype=np.int32)
        for request, response in ((None, "gzip"), (None, "deflate"), ("gzip", None), ("deflate", None), ("gzip", "deflate")):
            with self.subTest(request=request, response=response):
                result = self.client.infer("simple", self.simple_inputs(a, a), request_compression_algorithm=request, response_compression_algorithm=response)
                self.check_simple(result, a, a)

    def test_compressed_answer_is_compressed(self):
        a = np.zeros((64, 16), dtype=np.int32)
        body, length = httpclient.InferenceServerClient.generate_request_body(self.simple_inputs(a, a))
        plain, whole = self.post("simple", body, {LENGTH: str(length)})
        response, answer = self.post("simple", body, {LENGTH: str(length), "Accept-Encoding": "deflate"})
        self.assertEqual((plain.status, response.status, response.headers["Content-Encoding"]), (200, 200, "deflate"))
        self.assertEqual(len(zlib.decompress(answer)), len(whole))

    def test_broken_compression(self):
        response, answer = self.post("simple", b"this is no gzip", {"Content-Encoding": "gzip", "Content-Type": "application/json"})
        self.assertEqual(response.status, 400, answer)
