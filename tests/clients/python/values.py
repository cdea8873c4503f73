"""Values of every datatype, and the odd ones."""

import ml_dtypes
import numpy as np
from tritonclient.utils import InferenceServerException

from base import ClientTest

# The extremes of each datatype, by the model that gives them back.
EXTREMES = {
    "bool": np.array([[True, False]]),
    "uint8": np.array([[0, 255]], dtype=np.uint8),
    "uint16": np.array([[0, 65535]], dtype=np.uint16),
    "uint32": np.array([[0, 2**32 - 1]], dtype=np.uint32),
    "uint64": np.array([[0, 2**64 - 1]], dtype=np.uint64),
    "int8": np.array([[-128, 127]], dtype=np.int8),
    "int16": np.array([[-(2**15), 2**15 - 1]], dtype=np.int16),
    "int32": np.array([[-(2**31), 2**31 - 1]], dtype=np.int32),
    "int64": np.array([[-(2**63), 2**63 - 1]], dtype=np.int64),
    "fp32": np.array([[-3.4028235e38, 1e-45]], dtype=np.float32),
    "fp64": np.array([[-1.7976931348623157e308, 5e-324]], dtype=np.float64),
}


class Values(ClientTest):
    def same(self, got, want):
        self.assertEqual(got.shape, want.shape)
        self.assertEqual(got.dtype, want.dtype)
        self.assertEqual(got.tobytes(), want.tobytes())

    def test_extremes_in_binary(self):
        for name, array in EXTREMES.items():
            with self.subTest(datatype=name):
                self.same(self.echo("identity_" + name, array), array)

    def test_extremes_in_json(self):
        for name, array in EXTREMES.items():
            with self.subTest(datatype=name):
                self.same(self.echo("identity_" + name, array, binary_in=False, binary_out=False), array)

    def test_half_precision(self):
        array = np.array([[0.5, -65504, 6e-8, np.inf, -np.inf, -0.0]], dtype=np.float16)
        self.same(self.echo("identity_fp16", array), array)
        a, b = (n.astype(np.float16) for n in self.numbers())
        self.check_simple(self.client.infer("simple_fp16", self.simple_inputs(a, b)), a, b)

    def test_bfloat16(self):
        array = np.array([[0.5, -3e38, 1e-40, np.inf, -np.inf, -0.0]], dtype=ml_dtypes.bfloat16)
        self.same(self.echo("identity_bf16", array), array)

    def test_not_a_number_in_binary(self):
        for kind, model in ((np.float32, "identity_fp32"), (np.float64, "identity_fp64")):
            array = np.array([[np.nan, np.inf, -np.inf, 0]], dtype=kind)
            self.same(self.echo(model, array), array)

    def test_no_elements(self):
        for shape in ((0, 2), (2, 0), (0, 0)):
            array = np.zeros(shape, dtype=np.float32)
            for binary in (True, False):
                with self.subTest(shape=shape, binary=binary):
                    self.same(self.echo("identity_fp32", array, binary_in=binary, binary_out=binary), array)

    def test_any_shape(self):
        for shape in ((1, 1), (3, 7), (128, 1), (1, 128)):
            array = np.random.default_rng(2).standard_normal(shape, dtype=np.float32)
            self.same(self.echo("identity_fp32", array), array)


class NoJSON(ClientTest):
    """Values that JSON has no form for."""

    def test_half_precision_has_no_json(self):
        array = np.array([[0.5]], dtype=np.float16)
        self.refused(501, "", self.echo, "identity_fp16", array, binary_out=False)

    def test_not_a_number_has_no_json(self):
        for value in (np.nan, np.inf, -np.inf):
            array = np.array([[value]], dtype=np.float32)
            with self.subTest(value=value, way="out"):
                self.refused(501, "", self.echo, "identity_fp32", array, binary_out=False)
            with self.subTest(value=value, way="in"):
                self.refused(400, "", self.echo, "identity_fp32", array, binary_in=False)


class Strings(ClientTest):
    def check(self, values, **kwargs):
        array = np.array(values, dtype=np.object_).reshape(1, -1)
        got = self.echo("simple_identity", array, **kwargs)
        self.assertEqual([bytes(v) if isinstance(v, bytes) else str(v).encode() for v in got.flatten()], list(values))

    def test_text(self):
        for binary in (True, False):
            with self.subTest(binary=binary):
                self.check([b"hello", "süß 東京 🚀".encode(), b'"quoted" \\ and \n'], binary_in=binary, binary_out=binary)

    def test_empty_strings(self):
        for binary in (True, False):
            with self.subTest(binary=binary):
                self.check([b"", b"x", b""], binary_in=binary, binary_out=binary)
                self.check([b""], binary_in=binary, binary_out=binary)

    def test_no_strings(self):
        array = np.empty((1, 0), dtype=np.object_)
        self.assertEqual(self.echo("simple_identity", array).shape, (1, 0))

    def test_long_string(self):
        self.check([b"x" * (1 << 20)])

    def test_null_characters_are_never_cut_off(self):
        # As in Triton's qa/L0_nullchar_string; a runtime whose strings end at NUL may refuse.
        try:
            self.check([b"before\x00after", b"\x00"])
        except InferenceServerException as error:
            self.assertRegex(str(error.status()), "400|INVALID_ARGUMENT")

    def test_other_bytes_are_never_changed(self):
        try:
            self.check([b"\xff\xfe\x80"])
        except InferenceServerException as error:
            self.assertRegex(str(error.status()), "400|INVALID_ARGUMENT")
