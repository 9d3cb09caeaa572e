"""Many runs' findings at once: DuckDB over their Parquet files, shut in to their folder.

It reads below that folder alone, loads and installs nothing, and cannot be talked out of it
(https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview). What a user or a file
says is a parameter or a value of a query, and never a part of its text.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from workbench.audit.comparing.summary import COLUMNS
from workbench.audit.records.folder import SUMMARY
from workbench.markup import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

__all__ = ["Findings"]

_MOST_ROWS = 10_000
"""Of one run; a summary with more is no summary."""
_CHARACTERS = 300

# How Parquet names the columns' types: physical, and what was made of it.
_PARQUET = {
    "string": "BYTE_ARRAY UTF8",
    "double": "DOUBLE",
    "int64": "INT64",
    "bool": "BOOLEAN",
}
_WITH_BRACKETS = re.compile(r"([*?\[])")

_LISTING = (
    *("run_id", "created", "model", "weights_digest", "suite", "suite_version", "state"),
    *("seconds", "workbench_version", "code", "verdict", "threshold", "direction"),
)
"""Columns that a list of runs needs; trends need all."""
_ALL = tuple(COLUMNS)
_STORED = {"string": "VARCHAR", "double": "DOUBLE", "int64": "BIGINT", "bool": "BOOLEAN"}


def _table(names: Sequence[str]) -> str:
    held = ", ".join(f"{name} {_STORED[COLUMNS[name]]}" for name in names)
    return f"CREATE TEMP TABLE findings (filename VARCHAR, {held})"


def _read(names: Sequence[str]) -> str:
    shortened = ", ".join(
        f"left({name}, {_CHARACTERS})" if COLUMNS[name] == "string" else name for name in names
    )
    source = "read_parquet($paths, filename = true, hive_partitioning = false)"
    return f"INSERT INTO findings SELECT filename, {shortened} FROM {source}"  # noqa: S608 - our names


_SCHEMA = """
SELECT file_name, count(DISTINCT name)
FROM parquet_schema($paths)
WHERE list_contains($expected, concat_ws(' ', name, type, converted_type))
GROUP BY file_name
"""
_ROWS = "SELECT file_name, num_rows FROM parquet_file_metadata($paths)"

_RUNS = """
CREATE TEMP TABLE runs AS
SELECT filename, any_value(run_id) AS run_id, any_value(created) AS created,
    any_value(model) AS model, any_value(weights_digest) AS weights_digest,
    any_value(suite) AS suite, any_value(suite_version) AS suite_version,
    any_value(state) AS state, any_value(seconds) AS seconds,
    any_value(workbench_version) AS workbench_version,
    count(*) FILTER (verdict = 'fail') AS fail, count(*) FILTER (verdict = 'error') AS error,
    count(*) FILTER (verdict = 'inconclusive') AS inconclusive,
    count(*) FILTER (verdict = 'skipped') AS skipped, count(*) FILTER (verdict = 'pass') AS pass,
    row_number() OVER (PARTITION BY any_value(model) ORDER BY any_value(created), filename) AS place
FROM findings GROUP BY filename
"""
_LISTED = "SELECT * FROM runs ORDER BY created, filename"
_CHANGES = """
WITH before AS (
    SELECT runs.filename, findings.code, findings.verdict, findings.threshold, findings.direction
    FROM runs JOIN runs AS earlier ON earlier.model IS NOT DISTINCT FROM runs.model
        AND earlier.place = runs.place - 1
    JOIN findings ON findings.filename = earlier.filename
), after AS (
    SELECT runs.filename, findings.code, findings.verdict, findings.threshold, findings.direction
    FROM runs JOIN findings USING (filename) WHERE runs.place > 1
)
SELECT coalesce(after.filename, before.filename), coalesce(after.code, before.code),
    before.verdict, after.verdict,
    before.code IS NOT NULL AND after.code IS NOT NULL AND
        (before.threshold, before.direction) IS DISTINCT FROM (after.threshold, after.direction)
FROM before FULL JOIN after ON before.filename = after.filename AND before.code = after.code
WHERE before.verdict IS DISTINCT FROM after.verdict
    OR (before.threshold, before.direction) IS DISTINCT FROM (after.threshold, after.direction)
ORDER BY 1, 2
"""
_POINTS = """
SELECT filename, model, code, question, unit, severity, section, created, verdict, estimate, low,
    high, n, threshold, direction, weights_digest
