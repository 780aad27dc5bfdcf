"""An update's plan, its steps and how it ended, on record in English and told again on the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.commands import asked
from appliance.config import Config
from appliance.language import ENGLISH, LANGUAGES, speaking
from appliance.machine.requests import Done, Refused
from appliance.retold import retold
from appliance.slots import changing
from appliance.slots.bundle import SystemBundle
from appliance.store import soundness
from appliance.update import asking, health, updating
from appliance.update.journal import Step
from appliance.update.preparing import prepare
from appliance.update.words import line_of_plan
from tests.update_room import Bundles

OTHERS = [code for code in LANGUAGES if code != ENGLISH]
