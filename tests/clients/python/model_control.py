"""Loading and unloading, as Triton's simple_*_model_control examples do it. Onda runs with
explicit model control here, and these tests follow each other."""

import json
import os
import unittest

import numpy as np

import adapters
from base import ClientTest


class Control(ClientTest):
    def tearDown(self):
        for model in ("simple", "uploaded"):
            try:
                self.client.unload_model(model)
            except adapters.InferenceServerException:
                pass  # it was not loaded
        super().tearDown()

    def works(self, model="simple"):
        a, b = self.numbers()
        self.check_simple(self.client.infer(model, self.simple_inputs(a, b)), a, b)

    def test_load_and_unload(self):
        self.client.load_model("simple")
        self.assertTrue(self.client.is_model_ready("simple"))
        self.works()
        self.client.unload_model("simple")
        self.assertFalse(self.ready("simple"))
        with self.assertRaises(adapters.InferenceServerException):
            self.works()
        self.client.load_model("simple")
        self.works()

    def ready(self, model):
        try:
            return self.client.is_model_ready(model)
        except adapters.InferenceServerException:
            return False

    def index(self):
        index = self.client.json(self.client.get_model_repository_index())
        return {m["name"]: m.get("state", "") for m in (index if self.http else index["models"])}

    def test_index_follows(self):
        self.client.load_model("simple")
        self.assertEqual(self.index()["simple"], "READY")
        self.client.unload_model("simple")
        self.assertNotEqual(self.index().get("simple", ""), "READY")

    def test_load_again(self):
        for _ in range(3):
            self.client.load_model("simple")
            self.works()

    def test_unload_with_dependents(self):
        self.client.load_model("simple")
        self.client.unload_model("simple", unload_dependents=True)
        self.assertFalse(self.ready("simple"))

    def test_load_what_is_not_there(self):
        with self.assertRaises(adapters.InferenceServerException) as caught:
            self.client.load_model("wrong_model_name")
        self.assertIn("failed to load", caught.exception.message())

    def test_load_what_is_broken(self):
        with self.assertRaises(adapters.InferenceServerException) as caught:
            self.client.load_model("broken")
        self.assertTrue(caught.exception.message())
        self.assertFalse(self.ready("broken"))

    def test_load_with_another_config(self):
        self.client.load_model("simple", config=json.dumps({"name": "simple", "backend": "onnxruntime", "max_batch_size": 4}))
        config = self.client.json(self.client.get_model_config("simple"))
        self.assertEqual(int(config.get("config", config)["max_batch_size"]), 4)
        self.works()

    def test_load_from_files(self):
        with open(os.environ["ONDA_TEST_SIMPLE_MODEL"], "rb") as file:
            model = file.read()
        config = json.dumps({"name": "uploaded", "backend": "onnxruntime"})
        self.client.load_model("uploaded", config=config, files={"file:1/model.onnx": model})
        self.works("uploaded")

    def test_files_need_a_config(self):
        with self.assertRaises(adapters.InferenceServerException):
            self.client.load_model("uploaded", files={"file:1/model.onnx": b"x"})

    def test_requests_while_it_is_loaded_again(self):
        self.client.load_model("simple")
        a = np.arange(16, dtype=np.int32).reshape(1, 16)
        for i in range(10):
            if i % 3 == 0:
                self.client.load_model("simple")
            self.check_simple(self.client.infer("simple", self.simple_inputs(a, a)), a, a)


for name, adapter in (("HTTP", adapters.HTTP), ("HTTPAio", adapters.HTTPAio), ("GRPC", adapters.GRPC), ("GRPCAio", adapters.GRPCAio)):
    globals()[name] = type(name, (Control, unittest.TestCase), {"adapter": adapter})
