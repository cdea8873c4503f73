{{/* What the schema cannot say: values that need each other. Each message begins with the value's name. */}}
{{- define "onda.validate" -}}
{{- $v := .Values -}}
{{- $state := include "onda.state" . -}}
{{- if and (eq $v.models.source "volume") (not $v.models.volume.claimName) -}}
{{- fail "models.volume.claimName is empty: models.source: volume needs the name of a PersistentVolumeClaim" -}}
{{- end -}}
{{- $caches := 0 -}}
{{- range list $v.models.cache.hostPath $v.models.cache.storageClassName $v.models.cache.claimName -}}
{{- if . }}{{- $caches = add1 $caches -}}{{- end -}}
{{- end -}}
{{- if gt (int $caches) 1 -}}
{{- fail "models.cache: set at most one of hostPath, storageClassName and claimName" -}}
{{- end -}}
{{- if and (eq $v.models.source "registry") (eq $state "none") -}}
{{- fail "models.source: registry needs a state store: set state.kind to cosmosdb or redis, or azure.cosmos.url" -}}
{{- end -}}
{{- if and (eq $state "cosmosdb") (not $v.azure.cosmos.url) -}}
{{- fail "azure.cosmos.url is empty: state.kind: cosmosdb needs the address of the account" -}}
{{- end -}}
{{- if and (eq $v.registry.changes "token") (not $v.registry.token.secretName) -}}
{{- fail "registry.token.secretName is empty: registry.changes: token needs the Secret with the token" -}}
{{- end -}}
{{- if and (eq $v.registry.changes "token") (eq $state "none") -}}
{{- fail "registry.changes: token needs a state store: set state.kind to cosmosdb or redis, or azure.cosmos.url" -}}
{{- end -}}
{{- if and (eq $v.dapr.secretStore "keyvault") (not $v.azure.keyVault) -}}
{{- fail "azure.keyVault is empty: dapr.secretStore: keyvault needs the name of the vault" -}}
{{- end -}}
{{- if ge (int $v.dapr.health.timeoutMilliseconds) (mul 1000 (int $v.dapr.health.interval)) -}}
{{- fail (printf "dapr.health.timeoutMilliseconds is %d: want less than dapr.health.interval, %d s" (int $v.dapr.health.timeoutMilliseconds) (int $v.dapr.health.interval)) -}}
{{- end -}}
{{- if or (eq $state "redis") (and $v.events.enabled (eq $v.events.broker "redis")) -}}
{{- if not $v.redis.host -}}
{{- fail "redis.host is empty: want host:port, for state.kind: redis and events.broker: redis" -}}
{{- end -}}
{{- if and $v.redis.entraID (or (not $v.redis.tls) $v.redis.passwordSecret.name) -}}
{{- fail "redis.entraID: true needs redis.tls: true and no redis.passwordSecret.name" -}}
{{- end -}}
{{- end -}}
{{- if and (not $v.rollout.maxSurge) (not $v.rollout.maxUnavailable) -}}
{{- fail "rollout.maxSurge and rollout.maxUnavailable are both 0: an update could not begin" -}}
{{- end -}}
{{- include "onda.validateEvents" . -}}
{{- include "onda.validateScaling" . -}}
{{- include "onda.validateIngress" . -}}
{{- end -}}

