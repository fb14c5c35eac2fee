{{/* Workers over nodes and zones, as far as it goes: never a reason not to run. */}}
{{- define "penstock.spread" -}}
{{- $selector := dict "labelSelector" (dict "matchLabels" (include "penstock.workerLabels" . | fromYaml)) -}}
{{- $soft := dict "maxSkew" 1 "whenUnsatisfiable" "ScheduleAnyway" -}}
{{- $default := list -}}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" -}}
{{- $default = append $default (merge (dict "topologyKey" .) $soft) -}}
{{- end -}}
{{- $all := list -}}
{{- range default $default .Values.topologySpreadConstraints -}}
{{- $all = append $all (merge (dict) . $selector) -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}
