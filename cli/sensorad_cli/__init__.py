"""The ``sensorad`` command: options, files and words around the library, one command per file."""

__all__: list[str] = []
