{{/* Puts one of the policies in force. Takes the root and the policy's name without the release's. */}}
{{- define "canarium.policyBinding" -}}
{{- $root := index . 0 -}}
{{- $name := printf "%s-%s" (include "canarium.clusterName" $root) (index . 1) -}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ $name }}
  labels: {{- include "canarium.labels" $root | nindent 4 }}
spec:
  policyName: {{ $name }}
  validationActions: [Deny]
  {{- with $root.Values.watch.namespaces }}
  # Other namespaces may have an operator of their own.
  matchResources:
    namespaceSelector:
      matchExpressions:
      - {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson . }}}
  {{- end }}
{{- end -}}

{{/* Who may give a model a route: Either, HostnamesOnly, or Off, which YAML reads as false. Nobody
     can where the operator has no right to make one. */}}
{{- define "canarium.routesSetting" -}}
{{- $policies := .Values.admissionPolicies -}}
{{- $routers := include "canarium.routers" . -}}
{{- if and $policies.enabled $routers $policies.routes (ne (toString $policies.routes) "Off") -}}
{{- $policies.routes -}}
{{- end -}}
{{- end -}}

{{/* An entry of the host names that a namespace was given: *, or a host name or *.suffix, with a path
     prefix or without. */}}
{{- define "canarium.hostnameEntry" -}}
{{- $label := "[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?" -}}
{{- printf "^([*]|([*][.])?%s([.]%s)*(/[^/*?# ,]+)*/?)$" $label $label -}}
{{- end -}}
