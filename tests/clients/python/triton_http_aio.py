"""tritonclient.http.aio against Onda."""

import asyncio
import unittest

import adapters
import errors
import inference
import server
import values
from base import ClientTest, tests_for

globals().update(tests_for(adapters.HTTPAio, [
    server.Server, inference.Inference, inference.Classification, values.Values, values.Strings, errors.Errors,
    values.NoJSON,
]))


class Together(ClientTest, unittest.TestCase):
    adapter = adapters.HTTPAio

    def test_many_at_once(self):
        sent = [self.numbers(first) for first in range(32)]

        async def ask():
            return await asyncio.gather(*(self.client.client.infer("simple", self.simple_inputs(a, b)) for a, b in sent))

        for (a, b), result in zip(sent, self.client.loop.run_until_complete(ask())):
            self.check_simple(result, a, b)
