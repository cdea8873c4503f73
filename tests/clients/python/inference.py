"""Inference: forms of inputs and outputs, compression, parameters, budgets."""

import threading
import time

import numpy as np
from tritonclient.utils import InferenceServerException

from base import ClientTest


class Inference(ClientTest):
    def test_all_outputs_by_default(self):
        a, b = self.numbers()
        self.check_simple(self.client.infer("simple", self.simple_inputs(a, b)), a, b)

    def test_every_form(self):
        a, b = self.numbers()
        for first, second, out0, out1 in ((True, True, True, True), (False, False, False, False), (True, False, True, False), (False, True, False, True)):
            with self.subTest(binary=(first, second, out0, out1)):
                inputs = [self.client.input("INPUT0", a, binary=first), self.client.input("INPUT1", b, binary=second)]
                outputs = [self.client.output("OUTPUT0", binary=out0), self.client.output("OUTPUT1", binary=out1)]
                self.check_simple(self.client.infer("simple", inputs, outputs=outputs), a, b)

    def test_one_output(self):
        a, b = self.numbers()
        result = self.client.infer("simple", self.simple_inputs(a, b), outputs=[self.client.output("OUTPUT1")])
        np.testing.assert_array_equal(result.as_numpy("OUTPUT1"), a - b)
        self.assertIsNone(result.as_numpy("OUTPUT0"))

    def test_outputs_in_the_order_asked_for(self):
        a, b = self.numbers()
        outputs = [self.client.output("OUTPUT1"), self.client.output("OUTPUT0", binary=False)]
        result = self.client.infer("simple", self.simple_inputs(a, b), outputs=outputs)
        self.check_simple(result, a, b)
        self.assertEqual([o["name"] for o in self.client.response(result)["outputs"]], ["OUTPUT1", "OUTPUT0"])

    def test_version_and_id(self):
        a, b = self.numbers()
        answer = self.client.response(self.client.infer("simple", self.simple_inputs(a, b), model_version="1", request_id="my id"))
        self.assertEqual((answer["model_name"], answer["model_version"], answer["id"]), ("simple", "1", "my id"))

    def test_several_rows(self):
        a = np.arange(64, dtype=np.int32).reshape(4, 16)
        self.check_simple(self.client.infer("simple", self.simple_inputs(a, a)), a, a)

    def test_simple_int8(self):
        a, b = (n.astype(np.int8) for n in self.numbers())
        self.check_simple(self.client.infer("simple_int8", self.simple_inputs(a, b)), a, b)

    def test_simple_string(self):
        a, b = self.numbers()
        texts = [np.array([str(n).encode() for n in x.flatten()], dtype=np.object_).reshape(1, 16) for x in (a, b)]
        for binary in (True, False):
            with self.subTest(binary=binary):
                result = self.client.infer("simple_string", self.simple_inputs(*texts, binary=binary),
                                           outputs=[self.client.output("OUTPUT0", binary=binary), self.client.output("OUTPUT1", binary=binary)])
                for name, want in (("OUTPUT0", a + b), ("OUTPUT1", a - b)):
                    got = [int(text) for text in result.as_numpy(name).flatten()]
                    self.assertEqual(got, want.flatten().tolist())

    def compressed(self, algorithm):
        a = np.zeros((64, 16), dtype=np.int32)
        self.check_simple(self.client.infer("simple", self.simple_inputs(a, a), **self.client.compressed(algorithm)), a, a)

    def test_gzip(self):
        self.compressed("gzip")

    def test_deflate(self):
        self.compressed("deflate")

    def test_reused_objects(self):
        a, b = self.numbers()
        inputs = self.simple_inputs(a, b)
        outputs = [self.client.output("OUTPUT0"), self.client.output("OUTPUT1")]
        for first in (0, 5, 9):
            a, b = self.numbers(first)
            for tensor, array in zip(inputs, (a, b)):
                self.client.fill(tensor, array, binary=first != 5)
            self.check_simple(self.client.infer("simple", inputs, outputs=outputs), a, b)

    def test_parameters(self):
        a, b = self.numbers()
        for parameters in ({"mine": 1}, {"mine": True, "other": "text", "third": 0.5}):
            self.check_simple(self.client.infer("simple", self.simple_inputs(a, b), parameters=parameters), a, b)

    def test_priority_and_sequence(self):
        a, b = self.numbers()
        self.check_simple(self.client.infer("simple", self.simple_inputs(a, b), priority=1), a, b)
        # A model without state has nothing to do with sequences: Triton passes them over, Onda may say so.
        try:
            result = self.client.infer("simple", self.simple_inputs(a, b), sequence_id=42, sequence_start=True, sequence_end=True)
            self.check_simple(result, a, b)
        except InferenceServerException as error:
            self.assertRegex(str(error.status()), "501|UNIMPLEMENTED")

    def test_budget_on_the_server(self):
        row = np.zeros((1, 16), dtype=np.float32)
        began = time.monotonic()
        self.refused(504, "DEADLINE_EXCEEDED", self.client.infer, "slow", [self.client.input("INPUT", row)], timeout=50_000)
        self.assertLess(time.monotonic() - began, 5)
        a, b = self.numbers()
        self.check_simple(self.client.infer("simple", self.simple_inputs(a, b), timeout=10_000_000), a, b)

    def test_large_tensors(self):
        array = np.random.default_rng(1).standard_normal((1, 4 << 20), dtype=np.float32)  # 16 MB
        np.testing.assert_array_equal(self.echo("identity_fp32", array), array)


