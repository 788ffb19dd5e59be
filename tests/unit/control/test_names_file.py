from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adctl.control.names_file import APPS, SITES, NameKind, load_names
from adctl.errors import Fault, FaultyInputError

if TYPE_CHECKING:
    from pathlib import Path


def names(tmp_path: Path, name: str, text: str, kind: NameKind = SITES) -> list[str]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", newline="")
    return load_names(path, "--domain-file", kind)


def faults(tmp_path: Path, name: str, text: str, kind: NameKind = SITES) -> list[Fault]:
    with pytest.raises(FaultyInputError) as refused:
        names(tmp_path, name, text, kind)
    return list(refused.value.faults)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_text_has_a_name_a_line_and_comments(tmp_path: Path, end: str) -> None:
    text = end.join(
        ["# sites", "", "Domain", "A.com", "  https://www.müller.de/x#top  # bad", "", "a.com"]
    )
    # A heading is one only in the first line.
    assert [fault.value for fault in faults(tmp_path, "list.txt", text)] == [
        "list.txt, line 3: Domain"
    ]
    told = names(tmp_path, "list.txt", text.replace(f"Domain{end}", ""))
    assert told == ["a.com", "xn--mller-kva.de", "a.com"]


@pytest.mark.parametrize("name", ["list.txt", "list", "list.csv", "list.tsv", "LIST.CSV"])
def test_a_heading_is_no_name(tmp_path: Path, name: str) -> None:
    assert names(tmp_path, name, "Domain\na.com\nb.com\n") == ["a.com", "b.com"]
    assert names(tmp_path, name, "bundle_id\ncom.a\n123\n", APPS) == ["com.a", "123"]
    assert names(tmp_path, name, "a.com\nb.com\n") == ["a.com", "b.com"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_table_has_them_in_the_column_that_is_called_so_else_in_its_first(
    tmp_path: Path, delimiter: str
) -> None:
    rows = [["Rank", "Site Domain", "Note"], ["1", "a.com", '"x, y; z"'], ["2", "b.com", ""], ["3"]]
    text = "\n".join(delimiter.join(row) for row in rows)
    assert names(tmp_path, "list.csv", text) == ["a.com", "b.com"]
    plain = "\n".join(delimiter.join(row) for row in (["a.com", "1"], ["b.com", "2"]))
    assert names(tmp_path, "list.csv", plain) == ["a.com", "b.com"]
    assert names(tmp_path, "list.csv", f"sep={delimiter}\n{text}") == ["a.com", "b.com"]


def test_all_wrong_lines_are_told_the_first_by_name_and_the_others_by_number(
    tmp_path: Path,
) -> None:
    text = "a.com\n" + "".join(f"no domain {number}\n" for number in range(50_000))
    told = faults(tmp_path, "list.txt", text)
    assert len(told) == 21
    assert told[0] == Fault("--domain-file", "list.txt, line 2: no domain 0", SITES.expected)
    assert told[-1].value == "list.txt, 49,980 more lines"


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "domain\n"])
def test_a_file_without_a_name_is_refused_and_restricts_nothing(tmp_path: Path, text: str) -> None:
    assert [fault.expected for fault in faults(tmp_path, "list.txt", text)] == [
        "a file with at least one name"
    ]


def test_more_names_than_a_list_may_have_are_refused(tmp_path: Path) -> None:
    text = "\n".join(f"s{number}.com" for number in range(200_001))
    assert [fault.value for fault in faults(tmp_path, "list.txt", text)] == ["200,001 names"]


@pytest.mark.parametrize(("encoding", "read"), [("utf-8-sig", 1), ("utf-16", 1), ("latin-1", 0)])
def test_a_file_is_in_utf_8_or_has_a_mark(tmp_path: Path, encoding: str, read: int) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes("müller.de\r\n".encode(encoding))
    if read:
        assert load_names(path, "--domain-file", SITES) == ["xn--mller-kva.de"]
    else:
        with pytest.raises(FaultyInputError, match="UTF-16"):
            load_names(path, "--domain-file", SITES)


def test_a_file_that_is_not_there_or_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FaultyInputError, match="readable"):
        load_names(tmp_path / "none", "--domain-file", SITES)
    assert faults(tmp_path, "list.csv", f'a.com\n"{"x" * 200_000}"\n')
