{{/* root, image (registry?, repository, tag?, digest?) -> the reference of an image */}}
{{- define "tenanthub.image" -}}
{{- $images := .root.Values.images -}}
{{- $registry := .image.registry | default $images.registry | trimSuffix "/" -}}
{{- $name := ternary .image.repository (printf "%s/%s" $registry .image.repository) (eq $registry "") -}}
{{- if .image.digest -}}
{{ printf "%s@%s" $name .image.digest }}
{{- else -}}
{{ printf "%s:%s" $name (.image.tag | default $images.tag | default .root.Chart.AppVersion) }}
{{- end -}}
{{- end }}

{{/* kind -> image, as JSON; keys are in order, so that the same values give the same text */}}
{{- define "tenanthub.kindImages" -}}
{{- $found := dict -}}
{{- range $kind, $image := .Values.images.kinds -}}
{{- if $image -}}
{{- $_ := set $found $kind (include "tenanthub.image" (dict "root" $ "image" $image)) -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{/* What Pod Security `restricted` asks of a Pod */}}
{{- define "tenanthub.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  {{- with .Values.security.runAsUser }}
  runAsUser: {{ int64 . }}
  runAsGroup: {{ int64 . }}
  {{- end }}
  {{- with .Values.security.fsGroup }}
  fsGroup: {{ int64 . }}
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* ... and of a container */}}
{{- define "tenanthub.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* root, own (the component's values) */}}
{{- define "tenanthub.placement" -}}
{{- with .root.Values.images.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- with .own.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* What all four programs are told */}}
{{- define "tenanthub.env" -}}
- {name: TENANTHUB_SECRETS, value: /run/secrets/tenanthub}
- {name: TENANTHUB_PUBLIC_URL, value: {{ include "tenanthub.publicUrl" .root | quote }}}
- {name: TENANTHUB_HUB_CONNECT, value: {{ printf "http://%s:8081" (include "tenanthub.host" (dict "root" .root "name" "hub")) | quote }}}
- {name: TENANTHUB_LOG_LEVEL, value: {{ .own.logLevel | quote }}}
{{- end }}

{{/* The declared world is three ConfigMaps, one a folder of it, so that a tenant that comes or goes changes no Pod: to
list its file in `items` would restart the hub. A link for each makes one folder of them; the kubelet changes what is
behind a link, and the hub follows. */}}
{{- define "tenanthub.world.links" -}}
- name: world
  image: {{ include "tenanthub.image" (dict "root" . "image" .Values.images.hub) }}
  imagePullPolicy: {{ .Values.images.pullPolicy }}
  command: [ln, -sfn, /etc/tenanthub/site/site.yaml, /etc/tenanthub/profiles, /etc/tenanthub/tenants, /etc/tenanthub/world/]
  {{- include "tenanthub.containerSecurity" . | nindent 2 }}
  resources:
    requests: {cpu: 10m, memory: 16Mi}
    limits: {memory: 64Mi}
  volumeMounts:
    - {name: world, mountPath: /etc/tenanthub/world}
{{- end }}

{{- define "tenanthub.world.mounts" -}}
- {name: world, mountPath: /etc/tenanthub/world, readOnly: true}
- {name: site, mountPath: /etc/tenanthub/site, readOnly: true}
- {name: profiles, mountPath: /etc/tenanthub/profiles, readOnly: true}
- {name: tenants, mountPath: /etc/tenanthub/tenants, readOnly: true}
{{- end }}

{{- define "tenanthub.world.volumes" -}}
- name: world
  emptyDir: {sizeLimit: 1Mi}
- name: site
  configMap: {name: {{ include "tenanthub.world.site" . }}}
- name: profiles
  configMap: {name: {{ include "tenanthub.world.profiles" . }}}
- name: tenants
  configMap: {name: {{ include "tenanthub.world.tenants" . }}}
{{- end }}

{{/* root, keys: the Secret's files that a Pod gets, and no other; database: whether db-url is one of them */}}
{{- define "tenanthub.secrets.volume" -}}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ include "tenanthub.secret" .root }}
          items:
            {{- range .keys }}
            - {key: {{ . }}, path: {{ . }}}
            {{- end }}
      {{- if .database }}
      - secret:
          name: {{ required "hub.database.postgres.existingSecret: name the Secret that holds the database's URL" .root.Values.hub.database.postgres.existingSecret }}
          items:
            - {key: {{ .root.Values.hub.database.postgres.key }}, path: db-url}
      {{- end }}
{{- end }}
