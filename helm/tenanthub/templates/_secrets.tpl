{{/* The Secret's data: what is in the cluster stays, what it lacks is made. Kept in .Values for this one rendering, so
that the Secret and the checksums of the Pods that read it see the same. (A `helm template` has no cluster to ask: it makes
new ones each time. Who applies its output gives secrets.existingSecret.) */}}
{{- define "tenanthub.secrets.data" -}}
{{- if not .Values.secrets.data -}}
{{- $there := (lookup "v1" "Secret" .Release.Namespace (include "tenanthub.secret" .)).data | default dict -}}
{{- $found := dict -}}
{{- range list "proxy-token" "cookie-secret" "crypt-key" "portal-token" "portal-cookie-key" "culler-token" "reviver-token" "cli-token" -}}
{{- $_ := set $found . (get $there . | default (randBytes 48 | sha256sum | b64enc)) -}}
{{- end -}}
{{- $_ := set .Values.secrets "data" $found -}}
{{- end -}}
{{- toJson .Values.secrets.data -}}
{{- end }}

{{/* root, keys -> a checksum of these files, so that only who reads a changed one restarts */}}
{{- define "tenanthub.secrets.checksum" -}}
{{- $data := dict -}}
{{- if .root.Values.secrets.existingSecret -}}
{{- $data = (lookup "v1" "Secret" .root.Release.Namespace .root.Values.secrets.existingSecret).data | default dict -}}
{{- else -}}
{{- $data = include "tenanthub.secrets.data" .root | fromJson -}}
{{- end -}}
{{- $read := dict -}}
{{- range .keys -}}
{{- $_ := set $read . (get $data .) -}}
{{- end -}}
{{- $read | toJson | sha256sum -}}
{{- end }}
