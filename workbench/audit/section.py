"""What a section notebook hands over: its result tables and its findings.

In an audit they go to the run folder; in a notebook that a person runs by hand they are only shown.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.audit import checks
from workbench.audit.checks import Finding, Findings
from workbench.errors import InputError
from workbench.evaluate.suites import DEFAULT_SUITE, Check, load_suite
from workbench.provenance import code_version, dump_json, host, package_versions, write_atomically
from workbench.tables import Result

if TYPE_CHECKING:
    from workbench.audit.checks import Verdict
    from workbench.provenance import ModelProvenance
    from workbench.stats import Estimate

__all__ = ["Section"]


class Section:
    """One section of an audit: judges its checks and keeps its evidence.

    Args:
        name: of the section: the checks of the suite that belong to it are its to answer.
        model: provenance of the model that is looked at.
        suite: name of the suite, where there is no run.
        run: the run folder; None by hand. A run's checks are those frozen in its `audit.json`.
    """

    def __init__(
        self,
        name: str,
        model: ModelProvenance,
        *,
        suite: str = DEFAULT_SUITE,
        run: str | Path | None = None,
    ) -> None:
        self.name = name
        self.run = None if run is None else Path(run)
        frozen = load_suite(suite).checks if self.run is None else _frozen_checks(self.run)
        self.thresholds = {check.code: check.threshold for check in frozen}
        self.checks = {check.code: check for check in frozen if check.section == name}
        self._findings: dict[str, Finding] = {}
        self._evidence: list[str] = []
        if self.run is not None:
            _record_provenance(self.run, model)

    @property
    def folder(self) -> Path | None:
        """Where the section's files go; None by hand."""
        return None if self.run is None else self.run / "sections" / self.name

    def threshold(self, code: str) -> float:
        """The threshold of any check of the suite, as fixed before the run."""
        threshold = self.thresholds.get(code)
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
            if self.folder is not None:
                path = result.save(self.folder)
                self._evidence.append(str(path.relative_to(self.folder.parent.parent)))

    def earlier(self, section: str, result: str) -> Result | None:
        """A result that an earlier section of the same run kept; None where there is none."""
        if self.run is None:
            return None
        path = self.run / "sections" / section / f"{result}.parquet"
        return Result.load(path) if path.is_file() else None

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
            self._findings.get(code)
            or checks.state(check, "skipped", "The section did not come to this check.")
            for code, check in self.checks.items()
        ]
        self._write(findings)
        return findings

    def _check(self, code: str) -> Check:
        if code not in self.checks:
            raise InputError(
                f'The section "{self.name}" has no check "{code}"; it has '
                f"{', '.join(self.checks) or 'none'}."
            )
        return self.checks[code]

    def _keep(self, finding: Finding) -> None:
        self._findings[finding.code] = finding
        # At once, so that a section that dies later keeps what it had found.
        self._write(list(self._findings.values()))

    def _write(self, findings: list[Finding]) -> None:
        if self.folder is not None:
            Findings(findings=tuple(findings)).write(self.folder / "findings.json")


def _frozen_checks(run: Path) -> list[Check]:
    path = run / "audit.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [Check(**entry) for entry in content["checks"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{run} is not a run folder: its audit.json cannot be read.") from error


def _record_provenance(run: Path, model: ModelProvenance) -> None:
    """Write the run's provenance once, whichever section comes first."""
    path = run / "provenance.json"
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
