{{- define "imprimatur.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "imprimatur.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "imprimatur.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "imprimatur.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What every pod of this release carries; the default-deny rule selects by it. */}}
{{- define "imprimatur.selector" -}}
app.kubernetes.io/name: {{ include "imprimatur.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "imprimatur.labels" -}}
{{ include "imprimatur.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* (dict "image" <image values> "root" $) -> reference; a digest wins over a tag. */}}
{{- define "imprimatur.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Pod Security "restricted": the pod's half. */}}
{{- define "imprimatur.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ .Values.podSecurity.runAsUser }}
runAsGroup: {{ .Values.podSecurity.runAsGroup }}
fsGroup: {{ .Values.podSecurity.fsGroup }}
# Only a fresh volume is walked: a walk on each start would add group rights to the log's private key files.
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Pod Security "restricted": the container's half. */}}
{{- define "imprimatur.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Placement shared by both workloads: (dict "values" .Values.gateway) */}}
{{- define "imprimatur.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* A mounted Secret belongs to root, and its group may read it once fsGroup is set; the key files' own check (nobody
     but the owner) would refuse that. So they are copied into memory that only this pod sees, readable by its user alone. */}}
{{- define "imprimatur.privateSecrets" -}}
- name: private-secrets
  image: {{ .image | quote }}
  imagePullPolicy: {{ .pullPolicy }}
  command: [/bin/sh, -c]
  args:
    - umask 077 && mkdir -p /run/imprimatur/secrets && cp -Lf /run/mounted-secrets/* /run/imprimatur/secrets/
  securityContext:
    {{- include "imprimatur.containerSecurityContext" . | nindent 4 }}
  resources:
    requests: {cpu: 10m, memory: 16Mi}
    limits: {memory: 64Mi}
  volumeMounts:
    - {name: mounted-secrets, mountPath: /run/mounted-secrets, readOnly: true}
    - {name: private-secrets, mountPath: /run/imprimatur}
{{- end -}}

{{- define "imprimatur.privateSecretsVolume" -}}
- name: private-secrets
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
{{- end -}}

{{- define "imprimatur.databaseUrl" -}}
{{- if .Values.database.host -}}
{{- with .Values.database -}}
{{- printf "postgresql+asyncpg://%s@%s:%d/%s?ssl=%s" .user .host (int .port) .name .tls.mode -}}
{{- end -}}
{{- else -}}
sqlite+aiosqlite:////var/lib/imprimatur/gateway.sqlite
{{- end -}}
{{- end -}}

{{/* The password comes from a file in pgpass form; the driver itself refuses it when others can read it. */}}
{{- define "imprimatur.databaseEnv" -}}
{{- if .Values.database.host }}
- name: PGPASSFILE
  value: /run/imprimatur/secrets/pgpass
{{- end }}
{{- if or .Values.database.host .Values.auditDatabase.existingSecret }}
- name: PGSSLROOTCERT
  value: {{ ternary "/run/database-ca/ca.crt" "/etc/ssl/certs/ca-certificates.crt" (ne .Values.database.tls.caSecret "") }}
{{- end }}
{{- end -}}

{{- define "imprimatur.databaseCaVolume" -}}
{{- if and (or .Values.database.host .Values.auditDatabase.existingSecret) .Values.database.tls.caSecret }}
- name: database-ca
  secret:
    secretName: {{ .Values.database.tls.caSecret }}
    items: [{key: {{ .Values.database.tls.caKey }}, path: ca.crt}]
{{- end }}
{{- end -}}

{{- define "imprimatur.databaseCaMount" -}}
{{- if and (or .Values.database.host .Values.auditDatabase.existingSecret) .Values.database.tls.caSecret }}
- {name: database-ca, mountPath: /run/database-ca, readOnly: true}
{{- end }}
{{- end -}}

{{- define "imprimatur.databaseSecretSource" -}}
- secret:
    name: {{ .Values.database.existingSecret }}
    items: [{key: {{ .Values.database.pgpassKey }}, path: pgpass}]
{{- end -}}

{{- define "imprimatur.upstreamUrl" -}}
{{- if .Values.modelServer.enabled -}}
{{ ternary "https" "http" .Values.modelServer.tls.enabled }}://{{ include "imprimatur.fullname" . }}-model-server:8101
{{- else -}}
{{- required "modelServer.externalUrl: name an image server, or set modelServer.enabled" .Values.modelServer.externalUrl -}}
{{- end -}}
{{- end -}}

{{/* The one Secret that a projected volume takes files of: (dict "name" <Secret> "files" (dict <key> <file name>)) */}}
{{- define "imprimatur.secretFiles" -}}
- secret:
    name: {{ .name }}
    items:
      {{- range $key, $file := .files }}
      - {key: {{ $key }}, path: {{ $file }}}
      {{- end }}
{{- end -}}

{{/* The DNS name or URI that the gateway's certificate carries: the model server lets nobody else in. */}}
{{- define "imprimatur.clientName" -}}
{{- default (printf "%s-gateway" (include "imprimatur.fullname" .)) .Values.modelServer.tls.clientName -}}
{{- end -}}

{{/* Where the model server finds its list of models: the name of a ConfigMap, or nothing for a single model. */}}
{{- define "imprimatur.modelsConfigMap" -}}
{{- if .Values.modelServer.models -}}
{{ include "imprimatur.fullname" . }}-models
{{- else -}}
{{ .Values.modelServer.modelsConfigMap }}
{{- end -}}
{{- end -}}

{{/* The model that the gateway asks for when a request names none: the first that the model server has. */}}
{{- define "imprimatur.defaultModel" -}}
{{- if .Values.modelServer.enabled -}}
{{- $config := .Values.modelServer.config -}}
{{- if .Values.modelServer.models -}}
{{ (first .Values.modelServer.models).id }}
{{- else if .Values.modelServer.modelsConfigMap -}}
{{- else if $config.name -}}
{{ $config.name }}
{{- else if eq (default "embedded" $config.kind) "diffusers" -}}
{{ base $config.path }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Values of the model server that contradict each other or would silently not count. */}}
{{- define "imprimatur.checkModelServer" -}}
{{- $server := .Values.modelServer -}}
{{- $upstream := default dict .Values.config.upstream -}}
{{- if $server.enabled -}}
{{- range $name := list "tls_ca_path" "tls_certificate_path" "tls_key_path" -}}
{{- if hasKey $upstream $name -}}
{{- fail (printf "config.upstream.%s is for an image server at modelServer.externalUrl; for the chart's own: modelServer.tls" $name) -}}
{{- end -}}
{{- end -}}
{{- if and $server.models $server.modelsConfigMap -}}
{{- fail "modelServer.models and modelServer.modelsConfigMap: name one of them" -}}
{{- end -}}
{{- if include "imprimatur.modelsConfigMap" . -}}
{{- range $name := list "kind" "path" "name" "digest" "sizes" "device" "dtype" -}}
{{- if hasKey $server.config $name -}}
{{- fail (printf "modelServer.config.%s is for a single model and would not be read beside a list of models: say it there" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $server.config.path (ne (default "embedded" $server.config.kind) "diffusers") (not $server.config.name) (not $upstream.default_model) -}}
{{- fail "modelServer.config.name: name the model, so that the gateway can ask for it when a request names none" -}}
{{- end -}}
{{- if and $server.modelsConfigMap (not $upstream.default_model) -}}
{{- fail "config.upstream.default_model: name one of the models of modelServer.modelsConfigMap, for requests that name none" -}}
{{- end -}}
{{- else if $server.tls.enabled -}}
{{- fail "modelServer.tls is for the chart's own model server; for another one: config.upstream.tls_*" -}}
{{- end -}}
{{- end -}}

{{/* The settings file. What the chart decides overrides what the values say; the schema refuses to be asked. */}}
{{- define "imprimatur.settings" -}}
{{- $secrets := "/run/imprimatur/secrets" -}}
{{- $copied := and (eq .Values.policy.engine "opa") (not .Values.policy.existingClaim) -}}
{{- $policy := dict "engine" .Values.policy.engine "directory" (ternary "/policies" .Values.policy.imagePath (or $copied (ne .Values.policy.existingClaim ""))) -}}
{{- if eq .Values.policy.engine "opa" -}}
{{- $_ := set $policy "opa_url" "http://127.0.0.1:8181" -}}
{{- $_ := set $policy "opa_rules_from" (ternary "gateway" "folder" .Values.policy.signedBundles.enabled) -}}
{{- end -}}
{{- if .Values.policy.signedBundles.enabled -}}
{{- $_ := set $policy "bundles" (dict
  "name" "imprimatur"
  "key_id" .Values.policy.signedBundles.keyId
  "signing_key_path" (printf "%s/policy-signing.pem" $secrets)
  "token_path" (printf "%s/opa.token" $secrets)
) -}}
{{- end -}}
{{- $upstream := dict "url" (include "imprimatur.upstreamUrl" .) "secret_path" (printf "%s/model-server.key" $secrets) -}}
{{- if .Values.modelServer.tls.enabled -}}
{{- $_ := set $upstream "tls_ca_path" (printf "%s/upstream-ca.pem" $secrets) -}}
{{- $_ := set $upstream "tls_certificate_path" (printf "%s/upstream-certificate.pem" $secrets) -}}
{{- $_ := set $upstream "tls_key_path" (printf "%s/upstream-key.pem" $secrets) -}}
{{- end -}}
{{- $audit := dict
  "directory" "/var/lib/imprimatur/audit"
  "kek_path" (printf "%s/audit-kek.key" $secrets)
  "signing_key_path" (printf "%s/audit-signing.key" $secrets)
  "witness_path" "/var/lib/imprimatur-witness/checkpoints.txt"
-}}
{{- if .Values.auditDatabase.existingSecret -}}
{{- $_ := set $audit "database_url_path" (printf "%s/audit-database-url" $secrets) -}}
{{- end -}}
{{- $defaults := dict -}}
{{- with include "imprimatur.defaultModel" . -}}
{{- $_ := set $defaults "upstream" (dict "default_model" .) -}}
{{- end -}}
{{- $decided := dict
  "database_url" (include "imprimatur.databaseUrl" .)
  "pictures_path" "/var/lib/imprimatur/pictures"
  "server" (dict "host" "0.0.0.0" "port" 8100)
  "identity" (dict "secret_path" (printf "%s/identity.key" $secrets))
  "policy" $policy
  "screening" (dict "secret_path" (printf "%s/screening.key" $secrets))
  "provenance" (dict "directory" $secrets "watermark_secret_path" (printf "%s/watermark.key" $secrets))
  "upstream" $upstream
  "audit" $audit
-}}
{{- toYaml (mergeOverwrite $defaults (deepCopy .Values.config) $decided) -}}
{{- end -}}

{{/* OPA's configuration: the gateway's signed bundle, verified by the one key, and reports back. */}}
{{- define "imprimatur.opaConfig" -}}
{{- $signed := .Values.policy.signedBundles -}}
{{- toJson (dict
  "services" (dict "gateway" (dict
    "url" "http://127.0.0.1:8100"
    "credentials" (dict "bearer" (dict "token_path" "/etc/opa/token"))
  ))
  "keys" (dict $signed.keyId (dict "algorithm" $signed.algorithm "scope" "write" "key" $signed.publicKey))
  "bundles" (dict "imprimatur" (dict
    "service" "gateway"
    "resource" "bundles/imprimatur.tar.gz"
    "signing" (dict "keyid" $signed.keyId "scope" "write")
    "polling" (dict "min_delay_seconds" 1 "max_delay_seconds" 5 "long_polling_timeout_seconds" 20)
  ))
  "status" (dict "service" "gateway")
) -}}
{{- end -}}

{{/* An edge that the settings need but nobody named would fail at three in the morning; it fails here instead. */}}
{{- define "imprimatur.needEdge" -}}
{{- if and .needed (not .edges) -}}
{{- fail (printf "networkPolicy.%s: name where it is (%s), or the default-deny rule keeps the gateway from it" .path .why) -}}
{{- end -}}
{{- end -}}
