{{/* The files that the operator is started with, by its option: JSON of what each holds. */}}
{{- define "canarium.files" -}}
{{- dict
  "defaults" .Values.defaults
  "notifications" .Values.notifications.receivers
  "prices" .Values.prices | toJson }}
{{- end -}}

{{/* The files of the ConfigMap, each with what a value says; nothing when no value says anything. */}}
{{- define "canarium.config" -}}
{{- range $name, $held := include "canarium.files" . | fromJson }}
{{- with $held }}
{{ $name }}.yaml: |
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Where the Secret with the addresses of notifications is mounted. */}}
{{- define "canarium.addresses" -}}
/etc/canarium/notifications
{{- end -}}

{{/* What is switched off is not looked for, so that no request is made that would be refused. */}}
{{- define "canarium.disabled" -}}
{{- $on := dict
  "HPA" .Values.autoscalers.hpa "KEDA" .Values.autoscalers.keda
  "Jobs" .Values.jobs.enabled "Usage" .Values.usage.enabled }}
{{- range .Files.Get "files/routers.yaml" | fromYamlArray }}
{{- $_ := set $on .name (index $.Values.routers .setting) }}
{{- end }}
{{- range $feature := keys $on | sortAlpha }}
{{- if not (index $on $feature) }}
- --disable={{ $feature }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The operator's arguments. */}}
{{- define "canarium.args" -}}
- operator
- run
- --probe-address=:8080
- --lease-namespace={{ .Release.Namespace }}
{{- if .Values.metrics.authentication }}
- --protect-metrics
{{- end }}
- --log-format={{ .Values.operator.logFormat }}
- --log-level={{ .Values.operator.logLevel }}
- --resync-seconds={{ .Values.operator.resyncSeconds }}
{{- with .Values.operator.prometheusUrl }}
- --prometheus-url={{ . }}
{{- end }}
{{- if ne .Values.prometheus.tenantQueries "OwnNamespace" }}
- --tenant-queries={{ .Values.prometheus.tenantQueries }}
{{- end }}
{{- range .Values.addresses.allow }}
- {{ printf "--allow-address=%s" . | quote }}
{{- end }}
{{- if not .Values.addresses.public }}
- --no-public-addresses
{{- end }}
{{- range .Values.operator.allowNetworks }}
- --allow-network={{ . }}
{{- end }}
{{- range .Values.watch.namespaces }}
- --namespace={{ . }}
{{- end }}
{{- include "canarium.disabled" . }}
{{- if .Values.profiles }}
- --profiles=/etc/canarium/profiles
{{- end }}
{{- range $name, $held := include "canarium.files" . | fromJson }}
{{- if $held }}
- --{{ $name }}=/etc/canarium/config/{{ $name }}.yaml
{{- end }}
{{- end }}
{{- with .Values.operator.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}
