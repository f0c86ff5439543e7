{{- /*
The form of every text in the values: a text of another form ends the rendering with a sentence, since
Kubernetes would refuse what it is rendered into, or a pod would never start with it.
*/ -}}
{{- define "inventory.forms" -}}
name:
  fits: ^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$
  right: take up to 40 of a-z, 0-9 and "-", a letter first and no "-" at the end
object:
  fits: ^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$
  right: take a-z, 0-9, "-" and ".", a letter or a digit at both ends of each part
repository:
  fits: ^([A-Za-z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*)*$
  right: take registry and name, such as registry.example.org/shop/inventory; a tag belongs into image.tag
tag:
  fits: ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$
  right: take up to 128 of A-Z, a-z, 0-9, "_", "." and "-", no "." or "-" first
digest:
  fits: ^sha256:[0-9a-f]{64}$
  right: take "sha256:" and 64 of 0-9 and a-f
currency:
  fits: ^({{ include "inventory.currencies" . }})$
  right: take the three letters of an ISO 4217 currency that has a minor unit, such as EUR
block:
  fits: {{ include "inventory.blockPattern" . | quote }}
  right: take a block of addresses, such as 192.0.2.0/24 or 2001:db8::/32
key:
  fits: ^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$
  right: take up to 63 of A-Z, a-z, 0-9, "-", "_" and ".", a letter or a digit at both ends, after a domain and "/" if any
label:
  fits: ^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$
  right: take up to 63 of A-Z, a-z, 0-9, "-", "_" and ".", a letter or a digit at both ends
quantity:
  fits: ^([0-9]+([.][0-9]*)?|[.][0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$
  right: take a quantity of Kubernetes, such as 250m or 1.5 of cpu, or 512Mi or 2G of memory
size:
  fits: ^([0-9]+([.][0-9]*)?|[.][0-9]+)([kMGTPE]|[KMGTPE]i|[eE][+]?[0-9]+)?$
  right: take a size of Kubernetes, such as 8Gi, 8G or 8589934592
duration:
  fits: ^([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$
  right: take a duration of Prometheus, such as 15s or 1m30s
variable:
  fits: ^[A-Za-z_][A-Za-z0-9_.-]*$
  right: take A-Z, a-z, 0-9, "_", "." and "-", no digit first
{{- end }}

{{- /* Of blocks of addresses, IPv4 and IPv6: the latter has 8 groups, or fewer about one "::". */ -}}
{{- define "inventory.blockPattern" -}}
{{- $byte := "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])" }}
{{- $group := "[0-9A-Fa-f]{1,4}" }}
{{- $long := list (printf "(%s:){7}%s" $group $group) (printf "(%s:){1,7}:" $group) (printf ":(:%s){1,7}" $group) "::" }}
{{- range $after := untilStep 1 7 1 }}
{{- $long = append $long (printf "(%s:){1,%d}(:%s){1,%d}" $group (sub 7 $after) $group $after) }}
{{- end }}
{{- printf "^(%s([.]%s){3}/(3[0-2]|[12]?[0-9])|(%s)/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))$" $byte $byte (join "|" $long) }}
{{- end }}

{{- /* Ends the rendering where a value has another form. Takes what it is called, the value, the form. */ -}}
{{- define "inventory.mustFit" -}}
{{- $form := get (include "inventory.forms" . | fromYaml) (index . 2) }}
{{- $text := index . 1 | toString }}
{{- if not (regexMatch $form.fits $text) }}
{{- fail (printf "%s is %q: %s" (index . 0) $text $form.right) }}
{{- end }}
{{- end }}

{{- /* Keys, and values of labels; none is the chart's own. Takes what they are called, and they. */ -}}
{{- define "inventory.mustLabel" -}}
{{- $name := index . 0 }}
{{- range $key, $value := index . 1 }}
{{- include "inventory.mustFit" (list (printf "a key of %s" $name) $key "key") }}
{{- include "inventory.mustFit" (list (printf "%s of %s" $key $name) $value "label") }}
{{- if regexMatch "^(app[.]kubernetes[.]io/(name|instance|component|version|managed-by)|helm[.]sh/chart|inventory/monitored|grafana_dashboard)$" $key }}
{{- fail (printf "%s sets %s, which the chart sets: leave it out" $name $key) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* What a quantity of Kubernetes is as a number, to compare it. */ -}}
{{- define "inventory.number" -}}
{{- $text := toString . }}
{{- $number := regexFind "^[0-9.]+" $text }}
{{- $unit := trimPrefix $number $text }}
{{- if regexMatch "^[eE][+-]?[0-9]+$" $unit }}
{{- float64 $text }}
{{- else }}
{{- $units := dict "n" 1e-9 "u" 1e-6 "m" 1e-3 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 }}
{{- range $power, $letter := list "" "Ki" "Mi" "Gi" "Ti" "Pi" "Ei" }}
{{- $_ := set $units $letter 1.0 }}
{{- range until $power }}
{{- $_ := set $units $letter (mulf (get $units $letter) 1024.0) }}
{{- end }}
{{- end }}
{{- mulf (float64 $number) (get $units $unit) }}
{{- end }}
{{- end }}

{{- /* Requests and limits: quantities, no request over its limit. Takes what they are called, and they. */ -}}
{{- define "inventory.mustBeResources" -}}
{{- $name := index . 0 }}
{{- $resources := index . 1 | default dict }}
{{- range $side := list "limits" "requests" }}
{{- range $resource, $quantity := get $resources $side | default dict }}
{{- $what := printf "%s.%s.%s" $name $side $resource }}
{{- include "inventory.mustFit" (list $what $quantity "quantity") }}
{{- if and (eq $resource "memory") (lt (include "inventory.number" $quantity | float64) 1048576.0) }}
{{- fail (printf "%s is %v, which is under 1Mi: name the unit, such as 256Mi" $what $quantity) }}
{{- end }}
{{- $limit := dig "limits" $resource $quantity $resources }}
{{- include "inventory.mustFit" (list (printf "%s.limits.%s" $name $resource) $limit "quantity") }}
{{- if gt (include "inventory.number" $quantity | float64) (include "inventory.number" $limit | float64) }}
{{- fail (printf "%s is %v, which is over its limit %v: Kubernetes refuses such a pod" $what $quantity $limit) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Ends the rendering where two things of a list have one name. Takes what adds to it, the field, the list. */ -}}
{{- define "inventory.mustDiffer" -}}
{{- $field := index . 1 }}
{{- $seen := dict }}
{{- range index . 2 }}
{{- $name := get . $field }}
{{- if hasKey $seen $name }}
{{- fail (printf "%s has the %s %s, which is there already: take another" (index $ 0) $field $name) }}
{{- end }}
{{- $_ := set $seen $name true }}
{{- end }}
{{- end }}

{{- /* Who is named in a NetworkPolicy. Takes what they are called, and they. */ -}}
{{- define "inventory.mustBePeers" -}}
{{- $name := index . 0 }}
{{- range index . 1 }}
{{- with .ipBlock }}
{{- range prepend (.except | default list) .cidr }}
{{- include "inventory.mustFit" (list (printf "a block of %s" $name) . "block") }}
{{- end }}
{{- end }}
{{- if and .ipBlock (or (hasKey . "podSelector") (hasKey . "namespaceSelector")) }}
{{- fail (printf "%s has an ipBlock beside a selector: take one peer for each" $name) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* What every part may be given: labels, names, quantities, and additions to its pods. Takes the root, the part. */ -}}
{{- define "inventory.mustBePart" -}}
{{- $root := index . 0 }}
{{- $part := index . 1 }}
{{- $values := index $root.Values $part }}
{{- include "inventory.mustBeResources" (list (printf "%s.resources" $part) $values.resources) }}
{{- include "inventory.mustLabel" (list (printf "%s.podLabels" $part) $values.podLabels) }}
{{- range $key, $_ := $values.podAnnotations }}
{{- include "inventory.mustFit" (list (printf "a key of %s.podAnnotations" $part) $key "key") }}
{{- end }}
{{- range $key, $value := $values.nodeSelector }}
{{- include "inventory.mustFit" (list (printf "a key of %s.nodeSelector" $part) $key "key") }}
{{- include "inventory.mustFit" (list (printf "%s of %s.nodeSelector" $key $part) $value "label") }}
{{- end }}
{{- with $values.priorityClassName }}
{{- include "inventory.mustFit" (list (printf "%s.priorityClassName" $part) . "object") }}
{{- end }}
{{- range $values.extraEnv }}
{{- include "inventory.mustFit" (list (printf "a name of %s.extraEnv" $part) .name "variable") }}
{{- end }}
{{- range $values.extraVolumes }}
{{- include "inventory.mustFit" (list (printf "a name of %s.extraVolumes" $part) .name "name") }}
{{- end }}
{{- if or $values.extraEnv $values.extraVolumes $values.extraVolumeMounts }}
{{- range splitList "\n---\n" (include (printf "%s/%s.yaml" $root.Template.BasePath $part) $root) }}
{{- $spec := dig "spec" dict (fromYaml .) }}
{{- $pod := dig "template" "spec" dict $spec }}
{{- $volumes := $pod.volumes | default list }}
{{- range $spec.volumeClaimTemplates }}
{{- $volumes = append $volumes .metadata }}
{{- end }}
{{- $names := list }}
{{- range $volumes }}
{{- $names = append $names .name }}
{{- end }}
{{- include "inventory.mustDiffer" (list (printf "%s.extraVolumes" $part) "name" $volumes) }}
{{- range $pod.containers }}
{{- include "inventory.mustDiffer" (list (printf "%s.extraEnv" $part) "name" .env) }}
{{- include "inventory.mustDiffer" (list (printf "%s.extraVolumeMounts" $part) "mountPath" .volumeMounts) }}
{{- range .volumeMounts }}
{{- if not (has .name $names) }}
{{- fail (printf "%s.extraVolumeMounts mounts %s, and there is no such volume: name one of %s, or add it to %s.extraVolumes" $part .name (join ", " $names) $part) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "inventory.checkForms" -}}
{{- $values := .Values }}
{{- range $name := list "nameOverride" "fullnameOverride" }}
{{- with index $values $name }}
{{- include "inventory.mustFit" (list $name . "name") }}
{{- end }}
{{- end }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" (include "inventory.fullname" .)) }}
{{- fail (printf "the release is called %q, and so would Services be, which Kubernetes refuses: take a-z, 0-9 and \"-\", a letter first, or set fullnameOverride" .Release.Name) }}
{{- end }}
{{- if not .Values.image.repository }}
{{- fail "image.repository is not set, and the image is published nowhere: build it (`make image`), push it to a registry of yours, and set image.repository to where it is, such as registry.example.org/inventory, and image.tag to its tag" }}
{{- end }}
{{- range $name, $form := dict "repository" "repository" "tag" "tag" "digest" "digest" }}
{{- with index $values.image $name }}
{{- include "inventory.mustFit" (list (printf "image.%s" $name) . $form) }}
{{- end }}
{{- end }}
{{- range .Values.imagePullSecrets }}
{{- include "inventory.mustFit" (list "a name of imagePullSecrets" .name "object") }}
{{- end }}
{{- include "inventory.mustFit" (list "clusterDomain" .Values.clusterDomain "object") }}
{{- include "inventory.mustFit" (list "currency" .Values.currency "currency") }}
{{- range $name, $value := dict "existingSecret" .Values.existingSecret "serviceAccount.name" .Values.serviceAccount.name "node.persistence.storageClass" .Values.node.persistence.storageClass }}
{{- with $value }}
{{- include "inventory.mustFit" (list $name . "object") }}
{{- end }}
{{- end }}
{{- with .Values.node.persistence.size }}
{{- include "inventory.mustFit" (list "node.persistence.size" . "size") }}
{{- if lt (include "inventory.number" . | float64) 268435456.0 }}
{{- fail (printf "node.persistence.size is %v, which is under 256Mi: a member needs that for its log, its database and a copy" .) }}
{{- end }}
{{- end }}
{{- with .Values.gateway.service }}
{{- with .nodePort }}
{{- if or (lt (int .) 30000) (gt (int .) 32767) }}
{{- fail (printf "gateway.service.nodePort is %d: Kubernetes has the ports 30000 to 32767 for that; empty, it chooses one" (int .)) }}
{{- end }}
{{- end }}
{{- with .loadBalancerClass }}
{{- include "inventory.mustFit" (list "gateway.service.loadBalancerClass" . "key") }}
{{- end }}
{{- range .loadBalancerSourceRanges }}
{{- include "inventory.mustFit" (list "a block of gateway.service.loadBalancerSourceRanges" . "block") }}
{{- end }}
{{- end }}
{{- range $side := list "clients" "operators" "monitoring" }}
{{- include "inventory.mustBePeers" (list (printf "networkPolicy.%s" $side) (index $values.networkPolicy $side)) }}
{{- end }}
{{- include "inventory.mustBePeers" (list "networkPolicy.dns.to" .Values.networkPolicy.dns.to) }}
{{- include "inventory.mustFit" (list "serviceMonitor.interval" .Values.serviceMonitor.interval "duration") }}
{{- if not (regexMatch "[1-9]" .Values.serviceMonitor.interval) }}
{{- fail "serviceMonitor.interval is no time at all: take a duration of Prometheus, such as 15s" }}
{{- end }}
{{- range $name, $annotations := dict "gateway.service.annotations" .Values.gateway.service.annotations "serviceAccount.annotations" .Values.serviceAccount.annotations }}
{{- range $key, $_ := $annotations }}
{{- include "inventory.mustFit" (list (printf "a key of %s" $name) $key "key") }}
{{- end }}
{{- end }}
{{- range $name, $labels := dict "commonLabels" .Values.commonLabels "serviceMonitor.labels" .Values.serviceMonitor.labels "prometheusRule.labels" .Values.prometheusRule.labels "dashboards.labels" .Values.dashboards.labels }}
{{- include "inventory.mustLabel" (list $name $labels) }}
{{- end }}
{{- range $part := list "node" "gateway" "assistant" "health" "metrics" }}
{{- include "inventory.mustBePart" (list $ $part) }}
{{- end }}
{{- include "inventory.mustBeResources" (list "hooks.resources" .Values.hooks.resources) }}
{{- end }}