class Threads(ClientTest):
    def test_many_threads(self):
        wrong = []

        def ask(first):
            client = self.adapter()
            try:
                a, b = self.numbers(first)
                inputs = [client.input("INPUT0", a), client.input("INPUT1", b)]
                for _ in range(20):
                    self.check_simple(client.infer("simple", inputs), a, b)
            except Exception as error:
                wrong.append(error)
            finally:
                client.close()

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


class Classification(ClientTest):
    features = np.array([[0, 3, 1, 2], [9, 0, 0, 1]], dtype=np.float32)

    def classes(self, result, name):
        texts = [[entry.decode() if isinstance(entry, bytes) else entry for entry in row] for row in result.as_numpy(name)]
        return [[text.split(":") for text in row] for row in texts]

    def test_with_labels(self):
        for binary in (True, False):
            with self.subTest(binary=binary):
                outputs = [self.client.output("probabilities", binary=binary, classes=2)]
                result = self.client.infer("classify", [self.client.input("features", self.features)], outputs=outputs)
                rows = self.classes(result, "probabilities")
                self.assertEqual([[entry[1:] for entry in row] for row in rows], [[["1", "dog"], ["3", "bird"]], [["0", "cat"], ["3", "bird"]]])
                self.assertGreater(float(rows[0][0][0]), float(rows[0][1][0]))

    def test_without_labels(self):
        a = np.arange(16, dtype=np.int32).reshape(1, 16)
        result = self.client.infer("simple", self.simple_inputs(a, a), outputs=[self.client.output("OUTPUT0", classes=3)])
        rows = self.classes(result, "OUTPUT0")
        self.assertEqual([entry[1] for entry in rows[0]], ["15", "14", "13"])
        self.assertEqual([float(entry[0]) for entry in rows[0]], [30.0, 28.0, 26.0])

    def test_more_classes_than_there_are(self):
        a, b = self.numbers()
        result = self.client.infer("simple", self.simple_inputs(a, b), outputs=[self.client.output("OUTPUT0", classes=100)])
        self.assertEqual(result.as_numpy("OUTPUT0").shape, (1, 16))

    def test_beside_a_plain_output(self):
        a, b = self.numbers()
        outputs = [self.client.output("OUTPUT0", classes=1), self.client.output("OUTPUT1")]
        result = self.client.infer("simple", self.simple_inputs(a, b), outputs=outputs)
        self.assertEqual(len(self.classes(result, "OUTPUT0")[0]), 1)
        np.testing.assert_array_equal(result.as_numpy("OUTPUT1"), a - b)
