"""A model in an onnxruntime session: loading it with all its checks, and scoring a batch with it.

One call of the session scores a whole batch. Only where that call is refused are the rows halved until the
guilty ones stand alone; their neighbours are scored.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from everscore.clock.deadline import Deadline
from everscore.event.scores import Scores
from everscore.failures import (
    Failure,
    ManifestError,
    Overdue,
    Permanent,
    Retryable,
    Stage,
    Transient,
    Unexpected,
)
from everscore.score.columns import Array, Columns, read_columns
from everscore.score.feature_code import FeatureCode
from everscore.score.golden import check_golden, read_golden
from everscore.score.manifest import MANIFEST_FILE, MODEL_FILE, Manifest, load_manifest
from everscore.score.outputs import OutputReader
from everscore.score.readers import column_readers
from everscore.score.tensors import Caster, plan_tensors

MAX_ROWS = 4096
"""Rows of one call: bounds the memory of a call, whatever batch the caller has."""

_log = logging.getLogger(__name__)

_OVERDUE = Overdue(
    Stage.SCORE,
    "model too slow",
    "there was no time left to find the event for which it raised",
)

# std::bad_alloc, as onnxruntime hands it on, and the words of its own allocators.
_OUT_OF_MEMORY = ("bad_alloc", "bad allocation", "Failed to allocate memory")


class OnnxModel:
    """A loaded model; see `everscore.score.model.Model`."""

    def __init__(
        self, folder: Path, manifest: Manifest, session: onnxruntime.InferenceSession, threads: int
    ) -> None:
        where = str(folder / "manifest.json")
        self.manifest = manifest
        self.name = manifest.name
        self.version = manifest.version
        self.sha256 = identity_hash(manifest)
        self.threads = threads
        self._session = session
        self._readers = column_readers(manifest.inputs)
        self._tensors, self._fixed_rows = plan_tensors(manifest, session.get_inputs(), where)
        texts = {name for tensor in self._tensors if tensor.dtype.kind == "O" for name in tensor.columns}
        self._code = FeatureCode(folder, manifest.features, texts, where) if manifest.features else None
        self._outputs = OutputReader(manifest, session.get_outputs(), self.sha256, where)
        self._fields = {} if self._code else {each.name: each.pointer for each in manifest.inputs}
        # A row that the model took, to compare refused ones with. Replaced whole, so threads may share it.
        self._accepted: Columns | None = None
        if self._fixed_rows is not None:
            _log.warning(
                "%s was exported for %d row(s) a call: batches are cut; a free first dimension is faster",
                folder / MODEL_FILE,
                self._fixed_rows,
            )

    def score(self, payloads: Sequence[object], until: Deadline | None = None) -> list[Scores | Failure]:
        """See `everscore.score.model.Model.score`."""
        failures: dict[int, Failure] = {}
        results: dict[int, Scores | Failure] = {}
        refused: dict[int, Permanent] = {}
        columns = read_columns(self._readers, payloads, refused)
        rows = np.array([index for index in range(len(payloads)) if index not in refused], np.int64)
        if not len(rows):
            return [refused[index] for index in range(len(payloads))]
        columns = {name: column[rows] for name, column in columns.items()}
        for part_rows, part in self._featured(rows, columns, failures, until):
            ready_rows, ready = self._cast(part_rows, part, refused)
            for start in range(0, len(ready_rows), self._fixed_rows or MAX_ROWS):
                chunk = slice(start, start + (self._fixed_rows or MAX_ROWS))
                if start and _is_over(until):
                    failures |= dict.fromkeys(ready_rows[chunk].tolist(), _OVERDUE)
                    continue
                called = {name: column[chunk] for name, column in ready.items()}
                self._run(ready_rows[chunk], called, results, until)
        results |= failures
        results |= refused
        return [results[index] for index in range(len(payloads))]

    def _featured(
        self, rows: Array, columns: Columns, failures: dict[int, Failure], until: Deadline | None
    ) -> Iterator[tuple[Array, Columns]]:
        """The columns as features.py returns them, in one part unless some rows make it raise."""
        code = self._code
        if code is None:
            yield rows, columns
            return
        for where, outcome in bisect(lambda part: code(_take(columns, part), len(part)), len(rows), until):
            if not isinstance(outcome, Exception):
                yield rows[where], outcome
                continue
            for row in rows[where].tolist():
                failures[row] = outcome if isinstance(outcome, Failure) else _raised(outcome)

    def _cast(self, rows: Array, columns: Columns, refused: dict[int, Permanent]) -> tuple[Array, Columns]:
        cast: Columns = {}
        before = len(refused)
        caster = Caster(rows, refused)
        for tensor in self._tensors:
            for name in tensor.columns:
                field = self._fields.get(name, name)
                cast[name] = caster.cast(columns[name], tensor.dtype, name, field)
        if len(refused) == before:
            return rows, cast
        kept = np.array([row not in refused for row in rows.tolist()], np.bool_)
        return rows[kept], {name: column[kept] for name, column in cast.items()}

    def _run(
        self, rows: Array, columns: Columns, results: dict[int, Scores | Failure], until: Deadline | None
    ) -> None:
        failed: list[tuple[int, Exception]] = []
        for where, outcome in bisect(
            lambda part: self._call(_take(columns, part), len(part)), len(rows), until
        ):
            if isinstance(outcome, Exception):
                failed += [(row, outcome) for row in where.tolist()]
                continue
            results.update(zip(rows[where].tolist(), self._read(outcome, len(where)), strict=True))
            self._accepted = _take(columns, where[:1])
        for row, error in failed:
            if isinstance(error, Overdue) or (len(failed) > 1 and _is_over(until)):
                results[int(rows[row])] = _OVERDUE  # to find out whose fault it is takes calls, too
            else:
                results[int(rows[row])] = self._blame(_take(columns, np.array([row])), error)

    def _read(self, outputs: dict[str, object], rows: int) -> list[Scores | Failure]:
        """The scores of one call. What cannot be read of its outputs is no row's fault."""
        try:
            return self._outputs.read(outputs, max(rows, self._fixed_rows or 0))[:rows]
        except Failure as failure:
            return [failure] * rows

    def _blame(self, row: Columns, error: Exception) -> Failure:
        """Why a row alone was not scored: its own fault only while a row known to be good passes."""
        if _is_out_of_memory(error):
            return Transient(Stage.SCORE, "out of memory", "onnxruntime got no memory to score this event.")
        accepted = self._accepted
        if accepted is None:
            return Unexpected(
                Stage.SCORE,
                "model fails",
                f"onnxruntime raised {type(error).__name__} for this event, and no event has passed yet that "
                "would show the model to work.",
            )
        again = _attempt(lambda tried: self._call(tried, 1), accepted)
        if isinstance(again, Exception):
            return Transient(
                Stage.SCORE,
                "model fails",
                f"onnxruntime raised {type(again).__name__} also for an event that it has scored before.",
            )
        column = self._refused_column(row, accepted)
        named = "one of its values" if column is None else f"the value of '{column}'"
        return Permanent(
            Stage.SCORE,
            "model refuses the row",
            f"The model does not take {named}, such as a category that it never saw in training.",
            field=None if column is None else self._fields.get(column, column),
        )

    def _call(self, columns: Columns, rows: int) -> dict[str, object]:
        """One call of the session; where it takes a fixed number of rows, the last one is repeated."""
        if self._fixed_rows is not None and rows < self._fixed_rows:
            padded = np.minimum(np.arange(self._fixed_rows), rows - 1)
            columns = _take(columns, padded)
        feed = {tensor.name: tensor.build(columns) for tensor in self._tensors}
        outputs: list[object] = self._session.run(self._outputs.names, feed)
        return dict(zip(self._outputs.names, outputs, strict=True))

    def _refused_column(self, row: Columns, accepted: Columns) -> str | None:
        """The column whose value the model refuses: with an accepted row's value instead, the row passes."""
        for name in row:
            if not isinstance(
                _attempt(lambda tried: self._call(tried, 1), {**row, name: accepted[name]}), Exception
            ):
                return name
        return None


