# The images of Onda: the program, the ONNX Runtime library and the models, on a base without shell or package manager.
#
#   make image                                # with the models of this repository
#   make image TARGET=onda-without-models     # with none: mount them at /models
#   make image TARGET=onda-cuda               # for NVIDIA GPUs, x86-64 alone, without models
#   docker run --read-only --tmpfs /tmp -p 127.0.0.1:8080:8080 onda
#
# `docker build .` works, too: nothing in it needs BuildKit. deploy/container/build.sh, which make image runs, adds what
# makes a build repeatable and lists what is in the image. deploy/container/test.sh builds it and scores with it where no
# registry can be reached.

# All are Debian 13, since the program is linked with the C library of one and runs with that of another. Their tags move as
# fixes come in: deploy/container/pin.sh writes the digests that deploy/container/build.sh gives here.
ARG GO_IMAGE=docker.io/library/golang:1.26-trixie
ARG NODE_IMAGE=docker.io/library/node:24-trixie-slim
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim-trixie
ARG BASE_IMAGE=gcr.io/distroless/cc-debian13:nonroot


FROM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY app app
ARG VERSION=dev
RUN CGO_ENABLED=1 go build -trimpath -buildvcs=false \
      -ldflags "-s -w -buildid= -X github.com/onda-serving/onda/app/cli.Version=$VERSION" \
      -o /out/bin/onda ./app/cmd/onda && \
    mkdir /out/no-models
# The licences of what is linked into the program: most of them ask to be passed on with it.
COPY LICENSE /out/licences/onda/
COPY deploy/container/licences /out/licences
RUN mkdir /out/licences/go && cp "$(go env GOROOT)/LICENSE" /out/licences/go/ && \
    go list -deps -f '{{with .Module}}{{if .Version}}{{.Path}} {{.Dir}}{{end}}{{end}}' ./app/cmd/onda | sort -u | \
    while read -r module dir; do \
      mkdir -p "/out/licences/$module" && \
      cp "$dir"/LICENSE* "/out/licences/$module/" && \
      find "$dir" -maxdepth 1 -name 'NOTICE*' -exec cp {} "/out/licences/$module/" ';' || exit 1; \
    done && \
    chmod -R u=rwX,go=rX /out


# The library as `make setup` fetches it: the pins of deploy/local/versions.env, checked by the same lines.
FROM ${NODE_IMAGE} AS library
WORKDIR /src
COPY deploy/local/versions.env deploy/local/
COPY deploy/local/lib/common.sh deploy/local/lib/onnxruntime.sh deploy/local/lib/
RUN bash -c 'set -euo pipefail; \
      source deploy/local/lib/common.sh; source deploy/local/lib/onnxruntime.sh; \
      make_scratch; ensure_onnxruntime; \
      install -D -m 0644 "$(onnxruntime_library)" /out/lib/libonnxruntime.so'


# A checkout may keep its files from everybody but their owner; the image's user must be able to read them. And its modes,
# which the umask made, would make other layers of the same files.
FROM ${GO_IMAGE} AS models
COPY models /out/models
RUN chmod -R u=rwX,go=rX /out/models


# For NVIDIA GPUs: ONNX Runtime with its CUDA provider, and of CUDA and cuDNN what the provider needs.
FROM ${PYTHON_IMAGE} AS cuda-library
WORKDIR /src
COPY deploy/local/versions.env deploy/local/
COPY deploy/container/cuda.sh deploy/container/cuda.txt deploy/container/
RUN deploy/container/cuda.sh fetch /out
# cuDNN needs zlib, which a base of the cc kind has not.
RUN install -m 0644 /usr/lib/x86_64-linux-gnu/libz.so.1 /out/lib/ && \
    install -D -m 0644 /usr/share/doc/zlib1g/copyright /out/licences/zlib/copyright


FROM ${BASE_IMAGE} AS onda-without-library
ARG VERSION=dev
LABEL org.opencontainers.image.title="Onda" \
      org.opencontainers.image.description="Real-time scoring of ONNX models behind a Dapr sidecar" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/onda-serving/onda" \
      org.opencontainers.image.version="$VERSION"
COPY --from=build /out/licences /usr/local/share/licences
COPY --from=build /out/bin/onda /usr/local/bin/
# An empty folder: onda does not start without one.
COPY --from=build /out/no-models /models
WORKDIR /
# All addresses, where the program's own default is loopback: the sidecar shares the loopback of the pod, but kubelet's
# probes, Prometheus and callers without a sidecar come to the pod's address. A network policy says who may reach it, and
# APP_API_TOKEN makes onda answer its sidecar alone; ONDA_LISTEN=127.0.0.1:8080 closes it to everybody else.
ENV ONDA_LISTEN=:8080 \
    ONDA_METRICS_LISTEN=:9464 \
    ONDA_MODELS_DIR=/models \
    ONDA_ONNXRUNTIME_LIBRARY=/usr/local/lib/libonnxruntime.so
EXPOSE 8080 9464
# A number, because Kubernetes cannot tell of a name that it is not root's (runAsNonRoot).
USER 65532:65532
# No HEALTHCHECK: its command would run in here, where there is neither a shell nor a client, and onda has no command that
# asks. From outside, GET /healthz and GET /v2/health/ready on port 8080 tell.
ENTRYPOINT ["/usr/local/bin/onda"]
CMD ["serve"]


# Fails where the image would lack a library that one of these needs. Here, because it takes readelf, which comes with the
# compiler.
FROM ${GO_IMAGE} AS cuda-checked
COPY --from=onda-without-library / /image
COPY --from=cuda-library /out /out
COPY deploy/container/cuda.sh /src/
RUN /src/cuda.sh check /out /image


# Never built as a whole, and never run on a GPU: of its steps, both commands of cuda.sh ran by themselves. What the second
# found missing, zlib, is what is copied above.
FROM onda-without-library AS onda-cuda
COPY --from=cuda-checked /out/licences /usr/local/share/licences
COPY --from=cuda-checked /out/lib /usr/local/lib
# The provider opens cuDNN by its name alone, and there is no ldconfig here. The other two are read by NVIDIA's container
# runtime, which puts the driver's own libraries into the container.
ENV ONDA_DEVICE=cuda \
    LD_LIBRARY_PATH=/usr/local/lib \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility


FROM onda-without-library AS onda-without-models
# It needs libstdc++, libgcc_s and glibc 2.28 or newer (readelf, on x64 and arm64), hence a base of the cc kind.
COPY --from=library /out/lib/libonnxruntime.so /usr/local/lib/


# The last stage is what is built where no target is named.
FROM onda-without-models AS onda
COPY --from=models /out/models /models
