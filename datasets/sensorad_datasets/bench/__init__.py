"""Measures detectors on public sets and the simulated plant, all in one way, beside simple baselines.

The rules: scores are causal, statistics come from the training part only, one configuration for all series, no
measure that a random score does well in. What the figures mean stands at the head of every table.

>>> from sensorad_datasets.bench import METHODS
>>> METHODS["window-pca"].what
'PCA of windows of 30 rows, 90 % of the variance, squared error'
"""

from __future__ import annotations

from .campaign import Campaign
from .measures import measure
from .methods import DEFAULT_METHODS, METHODS, Method, Scored, method_named
from .tasks import BENCH_SETS, Task, available_sets, plan_tasks, run_task

__all__ = [
    "BENCH_SETS",
    "DEFAULT_METHODS",
    "METHODS",
    "Campaign",
    "Method",
    "Scored",
    "Task",
    "available_sets",
    "measure",
    "method_named",
    "plan_tasks",
    "run_task",
]
