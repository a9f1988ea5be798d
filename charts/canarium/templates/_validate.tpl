{{/* What values.schema.json cannot say, or says in words that nobody understands: one sentence a
     problem, with what to write instead. */}}
{{- define "canarium.validate" -}}
{{- $problems := concat
  (include "canarium.badTexts" . | fromJsonArray)
  (include "canarium.badArguments" . | fromJsonArray)
  (include "canarium.badCombinations" . | fromJsonArray) -}}
{{- if $problems -}}
{{- fail (printf "\n\n%s\n" (join "\n" $problems)) -}}
{{- end -}}
{{- end -}}

{{/* Texts of a form: where, the text, its form, and what to write. An empty text is the default. */}}
{{- define "canarium.badTexts" -}}
{{- $cidr := "^[0-9a-fA-F.:]+/[0-9]{1,3}$" -}}
{{- $network := "write a network with its length, such as 10.0.0.0/8" -}}
{{- $texts := list
  (list "image.repository" .Values.image.repository "^[a-z0-9][a-z0-9._:/-]*[a-z0-9]$" "write registry and name without a tag, such as registry.example.com/canarium")
  (list "image.tag" .Values.image.tag "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$" "write a tag without a colon")
  (list "image.digest" .Values.image.digest "^sha256:[0-9a-f]{64}$" "write sha256: and 64 hexadecimal digits")
  (list "operator.prometheusUrl" .Values.operator.prometheusUrl "^https?://[^ ]+$" "write an address with http:// or https://")
  (list "serviceMonitor.interval" .Values.serviceMonitor.interval "^[0-9]+(ms|s|m|h)$" "write a duration such as 15s")
  (list "serviceMonitor.tokenSecret" .Values.serviceMonitor.tokenSecret "^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$" "write the name of a Secret in the release's namespace")
  (list "notifications.existingSecret" .Values.notifications.existingSecret "^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$" "write the name of a Secret in the release's namespace")
  (list "fullnameOverride" .Values.fullnameOverride "^[a-z]([-a-z0-9]*[a-z0-9])?$" "write small letters, digits and -, beginning with a letter") -}}
{{- range .Values.operator.allowNetworks -}}
{{- $texts = append $texts (list "operator.allowNetworks" . $cidr $network) -}}
{{- end -}}
{{- range .Values.addresses.allow -}}
{{- $texts = append $texts (list "addresses.allow" . "^([*]|([*][.])?[A-Za-z0-9_.-]+(:[0-9]{1,5})?|\\[[0-9a-fA-F:]+\\](:[0-9]{1,5})?|[0-9a-fA-F:]+|[0-9a-fA-F.:]+/[0-9]{1,3})$" "write host[:port], *.suffix or a network such as 10.0.0.0/8") -}}
{{- end -}}
{{- range .Values.networkPolicy.apiServer.cidrs -}}
{{- $texts = append $texts (list "networkPolicy.apiServer.cidrs" . $cidr $network) -}}
{{- end -}}
{{- range .Values.operator.extraArgs -}}
{{- $texts = append $texts (list "operator.extraArgs" . "^--[a-z-]+(=.*)?$" "write an option and its value in one word, such as --name=value") -}}
{{- end -}}
{{- range .Values.watch.namespaces -}}
{{- $texts = append $texts (list "watch.namespaces" . "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" "list namespaces one by one, without patterns") -}}
{{- end -}}
{{- range .Values.admissionPolicies.guardedClasses -}}
{{- $texts = append $texts (list "admissionPolicies.guardedClasses" . "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$" "write the name of a PriorityClass or RuntimeClass") -}}
{{- end -}}
{{- range .Values.admissionPolicies.guardedMetadata -}}
{{- $texts = append $texts (list "admissionPolicies.guardedMetadata" . "^[A-Za-z0-9][-A-Za-z0-9_./]*[*]?$" "write the key of an annotation or label, or how it begins and *, such as iam.amazonaws.com/*") -}}
{{- end -}}
{{- range $name, $receiver := .Values.notifications.receivers -}}
{{- $texts = append $texts (list (printf "notifications.receivers.%s.addressFile" $name) $receiver.addressFile "^/.+" "write the whole path of a file, beginning with /") -}}
{{- end -}}
{{- range $name, $_ := .Values.profiles -}}
{{- $texts = append $texts (list "profiles" $name "^[a-z][A-Za-z0-9-]{0,62}$" "write up to 63 letters, digits and -, beginning with a small letter") -}}
{{- end -}}
{{- $found := list -}}
{{- range $texts -}}
{{- if and (index . 1) (not (regexMatch (index . 2) (index . 1))) -}}
{{- $found = append $found (printf "%s: %q will not do; %s" (index . 0) (index . 1) (index . 3)) -}}
{{- end -}}
{{- end -}}
{{- $found | toJson -}}
{{- end -}}

