"""Which class a text gets, and that the scores can be explained."""

from __future__ import annotations

import pytest

from functions.worker.agents.document_text.classification import classify
from functions.worker.agents.document_text.extraction import extract
from functions.worker.agents.document_text.models import CLASSES, Classification

NON_DISCLOSURE = """MUTUAL NON-DISCLOSURE AGREEMENT

This Mutual Non-Disclosure Agreement (this "Agreement") is made on 3 March 2021 by and between Acme Widgets Ltd. and
Example GmbH. "Confidential Information" means all information disclosed by one party (the "Disclosing Party") to the
other (the "Receiving Party"). The Receiving Party shall keep the Confidential Information secret. Either party may
terminate this Agreement. This Agreement is governed by the laws of Ireland.
"""
ANNUAL_REPORT = """Annual Report 2023

Executive Summary

The network grew by 14 percent in the fiscal year that ended on 30 June 2023. We found that most respondents were
satisfied. The number of incidents fell from 41 to 12 and was the lowest since the network was founded.
"""
RECIPE = (
    "Pancakes\n\nMix 200 g of flour with two eggs and half a litre of milk. Fry thin layers in butter until golden.\n"
)
TUTORIAL = """Getting started with the widget

In this tutorial you will build your own widget. First make sure that you have a screwdriver. If you want to try it
without one, you can use a coin. For example, run the following command and click the button that you see.
"""
SCRIPT = 'import os\nfor path in os.listdir("."):\n    print(path)\n'


def classified(text: str) -> Classification:
    found = extract(text)
    return classify(text, found.title, found.dates)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (NON_DISCLOSURE, "agreement"),
        (ANNUAL_REPORT, "report"),
        (TUTORIAL, "guide"),
        (RECIPE, "other"),
        (SCRIPT, "other"),
        ("", "other"),
        ("word " * 5000, "other"),
        ("Dieser Vertrag endet am 31. Juli 2001.", "other"),
    ],
)
def test_a_text_that_is_no_licence_gets_an_honest_class(text: str, expected: str) -> None:
    assert classified(text).document_class == expected


def test_a_licence_is_known_by_its_words_in_comments_and_other_typography() -> None:
    text = "\n".join(
        f" * {line}"
        for line in (
            "Permission is hereby granted, free of charge, to any person obtaining",
            "a copy of this software, to deal in the Software without restriction,",
            "subject to the following conditions: The above copyright notice and this",
            "permission notice shall be included in all copies.",
            "THE SOFTWARE IS PROVIDED “AS IS”, WITHOUT WARRANTY OF ANY KIND.",
        )
    )
    assert classified(text).document_class == "permissive"


def test_a_text_that_only_mentions_a_licence_is_none() -> None:
    mention = "This program is covered by the GNU General Public License and this page by CC0. "
    assert classified(RECIPE + mention + RECIPE * 20).document_class == "other"


@pytest.mark.parametrize("text", ["", NON_DISCLOSURE, ANNUAL_REPORT, RECIPE])
def test_scores_cover_every_class_and_sum_to_one(text: str) -> None:
    found = classified(text)
    assert set(found.scores) == set(CLASSES)
    assert sum(found.scores.values()) == pytest.approx(1, abs=0.001)
    assert found.score == found.scores[found.document_class] == max(found.scores.values())


def test_the_evidence_explains_the_scores() -> None:
    found = classified(NON_DISCLOSURE)
    weights = dict.fromkeys(CLASSES, 0.0)
    for item in found.evidence:
        weights[item.document_class] += item.weight
    ranked = sorted((name for name in weights if weights[name]), key=lambda name: -weights[name])
    assert ranked == sorted(ranked, key=lambda name: -found.scores[name])
    assert "the title says “agreement”" in {item.reason for item in found.evidence}
    assert [item.weight for item in found.evidence] == sorted((item.weight for item in found.evidence), reverse=True)


def test_more_evidence_for_a_class_means_a_higher_score() -> None:
    more = NON_DISCLOSURE + "IN WITNESS WHEREOF the parties have signed this entire agreement.\n"
    assert classified(more).scores["agreement"] > classified(NON_DISCLOSURE).scores["agreement"]
