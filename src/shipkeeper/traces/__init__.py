"""Traces of runs on their way out, by OpenTelemetry's protocol over HTTP."""