{{/* Options that the chart sets itself: given twice, one of them would be lost without a word. */}}
{{- define "canarium.badArguments" -}}
{{- $settings := dict
  "--namespace" "watch.namespaces"
  "--log-format" "operator.logFormat"
  "--protect-metrics" "metrics.authentication"
  "--log-level" "operator.logLevel"
  "--prometheus-url" "operator.prometheusUrl"
  "--tenant-queries" "prometheus.tenantQueries"
  "--allow-network" "operator.allowNetworks"
  "--allow-address" "addresses.allow"
  "--no-public-addresses" "addresses.public"
  "--resync-seconds" "operator.resyncSeconds"
  "--disable" "routers, autoscalers, jobs or usage"
  "--profiles" "profiles"
  "--prices" "prices"
  "--defaults" "defaults"
  "--notifications" "notifications.receivers" -}}
{{- $found := list -}}
{{- range .Values.operator.extraArgs -}}
{{- $option := regexFind "^--[a-z-]+" . -}}
{{- if hasKey $settings $option -}}
{{- $found = append $found (printf "operator.extraArgs: %s is set by %s; write it there" $option (get $settings $option)) -}}
{{- else if has $option (list "--probe-address" "--lease-namespace") -}}
{{- $found = append $found (printf "operator.extraArgs: %s is fixed, since the chart's Service and rights go by it; leave it out" $option) -}}
{{- else if and (eq $option "--no-leader-election") (gt (int $.Values.replicas) 1) -}}
{{- $found = append $found "operator.extraArgs: with --no-leader-election all replicas would act at once; write replicas: 1, or leave it out" -}}
{{- end -}}
{{- end -}}
{{- $found | toJson -}}
{{- end -}}

{{/* Values that make no sense together. */}}
{{- define "canarium.badCombinations" -}}
{{- $found := list -}}
{{- if not .Values.image.repository -}}
{{- $found = append $found "image.repository: names no image, and there is no public one of Canarium; build it, push it to your registry, and write where it is, such as --set image.repository=registry.example.com/canarium" -}}
{{- end -}}
{{- if not (or .Values.serviceAccount.create .Values.serviceAccount.name) -}}
{{- $found = append $found "serviceAccount: with create: false, write the name of the account that there is in serviceAccount.name" -}}
{{- end -}}
{{- if has "all" .Values.watch.namespaces -}}
{{- $found = append $found "watch.namespaces: all is every namespace; leave the list empty for that" -}}
{{- end -}}
{{- range .Values.admissionPolicies.hostnames -}}
{{- if not (regexMatch (include "canarium.hostnameEntry" $) (replace "{namespace}" "n" .)) -}}
{{- $found = append $found (printf "admissionPolicies.hostnames: %q will not do; write host names such as *.{namespace}.models.example.com or models.example.com/{namespace}, or * for all" .) -}}
{{- end -}}
{{- end -}}
{{- $own := false -}}
{{- range .Values.volumeMounts -}}
{{- $own = or $own (hasPrefix (include "canarium.addresses" $) .mountPath) -}}
{{- end -}}
{{- range $name, $receiver := .Values.notifications.receivers -}}
{{- $there := hasPrefix (printf "%s/" (include "canarium.addresses" $)) $receiver.addressFile -}}
{{- if and $there (not $.Values.notifications.existingSecret) (not $own) -}}
{{- $found = append $found (printf "notifications.receivers.%s.addressFile: nothing is mounted there; write the Secret that has the addresses in notifications.existingSecret" $name) -}}
{{- end -}}
{{- end -}}
{{- $budget := .Values.podDisruptionBudget -}}
{{- if and $budget.enabled (gt (int .Values.replicas) 1) (ge (int $budget.maxUnavailable) (int .Values.replicas)) -}}
{{- $found = append $found (printf "podDisruptionBudget.maxUnavailable: %v of %v replicas may go at once, which protects nothing; write less than replicas" $budget.maxUnavailable .Values.replicas) -}}
{{- end -}}
{{- $found | toJson -}}
{{- end -}}
