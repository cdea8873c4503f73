"""tritonclient.grpc.aio against Onda."""

import asyncio
import unittest

import adapters
import errors
import inference
import server
import streams
import values
from base import ClientTest, tests_for

globals().update(tests_for(adapters.GRPCAio, [
    server.Server, inference.Inference, inference.Classification, values.Values, values.Strings, errors.Errors, streams.Streams,
]))


class Together(ClientTest, unittest.TestCase):
    adapter = adapters.GRPCAio

    def test_many_at_once(self):
        sent = [self.numbers(first) for first in range(32)]

        async def ask():
            asked = (self.client.client.infer("simple", self.simple_inputs(a, b), headers=self.client.headers) for a, b in sent)
            return await asyncio.gather(*asked)

        for (a, b), result in zip(sent, self.client.loop.run_until_complete(ask())):
            self.check_simple(result, a, b)
