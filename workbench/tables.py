"""Results: frozen tables that know where they came from, how to be drawn, saved and shown."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field

from workbench.errors import InputError
from workbench.markup import html_table, text_table, visible
from workbench.provenance import Record, dump_json, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import pandas as pd
    import plotly.graph_objects as go
    import pyarrow as pa

__all__ = ["Chart", "Result"]

PLOTLY = "application/vnd.plotly.v1+json"

_KEY = b"workbench"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Chart(Record):
    """How a table is drawn: a kind of `workbench.charts` and its options."""

    kind: str
    options: dict[str, Any] = Field(default_factory=dict)


class _Header(Record):
    """What a saved table carries besides its columns."""

    schema_version: int = Field(1, alias="schema")
    name: str
    provenance: dict[str, Any]
    chart: Chart | None


@dataclass(frozen=True, repr=False)
class Result:
    """A frozen table with its provenance: one row per item or per cell.

    Make one with `Result.of`; in a notebook it shows its chart, or itself where it has none.

    Attributes:
        name: also the name of its file.
        table: the rows.
        provenance: where the numbers came from, as JSON values.
        chart: how it is drawn.
    """

    name: str
    table: pa.Table
    provenance: Mapping[str, Any] = field(default_factory=dict)
    chart: Chart | None = None

    @classmethod
    def of(
        cls,
        name: str,
        rows: pd.DataFrame | Iterable[Mapping[str, Any]],
        provenance: Mapping[str, Any] | None = None,
        chart: Chart | None = None,
    ) -> Self:
        """A result of a frame or of rows as mappings.

        NaN becomes missing; a named index becomes columns.

        Raises:
            InputError: for a name that is no file name, or a column of mixed types.
        """
        if not _NAME.fullmatch(name):
            raise InputError(
                f"A result was named {visible(name, 80)!r}; it names a file: use letters, digits, "
                "dots, dashes and underscores."
            )
        # Through JSON and back: copies that nobody else holds, and what a file would give.
        kept = json.loads(dump_json(dict(provenance or {})))
        if chart is not None:
            chart = Chart(kind=chart.kind, options=json.loads(dump_json(chart.options)))
        return cls(name, _arrow(name, rows), MappingProxyType(kept), chart)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The result in a file that `save` wrote.

        Raises:
            InputError: for a missing file, or one that is not a saved result.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path, memory_map=False)
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                f"{path}: cannot be read as a result ({visible(str(error))}); "
                "expected a parquet file that the workbench saved."
            ) from error
        metadata = table.schema.metadata or {}
        try:
            header = _Header.model_validate_json(metadata.get(_KEY, b""))
        except ValueError as error:
            raise InputError(
                f"{path}: a parquet file, but not a result of the workbench. "
                "Read it with pandas.read_parquet."
            ) from error
        provenance = MappingProxyType(header.provenance)
        return cls(header.name, table.replace_schema_metadata(None), provenance, header.chart)

    def frame(self) -> pd.DataFrame:
        """The rows as a new pandas frame, to be changed freely."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    def figure(self) -> go.Figure:
        """The rows as a plotly figure.

        Raises:
            InputError: for a result without a chart.
        """
        if self.chart is None:
            raise InputError(
                f"The result {self.name!r} has no chart; draw its frame with workbench.charts.draw."
            )
        from workbench.charts import draw

        return draw(self.chart.kind, self.frame(), **self.chart.options)

    def save(self, folder: Path) -> Path:
        """Write `<name>.parquet`; equal results leave equal bytes. Returns the path.

        Raises:
            StorageError: where the folder cannot be written.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        header = _Header(
            schema=1, name=self.name, provenance=dict(self.provenance), chart=self.chart
        )
        metadata = {_KEY: dump_json(header.model_dump(mode="json", by_alias=True)).encode()}
        sink = pa.BufferOutputStream()
        pq.write_table(self.table.replace_schema_metadata(metadata), sink, compression="zstd")
        path = folder / f"{self.name}.parquet"
        write_atomically(path, sink.getvalue().to_pybytes())
        return path

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __repr__(self) -> str:
        columns = ", ".join(visible(name, 40) for name in self.table.column_names)
        return f"Result({self.name!r}, {len(self):,} rows: {columns})"

    def _repr_html_(self) -> str:
        return html_table(self.frame(), caption=self.name)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = {
            "text/plain": text_table(self.frame(), caption=self.name),
            "text/html": self._repr_html_(),
        }
        if self.chart is not None:
            bundle[PLOTLY] = json.loads(self.figure().to_json())
        return bundle


def _arrow(name: str, rows: pd.DataFrame | Iterable[Mapping[str, Any]]) -> pa.Table:
    import pandas as pd
    import pyarrow as pa

    if isinstance(rows, pd.DataFrame):
        indexed = any(level is not None for level in rows.index.names)
        frame = rows.reset_index() if indexed else rows
        columns = {str(key): frame[key].tolist() for key in frame.columns}
    else:
        records = list(rows)
        keys = dict.fromkeys(key for record in records for key in record)
        columns = {str(key): [record.get(key) for record in records] for key in keys}
    return pa.table({key: _column(name, key, values) for key, values in columns.items()})


def _column(name: str, key: str, values: list[Any]) -> pa.Array:
    import pyarrow as pa

    try:
        column = pa.array(values, from_pandas=True)
        # NaN says that the column is one of numbers, also where every one is missing.
        numbers = any(isinstance(value, float) for value in values)
        return column.cast(pa.float64()) if numbers and pa.types.is_null(column.type) else column
    except UnicodeEncodeError:
        # A lone surrogate cannot be stored; it stays readable as \udc80.
        return pa.array(
            [
                value.encode("utf-8", "backslashreplace").decode()
                if isinstance(value, str)
                else value
                for value in values
            ],
            from_pandas=True,
        )
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(
            f"{name}: the column {key!r} cannot be stored ({error}); "
            "give all its values one type, and None where one is missing."
        ) from error
