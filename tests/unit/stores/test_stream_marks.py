from __future__ import annotations

import pytest

from adctl.stores.stream_marks import StreamMarks, is_outward_id, outward_id


def test_only_shards_ids_are_the_same_outside() -> None:
    assert outward_id("17-1", 0) == "17-1"
    assert outward_id("17-1", 3) == "17-1@3"


@pytest.mark.parametrize("text", ["", "17", "17-1@", "17-1@x", "x17-1", "17-1 18-0"])
def test_other_texts_are_no_ids(text: str) -> None:
    assert not is_outward_id(text)
    assert is_outward_id("17-1@3")


def test_older_entry_of_another_stream_is_new_all_the_same() -> None:
    marks = StreamMarks("20-0")
    assert marks.advance("17-1@3")
    assert not marks.advance("17-1@3")
    assert not marks.advance("19-9")
    assert marks.advance("20-1")


def test_marks_survive_being_written_down() -> None:
    marks = StreamMarks()
    for stream_id in ("17-1@12", "20-0", "3-5@2"):
        marks.advance(stream_id)
    assert str(marks) == "20-0 3-5@2 17-1@12"
    assert not StreamMarks(str(marks)).advance("17-1@12")


def test_reader_stands_where_each_stream_was_read_to() -> None:
    marks = StreamMarks.at(["5-0", "0-0", "7-1"])
    assert not marks.advance("7-1@2")
    assert marks.advance("0-1@1")
