{{/* The names of all objects begin with this. */}}
{{- define "berth.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that a selector may use: they never change. Takes a dict of root and component. */}}
{{- define "berth.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "berth.labels" -}}
{{ include "berth.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
Labels of Pods. Those that change with the chart alone are not among them: they
would have all Pods replaced for nothing.
*/}}
{{- define "berth.podLabels" -}}
{{ include "berth.selector" . }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- with .labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The ServiceAccount of a component. */}}
{{- define "berth.account" -}}
{{- $account := (index .root.Values .component).serviceAccount -}}
{{- $own := printf "%s-%s" (include "berth.fullname" .root) .component -}}
{{- if $account.create -}}
{{- default $own $account.name -}}
{{- else -}}
{{- default "default" $account.name -}}
{{- end -}}
{{- end -}}

{{- define "berth.image" -}}
{{- with .Values.image -}}
{{- .repository }}:{{ default $.Chart.AppVersion .tag }}{{ with .digest }}@{{ . }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* What a Pod of any component has in common. Takes a dict of root and settings. */}}
{{- define "berth.pod" -}}
nodeSelector:
  kubernetes.io/os: linux
  {{- with .settings.nodeSelector }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .settings.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .settings.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A process that needs nothing of the machine. */}}
{{- define "berth.unprivileged" -}}
{{- /* As which user, the image says; OpenShift gives each namespace another one. */ -}}
runAsNonRoot: true
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "berth.probes" -}}
livenessProbe:
  httpGet:
    path: /healthz
    port: probes
    {{- with .host }}
    host: {{ . | quote }}
    {{- end }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet:
    path: /readyz
    port: probes
    {{- with .host }}
    host: {{ . | quote }}
    {{- end }}
  periodSeconds: 2
  failureThreshold: 3
{{- end -}}

{{/*
The backend of Services without a class. If nobody said: the pool, unless a class
was given for it. MetalLB, too, leaves Services without a class alone then.
*/}}
{{- define "berth.defaultBackend" -}}
{{- if not (kindIs "invalid" .Values.defaultBackend) -}}
{{- .Values.defaultBackend -}}
{{- else if and (has "pool" .Values.backends) (not .Values.loadBalancerClass) -}}
pool
{{- end -}}
{{- end -}}

{{/* What no schema can say of values. */}}
{{- define "berth.validate" -}}
{{- $default := include "berth.defaultBackend" . -}}
{{- if and $default (not (has $default .Values.backends)) -}}
{{- fail (printf "defaultBackend: %q is not among backends (%s)" $default (join ", " .Values.backends)) -}}
{{- end -}}
{{- if and (has "aws" .Values.backends) (not .Values.clusterName) -}}
{{- fail "clusterName is empty; the backend aws tells by the cluster's name what is its own: --set clusterName=NAME" -}}
{{- end -}}
{{- range list "setLoadBalancerClass" "injectReadinessGates" -}}
{{- if and (index $.Values.aws .) (not (has "aws" $.Values.backends)) -}}
{{- fail (printf "aws.%s takes the backend aws, and that is not among backends (%s)" . (join ", " $.Values.backends)) -}}
{{- end -}}
{{- end -}}
{{- if and .Release.IsInstall (has "pool" .Values.backends) (not .Values.ignorePoolsElsewhere) -}}
{{- with include "berth.poolsElsewhere" . -}}
{{- fail (printf "IPAddressPools are in %s, and Berth heeds only those in its own namespace, here %s. To take over from what serves them, as from MetalLB, install Berth there: docs/migrate-from-metallb.md. To run beside it: --set loadBalancerClass=berth-lb.dev/pool,ignorePoolsElsewhere=true" . $.Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
The namespaces with IPAddressPools, unless the release's own is among them. To look
up a kind that the API server lacks is an error.
*/}}
{{- define "berth.poolsElsewhere" -}}
{{- $namespaces := list -}}
{{- if .Capabilities.APIVersions.Has "metallb.io/v1beta1/IPAddressPool" -}}
{{- range dig "items" list (lookup "metallb.io/v1beta1" "IPAddressPool" "" "") -}}
{{- $namespaces = append $namespaces .metadata.namespace -}}
{{- end -}}
{{- end -}}
{{- if not (has .Release.Namespace $namespaces) -}}
{{- $namespaces | uniq | sortAlpha | join ", " -}}
{{- end -}}
{{- end -}}

{{/* The annotations of Pods, with their key. */}}
{{- define "berth.podAnnotations" -}}
annotations:
  kubectl.kubernetes.io/default-container: {{ .component }}
  {{- if .root.Values.prometheus.scrapeAnnotations }}
  prometheus.io/scrape: "true"
  prometheus.io/port: {{ .root.Values.prometheus.metricsPort | quote }}
  {{- end }}
  {{- with .settings.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "berth.awsArgs" -}}
- --aws-cluster-name={{ .Values.clusterName }}
{{- with .Values.region }}
- --aws-region={{ . }}
{{- end }}
{{- with .Values.vpcId }}
- --aws-vpc-id={{ . }}
{{- end }}
- --aws-default-target-type={{ .Values.defaultTargetType }}
{{- range $key, $value := .Values.defaultTags }}
{{- /* Helm reads numbers in files as floating-point ones. */}}
- {{ printf "--aws-default-tags=%s=%s" $key (kindIs "float64" $value | ternary (toJson $value) (toString $value)) | quote }}
{{- end }}
- --aws-default-health-check={{ .Values.aws.defaultHealthCheck }}
- --aws-manage-node-security-groups={{ .Values.aws.manageNodeSecurityGroups }}
{{- end -}}

{{/* A strategy, without what a merge with the defaults leaves of another type. */}}
{{- define "berth.strategy" -}}
{{- toYaml (ternary . (omit . "rollingUpdate") (eq .type "RollingUpdate")) -}}
{{- end -}}

{{/* Has an object exist while the CRDs are brought up to date. Takes its place in the order. */}}
{{- define "berth.crdsHook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{/* The API that MutatingAdmissionPolicies are to be of; empty for none. */}}
{{- define "berth.mutatingPolicies" -}}
{{- $v1 := "admissionregistration.k8s.io/v1" -}}
{{- $beta := "admissionregistration.k8s.io/v1beta1" -}}
{{- $asked := .Values.aws.mutatingPolicies -}}
{{- if ne $asked "auto" -}}
{{- get (dict "v1" $v1 "v1beta1" $beta) $asked -}}
{{- else if .Capabilities.APIVersions.Has (printf "%s/MutatingAdmissionPolicy" $v1) -}}
{{- $v1 -}}
{{- else if .Capabilities.APIVersions.Has (printf "%s/MutatingAdmissionPolicy" $beta) -}}
{{- $beta -}}
{{- end -}}
{{- end -}}

{{/* The class that Services ask for the backend aws by. */}}
{{- define "berth.awsClass" -}}
{{- if and .Values.loadBalancerClass (eq (first .Values.backends) "aws") -}}
{{- .Values.loadBalancerClass -}}
{{- else -}}
service.k8s.aws/nlb
{{- end -}}
{{- end -}}

{{/* Labels and annotations of an object of the Prometheus Operator. */}}
{{- define "berth.monitorMetadata" -}}
labels:
  {{- include "berth.labels" (dict "root" .root "component" "monitoring") | nindent 2 }}
  {{- with .settings.additionalLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .settings.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Where and how a monitor reads metrics. */}}
{{- define "berth.endpoint" -}}
port: metrics
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
