"""All targets, by name."""

from fuzz.clients import TARGETS as CLIENTS
from fuzz.links import TARGETS as LINKS
from fuzz.machines import TARGETS as MACHINES
from fuzz.stored import TARGETS as STORED

TARGETS = {target.name: target for target in (*CLIENTS, *LINKS, *MACHINES, *STORED)}
