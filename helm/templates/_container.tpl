{{/* What the worker's container and the topics job's have in common. */}}

{{/* A setting as text. Helm hands large whole numbers over as floats, and would print
     67108864 as 6.7108864e+07, which penstock refuses. */}}
{{- define "penstock.text" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}
{{ int64 . }}
{{- else -}}
{{ toString . }}
{{- end -}}
{{- end -}}

{{/* Variables of a container: `settings` as text, then those that Secrets give. */}}
{{- define "penstock.variables" -}}
{{- range $field, $value := .settings }}
{{- with include "penstock.text" $value }}
- name: PENSTOCK_{{ upper $field }}
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- range $name, $from := .secrets.env }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $from.secret }}
      key: {{ $from.key }}
{{- end }}
{{- end -}}

{{- define "penstock.imageAndSecurity" -}}
image: {{ include "penstock.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
# The last lines of the log, such as a refused setting, show in `kubectl describe`.
terminationMessagePolicy: FallbackToLogsOnError
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "penstock.podSecurity" -}}
automountServiceAccountToken: false
# Else Kubernetes adds PENSTOCK_SERVICE_HOST and the like for a Service named penstock,
# and penstock refuses variables that are no settings.
enableServiceLinks: false
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* DSPy and litellm need a temporary folder even to be imported. */}}
{{- define "penstock.mounts" -}}
- name: tmp
  mountPath: /tmp
{{- if not .Values.pipelines.inImage }}
- name: pipelines
  mountPath: {{ .Values.settings.pipelines_dir }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "penstock.tmpVolume" -}}
- name: tmp
  emptyDir:
    sizeLimit: {{ .Values.tmpSize }}
{{- end -}}
