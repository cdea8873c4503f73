"""ModelStreamInfer: many requests and answers on one stream."""

import numpy as np

from base import ClientTest


class Streams(ClientTest):
    def request(self, first, **kwargs):
        a, b = self.numbers(first)
        return dict({"model_name": "simple", "inputs": self.simple_inputs(a, b), "request_id": str(first)}, **kwargs)

    def test_answers_in_order(self):
        answers = self.client.stream([self.request(i) for i in range(20)])
        for i, answer in enumerate(answers):
            self.assertFalse(isinstance(answer, Exception), answer)
            self.check_simple(answer, *self.numbers(i))
            self.assertEqual(answer.get_response().id, str(i))

    def test_several_models(self):
        array = np.array([[1, 2, 3]], dtype=np.float32)
        requests = [self.request(1), {"model_name": "identity_fp32", "inputs": [self.client.input("INPUT", array)]}, self.request(2)]
        first, second, third = self.client.stream(requests)
        self.check_simple(first, *self.numbers(1))
        np.testing.assert_array_equal(second.as_numpy("OUTPUT"), array)
        self.check_simple(third, *self.numbers(2))

    def test_an_error_does_not_end_the_stream(self):
        answers = self.client.stream([self.request(1), self.request(2, model_name="wrong_model_name"), self.request(3)])
        self.check_simple(answers[0], *self.numbers(1))
        self.assertIn("wrong_model_name", str(answers[1]))
        self.check_simple(answers[2], *self.numbers(3))

    def test_outputs_and_classes(self):
        a, _ = self.numbers()
        outputs = [self.client.output("OUTPUT0", classes=2)]
        (answer,) = self.client.stream([{"model_name": "simple", "inputs": self.simple_inputs(a, a), "outputs": outputs}])
        self.assertEqual([entry.decode().split(":")[1] for entry in answer.as_numpy("OUTPUT0")[0]], ["15", "14"])

    def test_many_requests(self):
        answers = self.client.stream([self.request(i % 7) for i in range(500)], timeout=60)
        self.assertFalse([answer for answer in answers if isinstance(answer, Exception)])
        self.assertEqual(len(answers), 500)

    def test_several_streams_one_after_the_other(self):
        for i in range(3):
            (answer,) = self.client.stream([self.request(i)])
            self.check_simple(answer, *self.numbers(i))
