"""The 33 lines of the reviewer's checklist, and which standards ask for each.

Merged from the EU AI Act (Regulation 2024/1689, Annexes IV and XI), NIST's AI RMF 1.0 and AI 600-1,
model cards (Mitchell et al. 2019, arXiv 1810.03993), STREAM (McCaslin et al. 2025, arXiv
2508.09853), the Open Source AI Definition 1.0, the Model Openness Framework (arXiv 2403.13784) and
AILuminate v1.0.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KEYS", "LINES", "Line", "Said"]


@dataclass(frozen=True)
class Line:
    """One line of the checklist.

    Attributes:
        key: the name under which an audit's `[statements]` may say something of it.
        question: as a reviewer asks it.
        sources: standards that ask for it, and where; none where the line is our own.
    """

    number: int
    key: str
    question: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Said:
    """What a run says on a line.

    Attributes:
        text: untrusted where it holds names.
        links: paths inside the run, and codes of findings.
        whole: whether that is all that the line asks.
    """

    text: str
    links: tuple[str, ...] = ()
    whole: bool = True


_DETAILS = "model cards: model details"
_TESTS = "EU AI Act, Annex IV 2(g)"
_ELICITATION = "STREAM 3: model elicitation"

_ASKED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("report", "Which report is this, of which date, and what does it supersede?", (_TESTS,)),
    ("auditor", "Who audited, how independent, with what access and for how long?", (_TESTS,)),
    (
        "model",
        "Which model is it, exactly: name, revision, SHA-256 of every weight file?",
        (_DETAILS, _ELICITATION),
    ),
    (
        "architecture",
        "What is its architecture: parameters, context length, tokenizer, chat template?",
        ("EU AI Act, Annex XI 1(d)", _DETAILS),
    ),
    (
        "licence",
        "Under which licence and acceptable-use terms?",
        ("EU AI Act, Annex XI 1(b) and 1(f)", _DETAILS),
    ),
    (
        "openness",
        "How open is it: data information, code, parameters?",
        ("OSAID 1.0", "MOF"),
    ),
    (
        "intended_use",
        "What is it meant for, for whom, and what is out of scope?",
        (
            "EU AI Act, Annex IV 1(a) and Annex XI 1(a)",
            "model cards: intended use",
            "NIST AI RMF: MAP 1.1",
        ),
    ),
    (
        "misuse",
        "Which misuse is foreseeable, and which threats was it looked at for?",
        ("EU AI Act, Annex IV 3", "STREAM 1: threat relevance"),
    ),
    (
        "training_data",
        "What was it trained on, until when, and with whose data?",
        (
            "EU AI Act, Annex IV 2(d) and Annex XI 2(c)",
            "model cards: training data",
            "OSAID 1.0: data information",
        ),
    ),
    (
        "compute",
        "What computation and energy did its training take?",
        ("EU AI Act, Annex XI 2(d) and 2(e)", "NIST AI RMF: MEASURE 2.12"),
    ),
    (
        "changes_since_release",
        "Was it fine-tuned, quantised or adapted, and changed since its release?",
        ("EU AI Act, Annex IV 6 and Annex XI, section 2",),
    ),
    (
        "environment",
        "On which hardware, operating system and packages was it audited?",
        ("EU AI Act, Annex IV 2(c)",),
    ),
    ("parameters", "With which parameters, seeds and command, and how repeatable is that?", ()),
    (
        "benchmarks",
        "Which benchmarks, in which version, with which data and licence?",
        (_TESTS, "model cards: evaluation data"),
    ),
    (
        "items",
        "How many items of which type, chosen by which rule, and how does one look?",
        ("STREAM 1: threat relevance", "STREAM 2: test construction"),
    ),
    ("prompting", "With which prompt, examples and decoding settings?", (_ELICITATION,)),
    (
        "scoring",
        "How was an answer scored, and how was a judge validated?",
        ("STREAM 2: grading and scoring", _TESTS),
    ),
    (
        "elicitation",
        "How much was done to draw a behaviour out, and what was worked around?",
        (_ELICITATION,),
    ),
    (
        "results",
        "What was found, with n, interval and repeats?",
        ("STREAM 4: model performance", "model cards: quantitative analyses"),
    ),
    (
        "groups",
        "What was found by group, by intersection of groups, by language?",
        (
            "EU AI Act, Annex IV 3",
            "model cards: factors",
            "NIST AI RMF: MEASURE 2.11",
        ),
    ),
    (
        "baselines",
        "Against which baselines: reference models, chance?",
        ("STREAM 5: baseline performance",),
    ),
    (
        "thresholds",
        "Were thresholds fixed before the run, and were they passed?",
        ("model cards: metrics", "STREAM 1: threat relevance"),
    ),
    ("contamination", "Was it checked whether the model had seen the items before?", ()),
    ("hazards", "Which of AILuminate's 12 hazard categories were tested?", ("AILuminate v1.0",)),
    ("nist_risks", "Which of NIST AI 600-1's 12 risks were tested?", ("NIST AI 600-1",)),
    (
        "safeguards",
        "Do its safeguards hold, also against jailbreaks?",
        ("EU AI Act, Annex XI, section 2", "NIST AI RMF: MEASURE 2.7"),
    ),
    (
        "inside",
        "What is seen inside the model, and how far can that be trusted?",
        ("NIST AI RMF: MEASURE 2.9",),
    ),
    ("not_run", "What was not run, failed or was cut short?", ()),
    (
        "limits",
        "What are the limits of this report, and what does it not claim?",
        (
            "model cards: caveats and recommendations",
            "STREAM 6: results interpretation",
            "NIST AI RMF: MAP 2.2",
        ),
    ),
    (
        "oversight",
        "Who oversees and monitors the model, and whom does one write to?",
        ("EU AI Act, Annex IV 2(e) and 9", "NIST AI RMF: MANAGE 4.1", _DETAILS),
    ),
    ("change_log", "What changed since the previous audit?", ("EU AI Act, Annex IV 6",)),
    ("standards", "Which standards were applied?", ("EU AI Act, Annex IV 7",)),
    (
        "provenance",
        "How can it be checked that this report is what it says?",
        (_TESTS,),
    ),
)

LINES = tuple(Line(number, *asked) for number, asked in enumerate(_ASKED, 1))
KEYS = tuple(line.key for line in LINES)
