"""
Tests for L{pnfs.xdr.codec}.
"""

from __future__ import annotations

from typing import Annotated, Any, Optional

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pnfs.xdr.codec import Array, Bool, Fixed, Maybe, Opaque, Union, codecFor
from pnfs.xdr.errors import XDRError

uint32 = Annotated[int, Fixed("I")]
uint64 = Annotated[int, Fixed("Q")]


@attrs.define
class Point:
    x: uint32
    y: uint64


@attrs.define
class Sample:
    a: uint32
    point: Point
    on: Annotated[bool, Bool()]
    name: Annotated[bytes, Opaque(10)]
    numbers: Annotated[list[int], Array(uint32, 4)]
    points: Annotated[list[Point], Array(Point, 3)]
    perhaps: Annotated[Optional[int], Maybe(uint64)]
    choice: Annotated[tuple[int, Any], Union({0: None, 1: uint32, 2: Point})]
    z: uint32


codec = codecFor(Sample)

SAMPLE = Sample(
    7, Point(1, 2), True, b"hello", [1, 2], [Point(3, 4)], 9, (2, Point(5, 6)), 8
)
WIRE = bytes.fromhex(
    "00000007 00000001 0000000000000002 00000001 00000005 68656c6c6f000000"
    "00000002 00000001 00000002 00000001 00000003 0000000000000004"
    "00000001 0000000000000009 00000002 00000005 0000000000000006 00000008"
)

samples = st.builds(
    Sample,
    st.integers(0, 2**32 - 1),
    st.builds(Point, st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)),
    st.booleans(),
    st.binary(max_size=10),
    st.lists(st.integers(0, 2**32 - 1), max_size=4),
    st.lists(st.builds(Point, st.just(1), st.just(2)), max_size=3),
    st.none() | st.integers(0, 2**64 - 1),
    st.sampled_from([(0, None), (1, 5), (2, Point(1, 2))]),
    st.integers(0, 2**32 - 1),
)


class CodecTests(SynchronousTestCase):
    """
    A declared type is read and written as RFC 4506 says.
    """

    def test_encode(self) -> None:
        """
        Every kind is written as the RFC lays it out.
        """
        self.assertEqual(codec.encode(SAMPLE), WIRE)

    def test_decode(self) -> None:
        """
        The same bytes give the same value, and the position after it.
        """
        self.assertEqual(
            codec.decode(b"skip" + WIRE + b"more", 4), (SAMPLE, 4 + len(WIRE))
        )
        self.assertEqual(codec.decode(memoryview(WIRE), 0)[0], SAMPLE)

    def test_truncated(self) -> None:
        """
        Each truncation is refused, none is misread.
        """
        for end in range(len(WIRE)):
            self.assertRaises(XDRError, codec.decode, WIRE[:end], 0)

    def test_limits(self) -> None:
        """
        A length over its limit is refused, however much follows.
        """
        tests = ((20, 11), (32, 5), (44, 4))
        for offset, count in tests:
            wire = (
                WIRE[:offset]
                + count.to_bytes(4, "big")
                + WIRE[offset + 4 :]
                + bytes(99)
            )
            self.assertRaises(XDRError, codec.decode, wire, 0)

    def test_hugeCount(self) -> None:
        """
        A count that the record cannot hold costs no memory.
        """
        many = codecFor(Annotated[list[int], Array(uint32, 2**32)])
        self.assertRaises(XDRError, many.decode, b"\xff" * 4 + bytes(16), 0)

    def test_boolean(self) -> None:
        """
        A boolean other than 0 and 1 is malformed.
        """
        flag = codecFor(Annotated[bool, Bool()])
        self.assertRaises(XDRError, flag.decode, b"\0\0\0\2", 0)

    def test_unknownArm(self) -> None:
        """
        A discriminant without an arm is malformed.
        """
        choice = codecFor(Annotated[tuple[int, Any], Union({0: None})])
        self.assertRaises(XDRError, choice.decode, b"\0\0\0\1", 0)

    @settings(max_examples=200)
    @given(samples)
    def test_roundTrip(self, sample: Sample) -> None:
        """
        What is written is read back.
        """
        self.assertEqual(codec.decode(codec.encode(sample), 0)[0], sample)


class UnionTests(SynchronousTestCase):
    """
    Unions are told apart by their arms.
    """

    def test_sameDiscriminants(self) -> None:
        """
        Two unions with the same discriminants keep their own arms.
        """
        one = Annotated[tuple[int, Any], Union({0: None, 1: uint32})]
        other = Annotated[tuple[int, Any], Union({0: None, 1: uint64})]
        self.assertEqual(codecFor(one).encode((1, 5)), bytes([0, 0, 0, 1, 0, 0, 0, 5]))
        self.assertEqual(
            codecFor(other).encode((1, 5)), bytes([0, 0, 0, 1] + 7 * [0] + [5])
        )
