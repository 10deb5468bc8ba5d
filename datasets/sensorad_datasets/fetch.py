"""Download the sets that have one well-known public address, pinned to a commit, into the layout of the loaders.

The development machine has no network: the conversions are tested with made-up files, the downloads themselves were
never run there. The publishers of series give no checksums; what protects a download is the pinned commit and https.
Sets of images are pinned by their content. The SHA256SUMS that is written describes the files as they came, so that
later changes and damage are noticed.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sensorad.errors import DataError, StorageError, UsageError

from .images.idx import unpacked
from .images.sets import IDX_FILES
from .storage import SUMS_NAME, SetFolder

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FETCHABLE", "fetch_set", "fetch_urls", "verify_set"]

_RAW = "https://raw.githubusercontent.com"
_TIMEOUT_SECONDS = 60.0
_N_SMD_CHANNELS = 38

_Contents = dict[str, bytes]  # remote path -> what came
_Outputs = Iterator[tuple[str, bytes]]  # local path, what to write


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a set lives, which files make up each series, and how these become local files."""

    base: str
    parts: tuple[tuple[str, ...], ...]
    convert: Callable[[tuple[str, ...], _Contents], _Outputs]


def fetch_urls(set_name: str) -> list[str]:
    """Every address that `fetch_set` would read.

    Examples
    --------
    >>> len(fetch_urls("skab"))
    35
    """
    source = _source(set_name)
    return [f"{source.base}/{path}" for path in dict.fromkeys(path for part in source.parts for path in part)]


