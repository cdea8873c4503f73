"""kserve's InferenceGRPCClient against Onda."""

import unittest

import grpc
import numpy as np
from kserve import InferInput, InferRequest, InferenceGRPCClient

import settings

METADATA = tuple(settings.METADATA.items())


class V2(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.client = InferenceGRPCClient(settings.GRPC)

    async def asyncTearDown(self):
        await self.client.close()

    def request(self, binary, model="simple"):
        self.a = np.arange(16, dtype=np.int32).reshape(1, 16)
        self.b = np.ones((1, 16), dtype=np.int32)
        inputs = []
        for name, array in (("INPUT0", self.a), ("INPUT1", self.b)):
            tensor = InferInput(name=name, shape=list(array.shape), datatype="INT32")
            tensor.set_data_from_numpy(array, binary_data=binary)
            inputs.append(tensor)
        return InferRequest(model_name=model, infer_inputs=inputs)

    async def infer(self, request):
        return await self.client.infer(request, headers=METADATA)

    async def test_health(self):
        self.assertTrue(await self.client.is_server_live(headers=METADATA))
        self.assertTrue(await self.client.is_server_ready(headers=METADATA))
        self.assertTrue(await self.client.is_model_ready("simple", headers=METADATA))

    async def test_typed_and_raw_contents(self):
        for binary in (False, True):
            with self.subTest(binary=binary):
                response = await self.infer(self.request(binary))
                outputs = {out.name: out.as_numpy() for out in response.outputs}
                np.testing.assert_array_equal(outputs["OUTPUT0"].reshape(1, 16), self.a + self.b)
                np.testing.assert_array_equal(outputs["OUTPUT1"].reshape(1, 16), self.a - self.b)
                self.assertTrue(response.id)

    async def test_strings(self):
        for binary in (False, True):
            with self.subTest(binary=binary):
                tensor = InferInput(name="INPUT", shape=[1, 2], datatype="BYTES")
                tensor.set_data_from_numpy(np.array([["a", "süß"]], dtype=np.object_), binary_data=binary)
                response = await self.infer(InferRequest(model_name="simple_identity", infer_inputs=[tensor]))
                got = [v.decode() if isinstance(v, bytes) else v for v in response.outputs[0].as_numpy().flatten()]
                self.assertEqual(got, ["a", "süß"])

    async def test_errors(self):
        for model, code in (("wrong_model_name", grpc.StatusCode.NOT_FOUND), ("identity_fp32", grpc.StatusCode.INVALID_ARGUMENT)):
            with self.assertRaises(grpc.RpcError) as caught:
                await self.infer(self.request(False, model=model))
            self.assertEqual(caught.exception.code(), code)
            self.assertTrue(caught.exception.details())
