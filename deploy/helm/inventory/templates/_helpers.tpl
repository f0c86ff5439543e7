{{- define "inventory.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "inventory.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "inventory.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "inventory.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- include "inventory.commonLabels" . }}
{{- end }}

{{- define "inventory.commonLabels" -}}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "inventory.selectorLabels" -}}
app.kubernetes.io/name: {{ include "inventory.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* The labels that select the pods of one part. Takes the root, the part. */ -}}
{{- define "inventory.partLabels" -}}
{{ include "inventory.selectorLabels" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "inventory.membersMax" -}}
5
{{- end }}

{{- /* Of a Service whose port `metrics` Prometheus reads. */ -}}
{{- define "inventory.monitored" -}}
inventory/monitored: "true"
{{- end }}

{{- define "inventory.image" -}}
{{- with .Values.image.digest }}
{{- printf "%s@%s" $.Values.image.repository . }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{- /* The keys of the Secret. */ -}}
{{- define "inventory.keys" -}}
[token.key, admin.password]
{{- end }}

{{- define "inventory.secretName" -}}
{{ .Values.existingSecret | default (printf "%s-keys" (include "inventory.fullname" .)) }}
{{- end }}

{{- /* How many members the cluster began with: it never changes, whoever joins or leaves later. */ -}}
{{- define "inventory.founders" -}}
{{- $running := lookup "apps/v1" "StatefulSet" .Release.Namespace (printf "%s-node" (include "inventory.fullname" .)) }}
{{- $known := dig "metadata" "annotations" "inventory/founders" "" ($running | default dict) }}
{{- .Values.initialReplicaCount | default $known | default (dig "spec" "replicas" .Values.replicaCount ($running | default dict)) }}
{{- end }}

{{- /* How many members a paused release had when it was paused; nothing for one that runs. */ -}}
{{- define "inventory.pausedFrom" -}}
{{- $running := lookup "apps/v1" "StatefulSet" .Release.Namespace (printf "%s-node" (include "inventory.fullname" .)) }}
{{- if $running }}
{{- dig "spec" "replicas" 0 $running | int | default (dig "metadata" "annotations" "inventory/paused-from" "" $running) }}
{{- end }}
{{- end }}

{{- /* The first members by name and stable DNS name. */ -}}
{{- define "inventory.members" -}}
{{- $node := printf "%s-node" (include "inventory.fullname" .) }}
{{- $members := list }}
{{- range $ordinal := until (int (include "inventory.founders" .)) }}
{{- $name := printf "%s-%d" $node $ordinal }}
{{- $members = append $members (printf "%s=%s.%s.%s.svc.%s:7400" $name $name $node $.Release.Namespace $.Values.clusterDomain) }}
{{- end }}
{{- join "," $members }}
{{- end }}

{{- /* What every pod has, those of tests too: no token, no rights, nothing of the host. */ -}}
{{- define "inventory.podBasis" -}}
serviceAccountName: {{ include "inventory.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* What every pod of a service has, but for its containers and volumes. Takes the root, the part. */ -}}
{{- define "inventory.podSpec" -}}
{{- $root := index . 0 }}
{{- $component := index . 1 }}
{{- $values := index $root.Values $component }}
{{- $stays := eq $component "node" }}
{{- include "inventory.podBasis" $root }}
topologySpreadConstraints:
  {{- with $values.topologySpreadConstraints }}
  {{- range . }}
  {{- $counted := dict "matchLabels" (include "inventory.partLabels" (list $root $component) | fromYaml) }}
  - {{ hasKey . "labelSelector" | ternary . (set (deepCopy .) "labelSelector" $counted) | toYaml | nindent 4 | trim }}
  {{- end }}
  {{- else }}
  {{- include "inventory.spread" (list $root $component (ternary (include "inventory.membersMax" $root) $values.replicaCount $stays) $values.spread) | nindent 2 }}
  {{- end }}
{{- $tolerations := $values.tolerations }}
{{- if not $stays }}
{{- $tolerations = concat (include "inventory.lostNodeTolerations" $root | fromYamlArray) $tolerations }}
{{- end }}
{{- include "inventory.placement" (list $values $tolerations) }}
{{- end }}

{{- /* What a pod that runs once has, of hooks and tests: it runs where gateways may. */ -}}
{{- define "inventory.oncePodSpec" -}}
restartPolicy: Never
{{ include "inventory.podBasis" . }}
{{- include "inventory.placement" (list .Values.gateway .Values.gateway.tolerations) }}
{{- end }}

{{- /* Where pods may run. Takes the values of their part, and all tolerations. */ -}}
{{- define "inventory.placement" -}}
{{- $values := index . 0 }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with index . 1 }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "inventory.podMetadata" -}}
{{- $root := index . 0 }}
{{- $component := index . 1 -}}
labels:
  {{- include "inventory.selectorLabels" $root | nindent 2 }}
  app.kubernetes.io/component: {{ $component }}
  {{- with merge (dict) ((index $root.Values $component).podLabels | default dict) ($root.Values.commonLabels | default dict) }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with (index $root.Values $component).podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "inventory.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "inventory.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name must be set where serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "inventory.securityContext" -}}
{{- toYaml .Values.securityContext }}
{{- end }}

{{- /* Of a pod whose `inventory` calls the gateway at its address in the cluster. */ -}}
{{- define "inventory.clientEnv" -}}
{{- if .Values.gateway.tls.existingSecret -}}
- name: INVENTORY_CA_FILE
  value: /client-tls/ca.crt
{{- else -}}
- name: INVENTORY_INSECURE
  value: "1"
{{- end }}
{{- end }}

{{- define "inventory.clientTlsVolume" -}}
- name: client-tls
  secret:
    secretName: {{ .Values.gateway.tls.existingSecret }}
    defaultMode: 0440
    items:
      - {key: ca.crt, path: ca.crt}
{{- end }}

{{- /* Where processes of the cluster find the gateway. */ -}}
{{- define "inventory.internalAddress" -}}
{{ include "inventory.fullname" . }}-gw-internal.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}:50052
{{- end }}

