{{/* Requests and limits; null takes one away. The profile gpu adds the GPU, which is a limit by nature. */}}
{{- define "onda.resources" -}}
{{- $limits := dict -}}
{{- range $name, $value := .Values.resources.limits -}}
{{- if $value }}{{- $_ := set $limits $name (toString $value) -}}{{- end -}}
{{- end -}}
{{- if eq .Values.profile "gpu" -}}
{{- $_ := set $limits .Values.gpu.resource (toString .Values.gpu.count) -}}
{{- end -}}
{{- $requests := dict -}}
{{- range $name, $value := .Values.resources.requests -}}
{{- if $value }}{{- $_ := set $requests $name (toString $value) -}}{{- end -}}
{{- end -}}
requests:
  {{- range $name, $value := $requests }}
  {{ $name }}: {{ $value | quote }}
  {{- else }} {}
  {{- end }}
limits:
  {{- range $name, $value := $limits }}
  {{ $name }}: {{ $value | quote }}
  {{- else }} {}
  {{- end }}
{{- end -}}
