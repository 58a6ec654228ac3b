{{/*
Names, labels and other things that several templates say. Nothing here is an object of its own.
*/}}

{{- define "visor.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "visor.fullname" -}}
{{- $name := include "visor.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/*
What is the same in all versions of the release, so that a Deployment may select by it. A source's
pods have the same name, but another component.
*/}}
{{- define "visor.selector" -}}
app.kubernetes.io/name: {{ include "visor.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end }}

{{/* The labels of pods: nothing that changes while the pods needn't. */}}
{{- define "visor.podLabels" -}}
{{ include "visor.selector" . }}
app.kubernetes.io/part-of: visor
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{/* The labels of every object. */}}
{{- define "visor.labels" -}}
{{ include "visor.podLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "visor.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "visor.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/*
The labels and annotations of an object, which none is without; of `(dict "root" .)`. With `labels` or
`annotations` it has these, too, and with `component` it is of another one than the operator. What a
person wishes for all objects, or for this one, doesn't change what the chart itself says.
*/}}
{{- define "visor.labelsAndAnnotations" -}}
{{- $own := include "visor.labels" .root | fromYaml -}}
{{- with .component -}}
{{- $_ := set $own "app.kubernetes.io/component" . -}}
{{- end -}}
labels:
  {{- mergeOverwrite (deepCopy .root.Values.commonLabels) (deepCopy (default dict .labels)) $own | toYaml | nindent 2 }}
{{- with mergeOverwrite (deepCopy .root.Values.commonAnnotations) (deepCopy (default dict .annotations)) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* An image by its digest, else its tag; of `(dict "image" IMAGE "chart" .Chart)`. */}}
{{- define "visor.image" -}}
{{- if .image.digest }}
{{- printf "%s@%s" .image.repository .image.digest }}
{{- else }}
{{- printf "%s:%s" .image.repository (default .chart.AppVersion .image.tag) }}
{{- end }}
{{- end }}

{{/*
The Lease by which the operators of a release agree on which one acts. Two releases that watch two
namespaces may live in a third one, so it has the release's name.
*/}}
{{- define "visor.lease" -}}
{{- printf "%s-operator" (include "visor.fullname" . | trunc 54 | trimSuffix "-") }}
{{- end }}

{{/*
Not empty if generators are put into pods that ask for it. Those of all namespaces go through one
webhook, so an operator of some namespaces has none.
*/}}
{{- define "visor.injects" -}}
{{- if and .Values.injector.enabled (not .Values.watchNamespaces) }}yes{{ end }}
{{- end }}

{{/*
Not empty if sources are looked at as they are applied. One webhook for all namespaces, as above.
*/}}
{{- define "visor.validates" -}}
{{- if and .Values.validation.enabled (not .Values.watchNamespaces) }}yes{{ end }}
{{- end }}

{{/* Not empty if the API server calls the operator for either. */}}
{{- define "visor.hasWebhook" -}}
{{- if or (include "visor.injects" .) (include "visor.validates" .) }}yes{{ end }}
{{- end }}

{{/*
The name of what the API server calls when a pod is made: of the service, of the configuration that
says when, and of the Secret in which the operator keeps the certificate.
*/}}
{{- define "visor.webhook" -}}
{{- printf "%s-webhook" (include "visor.fullname" . | trunc 55 | trimSuffix "-") }}
{{- end }}

{{/*
The Secret that cert-manager writes. Not the operator's own: whoever changes from one to the other
leaves each with a Secret that it made itself.
*/}}
{{- define "visor.certificate" -}}
{{- include "visor.webhook" . }}-certificate
{{- end }}

{{/* Not empty if that Secret is mounted in the operator's pods, and where. */}}
{{- define "visor.hasCertificateMounted" -}}
{{- if and (include "visor.hasWebhook" .) .Values.injector.certificates.certManager.enabled }}yes{{ end }}
{{- end }}
{{- define "visor.certificateDirectory" -}}
/etc/visor-operator/certificate
{{- end }}

{{/* Not empty if the server knows the kinds of the Prometheus Operator; of a root. */}}
{{- define "visor.knowsMonitors" -}}
{{- if .Capabilities.APIVersions.Has "monitoring.coreos.com/v1" }}yes{{ end }}
{{- end }}

{{/* The security contexts of a pod and of a container; what is null there is left out. */}}
{{- define "visor.podSecurityContext" -}}
{{- toYaml .Values.operator.podSecurityContext }}
{{- end }}

{{- define "visor.containerSecurityContext" -}}
{{- toYaml .Values.operator.securityContext }}
{{- end }}
