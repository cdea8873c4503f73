# The CPU image of Onda: the program, the ONNX Runtime library and the models, on a base without shell or package manager.
#
#   docker build -t onda --build-arg VERSION=1.2.3 .                                # with the models of this repository
#   docker build -t onda --build-arg VERSION=1.2.3 --target onda-without-models .   # with none: mount them at /models
#   docker run --read-only -p 127.0.0.1:8080:8080 onda
#
# Nothing in it needs BuildKit. deploy/container/test.sh builds it and scores with it where no registry can be reached.

# All three are Debian 13, since the program is linked with the C library of one and runs with that of another. Their tags
# move as fixes come in. For a build that can be repeated give each with its digest, as `docker buildx imagetools inspect
# IMAGE` prints it: --build-arg BASE_IMAGE=gcr.io/distroless/cc-debian13:nonroot@sha256:...
ARG GO_IMAGE=docker.io/library/golang:1.26-trixie
ARG NODE_IMAGE=docker.io/library/node:24-trixie-slim
ARG BASE_IMAGE=gcr.io/distroless/cc-debian13:nonroot


FROM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY app app
ARG VERSION=dev
RUN CGO_ENABLED=1 go build -trimpath -buildvcs=false \
      -ldflags "-s -w -X github.com/onda-serving/onda/app/cli.Version=$VERSION" \
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
    chmod -R a+rX /out


# The library as `make setup` fetches it: the pins of deploy/local/versions.env, checked by the same lines.
FROM ${NODE_IMAGE} AS library
WORKDIR /src
COPY deploy/local/versions.env deploy/local/
COPY deploy/local/lib/common.sh deploy/local/lib/onnxruntime.sh deploy/local/lib/
RUN bash -c 'set -euo pipefail; \
      source deploy/local/lib/common.sh; source deploy/local/lib/onnxruntime.sh; \
      make_scratch; ensure_onnxruntime; \
      install -D -m 0644 "$(onnxruntime_library)" /out/lib/libonnxruntime.so'


# A checkout may keep its files from everybody but their owner; the image's user must be able to read them.
FROM ${GO_IMAGE} AS models
COPY models /out/models
RUN chmod -R a+rX /out/models


FROM ${BASE_IMAGE} AS onda-without-models
ARG VERSION=dev
LABEL org.opencontainers.image.title="Onda" \
      org.opencontainers.image.description="Real-time scoring of ONNX models behind a Dapr sidecar" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/onda-serving/onda" \
      org.opencontainers.image.version="$VERSION"
# It needs libstdc++, libgcc_s and glibc 2.28 or newer (readelf, on x64 and arm64), hence a base of the cc kind.
COPY --from=library /out/lib/libonnxruntime.so /usr/local/lib/
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


# The last stage is what is built where no target is named.
FROM onda-without-models AS onda
COPY --from=models /out/models /models