def bisect[T](
    call: Callable[[Array], T], count: int, until: Deadline | None = None
) -> Iterator[tuple[Array, T | Exception]]:
    """Calls with the indexes of all rows; where that raises, with each half, down to single rows.

    A Retryable is no row's fault and the same for each half, so that it is not looked for.

    Args:
        call: with the indexes of some rows.
        count: of all rows.
        until: when no half is called any more: what is slow to raise would be called some 500 times for 256
            rows. They are Overdue, and go on alone.

    Yields:
        In order, the indexes and either the result of their call or, of a single row or a Retryable, what was
        raised.
    """
    pending = [np.arange(count)] if count else []
    while pending:
        part = pending.pop()
        if len(part) < count and _is_over(until):
            yield part, _OVERDUE
            continue
        outcome = _attempt(call, part)
        if isinstance(outcome, Exception) and not isinstance(outcome, Retryable) and len(part) > 1:
            middle = len(part) // 2
            pending += [part[middle:], part[:middle]]
        else:
            yield part, outcome


def _attempt[A, T](call: Callable[[A], T], argument: A) -> T | Exception:
    try:
        return call(argument)
    except SystemExit as error:  # own code that ends the program would end the worker, with all its events
        return RuntimeError(f"sys.exit({error.code!r}) was called")
    except Exception as error:  # noqa: BLE001 - onnxruntime and features.py raise anything; the caller names the row
        return error


