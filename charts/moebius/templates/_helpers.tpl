{{- /* Name of the operator's objects, with room for "-metrics" and "-webhook" in the 63 characters of a Service. */ -}}
{{- define "moebius.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $base := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- printf "%s-operator" ($base | trunc 46 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- /* Name of objects without a namespace: one release for each watched namespace, under the same name, is fine. */ -}}
{{- define "moebius.clusterName" -}}
{{- include "moebius.fullname" . -}}{{- with .Values.watchNamespace -}}-{{ . }}{{- end -}}
{{- end -}}

{{- define "moebius.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "moebius.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: is needed when serviceAccount.create is false: name an existing ServiceAccount" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- /* Labels that select the operator's pods. They never change. */ -}}
{{- define "moebius.selectorLabels" -}}
app.kubernetes.io/name: moebius-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "moebius.labels" -}}
{{- $own := dict
  "app.kubernetes.io/name" "moebius-operator"
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/component" "operator"
  "app.kubernetes.io/part-of" "moebius"
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_")
-}}
{{- merge $own .Values.commonLabels | toYaml -}}
{{- end -}}

{{- /* Labels of the operator's pods: none that only the chart's version changes. */ -}}
{{- define "moebius.podLabels" -}}
{{- $own := include "moebius.selectorLabels" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/component" "operator" -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "moebius" -}}
{{- merge $own .Values.podLabels .Values.commonLabels | toYaml -}}
{{- end -}}

{{- /* The way out to name servers and the API server, of a NetworkPolicy. */ -}}
{{- define "moebius.apiServerEgress" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
- ports:
    {{- range .Values.networkPolicy.apiServerPorts }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
{{- end -}}

{{- define "moebius.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Image of what the operator starts: the five images differ in the end of their name. */ -}}
{{- define "moebius.workloadImage" -}}
{{- if hasSuffix "-operator" .Values.image.repository -}}
{{- printf "%s-{component}:%s" (trimSuffix "-operator" .Values.image.repository) (default .Chart.AppVersion .Values.image.tag) -}}
{{- else -}}
{{- include "moebius.image" . -}}
{{- end -}}
{{- end -}}

{{- /* Namespace of the Lease and the node agents: an operator of one namespace has no agents. */ -}}
{{- define "moebius.operatorNamespace" -}}
{{- .Values.watchNamespace | empty | ternary .Values.nodeAgents.namespace .Release.Namespace -}}
{{- end -}}

{{- /* The rules of the generated role of a kind, ClusterRole or Role, as {rules: [...]}. */ -}}
{{- define "moebius.generatedRules" -}}
{{- $root := index . 0 -}}
{{- $kind := index . 1 -}}
{{- $found := dict -}}
{{- range $root.Files.Get "files/rbac.yaml" | splitList "\n---\n" -}}
{{- $object := fromYaml . -}}
{{- if eq (toString $object.kind) $kind -}}
{{- $_ := set $found "rules" $object.rules -}}
{{- end -}}
{{- end -}}
{{- if not $found.rules -}}
{{- fail (printf "files/rbac.yaml: holds no %s" $kind) -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{- /* Milliseconds of a duration such as 1m30s. A number that begins with 0 would be read as octal. */ -}}
{{- define "moebius.milliseconds" -}}
{{- $sum := 0 -}}
{{- range $part := regexFindAll "[0-9]+(ms|h|m|s)" . -1 -}}
{{- $unit := regexFind "[a-z]+" $part -}}
{{- $sum = add $sum (mul (regexReplaceAll "^0+" (trimSuffix $unit $part) "" | int64) (get (dict "h" 3600000 "m" 60000 "s" 1000 "ms" 1) $unit)) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{- /* What the schema cannot say, because it spans values. */ -}}
{{- define "moebius.validate" -}}
{{- if and .Values.webhook.enabled .Values.watchNamespace -}}
{{- fail (printf "webhook.enabled: is true with watchNamespace '%s': the webhook's configuration belongs to the whole cluster; set one of the two only" .Values.watchNamespace) -}}
{{- end -}}
{{- if and .Values.webhook.enabled (eq (int .Values.webhook.port) (int .Values.metrics.port)) -}}
{{- fail (printf "webhook.port: %d is metrics.port, too: the two need a port each" (int .Values.webhook.port)) -}}
{{- end -}}
{{- if and .Values.webhook.certManager.enabled (not .Values.webhook.enabled) -}}
{{- fail "webhook.certManager.enabled: is true but webhook.enabled is false: there is nothing to serve the certificate" -}}
{{- end -}}
{{- $own := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "app.kubernetes.io/part-of" -}}
{{- $labels := dict "commonLabels" .Values.commonLabels "podLabels" .Values.podLabels "metrics.serviceMonitor.labels" .Values.metrics.serviceMonitor.labels "metrics.podMonitor.labels" .Values.metrics.podMonitor.labels "prometheusRule.labels" .Values.prometheusRule.labels "dashboards.labels" .Values.dashboards.labels -}}
{{- range $value := keys $labels | sortAlpha -}}
{{- range $key := keys (get $labels $value | default dict) -}}
{{- if or (has $key $own) (and (ne $value "podLabels") (has $key (list "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart"))) -}}
{{- fail (printf "%s: '%s' is set by the chart and cannot be replaced: choose another label" $value $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.leaderElection.enabled) -}}
{{- fail (printf "replicas: is %d with leaderElection.enabled false: operators that do not elect a leader work against each other; set replicas to 1 or enable the election" (int .Values.replicas)) -}}
{{- end -}}
{{- if and .Values.nodeAgents.createNamespace (not .Values.watchNamespace) (eq .Values.nodeAgents.namespace .Release.Namespace) -}}
{{- fail (printf "nodeAgents.namespace: is '%s', the release's own namespace, which this chart cannot create: name another, or set nodeAgents.createNamespace to false" .Release.Namespace) -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.service.enabled) -}}
{{- fail "metrics.serviceMonitor.enabled: is true but metrics.service.enabled is false: a ServiceMonitor needs the Service" -}}
{{- end -}}
{{- range $monitor := list "serviceMonitor" "podMonitor" -}}
{{- $scrape := index $.Values.metrics $monitor -}}
{{- range $field := list "interval" "scrapeTimeout" -}}
{{- if eq (include "moebius.milliseconds" (index $scrape $field)) "0" -}}
{{- fail (printf "metrics.%s.%s: is '%s': write a time above zero, such as 10s" $monitor $field (index $scrape $field)) -}}
{{- end -}}
{{- end -}}
{{- if gt (include "moebius.milliseconds" $scrape.scrapeTimeout | int64) (include "moebius.milliseconds" $scrape.interval | int64) -}}
{{- fail (printf "metrics.%s.scrapeTimeout: is '%s', longer than interval '%s', and Prometheus takes no such target: write at most the interval" $monitor $scrape.scrapeTimeout $scrape.interval) -}}
{{- end -}}
{{- end -}}
{{- end -}}
