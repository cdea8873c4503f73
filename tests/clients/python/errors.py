"""What is refused, and how."""

import numpy as np

from base import ClientTest


class Errors(ClientTest):
    def refuses(self, *args, **kwargs):
        return self.refused(400, "INVALID_ARGUMENT", self.client.infer, *args, **kwargs)

    def test_unknown_model(self):
        a, b = self.numbers()
        text = self.refused(404, "NOT_FOUND", self.client.infer, "wrong_model_name", self.simple_inputs(a, b))
        self.assertIn("Request for unknown model", text)

    def test_unknown_version(self):
        a, b = self.numbers()
        self.refused(404, "NOT_FOUND", self.client.infer, "simple", self.simple_inputs(a, b), model_version="7")

    def test_model_that_does_not_load(self):
        a, b = self.numbers()
        self.refused(503, "UNAVAILABLE", self.client.infer, "broken", self.simple_inputs(a, b))

    def test_missing_input(self):
        a, _ = self.numbers()
        self.assertIn("INPUT1", self.refuses("simple", [self.client.input("INPUT0", a)]))

    def test_unknown_input(self):
        a, b = self.numbers()
        self.assertIn("INPUT9", self.refuses("simple", self.simple_inputs(a, b) + [self.client.input("INPUT9", a)]))

    def test_input_given_twice(self):
        a, b = self.numbers()
        self.refuses("simple", self.simple_inputs(a, b) + [self.client.input("INPUT1", b)])

    def test_unknown_output(self):
        a, b = self.numbers()
        self.assertIn("OUTPUT9", self.refuses("simple", self.simple_inputs(a, b), outputs=[self.client.output("OUTPUT9")]))

    def test_wrong_shape(self):
        a = np.zeros((1, 15), dtype=np.int32)
        self.assertIn("INPUT0", self.refuses("simple", self.simple_inputs(a, a)))

    def test_wrong_rank(self):
        a = np.zeros(16, dtype=np.int32)
        self.refuses("simple", self.simple_inputs(a, a))

    def test_wrong_datatype(self):
        a = np.zeros((1, 16), dtype=np.int64)
        self.assertIn("INT32", self.refuses("simple", self.simple_inputs(a, a)))

    def test_rows_that_disagree(self):
        a, b = self.numbers()
        self.refuses("simple", self.simple_inputs(np.vstack([a, a, a]), np.vstack([b, b])))

    def test_bytes_that_do_not_fit_the_shape(self):
        a, b = self.numbers()
        for binary in (True, False):
            with self.subTest(binary=binary):
                inputs = self.simple_inputs(a, b, binary=binary)
                inputs[0].set_shape([2, 16])
                self.refuses("simple", inputs)

    def test_client_goes_on_after_an_error(self):
        self.test_missing_input()
        a, b = self.numbers()
        self.check_simple(self.client.infer("simple", self.simple_inputs(a, b)), a, b)
