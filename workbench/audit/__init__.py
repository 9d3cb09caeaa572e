"""Audits: planned, run with papermill on one warm kernel, judged, and turned into one report."""
