{{/* Names and labels: objects are called as the release is. */}}

{{- define "onda.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough for what is put behind it: names of objects end at 63 characters. */}}
{{- define "onda.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- $name := include "onda.name" . -}}
{{- $release := .Release.Name | replace "." "-" -}}
{{- if contains $name $release -}}
{{- $release | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" $release $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "onda.selector" -}}
app.kubernetes.io/name: {{ include "onda.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* Labels of objects. */}}
{{- define "onda.labels" -}}
{{ include "onda.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: onda
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "onda.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "onda.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "onda.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Names of the Dapr components, which several files need. */}}
{{- define "onda.stateStore" -}}{{ include "onda.fullname" . }}-statestore{{- end -}}
{{- define "onda.pubsub" -}}{{ include "onda.fullname" . }}-pubsub{{- end -}}
{{- define "onda.deadletters" -}}{{ include "onda.fullname" . }}-deadletters{{- end -}}
{{- define "onda.keyVault" -}}{{ include "onda.fullname" . }}-keyvault{{- end -}}
{{- define "onda.config" -}}{{ default (include "onda.fullname" .) .Values.dapr.config }}{{- end -}}

{{/* The state store in force: cosmosdb, redis or none. */}}
{{- define "onda.state" -}}
{{- if ne .Values.state.kind "auto" -}}
{{- .Values.state.kind -}}
{{- else if .Values.azure.cosmos.url -}}
cosmosdb
{{- else -}}
none
{{- end -}}
{{- end -}}

{{/* Where uploads go; empty for nowhere. */}}
{{- define "onda.artifactStore" -}}
{{- if .Values.models.store -}}
{{- .Values.models.store -}}
{{- else if and .Values.azure.storage.account .Values.azure.storage.container -}}
{{- printf "azblob://%s" .Values.azure.storage.container -}}
{{- end -}}
{{- end -}}
