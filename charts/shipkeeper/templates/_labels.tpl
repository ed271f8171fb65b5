{{- define "shipkeeper.labels" -}}
app.kubernetes.io/name: shipkeeper
app.kubernetes.io/component: operator
{{- end }}
