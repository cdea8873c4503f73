{{/* The annotations of the sidecar. `context` is the root, `appId` the app's, `config` its Configuration. Quantities that
are null are left out: no limit. */}}
{{- define "onda.daprAnnotations" -}}
{{- $values := .context.Values -}}
{{- $limits := $values.sidecar.resources.limits -}}
{{- $requests := $values.sidecar.resources.requests -}}
dapr.io/enabled: "true"
dapr.io/app-id: {{ .appId | quote }}
dapr.io/config: {{ .config | quote }}
dapr.io/log-as-json: "true"
dapr.io/log-level: {{ $values.dapr.logLevel | quote }}
dapr.io/max-body-size: {{ $values.dapr.maxBodySize | quote }}
dapr.io/metrics-port: "9090"
dapr.io/internal-grpc-port: "50002"
dapr.io/sidecar-seccomp-profile-type: RuntimeDefault
# Secrets of the namespace are not the app's to read; those of components come from the operator.
dapr.io/disable-builtin-k8s-secret-store: "true"
# No actors and no jobs: a sidecar that looked for these services would not be healthy without them. A blank turns them off.
dapr.io/placement-host-address: " "
dapr.io/scheduler-host-address: " "
# The sidecar ends beside Onda and not after it: callers' sidecars keep their connection until this one closes it.
dapr.io/enable-native-sidecar: "false"
dapr.io/block-shutdown-duration: {{ printf "%ds" (int $values.shutdown.noticeSeconds) | quote }}
dapr.io/graceful-shutdown-seconds: {{ int $values.shutdown.timeoutSeconds | quote }}
{{- with $values.sidecar.image }}
dapr.io/sidecar-image: {{ . | quote }}
{{- end }}
{{- with $requests.cpu }}
dapr.io/sidecar-cpu-request: {{ . | toString | quote }}
{{- end }}
{{- with $requests.memory }}
dapr.io/sidecar-memory-request: {{ . | quote }}
{{- end }}
{{- with $limits.cpu }}
dapr.io/sidecar-cpu-limit: {{ . | toString | quote }}
{{- end }}
{{- with $limits.memory }}
dapr.io/sidecar-memory-limit: {{ . | quote }}
{{- end }}
{{- with $values.sidecar.goMemLimit }}
dapr.io/env: {{ printf "GOMEMLIMIT=%s" . | quote }}
{{- end }}
{{- end -}}

{{/* What only Onda's sidecar has, and not the edge's. */}}
{{- define "onda.daprAppAnnotations" -}}
dapr.io/app-port: "8080"
dapr.io/app-protocol: http
# The API is for Onda alone.
dapr.io/sidecar-listen-addresses: "[::1],127.0.0.1"
dapr.io/enable-app-health-check: "true"
dapr.io/app-health-check-path: /healthz
dapr.io/app-health-probe-interval: {{ int .Values.dapr.health.interval | quote }}
dapr.io/app-health-probe-timeout: {{ int .Values.dapr.health.timeoutMilliseconds | quote }}
dapr.io/app-health-threshold: {{ int .Values.dapr.health.threshold | quote }}
{{- with .Values.dapr.appTokenSecret }}
dapr.io/app-token-secret: {{ . | quote }}
{{- end }}
{{- with .Values.dapr.apiTokenSecret }}
dapr.io/api-token-secret: {{ . | quote }}
{{- end }}
{{- end -}}
