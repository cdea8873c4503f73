{{/* Rules that several policies share. */}}

{{- define "onda.namespacePeer" -}}
namespaceSelector:
  matchLabels:
    kubernetes.io/metadata.name: {{ . | quote }}
{{- end -}}

{{/* Out: names, and Dapr's control plane: sentry (50001), operator (6500), and the injector is the one that calls. */}}
{{- define "onda.egressCommon" -}}
- to:
    - {{- include "onda.namespacePeer" .Values.networkPolicy.dnsNamespace | nindent 6 }}
  ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
- to:
    - {{- include "onda.namespacePeer" .Values.dapr.controlPlaneNamespace | nindent 6 }}
  ports:
    - {port: 50001, protocol: TCP}
    - {port: 6500, protocol: TCP}
{{- end -}}

{{/* Azure and the brokers: addresses are not names, so ports say what is meant. */}}
{{- define "onda.egressPorts" -}}
{{- $v := .Values -}}
{{- $ports := list 443 -}}
{{- if $v.events.enabled -}}
{{- if has $v.events.broker (list "servicebus" "eventhubs") -}}{{- $ports = append $ports 5671 -}}{{- end -}}
{{- if eq $v.events.broker "rabbitmq" -}}{{- $ports = append $ports 5671 -}}{{- end -}}
{{- if eq $v.events.broker "kafka" -}}
{{- range splitList "," $v.kafka.brokers -}}{{- $ports = append $ports (splitList ":" . | last | int) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if or (eq (include "onda.state" .) "redis") (and $v.events.enabled (eq $v.events.broker "redis")) -}}
{{- $ports = append $ports (splitList ":" $v.redis.host | last | int) -}}
{{- end -}}
{{- if $v.dapr.tracing.endpoint -}}
{{- $ports = append $ports (splitList ":" $v.dapr.tracing.endpoint | last | int) -}}
{{- end -}}
{{- range $v.networkPolicy.extraEgressPorts -}}{{- $ports = append $ports (int .) -}}{{- end -}}
{{- range uniq $ports }}
- {port: {{ . }}, protocol: TCP}
{{- end -}}
{{- end -}}

{{- define "onda.outside" -}}
{{- $except := .Values.networkPolicy.egressExcept -}}
{{- range .Values.networkPolicy.egressCIDRs }}
- ipBlock:
    cidr: {{ . }}
    {{- if and $except (eq . "0.0.0.0/0") }}
    except: {{ toJson $except }}
    {{- end }}
{{- end -}}
{{- end -}}
