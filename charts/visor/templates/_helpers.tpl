{{/*
Names, labels and other parts that several templates share.
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
Labels that never change, for the selector of the Deployment. The pods of a source have the same name,
but another component.
*/}}
{{- define "visor.selector" -}}
app.kubernetes.io/name: {{ include "visor.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end }}

{{/* The labels of pods: only those whose change requires new pods. */}}
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
The labels and annotations of every object; of `(dict "root" .)`. `labels` and `annotations` are added,
and `component` replaces the component. Values of the user cannot override those of the chart.
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
The Lease for leader election. Several releases may be in one namespace, so it has the name of the
release.
*/}}
{{- define "visor.lease" -}}
{{- printf "%s-operator" (include "visor.fullname" . | trunc 54 | trimSuffix "-") }}
{{- end }}

{{/*
Not empty if generators are injected. One webhook serves all namespaces, so an operator of some
namespaces has none.
*/}}
{{- define "visor.injects" -}}
{{- if and .Values.injector.enabled (not .Values.watchNamespaces) }}yes{{ end }}
{{- end }}

{{/*
Not empty if sources are validated on admission. One webhook serves all namespaces, too.
*/}}
{{- define "visor.validates" -}}
{{- if and .Values.validation.enabled (not .Values.watchNamespaces) }}yes{{ end }}
{{- end }}

{{/* Not empty if there is a webhook. */}}
{{- define "visor.hasWebhook" -}}
{{- if or (include "visor.injects" .) (include "visor.validates" .) }}yes{{ end }}
{{- end }}

{{/*
The name of the webhook: of its Service, of its configurations, and of the Secret with its certificate.
*/}}
{{- define "visor.webhook" -}}
{{- printf "%s-webhook" (include "visor.fullname" . | trunc 55 | trimSuffix "-") }}
{{- end }}

{{/*
The Secret that cert-manager writes. It is not the operator's own, so one can switch between both.
*/}}
{{- define "visor.certificate" -}}
{{- include "visor.webhook" . }}-certificate
{{- end }}

{{/* Not empty if that Secret is mounted into the operator's pods; its directory. */}}
{{- define "visor.hasCertificateMounted" -}}
{{- if and (include "visor.hasWebhook" .) .Values.injector.certificates.certManager.enabled }}yes{{ end }}
{{- end }}
{{- define "visor.certificateDirectory" -}}
/etc/visor-operator/certificate
{{- end }}

{{/* Not empty if the cluster has the API of the Prometheus Operator. */}}
{{- define "visor.knowsMonitors" -}}
{{- if .Capabilities.APIVersions.Has "monitoring.coreos.com/v1" }}yes{{ end }}
{{- end }}

{{/* The security contexts of a pod and of a container; null fields are omitted. */}}
{{- define "visor.podSecurityContext" -}}
{{- toYaml .Values.operator.podSecurityContext }}
{{- end }}

{{- define "visor.containerSecurityContext" -}}
{{- toYaml .Values.operator.securityContext }}
{{- end }}
