{{/* Names and labels. */}}

{{- define "canarium.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains "canarium" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-canarium" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Of what has no namespace. One operator serves the whole cluster; of those that serve single
     namespaces there may be several, and their names must not clash. */}}
{{- define "canarium.clusterName" -}}
{{- if .Values.watch.namespaces -}}
{{- printf "%s-%s" (include "canarium.fullname" .) .Release.Namespace -}}
{{- else -}}
{{- include "canarium.fullname" . -}}
{{- end -}}
{{- end -}}

{{- define "canarium.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "canarium.fullname" .) -}}
{{- end -}}

{{- define "canarium.selectorLabels" -}}
app.kubernetes.io/name: canarium
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "canarium.labels" -}}
app.kubernetes.io/name: canarium
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: canarium
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "canarium.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository $tag -}}
{{- end -}}
{{- end -}}
