{{/* Every name that more than one template says. They are fixed: one installation a namespace, and `tenanthub apply`
binds the two ClusterRoles to the two service accounts by name (config/emit/hub.py). */}}
{{- define "tenanthub.secret" -}}
{{ .Values.secrets.existingSecret | default "tenanthub-secrets" }}
{{- end }}
{{- define "tenanthub.world.site" -}}
{{ .Values.world.existing.site | default "tenanthub-site" }}
{{- end }}
{{- define "tenanthub.world.profiles" -}}
{{ .Values.world.existing.profiles | default "tenanthub-profiles" }}
{{- end }}
{{- define "tenanthub.world.tenants" -}}
{{ .Values.world.existing.tenants | default "tenanthub-tenants" }}
{{- end }}
{{- define "tenanthub.claim" -}}
{{ .Values.hub.database.sqlite.existingClaim | default "tenanthub-state" }}
{{- end }}
{{- define "tenanthub.clusterRole" -}}
{{/* of the root and the role's own name; the namespace is in it, so that installations do not meet */ -}}
tenanthub:{{ (index . 0).Release.Namespace }}:{{ index . 1 }}
{{- end }}

{{- define "tenanthub.labelDomain" -}}
{{- if .Values.world.existing.labelDomain -}}
{{ .Values.world.existing.labelDomain }}
{{- else -}}
{{ .Values.world.site.label_domain | default "edge.kudpc.kyoto-u.ac.jp" }}
{{- end -}}
{{- end }}

{{/* Labels of an object: the chart's version may be in them, since nothing restarts by it. */}}
{{- define "tenanthub.labels" -}}
app.kubernetes.io/name: tenanthub
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels of Pods and of what selects them: nothing that changes with a version, or each upgrade restarted all. */}}
{{- define "tenanthub.selector" -}}
app.kubernetes.io/name: tenanthub
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* What people open, with a slash at the end. */}}
{{- define "tenanthub.publicUrl" -}}
{{- $given := .Values.publicUrl -}}
{{- if and (not $given) .Values.ingress.enabled -}}
{{- $given = printf "%s://%s/" (ternary "https" "http" (ne .Values.ingress.tlsSecret "")) .Values.ingress.host -}}
{{- end -}}
{{- printf "%s/" (required "publicUrl: say what people will open, e.g. https://hub.example.org/" $given | trimSuffix "/") -}}
{{- end }}

{{/* The path of it: "/" as a rule. */}}
{{- define "tenanthub.base" -}}
{{- printf "%s/" ((include "tenanthub.publicUrl" . | urlParse).path | trimSuffix "/") -}}
{{- end }}

{{- define "tenanthub.host" -}}
{{- printf "%s.%s.svc" .name .root.Release.Namespace -}}
{{- end }}
