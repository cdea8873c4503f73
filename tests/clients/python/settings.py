"""Where Onda is, as the Go test says."""

import os

# host:port of Onda's listener, perhaps with a base path: a sidecar's invocation URL.
HTTP = os.environ["ONDA_TEST_HTTP"]
# host:port for gRPC, and the metadata that a sidecar wants with each call.
GRPC = os.environ["ONDA_TEST_GRPC"]
METADATA = dict(pair.split("=", 1) for pair in os.environ.get("ONDA_TEST_GRPC_METADATA", "").split(",") if pair)
# Onda itself, where HTTP and GRPC are a sidecar.
DIRECT_HTTP = os.environ.get("ONDA_TEST_DIRECT_HTTP", HTTP)
DIRECT_GRPC = os.environ.get("ONDA_TEST_DIRECT_GRPC", GRPC)
