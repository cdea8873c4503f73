"""Health, metadata, configuration, statistics and what Onda does not offer."""

import base64

from tritonclient.utils import InferenceServerException

from base import ClientTest


class Server(ClientTest):
    def test_health(self):
        self.assertTrue(self.client.is_server_live())
        self.assertTrue(self.client.is_server_ready())
        self.assertTrue(self.client.is_model_ready("simple"))
        self.assertTrue(self.client.is_model_ready("simple", "1"))

    def test_unknown_model_is_not_ready(self):
        if self.http:
            self.assertFalse(self.client.is_model_ready("wrong_model_name"))
            self.assertFalse(self.client.is_model_ready("simple", "7"))
            return
        for version in ("", "7"):
            try:
                self.assertFalse(self.client.is_model_ready("simple" if version else "wrong_model_name", version))
            except InferenceServerException as error:  # Triton answers NOT_FOUND for some builds, false for others
                self.assertIn("NOT_FOUND", str(error.status()))

    def test_server_metadata(self):
        metadata = self.client.json(self.client.get_server_metadata())
        self.assertEqual(metadata["name"], "triton")
        self.assertTrue(metadata["version"])
        wanted = {"classification", "model_configuration", "statistics", "model_repository"}
        if self.http:
            wanted.add("binary_tensor_data")
        self.assertLessEqual(wanted, set(metadata["extensions"]))

    def test_model_metadata(self):
        metadata = self.client.json(self.client.get_model_metadata("simple"))
        self.assertEqual(metadata["name"], "simple")
        self.assertEqual(metadata["versions"], ["1"])
        self.assertTrue(metadata["platform"])
        for kind, name in (("inputs", "INPUT"), ("outputs", "OUTPUT")):
            for i, tensor in enumerate(metadata[kind]):
                self.assertEqual((tensor["name"], tensor["datatype"]), (f"{name}{i}", "INT32"))
                self.assertEqual([int(d) for d in tensor["shape"]], [-1, 16])

    def test_metadata_of_an_unknown_model(self):
        text = self.refused(404, "NOT_FOUND", self.client.get_model_metadata, "wrong_model_name")
        self.assertIn("Request for unknown model", text)
        self.refused(404, "NOT_FOUND", self.client.get_model_metadata, "simple", "7")

    def test_model_config(self):
        config = self.client.json(self.client.get_model_config("simple"))
        config = config.get("config", config)
        self.assertEqual(config["name"], "simple")
        self.assertEqual({i["name"]: i["data_type"] for i in config["input"]}, {"INPUT0": "TYPE_INT32", "INPUT1": "TYPE_INT32"})
        self.assertEqual([o["name"] for o in config["output"]], ["OUTPUT0", "OUTPUT1"])
        # Rows are batched along the first axis: it is not part of dims where max_batch_size says so.
        dims = [int(d) for d in config["input"][0]["dims"]]
        self.assertEqual(dims, [16] if int(config.get("max_batch_size", 0)) > 0 else [-1, 16])

    def test_config_of_a_model_with_a_config_file(self):
        config = self.client.json(self.client.get_model_config("classify"))
        config = config.get("config", config)
        self.assertEqual(int(config["max_batch_size"]), 8)
        self.assertEqual(config["output"][0]["label_filename"], "labels.txt")

    def test_headers_and_query(self):
        query = {"query_params": {"trace": "1", "a b": "ä/ö"}} if self.http else {}
        headers = dict(self.client.headers or {}, **{"x-my-header": "value"})
        self.assertTrue(self.client.is_server_live(headers=headers, **query))
        self.client.get_model_metadata("simple", headers=headers, **query)
        a, b = self.numbers()
        self.check_simple(self.client.infer("simple", self.simple_inputs(a, b), headers=headers, **query), a, b)

    def test_statistics(self):
        a, b = self.numbers()
        before = self.counts()
        for _ in range(3):
            self.client.infer("simple", self.simple_inputs(a, b))
        after = self.counts()
        self.assertGreaterEqual(after["inference_count"] - before["inference_count"], 3)
        self.assertGreaterEqual(after["execution_count"] - before["execution_count"], 1)
        self.assertGreaterEqual(after["success"] - before["success"], 3)

    def counts(self):
        stats = self.client.json(self.client.get_inference_statistics("simple"))["model_stats"]
        self.assertEqual([(s["name"], s["version"]) for s in stats], [("simple", "1")])
        numbers = {key: int(stats[0].get(key, 0)) for key in ("inference_count", "execution_count", "last_inference")}
        phases = stats[0]["inference_stats"]
        for phase in ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output"):
            self.assertIn(phase, phases)
        return dict(numbers, success=int(phases["success"].get("count", 0)))

    def test_statistics_of_all_models(self):
        stats = self.client.json(self.client.get_inference_statistics())["model_stats"]
        self.assertLessEqual({"simple", "simple_string", "identity_fp32"}, {s["name"] for s in stats})

    def test_statistics_of_an_unknown_model(self):
        self.refused(404, "NOT_FOUND", self.client.get_inference_statistics, "wrong_model_name")

    def test_repository_index(self):
        index = self.client.json(self.client.get_model_repository_index())
        models = {m["name"]: m for m in (index if self.http else index["models"])}
        self.assertEqual((models["simple"]["version"], models["simple"]["state"]), ("1", "READY"))
        self.assertEqual(models["broken"]["state"], "UNAVAILABLE")
        self.assertTrue(models["broken"]["reason"])

    def test_no_model_control_unless_it_is_on(self):
        for change in (self.client.load_model, self.client.unload_model):
            with self.assertRaises(InferenceServerException) as caught:
                change("simple")
            self.assertRegex(str(caught.exception.status()), "503|403|UNAVAILABLE|PERMISSION_DENIED|501|UNIMPLEMENTED|400")
        self.assertTrue(self.client.is_model_ready("simple"))

    def test_shared_memory_is_refused(self):
        self.refused(501, "UNIMPLEMENTED", self.client.register_system_shared_memory, "region", "/key", 64)
        self.refused(501, "UNIMPLEMENTED", self.client.register_cuda_shared_memory, "region", base64.b64encode(bytes(64)), 0, 64)
        output = self.client.output("OUTPUT0")
        output.set_shared_memory("region", 64)
        a, b = self.numbers()
        with self.assertRaises(InferenceServerException) as caught:
            self.client.infer("simple", self.simple_inputs(a, b), outputs=[output])
        self.assertRegex(caught.exception.message(), "(?i)shared.memory")

    def test_traces_and_log_settings_answer_or_refuse(self):
        for call in (self.client.get_trace_settings, self.client.get_log_settings):
            try:
                self.client.json(call())
            except InferenceServerException as error:
                self.assertRegex(str(error.status()), "501|UNIMPLEMENTED")
