"""Data sets of sensorad: a simulated plant that needs nothing, and loaders for public benchmark sets.

>>> import numpy as np
>>> from sensorad_datasets import PlantConfig, plan_faults, simulate_plant
>>> config = PlantConfig(days=14)
>>> generator = np.random.default_rng(0)
>>> plant = simulate_plant(config, generator, plan_faults(config, generator, n_faults=8))
>>> plant.labels.num_rows
8
"""

from __future__ import annotations

from .cards import SetCard, set_cards
from .fetch import FETCHABLE, fetch_set, fetch_urls, verify_set
from .loaders import SET_NAMES, list_series, load_series
from .plant import PlantConfig, SimulatedPlant, label_table, simulate_plant
from .plant_faults import FAULT_FAMILIES, Fault, FaultFamily
from .plant_files import PlantFiles, write_plant
from .plant_plan import plan_faults
from .plant_schedule import MODES
from .plant_sensors import PLANT_SENSORS, PlantSensor
from .series import BenchmarkSeries, Cause
from .storage import ROOT_VARIABLE, data_root

__all__ = [
    "FAULT_FAMILIES",
    "FETCHABLE",
    "MODES",
    "PLANT_SENSORS",
    "ROOT_VARIABLE",
    "SET_NAMES",
    "BenchmarkSeries",
    "Cause",
    "Fault",
    "FaultFamily",
    "PlantConfig",
    "PlantFiles",
    "PlantSensor",
    "SetCard",
    "SimulatedPlant",
    "data_root",
    "fetch_set",
    "fetch_urls",
    "label_table",
    "list_series",
    "load_series",
    "plan_faults",
    "set_cards",
    "simulate_plant",
    "verify_set",
    "write_plant",
]
