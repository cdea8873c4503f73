"""tritonclient.grpc against Onda."""

import queue
import time
import unittest

import numpy as np

import adapters
import errors
import inference
import server
import streams
import values
from base import ClientTest, tests_for

globals().update(tests_for(adapters.GRPC, [
    server.Server, inference.Inference, inference.Classification, values.Values, values.Strings, errors.Errors,
    inference.Threads, streams.Streams,
]))


class Asynchronous(ClientTest, unittest.TestCase):
    adapter = adapters.GRPC

    def setUp(self):
        super().setUp()
        self.answers = queue.Queue()

    def ask(self, model, inputs, **kwargs):
        headers = self.client.headers
        return self.client.client.async_infer(model, inputs, lambda result, error: self.answers.put(error or result), headers=headers, **kwargs)

    def test_async_infer(self):
        sent = [self.numbers(first) for first in range(8)]
        for i, (a, b) in enumerate(sent):
            self.ask("simple", self.simple_inputs(a, b), request_id=str(i))
        for _ in sent:
            result = self.answers.get(timeout=30)
            self.assertFalse(isinstance(result, Exception), result)
            self.check_simple(result, *sent[int(result.get_response().id)])

    def test_cancel(self):
        call = self.ask("slow", [self.client.input("INPUT", np.zeros((1, 16), dtype=np.float32))])
        call.cancel()
        self.assertIn("CANCELLED", str(self.answers.get(timeout=30)))

    def test_timeout_of_the_client(self):
        tensor = self.client.input("INPUT", np.zeros((1, 16), dtype=np.float32))
        # The server knows the deadline too, and may end the call a moment before the client does.
        began = time.monotonic()
        with self.assertRaises(adapters.InferenceServerException) as caught:
            self.client.infer("slow", [tensor], client_timeout=0.2)
        self.assertRegex(str(caught.exception.status()), "DEADLINE_EXCEEDED|CANCELLED")
        self.ask("slow", [tensor], client_timeout=0.2)
        self.assertRegex(str(self.answers.get(timeout=30)), "DEADLINE_EXCEEDED|CANCELLED")
        self.assertLess(time.monotonic() - began, 5)

    def test_cancelled_stream(self):
        self.client.client.start_stream(lambda result, error: self.answers.put(error or result), headers=self.client.headers)
        self.client.client.async_stream_infer("slow", [self.client.input("INPUT", np.zeros((1, 16), dtype=np.float32))])
        self.client.client.stop_stream(cancel_requests=True)
        self.assertTrue(self.client.is_server_live())
