"""SPEC.md itself: its examples are right, and it refers to nothing that is not there."""

import json
import re

from keystay_protocol import SUBPROTOCOL
from keystay_protocol.codec import decode, encode, unpack


def test_every_example_is_right(spec: str) -> None:
    """The bytes under each example are the example, in the form that is sent."""
    examples = re.findall(r"^```frame\n(.*?)```$", spec, re.MULTILINE | re.DOTALL)
    assert len(examples) >= 20
    for example in examples:
        digits = re.search(r"^(?:[0-9a-f]{2}\s)+\Z", example, re.MULTILINE)
        assert digits, example
        data = bytes.fromhex(digits[0])
        shown = json.loads(" ".join(example[: digits.start()].split("\n")))
        assert unpack(data) == shown
        assert encode(decode(data)) == data


def test_every_reference_leads_somewhere(spec: str) -> None:
    """A section that is referred to exists, and so does each entry of the table of contents."""
    numbers = set(re.findall(r"^###? (\d+(?:\.\d+)?)", spec, re.MULTILINE))
    ours = re.sub(r"RFC \d+ section [\d.]+", "", spec)
    assert set(re.findall(r"section (\d+(?:\.\d+)?)", ours)) <= numbers
    titles = re.findall(r"^## (\d+\. .*)$", spec, re.MULTILINE)
    anchors = re.findall(r"^\d+\. \[(.*)\]\(#(.*)\)$", spec, re.MULTILINE)
    for title, (name, anchor) in zip(titles, anchors, strict=True):
        assert title.partition(". ")[2] == name
        assert re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") == anchor


def test_what_is_planned_is_marked_in_one_way(spec: str) -> None:
    """One search finds all that servers do not do yet."""
    marks = re.findall(r".?planned.?", spec)
    assert marks
    assert set(marks) == {"(planned)"}


def test_the_subprotocol_is_named(spec: str) -> None:
    """A client finds what to offer."""
    assert f"The subprotocol of this version is `{SUBPROTOCOL}`" in spec


def test_code_is_closed(spec: str) -> None:
    """Each line has its backticks in pairs, so that the page renders as it was meant."""
    prose = re.sub(r"^```.*?^```$", "", spec, flags=re.MULTILINE | re.DOTALL)
    assert all(line.count("`") % 2 == 0 for line in prose.splitlines())
