"""What speaks for each kind of document that is no licence."""

from __future__ import annotations

from functions.worker.agents.document_text.clues import Clue, clues, title_clue

PHRASES: tuple[Clue, ...] = (
    *clues(
        "agreement",
        {
            5: ("in witness whereof", "by and between", "i certify that", "contributor license agreement"),
            4: (
                "non-disclosure",
                "disclosing party",
                "receiving party",
                "the parties agree",
                "by making a contribution",
            ),
            3: (
                "confidential information",
                "both parties",
                "either party",
                "the parties hereto",
                "statement of work",
            ),
            2: (
                "the parties",
                "signed-off-by",
                "effective date",
                "entire agreement",
                "governing law",
                "terminate this agreement",
                "terms of service",
                "understand and agree",
            ),
            1: ("hereby agree", "indemnif", "arbitration", "force majeure"),
        },
    ),
    *clues(
        "policy",
        {
            5: ("this constitution", "disclosure policy", "this code of conduct", "this privacy policy"),
            4: ("this policy", "we promise", "project policies", "our pledge"),
            3: (
                "code of conduct",
                "general resolution",
                "consensus seeking",
                "technical steering committee",
                "personal data",
                "backwards compatibility policy",
                "rules and decisions",
            ),
            2: (
                "unacceptable behavior",
                "report security",
                "reporting a vulnerability",
                "embargo",
                "quorum",
                "governance",
                "conflict of interest",
                "nominat",
                "our priorities",
                "meritocracy",
                "the policies",
                "threat model",
                "guidelines",
            ),
            1: ("maintainers", "committee", "violations", "policies", "we will"),
        },
    ),
    *clues(
        "specification",
        {
            5: (
                "rfc 2119",
                "this specification",
                "this standard",
                "this pep",
                'key words "must", "must not"',
                "machine-readable format",
            ),
            3: (
                "conventions associated with",
                "conforming implementation",
                "conformance",
                "compliant",
                "standardize",
            ),
            2: (
                "must not",
                "specification",
                "grammar",
                "normative",
                "the following syntax",
                "the field",
                "semantics",
            ),
            1: ("implementations", "required", "optional", "syntax", "interoperab", "backwards compatible"),
        },
    ),
    *clues(
        "guide",
        {
            5: ("in this tutorial", "this tutorial", "this guide", "informal introduction", "step-by-step"),
            4: (
                "this document provides pointers",
                "this manual describes",
                "this document is an outline of the things",
            ),
            3: (
                "make sure",
                "let's",
                "for more information",
                "how do i",
                "as follows::",
                "getting started",
                "further resources",
            ),
            2: (
                "you can use",
                "for example",
                "you will need",
                "if you want",
                "click",
                "your own",
                "this section explains",
            ),
            1: ("you can", "in order to", "note that", "see the", "try", "easiest way", "you may want"),
        },
    ),
    *clues(
        "report",
        {
            5: (
                "this report",
                "executive summary",
                "this document describes the history",
                "key findings",
                "root cause",
            ),
            4: ("history of the project", "in this paper", "this paper", "fiscal year", "release notes"),
            3: (
                "was founded",
                "was released",
                "was announced",
                "findings",
                "we found",
                "respondents",
                "first released",
            ),
            2: (
                "results show",
                "was elected",
                "in conclusion",
                "according to",
                "the beginning of",
                "methodology",
                "by the end of",
            ),
            1: ("began", "appeared", "became", "percent", "eventually", "in the past"),
        },
    ),
)

TITLES: tuple[Clue, ...] = (
    title_clue(
        "agreement",
        5,
        "(?<!license )agreement",
        r"(?<!social )\bcontract\b",
        "terms of (?:service|use)",
        "certificate of origin",
        r"\bnda\b",
    ),
    title_clue(
        "policy",
        6,
        r"polic(?:y|ies)\b",
        r"charter|constitution|manifesto|governance|\bby-?laws|privacy",
        r"code of conduct|social contract|rules of",
        "^security$",
    ),
    title_clue(
        "specification",
        6,
        r"specification|\bstandard\b|\bformat\b|protocol|conventions?\b|schema|grammar",
        r"\brfc ?\d|\bpep ?\d|machine-readable",
    ),
    title_clue(
        "guide",
        6,
        r"guide\b|tutorial|primer|how ?to\b|handbook|manual\b|\bfaq\b|cookbook|readme|glossary",
        r"onboarding|getting started|introduction to|quick ?start|deploying|using\b",
    ),
    title_clue(
        "report",
        6,
        r"report\b|history|minutes|findings|retrospective|post-?mortem|annual|survey|review\b",
        "release notes|change ?log|what's new",
    ),
)
