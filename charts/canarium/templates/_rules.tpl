{{/* Generated from the table of kinds (operator/canarium/core/kinds.py): make chart

     The operator's rights: what it uses with the given values and no more. It cannot write a
     ModelDeployment, only its status, and reads no Secret. */}}

{{/* In the namespaces that it serves. */}}
{{- define "canarium.rules" -}}
- apiGroups: [canarium.dev]
  resources: [modeldeployments]
  verbs: [get, list, watch]
- apiGroups: [canarium.dev]
  resources: [modelrevisions]
  verbs: [get, list, watch, create, delete]
- apiGroups: [canarium.dev]
  resources: [modeldeployments/status, modelrevisions/status]
  verbs: [patch]
- apiGroups: [canarium.dev]
  resources: [metrictemplates]
  verbs: [list, watch]
- apiGroups: [canarium.dev]
  resources: [metrictemplates/status]
  verbs: [patch]
{{- if .Values.rbac.ownerReferencesPermissionEnforcement }}
- apiGroups: [canarium.dev]
  resources: [modeldeployments/finalizers]
  verbs: [update]
{{- end }}
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
- apiGroups: [""]
  resources: [events]
  verbs: [list]
{{- if .Values.jobs.enabled }}
- apiGroups: [batch]
  resources: [jobs]
  verbs: [list, watch, create, delete]
{{- end }}
{{- if .Values.usage.enabled }}
- apiGroups: [metrics.k8s.io]
  resources: [pods]
  verbs: [list]
{{- end }}
{{- if .Values.autoscalers.hpa }}
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
{{- if .Values.autoscalers.keda }}
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
{{- if .Values.routers.gatewayAPI }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes, grpcroutes]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
{{- if .Values.routers.traefik }}
- apiGroups: [traefik.io]
  resources: [ingressroutes, traefikservices]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
{{- if .Values.routers.istio }}
- apiGroups: [networking.istio.io]
  resources: [virtualservices]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
{{- end -}}

{{/* Of what belongs to nobody's namespace: templates that all share, and gateways, since routes
     attach across namespaces. */}}
{{- define "canarium.clusterRules" -}}
- apiGroups: [canarium.dev]
  resources: [clustermetrictemplates]
  verbs: [list, watch]
- apiGroups: [canarium.dev]
  resources: [clustermetrictemplates/status]
  verbs: [patch]
{{- if .Values.metrics.authentication }}
# Whose token it is, and whether that account may read the metrics.
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
{{- end }}
{{- if .Values.routers.gatewayAPI }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways, gatewayclasses]
  verbs: [list, watch]
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames: [httproutes.gateway.networking.k8s.io, grpcroutes.gateway.networking.k8s.io]
  verbs: [list, watch]
{{- end }}
{{- end -}}
