{{/* The environment of Onda. */}}
{{- define "onda.env" -}}
- name: ONDA_LISTEN
  value: ":8080"
- name: ONDA_METRICS_LISTEN
  value: ":9464"
- name: ONDA_LOG_FORMAT
  value: json
# On, not auto: a pod that came up without its sidecar says so and does not serve as if there were no registry.
- name: ONDA_DAPR
  value: "on"
- name: ONDA_DEVICE
  value: {{ ternary "cuda" "cpu" (eq .Values.profile "gpu") }}
- name: ONDA_MODELS_DIR
  value: {{ ternary "/models" "/var/lib/onda/models" (ne .Values.models.source "registry") }}
- name: ONDA_MAX_BODY
  value: {{ .Values.dapr.maxBodySize | quote }}
- name: ONDA_DRAIN_DELAY
  value: {{ printf "%ds" (int .Values.shutdown.drainDelaySeconds) | quote }}
- name: ONDA_SHUTDOWN_TIMEOUT
  value: {{ printf "%ds" (int .Values.shutdown.timeoutSeconds) | quote }}
- name: ONDA_STATE_STORE
  value: {{ ternary "" (include "onda.stateStore" .) (eq (include "onda.state" .) "none") | quote }}
- name: ONDA_PUBSUB
  value: {{ include "onda.pubsub" . }}
- name: ONDA_REQUESTS_TOPIC
  value: {{ .Values.events.topic | quote }}
- name: ONDA_RESULTS_TOPIC
  value: {{ .Values.events.resultsTopic | quote }}
- name: ONDA_DEAD_LETTER_TOPIC
  value: {{ .Values.events.deadLetterTopic | quote }}
{{- if and .Values.events.enabled (eq .Values.events.broker "rabbitmq") }}
# A classic queue is lost with its node, and its events with it.
- name: ONDA_REQUESTS_METADATA
  value: queueType:quorum
{{- end }}
- name: ONDA_ARTIFACT_CACHE
  value: /var/cache/onda
- name: ONDA_ARTIFACT_CACHE_SIZE
  value: {{ .Values.models.cache.sizeLimit | quote }}
{{- with include "onda.artifactStore" . }}
- name: ONDA_ARTIFACT_STORE
  value: {{ . | quote }}
{{- end }}
{{- with .Values.models.sources }}
- name: ONDA_ARTIFACT_SOURCES
  value: {{ join "," . | quote }}
{{- end }}
{{- with .Values.azure.storage.account }}
- name: AZURE_STORAGE_ACCOUNT
  value: {{ . | quote }}
{{- end }}
- name: ONDA_REGISTRY_CHANGES
  value: {{ .Values.registry.changes | quote }}
{{- if eq .Values.registry.changes "token" }}
- name: ONDA_REGISTRY_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ .Values.registry.token.secretName | quote }}
      key: {{ .Values.registry.token.key | quote }}
{{- end }}
# The injector gives both tokens to the sidecar alone.
{{- with .Values.dapr.appTokenSecret }}
- name: APP_API_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ . | quote }}
      key: token
{{- end }}
{{- with .Values.dapr.apiTokenSecret }}
- name: DAPR_API_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ . | quote }}
      key: token
{{- end }}
{{- with .Values.goMemLimit }}
- name: GOMEMLIMIT
  value: {{ . | quote }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ ternary (printf "%d" (int64 $value)) (toString $value) (or (kindIs "float64" $value) (kindIs "int64" $value)) | quote }}
{{- end }}
{{- end -}}

{{- define "onda.mounts" -}}
- name: tmp
  mountPath: /tmp
- name: cache
  mountPath: /var/cache/onda
{{- if eq .Values.models.source "volume" }}
- name: models
  mountPath: /models
  readOnly: true
{{- else if eq .Values.models.source "registry" }}
- name: models
  mountPath: /var/lib/onda/models
{{- end }}
{{- end -}}

{{- define "onda.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: {{ .Values.tmp.sizeLimit }}
- name: cache
{{- with .Values.models.cache }}
{{- if .hostPath }}
  hostPath:
    path: {{ .hostPath | quote }}
    type: DirectoryOrCreate
{{- else if .claimName }}
  persistentVolumeClaim:
    claimName: {{ .claimName | quote }}
{{- else if .storageClassName }}
  ephemeral:
    volumeClaimTemplate:
      spec:
        accessModes: [ReadWriteOnce]
        storageClassName: {{ .storageClassName | quote }}
        resources:
          requests:
            storage: {{ .sizeLimit }}
{{- else }}
  emptyDir:
    sizeLimit: {{ .sizeLimit }}
{{- end }}
{{- end }}
{{- if eq .Values.models.source "volume" }}
- name: models
  persistentVolumeClaim:
    claimName: {{ .Values.models.volume.claimName | quote }}
    readOnly: true
{{- else if eq .Values.models.source "registry" }}
# Onda wants a folder of models; here it is empty.
- name: models
  emptyDir:
    sizeLimit: 1Mi
{{- end }}
{{- end -}}

{{/* Whether the process answers; readiness says whether it can work. */}}
{{- define "onda.aliveProbe" -}}
httpGet:
  path: /v2/health/live
  port: http
{{- end -}}
