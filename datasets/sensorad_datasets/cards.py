"""A card for every data set: what it is, under which licence, from whom, and how to obtain it."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["SetCard", "set_cards"]


@dataclass(frozen=True, slots=True)
class SetCard:
    """What ``sensorad data list`` shows of a set.

    Attributes
    ----------
    name
        Name of the set, and of its folder below the data root.
    what
        One line for people.
    licence
        Terms as far as the publishers state them.
    n_series, n_rows, n_channels
        Size of the complete published set; rows of training and test part together, 0 = as many as asked for.
    citation
        Whom to cite.
    source
        Where the publishers offer it.
    obtain
        How a user gets it into the data folder.
    n_images, n_classes
        Size of a set of images, which has no series.

    Examples
    --------
    >>> {card.name: card.size for card in set_cards()}["mnist"]
    '70,000 images, 10 classes'
    """

    name: str
    what: str
    licence: str
    n_series: int
    n_rows: int
    n_channels: int
    citation: str
    source: str
    obtain: str
    n_images: int = 0
    n_classes: int = 0

    @property
    def size(self) -> str:
        """The size in words."""
        if self.n_images:
            return f"{self.n_images:,} images, {self.n_classes:,} classes"
        rows = f", {self.n_rows:,} rows" if self.n_rows else ""
        return f"{self.n_series:,} series, {self.n_channels:,} channels{rows}"


_FETCH = "sensorad data fetch {name}"
_BY_HAND = "by hand: one Parquet file a series, float32 channels, and a SHA256SUMS in the folder '{name}'"

_CARDS = (
    SetCard(
        "plant",
        "simulated plant: pump, valve, tank, heat exchanger, two control loops, four operating modes, exact labels",
        "Apache-2.0, part of this package",
        1,
        0,
        16,
        "this package",
        "computed on demand, seeded",
        "sensorad data make",
    ),
    SetCard(
        "skab",
        "real water-circulation rig, 1 s, valve closings, leaks, imbalance, cavitation",
        "GPL-3.0 (repository; no separate data licence)",
        34,
        37_401,
        8,
        "Katser and Kozitsin, Skoltech Anomaly Benchmark (SKAB), 2020, DOI 10.34740/KAGGLE/DSV/1693952",
        "github.com/waico/SKAB",
        _FETCH,
    ),
    SetCard(
        "tep",
        "Tennessee Eastman process, simulated chemical plant in closed loop, 3 min, 21 faults",
        "permissive, University of Illinois (Braatz group); keep the notice",
        22,
        31_700,
        52,
        "Downs and Vogel 1993; Chiang, Russell and Braatz 2001",
        "github.com/camaramm/tennessee-eastman-profBraatz",
        _BY_HAND,
    ),
    SetCard(
        "batadal",
        "water distribution of C-Town, simulated SCADA, 1 h, 7 documented attacks",
        "none stated (public competition data): do not redistribute",
        1,
        12_938,
        43,
        "Taormina et al. 2018, Battle of the Attack Detection Algorithms",
        "batadal.net",
        _BY_HAND,
    ),
    SetCard(
        "hydraulic",
        "real hydraulic rig, 60 s load cycles, the eight 1 Hz channels, cooler condition",
        "CC BY 4.0 (as listed by UCI)",
        1,
        132_300,
        8,
        "Helwig, Pignanelli and Schuetze 2015, Condition monitoring of hydraulic systems",
        "archive.ics.uci.edu, data set 447",
        _BY_HAND,
    ),
    SetCard(
        "smd",
        "real servers, 1 min, labels with responsible dimensions",
        "MIT",
        28,
        1_416_825,
        38,
        "Su et al. 2019, Robust anomaly detection for multivariate time series (OmniAnomaly), KDD",
        "github.com/NetManAIOps/OmniAnomaly",
        _FETCH,
    ),
    SetCard(
        "asd",
        "real application servers, 5 min, labels with responsible dimensions",
        "MIT",
        12,
        154_171,
        19,
        "Li et al. 2021, InterFusion, KDD",
        "github.com/zhhlee/InterFusion",
        _BY_HAND,
    ),
    SetCard(
        "msl",
        "telemetry of the Curiosity rover, one value and 54 command flags a channel",
        "BSD-style, Caltech/JPL",
        27,
        132_046,
        55,
        "Hundman et al. 2018, Detecting spacecraft anomalies using LSTMs, KDD",
        "github.com/khundman/telemanom",
        _BY_HAND,
    ),
    SetCard(
        "smap",
        "telemetry of the SMAP satellite, one value and 24 command flags a channel",
        "BSD-style, Caltech/JPL",
        54,
        573_830,
        25,
        "Hundman et al. 2018, Detecting spacecraft anomalies using LSTMs, KDD",
        "github.com/khundman/telemanom",
        _BY_HAND,
    ),
    SetCard(
        "nab",
        "Numenta Anomaly Benchmark, folder realKnownCause: univariate, real",
        "MIT (current releases)",
        7,
        69_561,
        1,
        "Lavin and Ahmad 2015; Ahmad et al. 2017",
        "github.com/numenta/NAB",
        _FETCH,
    ),
    SetCard(
        "ucr_sample",
        "six of the 250 series of the UCR anomaly archive 2021, one anomaly each",
        "free for research, no formal licence: do not redistribute",
        6,
        189_797,
        1,
        "Wu and Keogh 2021, Current time series anomaly detection benchmarks are flawed",
        "UCR time series anomaly archive",
        _BY_HAND,
    ),
    SetCard(
        "cmapss_fd001",
        "simulated turbofan engines run to failure, one operating condition, one fault mode",
        "public domain (NASA open data)",
        1,
        33_727,
        24,
        "Saxena and Goebel 2008, Turbofan engine degradation simulation data set, NASA",
        "NASA prognostics data repository, C-MAPSS",
        _BY_HAND,
    ),
    SetCard(
        "cwru",
        "bearing vibration at 1797 rpm, 48 kHz drive-end family: normal and nine faults",
        "none stated: credit the centre, do not redistribute",
        9,
        2_220_732,
        2,
        "Case Western Reserve University Bearing Data Center",
        "engineering.case.edu/bearingdatacenter",
        _BY_HAND,
    ),
    SetCard(
        "ai4i2020",
        "synthetic milling products with machine failures: a table, not a time series",
        "CC BY 4.0 (as listed by UCI)",
        1,
        10_000,
        5,
        "Matzka 2020, Explainable artificial intelligence for predictive maintenance applications",
        "archive.ics.uci.edu, data set 601",
        _BY_HAND,
    ),
    SetCard(
        "digits",
        "images: handwritten digits of 8 x 8 pixels, part of scikit-learn",
        "CC BY 4.0 (as listed by UCI)",
        0,
        0,
        1,
        "Alpaydin and Kaynak 1998, Optical recognition of handwritten digits",
        "archive.ics.uci.edu, data set 80",
        "nothing to do: it comes with scikit-learn",
        1_797,
        10,
    ),
    SetCard(
        "mnist",
        "images: handwritten digits of 28 x 28 pixels",
        "published freely, commonly listed as CC BY-SA 3.0: do not redistribute",
        0,
        0,
        1,
        "LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning applied to document recognition",
        "ossci-datasets.s3.amazonaws.com/mnist (a mirror)",
        _FETCH,
        70_000,
        10,
    ),
    SetCard(
        "fashion_mnist",
        "images: pieces of clothing of 28 x 28 pixels",
        "MIT",
        0,
        0,
        1,
        "Xiao, Rasul and Vollgraf 2017, Fashion-MNIST",
        "github.com/zalandoresearch/fashion-mnist",
        _FETCH,
        70_000,
        10,
    ),
)


def set_cards() -> list[SetCard]:
    """The cards of all sets, the embedded plant first, sets of images last.

    Examples
    --------
    >>> set_cards()[0].name
    'plant'
    """
    return [replace(card, obtain=card.obtain.format(name=card.name)) for card in _CARDS]
