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
