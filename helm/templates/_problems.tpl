{{/* What is wrong between values. All problems at once: one edit, not one per attempt. */}}
{{- define "penstock.validate" -}}
{{- $s := .Values.settings -}}
{{- $p := .Values.pipelines -}}
{{- $grace := float64 .Values.terminationGracePeriodSeconds -}}
{{- $problems := list -}}

{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" (include "penstock.name" .)) -}}
{{- $problems = append $problems "the release's name: Services need a letter first and no dots; or set fullnameOverride" -}}
{{- end -}}
{{- if not $s.bootstrap -}}
{{- $problems = append $problems "settings.bootstrap: required: the Kafka brokers, host:port[,host:port]" -}}
{{- end -}}
{{- $sources := without (list (not (empty $p.files)) (not (empty $p.existingConfigMap)) $p.inImage) false -}}
{{- if ne (len $sources) 1 -}}
{{- $problems = append $problems "pipelines: give exactly one of files, existingConfigMap and inImage" -}}
{{- end -}}
{{- if gt (float64 .Values.replicas) (float64 $s.partitions) -}}
{{- $problems = append $problems (printf "replicas: %v workers, but %v partitions (settings.partitions): the others would stand idle" .Values.replicas $s.partitions) -}}
{{- end -}}
{{- if gt (float64 $s.min_insync_replicas) (float64 $s.replication) -}}
{{- $problems = append $problems "settings.min_insync_replicas: must not exceed settings.replication" -}}
{{- end -}}

{{- if not (lt (float64 $s.commit_interval_s) (float64 $s.commit_timeout_s)) -}}
{{- $problems = append $problems "settings.commit_interval_s: must be below settings.commit_timeout_s" -}}
{{- end -}}
{{- if not (lt (float64 $s.commit_timeout_s) (float64 $s.transaction_timeout_s)) -}}
{{- $problems = append $problems "settings.commit_timeout_s: must be below settings.transaction_timeout_s" -}}
{{- end -}}
{{- if not (lt (float64 $s.transaction_timeout_s) (float64 $s.session_timeout_s)) -}}
{{- $problems = append $problems "settings.transaction_timeout_s: must be below settings.session_timeout_s" -}}
{{- end -}}
{{- /* After drain_s a worker has 15 s to commit and leave (agents/worker.py), then ends by force. */ -}}
{{- $stop := addf $s.drain_s 15 -}}
{{- if not (gt $grace $stop) -}}
{{- $problems = append $problems (printf "terminationGracePeriodSeconds: must exceed settings.drain_s + 15 (%v), the longest that a worker takes to stop" $stop) -}}
{{- end -}}

{{- if $s.instance -}}
{{- if not (contains "$(POD_NAME)" $s.instance) -}}
{{- $problems = append $problems "settings.instance: must contain $(POD_NAME): two workers with one member id fence each other" -}}
{{- end -}}
{{- if not (gt (float64 $s.session_timeout_s) $grace) -}}
{{- $problems = append $problems (printf "settings.session_timeout_s: must exceed terminationGracePeriodSeconds (%v) with static members (settings.instance): else a slow restart moves its partitions" $grace) -}}
{{- end -}}
{{- end -}}

{{- if regexMatch "://[^/@]*:[^/@]*@" $s.registry_url -}}
{{- $problems = append $problems "settings.registry_url: holds a password: give PENSTOCK_REGISTRY_URL by secrets.env" -}}
{{- end -}}
{{- range $name, $from := .Values.secrets.env -}}
{{- $field := trimPrefix "PENSTOCK_" $name | lower -}}
{{- if and (hasPrefix "PENSTOCK_" $name) (include "penstock.text" (get $s $field)) -}}
{{- $problems = append $problems (printf "secrets.env.%s: settings.%s gives it, too; empty that one" $name $field) -}}
{{- end -}}
{{- end -}}

{{- if $problems -}}
{{- fail (printf "\n\npenstock: these values do not work:\n  - %s\n" (join "\n  - " $problems)) -}}
{{- end -}}
{{- end -}}
