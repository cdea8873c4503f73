"""Triton's four clients behind one face, so that what they share is tested once for each."""

import asyncio
import queue

import tritonclient.grpc as grpcclient
import tritonclient.grpc.aio as grpcaio
import tritonclient.http as httpclient
import tritonclient.http.aio as httpaio
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

import settings


class Adapter:
    """What the tests need of a client. Calls that are not here go to the client itself."""

    transport = None
    module = None

    def __init__(self, url=None, headers=None):
        self.headers = headers
        self.client = self.connect(url or self.url)

    def __getattr__(self, name):
        return self.call(getattr(self.client, name))

    def call(self, method):
        """Makes a plain call of a method, with the headers that the way to Onda needs."""

        def plain(*args, **kwargs):
            if self.headers:
                kwargs.setdefault("headers", self.headers)
            return self.wait(method(*args, **kwargs))

        return plain

    def wait(self, value):
        return value

    def close(self):
        self.wait(self.client.close())

    def input(self, name, array, binary=True, datatype=None):
        """An input that holds array. binary is only asked by HTTP: gRPC is always binary."""
        tensor = self.module.InferInput(name, list(array.shape), datatype or np_to_triton_dtype(array.dtype))
        self.fill(tensor, array, binary)
        return tensor


class HTTP(Adapter):
    transport = "http"
    module = httpclient
    url = settings.HTTP

    def connect(self, url):
        return httpclient.InferenceServerClient(url, concurrency=4, network_timeout=30.0)

    def fill(self, tensor, array, binary=True):
        tensor.set_data_from_numpy(array, binary_data=binary)

    def output(self, name, binary=True, classes=0):
        return httpclient.InferRequestedOutput(name, binary_data=binary, class_count=classes)

    def compressed(self, algorithm):
        return {"request_compression_algorithm": algorithm, "response_compression_algorithm": algorithm}

    @staticmethod
    def json(value):
        return value

    @staticmethod
    def shape(result, name):
        return result.get_output(name)["shape"]

    @staticmethod
    def response(result):
        return result.get_response()


class Asynchronous:
    """Runs the coroutines of an asyncio client to their end."""

    def connect(self, url):
        self.loop = asyncio.new_event_loop()
        return self.loop.run_until_complete(self.open(url))

    def wait(self, value):
        return self.loop.run_until_complete(value) if asyncio.iscoroutine(value) else value

    def close(self):
        super().close()
        self.loop.close()


class HTTPAio(Asynchronous, HTTP):
    async def open(self, url):
        return httpaio.InferenceServerClient(url)


class GRPC(Adapter):
    transport = "grpc"
    module = grpcclient
    url = settings.GRPC

    def __init__(self, url=None, headers=None):
        super().__init__(url, headers or settings.METADATA)

    def connect(self, url):
        return grpcclient.InferenceServerClient(url)

    def fill(self, tensor, array, binary=True):
        tensor.set_data_from_numpy(array)

    def output(self, name, binary=True, classes=0):
        return grpcclient.InferRequestedOutput(name, class_count=classes)

    def compressed(self, algorithm):
        return {"compression_algorithm": algorithm}

    @staticmethod
    def json(value):
        """Messages as the JSON that HTTP has."""
        from google.protobuf.json_format import MessageToDict

        return MessageToDict(value, preserving_proto_field_name=True)

    @staticmethod
    def shape(result, name):
        return list(result.get_output(name).shape)

    def response(self, result):
        return self.json(result.get_response())

    def stream(self, requests, timeout=10):
        """Sends the requests on one stream and gives the answers as they come: results or errors."""
        answers = queue.Queue()
        self.client.start_stream(lambda result, error: answers.put(error or result), headers=self.headers)
        try:
            for request in requests:
                self.client.async_stream_infer(**request)
            return [answers.get(timeout=timeout) for _ in requests]
        finally:
            self.client.stop_stream()


class GRPCAio(Asynchronous, GRPC):
    async def open(self, url):
        return grpcaio.InferenceServerClient(url)

    def stream(self, requests, timeout=10):
        async def all_of_them():
            async def source():
                for request in requests:
                    yield request

            answers = []
            async for result, error in self.client.stream_infer(source(), stream_timeout=timeout, headers=self.headers):
                answers.append(error or result)
                if len(answers) == len(requests):
                    break
            return answers

        return self.loop.run_until_complete(all_of_them())


__all__ = ["GRPC", "GRPCAio", "HTTP", "HTTPAio", "InferenceServerException"]
