"""The base of tests that run once for each client."""

import unittest

import numpy as np
from tritonclient.utils import InferenceServerException


class ClientTest:
    """A test with a client of the class `adapter`."""

    adapter = None

    def setUp(self):
        self.client = self.adapter()

    def tearDown(self):
        self.client.close()

    @property
    def http(self):
        return self.client.transport == "http"

    def numbers(self, first=0):
        """The inputs of the model simple, as Triton's examples fill them."""
        return np.arange(first, first + 16, dtype=np.int32).reshape(1, 16), np.ones((1, 16), dtype=np.int32)

    def simple_inputs(self, a, b, **kwargs):
        return [self.client.input("INPUT0", a, **kwargs), self.client.input("INPUT1", b, **kwargs)]

    def check_simple(self, result, a, b):
        np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), a + b)
        np.testing.assert_array_equal(result.as_numpy("OUTPUT1"), a - b)

    def echo(self, model, array, binary_in=True, binary_out=True, **kwargs):
        """Sends array to a model that gives it back, and gives the answer."""
        result = self.client.infer(
            model,
            [self.client.input("INPUT", array, binary=binary_in, datatype=kwargs.pop("datatype", None))],
            outputs=[self.client.output("OUTPUT", binary=binary_out)],
            **kwargs,
        )
        return result.as_numpy("OUTPUT")

    def refused(self, http, grpc, call, *args, **kwargs):
        """Expects a call to be refused with a status, and gives the text."""
        with self.assertRaises(InferenceServerException) as caught:
            call(*args, **kwargs)
        status = str(caught.exception.status())
        self.assertIn(str(http) if self.http else grpc, status, caught.exception.message())
        self.assertTrue(caught.exception.message())
        return caught.exception.message()


def tests_for(adapter, mixins):
    """Makes test classes of the mixins for one client, for a module's globals."""
    return {mixin.__name__: type(mixin.__name__, (mixin, unittest.TestCase), {"adapter": adapter}) for mixin in mixins}
