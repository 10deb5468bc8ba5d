"""Scoring of rows as they come: one detector, any number of machines, no torch and no tables."""

from sensorad.streaming.results import StreamRow, StreamTick
from sensorad.streaming.stream import Stream

__all__ = ["Stream", "StreamRow", "StreamTick"]