def _is_over(until: Deadline | None) -> bool:
    return until is not None and until.passed


def _is_out_of_memory(error: Exception) -> bool:
    """Whether it is memory that was lacking; onnxruntime says so by its text alone."""
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in _OUT_OF_MEMORY)


def _raised(error: Exception) -> Unexpected:
    return Unexpected(
        Stage.SCORE, "features.py raised", f"features() raised {type(error).__name__} for this event."
    )


def _take(columns: Columns, rows: Array) -> Columns:
    return {name: column[rows] for name, column in columns.items()}


def identity_hash(manifest: Manifest) -> str:
    """The hash that stands for all files that make a score: model.onnx, and features.py if there is one."""
    if manifest.features is None:
        return manifest.sha256
    return hashlib.sha256(f"{manifest.sha256}\n{manifest.features.sha256}".encode()).hexdigest()


def load_onnx_model(folder: Path, *, threads: int) -> OnnxModel:
    """See `everscore.score.loading.load_model`."""
    if not folder.is_dir():
        raise Transient(
            Stage.SCORE,
            "model missing",
            f"There is no folder {folder}: deploy the model, or correct 'model' in stream.json.",
        )
    manifest = load_manifest(folder)
    path = folder / MODEL_FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise Transient(
            Stage.SCORE,
            "model missing",
            f"There is no {path}: export it with 'python -m everscore_models train'.",
        ) from error
    except OSError as error:
        raise Transient(
            Stage.SCORE, "model unreadable", f"{path} cannot be read: {error.strerror}."
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != manifest.sha256:
        raise ManifestError(
            f"{folder / 'manifest.json'}: model.onnx has the SHA-256 {found}, the manifest says "
            f"{manifest.sha256}: deploy both files of one export."
        )
    model = OnnxModel(folder, manifest, open_session(content, path, threads), threads)
    if manifest.golden is not None:
        check_golden(model, read_golden(folder, manifest.golden, str(folder / MANIFEST_FILE)))
    return model


def open_session(content: bytes, path: Path, threads: int) -> onnxruntime.InferenceSession:
    """A session with the options of this project.

    Raises:
        Transient: onnxruntime cannot load the bytes; if they are too new, the sentence names both versions.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = threads
    # The arena keeps the largest batch ever seen, and the patterns keep a plan for each batch size: with
    # batches of every size that is memory which only grows.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    # A refused row is an exception here; onnxruntime would print it to stderr as well.
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise _unloadable(str(error), path) from error


def _unloadable(message: str, path: Path) -> Transient:
    runtime = onnxruntime.__version__
    remedy = "export it again with everscore_models, or update onnxruntime in requirements.txt"
    if found := re.search(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)", message):
        return Transient(
            Stage.SCORE,
            "model too new",
            f"{path} has IR version {found[1]}, onnxruntime {runtime} loads up to {found[2]}: {remedy}.",
        )
    if found := re.search(
        r"Opset (\d+) is under development.* for domain (\S+) is till opset (\d+)", message, re.DOTALL
    ):
        return Transient(
            Stage.SCORE,
            "model too new",
            f"{path} has opset {found[1]} of {found[2]}, onnxruntime {runtime} loads up to {found[3]}: "
            f"{remedy}.",
        )
    if found := re.search(r"Failed to construct locale with name:([\w.@-]*)", message):
        return Transient(
            Stage.SCORE,
            "model needs a locale",
            f"{path} lower-cases texts by the operating system's locale {found[1]}, which this machine has "
            "not: export it again with everscore_models, which does that in features.py.",
        )
    first = message.strip().splitlines()[0] if message.strip() else "no reason given"
    return Transient(
        Stage.SCORE,
        "model unreadable",
        f"onnxruntime {runtime} cannot load {path} ({first}): export it again.",
    )
