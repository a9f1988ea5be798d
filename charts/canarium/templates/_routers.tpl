{{/* What is true of each router that has a switch, as files/routers.yaml has it from the operator. */}}

{{/* Those that are on, by their names. */}}
{{- define "canarium.routers" -}}
{{- $names := list -}}
{{- range .Files.Get "files/routers.yaml" | fromYamlArray -}}
{{- if index $.Values.routers .setting }}{{ $names = append $names .name }}{{ end -}}
{{- end -}}
{{- join "," $names -}}
{{- end -}}
