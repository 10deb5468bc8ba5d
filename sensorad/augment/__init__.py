"""Windows of normal operation made into more of them, into mixtures, and into faulty ones."""

from sensorad.augment.amplitude import Jitter, MagnitudeWarp, Scaling
from sensorad.augment.base import Augmentation
from sensorad.augment.dropout import Dropout
from sensorad.augment.faults import (
    FAULTS,
    Fault,
    FaultedWindows,
    FaultKind,
    Injected,
    SensorStatistics,
    inject,
    inject_random,
    inject_windows,
    random_faults,
)
from sensorad.augment.mixup import Mixed, MixupConfig, mixup
from sensorad.augment.permutation import Permutation
from sensorad.augment.sensor import (
    AUGMENTATIONS,
    Augment,
    augment_from_names,
    augmentation_from_json,
    enlarged,
    enlarged_with_usable,
)
from sensorad.augment.shifts import Shift, Slice
from sensorad.augment.warps import Crop, TimeWarp

__all__ = [
    "AUGMENTATIONS",
    "FAULTS",
    "Augment",
    "Augmentation",
    "Crop",
    "Dropout",
    "Fault",
    "FaultKind",
    "FaultedWindows",
    "Injected",
    "Jitter",
    "MagnitudeWarp",
    "Mixed",
    "MixupConfig",
    "Permutation",
    "Scaling",
    "SensorStatistics",
    "Shift",
    "Slice",
    "TimeWarp",
    "augment_from_names",
    "augmentation_from_json",
    "enlarged",
    "enlarged_with_usable",
    "inject",
    "inject_random",
    "inject_windows",
    "mixup",
    "random_faults",
]
