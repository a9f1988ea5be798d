"""Grafana's dashboards and Prometheus' rules, described in Python and rendered into the chart.

`python -m observability` writes charts/canarium/files; `--check` fails when they
are not current.
"""
