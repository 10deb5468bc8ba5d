"""Logs in, scores and events out: every file and table that sensorad reads or writes."""

from sensorad.logs.event_files import event_table, read_events, write_events
from sensorad.logs.feedback import Verdict, append_verdict
from sensorad.logs.format import LogFormat
from sensorad.logs.labels import Labels, read_labels
from sensorad.logs.ordering import KeptRow, SortedLog
from sensorad.logs.reading import SensorLog
from sensorad.logs.stored import StoredScores, is_score_file, read_scores
from sensorad.logs.writing import ScoreWriter, score_table

__all__ = [
    "KeptRow",
    "Labels",
    "LogFormat",
    "ScoreWriter",
    "SensorLog",
    "SortedLog",
    "StoredScores",
    "Verdict",
    "append_verdict",
    "event_table",
    "is_score_file",
    "read_events",
    "read_labels",
    "read_scores",
    "score_table",
    "write_events",
]
