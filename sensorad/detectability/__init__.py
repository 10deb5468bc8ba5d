"""The detectability card: for each sensor and kind of fault, the smallest fault that would be found, and how soon.

Faults are put into normal rows that the detector has not learned from, scored by the detector's own engine and judged
by its own alarm line and event rule. `detectability_card` does so for a `Detector`, `measure` for any `Judge`.
"""

from sensorad.detectability.build import detectability_card, measure
from sensorad.detectability.card import Baseline, CardCell, DetectabilityCard, TriedSeverity, read_card
from sensorad.detectability.config import CardConfig
from sensorad.detectability.figure import card_svg
from sensorad.detectability.judge import FunctionJudge, Judge, Scorer
from sensorad.detectability.words import card_table, summary_lines

__all__ = [
    "Baseline",
    "CardCell",
    "CardConfig",
    "DetectabilityCard",
    "FunctionJudge",
    "Judge",
    "Scorer",
    "TriedSeverity",
    "card_svg",
    "card_table",
    "detectability_card",
    "measure",
    "read_card",
    "summary_lines",
]
