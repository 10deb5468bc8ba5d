"""A detector on disk: a directory of strict JSON and plain arrays, safe to load from anywhere.

::

    pump.sensorad/
      detector.json            configuration, sensors, training record
      weights.safetensors      what the model learned
      calibration.json         threshold, event rule, what they rest on
      calibration.safetensors  error statistics
      README.md                the model card
      SHA256SUMS               one line per file above, as ``sha256sum -c`` reads it

Written whole or not at all; read without running anything from it. Sums guard against damage, not against an
author with bad intentions, who can recompute them: hence the caps before any allocation, the finiteness check,
and `check_arrays` against the shapes that the configuration implies.
"""

from __future__ import annotations

from sensorad.artefact.contents import FORMAT_VERSION, ArraySpec, ArtefactContents, check_arrays, weights_hash
from sensorad.artefact.read import read_artefact
from sensorad.artefact.write import check_target, write_artefact

__all__ = [
    "FORMAT_VERSION",
    "ArraySpec",
    "ArtefactContents",
    "check_arrays",
    "check_target",
    "read_artefact",
    "weights_hash",
    "write_artefact",
]