def fetch_set(
    set_name: str,
    root: str | Path,
    *,
    read_url: Callable[[str], bytes] | None = None,
    report: Callable[[str], None] | None = None,
    force: bool = False,
) -> Path:
    """Download one set into ``root / set_name``; the folder appears complete or not at all.

    Parameters
    ----------
    set_name
        One of `FETCHABLE`.
    root
        The data folder (see SENSORAD_DATA).
    read_url
        Returns the bytes behind an https address; by default a plain download.
    report
        Called with every address before it is read.
    force
        Replace a folder that exists.

    Raises
    ------
    UsageError
        Where the set has no single public address.
    StorageError
        Where the folder exists, cannot be written or an address cannot be read.
    DataError
        Where what came is not in the publishers' format.
    """
    source = _source(set_name)
    target = Path(root) / set_name
    if target.exists() and not force:
        raise StorageError("the set is there already", where=str(target), hint="force it to download again")
    partial = target.with_name(f".{set_name}.partial")
    read = read_url or _download
    contents: _Contents = {}
    sums = []
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for part in source.parts:
            # What the last series shares with this one (NAB's labels) is not read twice; the rest is let go.
            contents = {path: contents[path] for path in part if path in contents}
            for path in part:
                if path not in contents:
                    if report is not None:
                        report(f"{source.base}/{path}")
                    contents[path] = read(f"{source.base}/{path}")
            for name, content in _converted(source, part, contents):
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
                (partial / name).write_bytes(content)
                sums.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
        (partial / SUMS_NAME).write_text("".join(sorted(sums, key=lambda line: line[66:])), encoding="utf-8")
        if target.exists():
            shutil.rmtree(target)
        partial.rename(target)
    except OSError as error:
        raise StorageError(
            f"cannot fetch {set_name}: {error}", where=str(target), hint="nothing was kept; try again"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def verify_set(set_name: str, root: str | Path | None = None) -> int:
    """Check every file of a set against its SHA256SUMS and return how many there are.

    Raises
    ------
    DataError
        At the first file that differs.
    StorageError
        Where the set or a file of it is missing.
    """
    folder = SetFolder.open(set_name, root)
    for name in folder.sums:
        folder.read(name)
    return len(folder.sums)


def _source(set_name: str) -> _Source:
    if set_name not in _SOURCES:
        raise UsageError(
            f"{set_name!r} has no single public address to fetch from",
            hint=f"can be fetched: {', '.join(FETCHABLE)}; 'sensorad data list' says how to obtain the others",
        )
    return _SOURCES[set_name]


def _converted(source: _Source, part: tuple[str, ...], contents: _Contents) -> _Outputs:
    """The local files of one series; DataError where what came is not in the publishers' format."""
    try:
        yield from source.convert(part, contents)
    except (ValueError, LookupError) as error:  # Arrow's parse errors are ValueErrors
        raise DataError(
            f"what came is not the publishers' format: {error}",
            where=f"{source.base}/{part[-1]}",
            hint="try again later",
        ) from error


def _download(url: str) -> bytes:
    import urllib.request

    if not url.startswith("https://"):
        raise StorageError("only https addresses are read", where=url)
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310 - https only, checked above
        content: bytes = response.read()
    return content


def _parquet(table: pa.Table) -> bytes:
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", use_dictionary=False, write_page_checksum=True)
    return sink.getvalue()


def _csv(content: bytes, **options: Any) -> pa.Table:
    import pyarrow.csv as pc

    return pc.read_csv(
        io.BytesIO(content),
        read_options=pc.ReadOptions(**options.pop("read", {})),
        parse_options=pc.ParseOptions(**options),
    )


def _cast(table: pa.Table, time_column: str, flags: tuple[str, ...]) -> pa.Table:
    """Times in microseconds, flags as int8, everything else as float32."""
    import pyarrow as pa

    fields = []
    for name in table.column_names:
        kind = pa.timestamp("us") if name == time_column else pa.int8() if name in flags else pa.float32()
        fields.append(pa.field(name, kind))
    return table.cast(pa.schema(fields))


def _convert_skab(part: tuple[str, ...], contents: _Contents) -> _Outputs:
    table = _cast(_csv(contents[part[0]], delimiter=";"), "datetime", ("anomaly", "changepoint"))
    yield part[0].removeprefix("data/").replace(".csv", ".parquet"), _parquet(table)


def _convert_nab(part: tuple[str, ...], contents: _Contents) -> _Outputs:
    name = part[1].removeprefix("data/")
    table = _cast(_csv(contents[part[1]]), "timestamp", ())
    times = table["timestamp"].to_numpy()
    label = np.zeros(len(times), np.int8)
    for start, end in json.loads(contents[part[0]])[name]:
        label[(times >= np.datetime64(start)) & (times <= np.datetime64(end))] = 1
    yield name.replace(".csv", ".parquet"), _parquet(table.append_column("label", [label]))


def _convert_smd(part: tuple[str, ...], contents: _Contents) -> _Outputs:
    import pyarrow as pa

    train, test, label, interpretation = (contents[path] for path in part)
    machine = Path(part[0]).stem
    names = [f"m{i:02d}" for i in range(_N_SMD_CHANNELS)]
    for folder, content in (("train", train), ("test", test)):
        table = _cast(_csv(content, read={"column_names": names}), "", ())
        if folder == "test":
            flags = _csv(label, read={"column_names": ["label"]})["label"].combine_chunks().cast(pa.int8())
            table = table.append_column("label", flags)
        yield f"{folder}/{machine}.parquet", _parquet(table)
    causes = []
    for line in interpretation.decode().split():
        rows, dims = line.split(":")
        start, end = rows.split("-")
        causes.append({"start": int(start), "end": int(end), "dims_1based": [int(dim) for dim in dims.split(",")]})
    yield f"interpretation/{machine}.json", json.dumps(causes).encode()


def _idx_checker(sums: dict[str, str]) -> Callable[[tuple[str, ...], _Contents], _Outputs]:
    """Files of an image set stay as they come once what they unpack to has the sha256 of that part."""

    def convert(part: tuple[str, ...], contents: _Contents) -> _Outputs:
        (path,) = part
        content = contents[path]
        digest = hashlib.sha256(unpacked(content, path)).hexdigest()
        if digest != sums[path.removesuffix(".gz")]:
            raise DataError(
                f"what came unpacks to sha256 {digest[:12]}..., expected {sums[path.removesuffix('.gz')][:12]}...",
                where=path,
                hint="nothing was kept; try again later",
            )
        yield path, content

    return convert


_NAB_WINDOWS = "labels/combined_windows.json"
_NAB_FILES = (
    "ambient_temperature_system_failure",
    "cpu_utilization_asg_misconfiguration",
    "ec2_request_latency_system_failure",
    "machine_temperature_system_failure",
    "nyc_taxi",
    "rogue_agent_key_hold",
    "rogue_agent_key_updown",
)
_SMD_MACHINES = [f"machine-{group}-{n}" for group, count in ((1, 8), (2, 9), (3, 11)) for n in range(1, count + 1)]
_SKAB_FILES = ["anomaly-free/anomaly-free"] + [
    f"{group}/{n}"
    for group, first, last in (("valve1", 0, 15), ("valve2", 0, 3), ("other", 1, 14))
    for n in range(first, last + 1)
]

# Of the unpacked files; their md5 sums are the ones that have been published for these sets since they appeared.
_MNIST_SUMS = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
_FASHION_SUMS = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
_IDX_PARTS = tuple((f"{name}.gz",) for name in IDX_FILES.values())

_SOURCES = {
    "skab": _Source(
        f"{_RAW}/waico/SKAB/b2c0d46c2971dcbfe71e26087b6d231998bb91c2",
        tuple((f"data/{name}.csv",) for name in _SKAB_FILES),
        _convert_skab,
    ),
    "nab": _Source(
        f"{_RAW}/numenta/NAB/ea702d75cc2258d9d7dd35ca8e5e2539d71f3140",
        tuple((_NAB_WINDOWS, f"data/realKnownCause/{name}.csv") for name in _NAB_FILES),
        _convert_nab,
    ),
    "smd": _Source(
        f"{_RAW}/NetManAIOps/OmniAnomaly/7fb0e0acf89ea49908896bcc9f9e80fcfff6baf4/ServerMachineDataset",
        tuple(
            tuple(f"{folder}/{machine}.txt" for folder in ("train", "test", "test_label", "interpretation_label"))
            for machine in _SMD_MACHINES
        ),
        _convert_smd,
    ),
    # The first address of torchvision; the original one answers no longer.
    "mnist": _Source("https://ossci-datasets.s3.amazonaws.com/mnist", _IDX_PARTS, _idx_checker(_MNIST_SUMS)),
    "fashion_mnist": _Source(
        f"{_RAW}/zalandoresearch/fashion-mnist/b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion",
        _IDX_PARTS,
        _idx_checker(_FASHION_SUMS),
    ),
}

FETCHABLE: tuple[str, ...] = tuple(_SOURCES)
"""Sets that `fetch_set` can download."""
