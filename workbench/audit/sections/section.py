"""What a section notebook hands over: its result tables, its findings, and what shows them.

In an audit they go to the run folder; in a notebook that a person runs by hand they are only shown.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from workbench.audit.definitions.definition import DEFAULT_DEFINITION, load_definition
from workbench.audit.records import checks
from workbench.audit.records.checks import Finding, Findings
from workbench.audit.records.exhibits import Exhibit, Exhibits
from workbench.audit.records.folder import (
    AUDIT,
    EXHIBITS,
    FINDINGS,
    INPUTS,
    PROVENANCE,
    WORK,
    AuditRecord,
    section_folder,
)
from workbench.errors import InputError
from workbench.evaluate.suites import load_suite
from workbench.provenance import (
    code_version,
    dump_json,
    host,
    package_versions,
    sha256,
    write_atomically,
)
from workbench.tables import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workbench.audit.definitions.definition import Definition
    from workbench.audit.records.checks import Verdict
    from workbench.audit.records.exhibits import Kind
    from workbench.evaluate.suites import Check
    from workbench.provenance import ModelProvenance
    from workbench.stats import Estimate

__all__ = ["Section"]

_Found = TypeVar("_Found")


class Section:
    """One section of an audit: judges its checks and keeps its evidence.

    Args:
        name: of the section: the checks of the audit that belong to it are its to answer.
        model: provenance of the model that is looked at.
        suite: name or file of the audit's definition, where there is no run.
        run: the run folder; None by hand. A run's checks are those frozen in its `audit.json`.

    Attributes:
        questions: the folder of `evals/` that the tasks come from.
        tasks: the names of those that this section asks.
        checks: those that it answers, by code.
    """

    def __init__(
        self,
        name: str,
        model: ModelProvenance,
        *,
        suite: str = DEFAULT_DEFINITION,
        run: str | Path | None = None,
    ) -> None:
        self.name = name
        self.run = None if run is None else Path(run)
        definition = load_definition(suite) if self.run is None else _frozen(self.run)
        self.questions = definition.questions
        self.tasks = definition.tasks.get(name, ())
        self.thresholds = {check.code: check.threshold for check in definition.checks}
        self.checks = {check.code: check for check in definition.checks if check.section == name}
        self._findings: dict[str, Finding] = {}
        self._evidence: list[str] = []
        self._exhibits: list[Exhibit] = []
        self._inputs: dict[str, str | None] = {}
        if self.run is not None:
            _record_provenance(self.run, model)
        for check in self.checks.values():
            if check.left_out is not None:
                self._keep(checks.state(check, "skipped", check.left_out))

    @property
    def folder(self) -> Path | None:
        """Where the section's files go; None by hand."""
        return None if self.run is None else section_folder(self.run, self.name)

    @property
    def cache(self) -> Path | None:
        """The file of scores that a resumed run need not compute again; None by hand.

        Each section has its own: what one finds there never depends on which others have run.
        """
        return None if self.run is None else self.run / WORK / self.name / "scores.sqlite"

    def threshold(self, code: str) -> float:
        """The threshold of any check, as fixed before the run.

        Of a check whose section is not part of the audit, the usual one of its questions.

        Raises:
            InputError: for a check that is unknown, or has none.
        """
        threshold = self.thresholds.get(code)
        if code not in self.thresholds:
            usual = load_suite(self.questions).checks
            threshold = next((check.threshold for check in usual if check.code == code), None)
        if threshold is None:
            raise InputError(f'There is no check "{code}" with a threshold.')
        return threshold

    def verdict(self, code: str) -> Verdict | None:
        """The verdict of a check that this section has judged; None before that."""
        found = self._findings.get(code)
        return None if found is None else found.verdict

    def save(self, *results: Result) -> None:
        """Keep result tables as evidence for the findings that are judged after them."""
        for result in results:
            if self.run is not None and self.folder is not None:
                path = result.save(self.folder)
                self._evidence.append(path.relative_to(self.run).as_posix())

    def kept(self, name: str, compute: Callable[[], Result]) -> Result:
        """The result of that name from an attempt that was cut short, or else what `compute` gives.

        Either way it is kept as evidence. For what takes long: a resumed section goes on behind it.

        Raises:
            InputError: where the result has another name.
        """
        if self.folder is not None and (self.folder / f"{name}.parquet").is_file():
            result = Result.load(self.folder / f"{name}.parquet")
        else:
            result = compute()
        if result.name != name:
            raise InputError(f'The result is named "{result.name}"; expected "{name}".')
        self.save(result)
        return result

    @overload
    def earlier(self, section: str, result: str) -> Result | None: ...

    @overload
    def earlier(self, section: str, result: str, otherwise: Callable[[], Result]) -> Result: ...

    def earlier(
        self, section: str, result: str, otherwise: Callable[[], Result] | None = None
    ) -> Result | None:
        """A result that an earlier section of the same run kept, or else what `otherwise` gives.

        That it was asked for is recorded: if it changes, this section is done again. By hand, and
        where that section was not run or died before it, there is none.

        Args:
            section: its name.
            result: the table's name.
            otherwise: what works it out again; without it, what is not there is None.

        Raises:
            InputError: where the file is there but is no saved result.
        """
        found = None if self.run is None else self._earlier(self.run, section, result)
        return otherwise() if found is None and otherwise is not None else found

    def show(
        self,
        codes: str | Sequence[str],
        kind: Kind,
        result: Result,
        title: str,
        **how: Any,
    ) -> None:
        """Have the report show a saved table with these findings, which may be another section's.

        Args:
            codes: one or more; `*` stands for the rest of a code.
            kind: `items`, `groups`, `mechanism` or `intervention`.
            result: a table that this section saves.
            title: a few words.
            **how: the other fields of `Exhibit`.
        """
        if self.folder is None:
            return
        exhibit = Exhibit(
            codes=(codes,) if isinstance(codes, str) else tuple(codes),
            kind=kind,
            path=f"sections/{self.name}/{result.name}.parquet",
            title=title,
            **how,
        )
        self._exhibits.append(exhibit)
        Exhibits(exhibits=tuple(self._exhibits)).write(self.folder / EXHIBITS)

    def attempt(self, codes: str | Sequence[str], compute: Callable[[], _Found]) -> _Found | None:
        """What `compute` gives; where it refuses, None, and checks are skipped with its reason.

        For what some models do not allow: an architecture whose places are not known, a tokenizer
        that cuts two words into unlike numbers of tokens.

        Args:
            codes: of the checks that cannot be judged without it; `*` stands for the rest of a
                code.
            compute: raises `InputError` where it refuses.
        """
        try:
            return compute()
        except InputError as error:
            for code in self._matching(codes):
                self.state(code, "skipped", str(error))
            return None

    def judge(self, code: str, estimate: Estimate, *, note: str = "") -> None:
        """Judge a check by an estimate and its frozen threshold; `note` begins the reason."""
        check = self._check(code)
        if estimate.undefined:
            reason = (
                f"{estimate.undefined} of {estimate.undefined + estimate.n} items have no score: "
                "it is not a finite number, or the item is longer than the model's context."
            )
            self.state(code, "error", reason, estimate=estimate)
        elif check.rests_on is not None and self.verdict(check.rests_on) != "pass":
            verdict = self.verdict(check.rests_on) or "not judged"
            reason = f"It means nothing unless {check.rests_on} passes ({verdict})."
            self.state(code, "skipped", reason, estimate=estimate)
        else:
            finding = checks.judge(check, estimate, evidence=self._evidence)
            reason = f"{note} {finding.reason}".strip()
            self._keep(finding.model_copy(update={"reason": reason}))

    def state(
        self, code: str, verdict: Verdict, reason: str, *, estimate: Estimate | None = None
    ) -> None:
        """State a check's verdict with its reason, where no interval decides it."""
        check = self._check(code)
        self._keep(checks.state(check, verdict, reason, estimate=estimate, evidence=self._evidence))

    def close(self) -> list[Finding]:
        """The section's findings, in the suite's order; those never reached are `skipped`.

        In a run they are written to the section's `findings.json`.
        """
        findings = [
            self._findings.get(code) or checks.state(check, "skipped", self._not_reached(check))
            for code, check in self.checks.items()
        ]
        self._write(findings)
        return findings

    def _earlier(self, run: Path, section: str, result: str) -> Result | None:
        path = section_folder(run, section) / f"{result}.parquet"
        found = path.is_file()
        self._inputs[path.relative_to(run).as_posix()] = sha256(path) if found else None
        inputs = section_folder(run, self.name) / INPUTS
        write_atomically(inputs, dump_json(self._inputs).encode())
        return Result.load(path) if found else None

    def _not_reached(self, check: Check) -> str:
        if check.task is not None and check.task not in self.tasks:
            return f'The task "{check.task}" was not chosen.'
        return "The section did not come to this check."

    def _matching(self, codes: str | Sequence[str]) -> list[str]:
        patterns = (codes,) if isinstance(codes, str) else codes
        return [code for code in self.checks if any(fnmatchcase(code, one) for one in patterns)]

    def _check(self, code: str) -> Check:
        if code not in self.checks:
            raise InputError(
                f'The section "{self.name}" has no check "{code}"; it has '
                f"{', '.join(self.checks) or 'none'}."
            )
        return self.checks[code]

    def _keep(self, finding: Finding) -> None:
        if self.checks[finding.code].left_out is not None and finding.code in self._findings:
            return  # why it is left out was said at the start
        self._findings[finding.code] = finding
        # At once, so that a section that dies later keeps what it had found.
        self._write(list(self._findings.values()))

    def _write(self, findings: list[Finding]) -> None:
        if self.folder is not None:
            Findings(findings=tuple(findings)).write(self.folder / FINDINGS)


def _frozen(run: Path) -> Definition:
    try:
        return AuditRecord.read(run / AUDIT).definition
    except InputError as error:
        raise InputError(
            f"{run} is not a run folder: its {AUDIT} cannot be read ({error}); expected the folder "
            "of an audit that this version began."
        ) from error


def _record_provenance(run: Path, model: ModelProvenance) -> None:
    """Write the run's provenance once, whichever section comes first."""
    path = run / PROVENANCE
    if path.exists():
        return
    content = {
        "schema": 1,
        "model": model.model_dump(mode="json"),
        "host": host(model.device if model.device != "cpu" else None).model_dump(mode="json"),
        "packages": package_versions(),
        "code": {"workbench": code_version()},
        "seed": 0,
    }
    write_atomically(path, dump_json(content).encode())