{{- define "onda.validateEvents" -}}
{{- $v := .Values -}}
{{- if $v.events.enabled -}}
{{- $topics := list $v.events.topic $v.events.resultsTopic $v.events.deadLetterTopic -}}
{{- if lt (len (uniq $topics)) 3 -}}
{{- fail "events.topic, events.resultsTopic and events.deadLetterTopic must be three different names" -}}
{{- end -}}
{{- if and (eq $v.events.broker "servicebus") (not $v.azure.serviceBusNamespace) -}}
{{- fail "azure.serviceBusNamespace is empty: events.broker: servicebus needs it, as NAME.servicebus.windows.net" -}}
{{- end -}}
{{- if eq $v.events.broker "eventhubs" -}}
{{- if not $v.azure.eventHubsNamespace -}}
{{- fail "azure.eventHubsNamespace is empty: events.broker: eventhubs needs it, as NAME.servicebus.windows.net" -}}
{{- end -}}
{{- if not $v.azure.storage.account -}}
{{- fail "azure.storage.account is empty: events.broker: eventhubs keeps there how far its readers are" -}}
{{- end -}}
{{- end -}}
{{- if and (eq $v.events.broker "kafka") (not (and $v.kafka.brokers $v.kafka.secretName)) -}}
{{- fail "kafka.brokers or kafka.secretName is empty: events.broker: kafka needs both" -}}
{{- end -}}
{{- if and (eq $v.events.broker "rabbitmq") (not $v.rabbitmq.connectionSecret.name) -}}
{{- fail "rabbitmq.connectionSecret.name is empty: events.broker: rabbitmq needs the Secret with its address" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "onda.validateScaling" -}}
{{- $a := .Values.autoscaling -}}
{{- if ne $a.kind "none" -}}
{{- if gt (int $a.min) (int $a.max) -}}
{{- fail (printf "autoscaling.min is %d, more than autoscaling.max, %d" (int $a.min) (int $a.max)) -}}
{{- end -}}
{{- if and (eq $a.kind "hpa") (eq (int $a.min) 0) -}}
{{- fail "autoscaling.min is 0: autoscaling.kind: hpa wants 1 at least; only keda wakes up a first replica" -}}
{{- end -}}
{{- if and (eq $a.kind "hpa") (not $a.targetCPU) (not $a.targetSaturation) -}}
{{- fail "autoscaling.targetCPU and autoscaling.targetSaturation are both 0: autoscaling.kind: hpa needs one" -}}
{{- end -}}
{{- end -}}
{{- if eq $a.kind "keda" -}}
{{- if and .Values.events.enabled (eq .Values.events.broker "redis") .Values.redis.entraID -}}
{{- fail "redis.entraID: true: KEDA logs in to Redis with a password: set redis.passwordSecret.name" -}}
{{- end -}}
{{- $broker := and .Values.events.enabled (has .Values.events.broker (list "servicebus" "redis")) -}}
{{- $prometheus := and $a.keda.prometheus.serverAddress $a.targetSaturation -}}
{{- if not (or $broker $prometheus $a.keda.extraTriggers) -}}
{{- fail "autoscaling.kind: keda has no trigger: enable events with the broker servicebus or redis, set autoscaling.keda.prometheus.serverAddress, or give autoscaling.keda.extraTriggers" -}}
{{- end -}}
{{- if and (eq (int $a.min) 0) (not (or $broker $a.keda.extraTriggers)) -}}
{{- fail "autoscaling.min is 0: nothing would wake up a first replica, since without one there is no onda_saturation; want events with the broker servicebus or redis, or autoscaling.keda.extraTriggers" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "onda.validateIngress" -}}
{{- $i := .Values.ingress -}}
{{- if $i.enabled -}}
{{- if not $i.auth.kind -}}
{{- fail "ingress.auth.kind is empty: say how callers are known: oidc, token or forward; or none, if anybody may call" -}}
{{- end -}}
{{- if not $i.host -}}
{{- fail "ingress.host is empty: want the host name that callers use" -}}
{{- end -}}
{{- if not $i.tls.secretName -}}
{{- fail "ingress.tls.secretName is empty: want the Secret with the certificate; there is no ingress without TLS" -}}
{{- end -}}
{{- if and (eq $i.kind "gateway") (not $i.gateway.className) -}}
{{- fail "ingress.gateway.className is empty: want a GatewayClass of the cluster" -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not $i.controllerNamespace) -}}
{{- fail "ingress.controllerNamespace is empty: the network policies must let the ingress controller in" -}}
{{- end -}}
{{- if and (eq $i.auth.kind "oidc") (not (and $i.auth.oidc.issuer $i.auth.oidc.audience)) -}}
{{- fail "ingress.auth.oidc: issuer or audience is empty: both are needed to check tokens" -}}
{{- end -}}
{{- if and (eq $i.auth.kind "oidc") (not .Values.networkPolicy.enabled) -}}
{{- fail "networkPolicy.enabled: false: ingress.auth.kind: oidc needs the policies, which keep the edge from calling anybody but Onda" -}}
{{- end -}}
{{- if and (eq $i.auth.kind "oidc") (eq $i.edge.appId .Values.dapr.appId) -}}
{{- fail "ingress.edge.appId is dapr.appId: the edge is an app of its own" -}}
{{- end -}}
{{- if and (eq $i.auth.kind "token") (not .Values.dapr.appTokenSecret) -}}
{{- fail "dapr.appTokenSecret is empty: ingress.auth.kind: token needs the Secret with the token that callers show" -}}
{{- end -}}
{{- if eq $i.auth.kind "forward" -}}
{{- if ne $i.kind "nginx" -}}
{{- fail "ingress.auth.kind: forward is for ingress.kind: nginx: the Gateway API has no standard for it; use oidc" -}}
{{- end -}}
{{- if not $i.auth.forward.url -}}
{{- fail "ingress.auth.forward.url is empty: want the address that checks requests" -}}
{{- end -}}
{{- end -}}
{{- if and (has $i.auth.kind (list "forward" "none")) .Values.dapr.appTokenSecret -}}
{{- fail (printf "ingress.auth.kind: %s: with dapr.appTokenSecret Onda refuses requests that do not show the token; use token or oidc" $i.auth.kind) -}}
{{- end -}}
{{- end -}}
{{- end -}}