{{- define "inventory.logEnv" -}}
- name: INVENTORY_METRICS_LISTEN
  value: 0.0.0.0:9100
- name: INVENTORY_LOG_LEVEL
  value: {{ .Values.log.level | quote }}
- name: INVENTORY_LOG_FORMAT
  value: {{ .Values.log.format | quote }}
{{- end }}

{{- /* Another pod takes over from a lost node's after seconds, not the default five minutes. */ -}}
{{- define "inventory.lostNodeTolerations" -}}
- key: node.kubernetes.io/not-ready
  operator: Exists
  effect: NoExecute
  tolerationSeconds: 10
- key: node.kubernetes.io/unreachable
  operator: Exists
  effect: NoExecute
  tolerationSeconds: 10
{{- end }}

{{- /* Pods of one part on different nodes and, where there are several, in different zones. Takes the
root, the part, how many there are, and hard or soft. An even spread would allow 2 and 1 on two
nodes, so hard asks for as many nodes as there are pods. Members are counted as the most that
there may be: their pods must not roll where their number changes. */ -}}
{{- define "inventory.spread" -}}
{{- $root := index . 0 }}
{{- $component := index . 1 }}
{{- $hard := eq (index . 3) "hard" }}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
{{- $must := and $hard (eq $key "kubernetes.io/hostname") }}
- topologyKey: {{ $key }}
  maxSkew: 1
  whenUnsatisfiable: {{ ternary "DoNotSchedule" "ScheduleAnyway" $must }}
  {{- if $must }}
  minDomains: {{ index $ 2 }}
  {{- end }}
  labelSelector:
    matchLabels:
      {{- include "inventory.partLabels" (list $root $component) | nindent 6 }}
{{- end }}
{{- end }}

{{- /* One pod of a part at a time may be taken away; a broken one always. Takes the root, the part. */ -}}
{{- define "inventory.disruptionBudget" -}}
{{- $root := index . 0 }}
{{- $component := index . 1 -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "inventory.fullname" $root }}-{{ $component }}
  labels:
    {{- include "inventory.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ $component }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "inventory.selectorLabels" $root | nindent 6 }}
      app.kubernetes.io/component: {{ $component }}
{{- end }}
