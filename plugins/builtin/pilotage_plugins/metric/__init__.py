"""Figures that a program tells of itself, or that Prometheus knows of it: the step types of the plugin `metric`."""

from typing import Final

from pilotage_plugins.metric.read import MetricRead

METRIC_STEP_TYPES: Final = (MetricRead,)
