"""Asking over HTTP: the step types of the plugin `http`."""

from typing import Final

from pilotage_plugins.http.check import HttpCheck
from pilotage_plugins.http.measure import HttpMeasure
from pilotage_plugins.http.request import HttpRequest

HTTP_STEP_TYPES: Final = (HttpCheck, HttpRequest, HttpMeasure)
