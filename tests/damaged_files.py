"""Files as no program writes them: hypothesis' ways to damage whole ones."""

import re
import struct
from collections.abc import Callable, Sequence

from hypothesis import strategies as st

HEADER = 300  # bytes in which most of what a reader believes stands
WORDS = (
    *(b"nan", b"-nan", b"inf", b"-1", b"0", b"1e999", b"1e-999", b"1e38", b"99999999999999999999", b"0x10"),
    *(b"-0", b"1_000", b"1,5", b"", b"\0", b"\xff\xfe", "é".encode("latin-1"), "٣".encode(), b"null", b"[]"),
    *(b"{}", b'"', b"true", b"-2147483649", b"4294967296", b"/", b"\n", b"\r", b"1/2/3/4", b"word"),
)
NUMBERS = tuple(
    struct.pack(order + kind, value)
    for order in "<>"
    for kind, values in {
        "H": (0, 1, 0x7FFF, 0x8000, 0xFFFF),
        "I": (0, 1, 2**16, 2**28, 2**31 - 1, 2**31, 2**32 - 1),
        "Q": (0, 2**31, 2**40, 2**63 - 1, 2**63, 2**64 - 1),
        "f": (float("nan"), float("inf"), -1.0, 3e38),
        "d": (float("nan"), float("-inf"), 1e300),
    }.items()
    for value in values
)
OTHERS = (  # files of other kinds
    *(b"", b"\0", bytes(4096), b"\n", b"hello\n" * 50, b"<!doctype html><html></html>", b"\xef\xbb\xbf"),
    *(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", b"\xff" * 300, b"%PDF-1.7"),
    *(b"PK\3\4" + bytes(60), b"PK\5\6" + bytes(18), b"\x1f\x8b\x08" + bytes(30), b"\x93NUMPY\1\0v\0{'descr'"),
    *(b"\x80\2}q\0.", b"GIF89a\xff\xff\xff\xff\0\0\0;", b"BM" + b"\xff" * 60, b"P6 99999 99999 255\n"),
    *(
        b"ply\nformat ascii 1.0\nelement vertex 99999999999\nend_header\n",
        b"solid x\nendsolid",
        b"glTF\2\0\0\0",
    ),
    *(b"[" * 5000, b'{"a":' * 3000, b"1 " * 20000, b"1e999 nan\n" * 68, b"II*\0\xff\xff\xff\xff", b"RIFF"),
)


@st.composite
def damaged(draw, whole: Sequence[bytes]) -> bytes:
    """One of the whole files, damaged in one to four ways."""
    content = draw(st.sampled_from(whole))
    for _ in range(draw(st.integers(1, 4))):
        content = draw(st.sampled_from(WAYS))(draw, content, whole)
    return content


def _place(draw, content: bytes) -> int:
    """Somewhere in a file, as often as not in its header."""
    end = draw(st.sampled_from([min(HEADER, len(content)), len(content)]))
    return draw(st.integers(0, end))


def _cut(draw, content, whole):
    return content[: _place(draw, content)]


def _flip(draw, content, whole):
    place = _place(draw, content)
    return (
        content[:place]
        + bytes(b ^ draw(st.integers(1, 255)) for b in content[place : place + 1])
        + (content[place + 1 :])
    )


def _number(draw, content, whole):
    place, number = _place(draw, content), draw(st.sampled_from(NUMBERS))
    return content[:place] + number + content[place + len(number) :]


def _leave_out(draw, content, whole):
    place = _place(draw, content)
    return content[:place] + content[place + draw(st.integers(1, 64)) :]


def _repeat(draw, content, whole):
    place, length = _place(draw, content), draw(st.integers(1, 200))
    return content[:place] + content[place : place + length] * draw(st.integers(2, 60)) + content[place:]


def _splice(draw, content, whole):
    other = draw(st.sampled_from([*whole, *OTHERS]))
    return content[: _place(draw, content)] + other[_place(draw, other) :]


def _word(draw, content, whole):
    words = [match.span() for match in re.finditer(rb"[^\s,:\[\]{}]+", content[:20000])] or [(0, 0)]
    begin, end = draw(st.sampled_from(words))
    return content[:begin] + draw(st.sampled_from(WORDS)) + content[end:]


def _encode(draw, content, whole):
    return content.decode("latin-1").encode(
        draw(st.sampled_from(["utf-16", "utf-32-be", "utf-8-sig", "cp037"]))
    )


def _ends_of_lines(draw, content, whole):
    return content.replace(b"\n", draw(st.sampled_from([b"\r\n", b"\r", b"\n\n", b"\0", b" "])))


def _other(draw, content, whole):
    return draw(st.sampled_from(OTHERS))


WAYS: tuple[Callable, ...] = (
    *(_cut, _flip, _flip, _number, _number, _leave_out, _repeat, _splice, _word, _word),
    *(_encode, _ends_of_lines, _other),
)
