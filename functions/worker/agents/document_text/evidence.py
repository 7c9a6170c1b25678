"""What speaks for each class of document: the table behind the classification.

A clue is a phrase that the class's documents use and others do not, or a pattern of the title. A
weight of 5 or more is a phrase that settles the matter by itself, 1 a hint. Phrases are compared
in lower case, with straight quotes and single blanks; `licen[cs]e` is spelled `license` there.
"""

from __future__ import annotations

from dataclasses import dataclass

from functions.worker.agents.document_text.models import DocumentClass


@dataclass(frozen=True, slots=True)
class Clue:
    """A phrase (or regular expression, in a title) and how much it says for a class."""

    document_class: DocumentClass
    weight: float
    phrase: str


def _clues(document_class: DocumentClass, weighted: dict[float, tuple[str, ...]]) -> list[Clue]:
    return [Clue(document_class, weight, phrase) for weight, phrases in weighted.items() for phrase in phrases]


PHRASES: tuple[Clue, ...] = (
    *_clues(
        "permissive",
        {
            6: (
                "redistribution and use in source and binary forms, with or without modification, are permitted",
                "permission is hereby granted, free of charge, to any person",
                "permission is granted to anyone to use this software for any purpose",
                "each contributor licenses you to do everything with this software",
                "do what the fuck you want to",
            ),
            5: (
                "permission to use, copy, modify, and/or distribute this software",
                "permission to use, copy, modify, and distribute this software",
                "permission to use, copy, modify and distribute this software",
                "grant permission to use, copy, modify",
                "permission is hereby granted to use, copy, modify",
                "permission to copy, modify, and distribute this",
                "subject to the following conditions, to any person obtaining a copy",
                "under any license of your choice that does not contradict",
                "you can do whatever you want with",
                "may provide additional or different license terms and conditions for use, reproduction, or distribution of your modifications",
                "nonexclusive, royalty-free, world-wide license to reproduce, analyze, test",
                "redistributions in binary form must reproduce the above copyright notice",
            ),
            3: (
                "without restriction, including without limitation the rights to use, copy, modify",
                "the above copyright notice and this permission notice shall be included in all copies",
                "altered source versions must be plainly marked as such",
                "provided that the above copyright notice and this permission notice appear in all copies",
                "with or without modifications, and in source or object form",
                "artistic control",
                "allow the copyright holder to include your modified version in the standard version",
                "you may do everything with this software",
            ),
            1: ("provided 'as-is'", 'the software is provided "as is", without warranty of any kind'),
        },
    ),
    *_clues(
        "weak_copyleft",
        {
            6: (
                "work that uses the library",
                "for any file you distribute that contains code from the software",
                "you may create and distribute a larger work",
                "you may create a larger work by combining",
            ),
            5: (
                "does not apply to any document created using the font",
                "under a license different than this agreement",
                "under its own license agreement",
                "object code form of an application may incorporate material from a header file",
            ),
            3: (
                "larger work",
                "incompatible with secondary licenses",
                "source code form of covered software",
                "covered code is available under the terms of this license",
                "only in source code form must be under the terms of this license",
                "combined work",
                "linking with the library",
                "linked with the library",
                "reserved font name",
            ),
            2: ("secondary license", "initial developer", "combined library", "covered software", "covered code"),
        },
    ),
    *_clues(
        "strong_copyleft",
        {
            6: (
                "must cause any work that you distribute or publish, that in whole or in part contains or is derived from the program",
                "you must license the entire work, as a whole, under this license",
                "any accompanying software that uses the",
                "shall be licensed under this open software license",
            ),
            5: (
                "does not permit incorporating your program into proprietary programs",
                "distribution or communication will be done under the terms of this license",
            ),
            3: (
                "interacting with it remotely through a computer network",
                "copyleft clause",
                "copyleft license for software",
                "network use",
            ),
            2: (
                "corresponding source",
                "complete corresponding machine-readable source code",
                "covered work",
                "anti-circumvention law",
                "external deployment",
            ),
            1: ("copyleft", "convey the work", "object code or executable form"),
        },
    ),
    *_clues(
        "documentation",
        {
            6: (
                "invariant sections",
                "free documentation license",
                "the licensed material",
                "open publication works",
            ),
            4: ("adapted material", "cover texts", "effective technological measures", "work as incorporated"),
            3: ("transparent copy", "secondary section", "to share adapted material", "title page", "collective work"),
            2: ("textbook", "creative commons public licenses", "attribution", "sharealike", "history section"),
        },
    ),
    *_clues(
        "public_domain",
        {
            7: (
                "free and unencumbered software released into the public domain",
                "overtly, fully, permanently, irrevocably and unconditionally waives",
                "dedicate any and all copyright interest in the software to the public domain",
                "hereby dedicates the work to the public domain",
                "public domain dedication",
                "not subject to copyright protection",
                "abandon any property rights",
            ),
            4: ("relinquishment in perpetuity", "to the detriment of our heirs", "to the detriment of affirmer's heirs"),
            3: ("cc0", "dedicate to the public domain"),
            1: ("public domain",),
        },
    ),
    *_clues(
        "agreement",
        {
            5: ("in witness whereof", "by and between", "i certify that", "contributor license agreement"),
            4: ("non-disclosure", "disclosing party", "receiving party", "the parties agree", "by making a contribution"),
            3: ("confidential information", "both parties", "either party", "the parties hereto", "statement of work"),
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
    *_clues(
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
    *_clues(
        "specification",
        {
            5: (
                "rfc 2119",
                "this specification",
                "this standard",
                "this pep",
                "key words \"must\", \"must not\"",
                "machine-readable format",
            ),
            3: ("conventions associated with", "conforming implementation", "conformance", "compliant", "standardize"),
            2: ("must not", "specification", "grammar", "normative", "the following syntax", "the field", "semantics"),
            1: ("implementations", "required", "optional", "syntax", "interoperab", "backwards compatible"),
        },
    ),
    *_clues(
        "guide",
        {
            5: ("in this tutorial", "this tutorial", "this guide", "informal introduction", "step-by-step"),
            4: ("this document provides pointers", "this manual describes", "this document is an outline of the things"),
            3: ("make sure", "let's", "for more information", "how do i", "as follows::", "getting started", "further resources"),
            2: ("you can use", "for example", "you will need", "if you want", "click", "your own", "this section explains"),
            1: ("you can", "in order to", "note that", "see the", "try", "easiest way", "you may want"),
        },
    ),
    *_clues(
        "report",
        {
            5: ("this report", "executive summary", "this document describes the history", "key findings", "root cause"),
            4: ("history of the project", "in this paper", "this paper", "fiscal year", "release notes"),
            3: ("was founded", "was released", "was announced", "findings", "we found", "respondents", "first released"),
            2: ("results show", "was elected", "in conclusion", "according to", "the beginning of", "methodology", "by the end of"),
            1: ("began", "appeared", "became", "percent", "eventually", "in the past"),
        },
    ),
)

TITLES: tuple[Clue, ...] = (
    Clue("permissive", 4, r"\b(?:mit|x11|bsd|isc|zlib|boost|apache|artistic|blue oak|academic free|python software)\b.*\blicense|permissive license|microsoft public license"),
    Clue("weak_copyleft", 10, r"\b(?:lesser|library) general public license"),
    Clue("weak_copyleft", 5, r"\b(?:mozilla|eclipse|common|ibm) public license|development and distribution license|open font license"),
    Clue("strong_copyleft", 6, r"(?<!lesser )(?<!library )general public license|open software license|reciprocal public license|european union public license"),
    Clue("documentation", 8, r"documentation license|creative commons attribution|attribution(?:-\w+)* \d|open publication license"),
    Clue("public_domain", 7, r"\bcc0\b|public domain|unlicense"),
    Clue("agreement", 5, r"(?<!license )agreement|(?<!social )(?<!social\" )\bcontract\b|terms of (?:service|use)|certificate of origin|\bnda\b"),
    Clue(
        "policy",
        6,
        r"polic(?:y|ies)\b|charter|constitution|code of conduct|social contract|manifesto|governance|by-?laws|^security$|privacy|rules of",
    ),
    Clue("specification", 6, r"specification|\bstandard\b|\bformat\b|protocol|conventions?\b|schema|\brfc ?\d|\bpep ?\d|grammar|machine-readable"),
    Clue(
        "guide",
        6,
        r"guide\b|tutorial|primer|how ?to\b|handbook|manual\b|\bfaq\b|onboarding|getting started|introduction to|quick ?start|deploying|using\b|cookbook|readme",
    ),
    Clue("report", 6, r"report\b|history|minutes|findings|retrospective|post-?mortem|release notes|change ?log|annual|survey|what's new|review\b"),
)