FROM findings WHERE code GLOB $pattern ORDER BY model, code, created, filename
"""


class Findings:
    """The findings of many runs, to be asked for.

    Args:
        connection: of DuckDB, shut in.

    Attributes:
        problems: (file, what is wrong with it) of those that could not be read.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.problems: list[tuple[str, str]] = []
        self._pattern = "*"

    @classmethod
    @contextmanager
    def below(
        cls, folder: Path, files: Sequence[Path], *, check: str | None, trends: bool
    ) -> Iterator[Findings]:
        """The findings in these files, which all lie below the folder.

        Args:
            folder: the only one that is read.
            files: summaries of runs.
            check: codes to keep, where `*` stands for the rest of one; None for all.
            trends: whether `points` will be asked for.
        """
        import duckdb

        with duckdb.connect(":memory:") as connection:
            for setting in (
                "SET autoinstall_known_extensions = false",
                "SET autoload_known_extensions = false",
                "SET allow_community_extensions = false",
                # One thread: over many small files a second takes more time than it saves.
                "SET threads = 1",
                "SET temp_directory = ''",
                "SET memory_limit = '2GB'",
                "SET python_enable_replacements = false",
            ):
                connection.execute(setting)
            # A name of a file is read as a pattern: it is allowed as it is and as it is written.
            folders = [f"{folder}/", _literal(f"{folder}/")]
            connection.execute("SET allowed_directories = $folders", {"folders": folders})
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            found = cls(connection)
            found._read([str(path) for path in files], check, _ALL if trends else _LISTING)
            yield found

    def runs(self) -> list[dict[str, Any]]:
        """A row for each run with a finding, by time."""
        return self._rows(_LISTED)

    def changes(self) -> list[tuple[Any, ...]]:
        """What changed in each run since the one before of the same model.

        Returns:
            File, code, verdict before, verdict after, whether the check was judged by another
            threshold.
        """
        rows: list[tuple[Any, ...]] = self._connection.execute(_CHANGES).fetchall()
        return rows

    def points(self) -> list[dict[str, Any]]:
        """A row for each finding, by model, check and time."""
        return self._rows(_POINTS, {"pattern": self._pattern})

    def _rows(self, query: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        found = self._connection.execute(query, parameters or {})
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def _read(self, paths: list[str], check: str | None, names: Sequence[str]) -> None:
        self._connection.execute(_table(names))
        expected = [f"{name} {_PARQUET[kind]}" for name, kind in COLUMNS.items()]
        known: dict[str, int] = {}
        rows: dict[str, int] = {}

        def schemas(some: list[str]) -> None:
            rows.update(self._execute(_ROWS, some).fetchall())
            known.update(self._execute(_SCHEMA, some, expected=expected).fetchall())

        self._each(paths, schemas)
        good = []
        for path in paths:
            if path in rows and known.get(path) != len(COLUMNS):
                self.problems.append((path, f"not a {SUMMARY} of a run: it has other columns."))
            elif rows.get(path, 0) > _MOST_ROWS:
                self.problems.append((path, f"has {rows[path]:,} rows; no run has so many."))
            elif path in rows:
                good.append(path)
        self._each(good, lambda some: self._execute(_read(names), some))
        if check is not None:
            self._pattern = check.replace("[", "[[]")
            self._connection.execute(
                "DELETE FROM findings WHERE NOT code GLOB $pattern", {"pattern": self._pattern}
            )
        self._connection.execute(_RUNS)

    def _each(self, paths: list[str], do: Callable[[list[str]], object]) -> None:
        """Do it with all files at once; where that fails, with halves, until the bad are alone."""
        import duckdb

        if not paths:
            return
        try:
            do(paths)
        except (duckdb.Error, UnicodeError) as error:
            if len(paths) == 1:
                first = str(error).partition("\n")[0]
                self.problems.append((paths[0], f"cannot be read ({visible(first, 200)})."))
                return
            middle = len(paths) // 2
            self._each(paths[:middle], do)
            self._each(paths[middle:], do)

    def _execute(self, query: str, paths: list[str], **more: Any) -> Any:
        return self._connection.execute(query, {"paths": list(map(_literal, paths)), **more})


def _literal(path: str) -> str:
    """The pattern that means this path alone."""
    return _WITH_BRACKETS.sub(r"[\1]", path)
