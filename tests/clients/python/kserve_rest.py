"""kserve's InferenceRESTClient against Onda, protocols V2 and V1."""

import unittest

import httpx
import numpy as np
from kserve import InferInput, InferRequest, InferenceRESTClient, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

import settings

URL = "http://" + settings.HTTP


class V2(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.client = InferenceRESTClient(RESTConfig(protocol="v2"))

    async def asyncTearDown(self):
        await self.client.close()

    def request(self, binary, model="simple", **kwargs):
        self.a = np.arange(16, dtype=np.int32).reshape(1, 16)
        self.b = np.ones((1, 16), dtype=np.int32)
        inputs = []
        for name, array in (("INPUT0", self.a), ("INPUT1", self.b)):
            tensor = InferInput(name=name, shape=list(array.shape), datatype="INT32")
            tensor.set_data_from_numpy(array, binary_data=binary)
            inputs.append(tensor)
        return InferRequest(model_name=model, infer_inputs=inputs, **kwargs)

    def check(self, response):
        outputs = {out.name: out.as_numpy() for out in response.outputs}
        np.testing.assert_array_equal(outputs["OUTPUT0"].reshape(1, 16), self.a + self.b)
        np.testing.assert_array_equal(outputs["OUTPUT1"].reshape(1, 16), self.a - self.b)

    async def test_health(self):
        self.assertTrue(await self.client.is_server_live(URL))
        self.assertTrue(await self.client.is_server_ready(URL))
        self.assertTrue(await self.client.is_model_ready(URL, "simple"))
        self.assertFalse(await self.client.is_model_ready(URL, "wrong_model_name"))

    async def test_json(self):
        response = await self.client.infer(URL, self.request(False), model_name="simple")
        self.check(response)
        self.assertEqual(response.model_name, "simple")
        self.assertTrue(response.id)

    async def test_binary(self):
        self.check(await self.client.infer(URL, self.request(True), model_name="simple"))

    async def test_binary_outputs(self):
        for binary in (True, False):
            request = self.request(True, request_outputs=[RequestedOutput(name, parameters={"binary_data": binary}) for name in ("OUTPUT0", "OUTPUT1")])
            self.check(await self.client.infer(URL, request, model_name="simple"))
        request = self.request(False, parameters={"binary_data_output": True})
        self.check(await self.client.infer(URL, request, model_name="simple"))

    async def test_dictionary(self):
        data = {"id": "mine", "inputs": [{"name": "INPUT", "shape": [1, 2], "datatype": "FP32", "data": [[0.5, -1]]}]}
        response = await self.client.infer(URL, data, model_name="identity_fp32")
        self.assertEqual(response.id, "mine")
        self.assertEqual(response.outputs[0].as_numpy().flatten().tolist(), [0.5, -1])

    async def test_strings(self):
        for binary in (True, False):
            tensor = InferInput(name="INPUT", shape=[1, 2], datatype="BYTES")
            tensor.set_data_from_numpy(np.array([["a", "süß"]], dtype=np.object_), binary_data=binary)
            response = await self.client.infer(URL, InferRequest(model_name="simple_identity", infer_inputs=[tensor]), model_name="simple_identity")
            got = [v.decode() if isinstance(v, bytes) else v for v in response.outputs[0].as_numpy().flatten()]
            self.assertEqual(got, ["a", "süß"])

    async def test_half_precision(self):
        array = np.array([[0.5, np.inf]], dtype=np.float16)
        tensor = InferInput(name="INPUT", shape=[1, 2], datatype="FP16")
        tensor.set_data_from_numpy(array, binary_data=True)
        request = InferRequest(model_name="identity_fp16", infer_inputs=[tensor], request_outputs=[RequestedOutput("OUTPUT", parameters={"binary_data": True})])
        response = await self.client.infer(URL, request, model_name="identity_fp16")
        self.assertEqual(response.outputs[0].as_numpy().tobytes(), array.tobytes())

    async def test_errors(self):
        for model, status in (("wrong_model_name", 404), ("identity_fp32", 400)):
            with self.assertRaises(httpx.HTTPStatusError) as caught:
                await self.client.infer(URL, self.request(False, model=model), model_name=model)
            self.assertEqual(caught.exception.response.status_code, status)
            self.assertTrue(caught.exception.response.json()["error"])


class V1(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.client = InferenceRESTClient(RESTConfig(protocol="v1"))

    async def asyncTearDown(self):
        await self.client.close()

    async def test_model_ready(self):
        self.assertTrue(await self.client.is_model_ready(URL, "faq-matching"))

    async def test_predict(self):
        answer = await self.client.infer(URL, {"instances": ["How do I copy an object?"]}, model_name="faq-matching")
        self.assertTrue(answer["predictions"][0]["matches"][0]["answer"])

    async def test_errors(self):
        with self.assertRaises(httpx.HTTPStatusError) as caught:
            await self.client.infer(URL, {"instances": ["x"]}, model_name="wrong_model_name")
        self.assertEqual(caught.exception.response.status_code, 404)


