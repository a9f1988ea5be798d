{{/* The files of the ConfigMap, each with what a value says; nothing when no value says anything. */}}
{{- define "canarium.config" -}}
{{- range $name := list "defaults" "notifications" "prices" }}
{{- with index $.Values $name }}
{{ $name }}.yaml: |
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The operator's arguments. */}}
{{- define "canarium.args" -}}
- operator
- run
- --probe-address=:8080
- --lease-namespace={{ .Release.Namespace }}
- --log-format={{ .Values.operator.logFormat }}
- --log-level={{ .Values.operator.logLevel }}
- --resync-seconds={{ .Values.operator.resyncSeconds }}
{{- with .Values.operator.prometheusUrl }}
- --prometheus-url={{ . }}
{{- end }}
{{- range .Values.operator.openNetworks }}
- --open-network={{ . }}
{{- end }}
{{- range .Values.watch.namespaces }}
- --namespace={{ . }}
{{- end }}
{{- include "canarium.without" . }}
{{- if .Values.profiles }}
- --profiles=/etc/canarium/profiles
{{- end }}
{{- range $name := list "defaults" "notifications" "prices" }}
{{- if index $.Values $name }}
- --{{ $name }}=/etc/canarium/config/{{ $name }}.yaml
{{- end }}
{{- end }}
{{- with .Values.operator.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What it is not to ask for, since it has no right to: the other side of canarium.rules. */}}
{{- define "canarium.without" -}}
{{- $without := list }}
{{- if not .Values.routers.gatewayAPI }}
{{- $without = concat $without (list "HTTPRoute" "GRPCRoute" "Gateway" "GatewayClass") }}
{{- end }}
{{- if not .Values.routers.traefik }}
{{- $without = concat $without (list "IngressRoute" "TraefikService") }}
{{- end }}
{{- if not .Values.routers.istio }}
{{- $without = append $without "VirtualService" }}
{{- end }}
{{- if not .Values.autoscalers.hpa }}
{{- $without = append $without "HorizontalPodAutoscaler" }}
{{- end }}
{{- if not .Values.autoscalers.keda }}
{{- $without = append $without "ScaledObject" }}
{{- end }}
{{- if not .Values.jobs.enabled }}
{{- $without = append $without "Job" }}
{{- end }}
{{- if not .Values.use.enabled }}
{{- $without = append $without "PodMetrics" }}
{{- end }}
{{- range $without }}
- --without={{ . }}
{{- end }}
{{- end -}}
