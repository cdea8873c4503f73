{{/* The pub/sub component of each broker: events, and once more for dead letters (`dead`), since what the sidecar does when
a delivery fails is said for a component as a whole. The reason for each setting is in components/redis, kafka, rabbitmq,
azure-servicebus and azure-eventhubs, where the same settings stand for runs without Kubernetes; a test compares them. */}}

{{- define "onda.broker.redis" -}}
type: pubsub.redis
version: v1
metadata:
  {{- include "onda.redisConnection" .context | nindent 2 }}
  - name: consumerID
    value: "{appID}"
  - name: concurrency
    value: {{ ternary "8" "64" .dead | quote }}
  - name: queueDepth
    value: {{ ternary "16" "128" .dead | quote }}
  - name: poolSize
    value: {{ ternary "10" "40" .dead | quote }}
  - name: processingTimeout
    value: {{ ternary "3m" "60s" .dead }}
  - name: redeliverInterval
    value: "10000"
  - name: streamTTL
    value: 24h
  - name: redisMaxRetries
    value: "3"
{{- end -}}

{{- define "onda.redisConnection" -}}
- name: redisHost
  value: {{ .Values.redis.host | quote }}
- name: enableTLS
  value: {{ .Values.redis.tls | quote }}
{{- if .Values.redis.entraID }}
# The pod's own identity: there is no secret.
- name: useEntraID
  value: "true"
{{- else if .Values.redis.passwordSecret.name }}
- name: redisPassword
  secretKeyRef:
    name: {{ .Values.redis.passwordSecret.name | quote }}
    key: {{ .Values.redis.passwordSecret.key | quote }}
{{- end }}
{{- end -}}

{{- define "onda.broker.servicebus" -}}
type: pubsub.azure.servicebus.topics
version: v1
metadata:
  # The pod's own identity (workload identity): there is no secret.
  - name: namespaceName
    value: {{ .context.Values.azure.serviceBusNamespace | quote }}
  # The name of the subscription in the topic, which replicas share, and which KEDA looks at.
  - name: consumerID
    value: "{appID}"
  - name: disableEntityManagement
    value: {{ not .context.Values.events.manageEntities | quote }}
  - name: lockDurationInSec
    value: "60"
  - name: maxDeliveryCount
    value: {{ ternary "2000" "100" .dead | quote }}
  - name: lockRenewalInSec
    value: "20"
  - name: handlerTimeoutInSec
    value: {{ ternary "3600" "600" .dead | quote }}
  - name: maxConcurrentHandlers
    value: {{ ternary "8" "64" .dead | quote }}
  - name: maxActiveMessages
    value: {{ ternary "16" "128" .dead | quote }}
  {{- if not .dead }}
  - name: maxRetriableErrorsPerSec
    value: "10"
  {{- end }}
  - name: maxConnectionRecoveryInSec
    value: "30"
  {{- if not .dead }}
  - name: timeoutInSec
    value: "30"
  {{- end }}
{{- end -}}

{{- define "onda.broker.eventhubs" -}}
type: pubsub.azure.eventhubs
version: v1
metadata:
  # The pod's own identity (workload identity): there is no secret.
  - name: eventHubNamespace
    value: {{ .context.Values.azure.eventHubsNamespace | quote }}
  - name: storageAccountName
    value: {{ .context.Values.azure.storage.account | quote }}
  - name: storageContainerName
    value: {{ ternary .context.Values.azure.eventHubsContainers.deadLetters .context.Values.azure.eventHubsContainers.requests .dead | quote }}
  - name: consumerID
    value: "{appID}"
  - name: enableEntityManagement
    value: {{ .context.Values.events.manageEntities | quote }}
  - name: enableInOrderMessageDelivery
    value: "true"
  - name: backOffPolicy
    value: constant
  - name: backOffDuration
    value: 1s
  - name: backOffMaxRetries
    value: "-1"
{{- end -}}

{{- define "onda.broker.kafka" -}}
type: pubsub.kafka
version: v1
metadata:
  - name: brokers
    value: {{ .context.Values.kafka.brokers | quote }}
  - name: authType
    value: password
  - name: saslMechanism
    value: {{ .context.Values.kafka.saslMechanism | quote }}
  - name: saslUsername
    secretKeyRef:
      name: {{ .context.Values.kafka.secretName | quote }}
      key: username
  - name: saslPassword
    secretKeyRef:
      name: {{ .context.Values.kafka.secretName | quote }}
      key: password
  - name: consumerGroup
    value: {{ ternary "{appID}-deadletters" "{appID}" .dead | quote }}
  - name: initialOffset
    value: oldest
  - name: consumeRetryEnabled
    value: "true"
  - name: consumeRetryInterval
    value: 1s
  - name: sessionTimeout
    value: 20s
  - name: heartbeatInterval
    value: 3s
  - name: consumerGroupRebalanceStrategy
    value: sticky
  - name: channelBufferSize
    value: {{ ternary "8" "64" .dead | quote }}
  {{- if not .dead }}
  - name: maxMessageBytes
    value: "1048576"
  {{- end }}
{{- end -}}

{{- define "onda.broker.rabbitmq" -}}
type: pubsub.rabbitmq
version: v1
metadata:
  - name: connectionString
    secretKeyRef:
      name: {{ .context.Values.rabbitmq.connectionSecret.name | quote }}
      key: {{ .context.Values.rabbitmq.connectionSecret.key | quote }}
  - name: consumerID
    value: "{appID}"
  - name: durable
    value: "true"
  - name: deliveryMode
    value: "2"
  - name: publisherConfirm
    value: "true"
  - name: deletedWhenUnused
    value: "false"
  - name: requeueInFailure
    value: "true"
  - name: autoAck
    value: "false"
  - name: enableDeadLetter
    value: "true"
  - name: prefetchCount
    value: {{ ternary "8" "64" .dead | quote }}
  - name: concurrency
    value: parallel
  - name: exchangeKind
    value: fanout
  - name: reconnectWaitSeconds
    value: "2"
{{- end -}}

{{/* Who may send and read what. `apps` ask and read results; nobody but Onda reads requests or writes results. */}}
{{- define "onda.topicScopes" -}}
{{- $e := .Values.events -}}
{{- $publish := list (printf "%s=%s,%s,%s" .Values.dapr.appId $e.topic $e.resultsTopic $e.deadLetterTopic) -}}
{{- $subscribe := list (printf "%s=%s,%s" .Values.dapr.appId $e.topic $e.deadLetterTopic) -}}
{{- range $e.apps -}}
{{- $publish = append $publish (printf "%s=%s" . $e.topic) -}}
{{- $subscribe = append $subscribe (printf "%s=%s" . $e.resultsTopic) -}}
{{- end -}}
- name: publishingScopes
  value: {{ join ";" $publish | quote }}
- name: subscriptionScopes
  value: {{ join ";" $subscribe | quote }}
- name: allowedTopics
  value: {{ join "," (list $e.topic $e.resultsTopic $e.deadLetterTopic) | quote }}
{{- end -}}

{{- define "onda.secretStore" -}}
{{- ternary (include "onda.keyVault" .) "kubernetes" (eq .Values.dapr.secretStore "keyvault") -}}
{{- end -}}
