# -*- test-case-name: tests.xdr.test_codec -*-
"""
XDR types (RFC 4506) declared as attrs classes and compiled at import.

A wire type is C{Annotated[pythonType, kind]}, with a kind of this module, or an
attrs class whose fields are wire types::

    offset4 = Annotated[int, Fixed("Q")]
    nfs_fh4 = Annotated[bytes, Opaque(128)]

    @attrs.define
    class COMMIT4args:
        offset: offset4
        count: count4

L{codecFor} turns a type into straight-line Python: adjacent fields of fixed size,
nested structs and the lengths of what follows included, become one
C{struct.Struct}. Every variable length has a limit, checked before any use.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Annotated, Any, Callable, Generic, Mapping, Optional, TypeVar
from typing import get_args, get_origin, get_type_hints

import attrs

from pnfs.xdr.errors import XDRError

T = TypeVar("T")

PAD = (b"", b"\0\0\0", b"\0\0", b"\0")
"""What to append to C{n} opaque bytes: C{PAD[n & 3]}."""


@attrs.frozen
class Fixed:
    """
    A value of fixed size.

    @ivar format: one C{struct} format item, such as C{"I"}, C{"Q"} or C{"16s"}
        (byte strings a multiple of 4 long).
    """

    format: str


@attrs.frozen
class Bool:
    """
    A boolean: 0 or 1, nothing else.
    """


@attrs.frozen
class Opaque:
    """
    Bytes of variable length, or a string.

    @ivar limit: the most bytes accepted and sent.
    """

    limit: int


@attrs.frozen
class Array:
    """
    Elements of one type, a counted list in Python.

    @ivar element: their wire type.
    @ivar limit: the most elements accepted.
    """

    element: Any
    limit: int


@attrs.frozen
class Maybe:
    """
    Optional data (C{*} in the XDR language): the value or None.
    """

    element: Any


@attrs.frozen(eq=False)
class Union:
    """
    A discriminated union, in Python the tuple (discriminant, value of the arm).
    Each is a type of its own: two with the same discriminants are not equal.

    @ivar arms: discriminant to wire type; None for void.
    @ivar default: the wire type of all other discriminants, None for void, or
        L{REFUSED}.
    @ivar discriminant: struct format of the discriminant.
    """

    arms: Mapping[int, Any]
    default: Any = "refused"
    discriminant: str = "I"


@attrs.frozen
class Custom:
    """
    A type with hand-written functions, such as C{bitmap4} as an int.

    @ivar decode: (buffer, position) to (value, position); raises L{XDRError}.
    @ivar encode: value to bytes.
    """

    decode: Callable[[Any, int], tuple[Any, int]]
    encode: Callable[[Any], bytes]


REFUSED = "refused"
"""For L{Union.default}: other discriminants are malformed."""


@attrs.frozen
class Codec(Generic[T]):
    """
    The compiled form of a wire type.

    @ivar decode: (buffer, position) to (value, position after it); raises
        L{XDRError}. Byte strings are copied out, so nothing keeps the buffer.
    @ivar encode: value to bytes.
    """

    decode: Callable[[Any, int], tuple[T, int]]
    encode: Callable[[T], bytes]


def _kindOf(wireType: Any) -> Any:
    """
    The kind of an Annotated type, or the attrs class itself.
    """
    if get_origin(wireType) is Annotated:
        for item in get_args(wireType)[1:]:
            if isinstance(item, (Fixed, Bool, Opaque, Array, Maybe, Union, Custom)):
                return item
        return _kindOf(get_args(wireType)[0])
    if isinstance(wireType, (Fixed, Bool, Opaque, Array, Maybe, Union, Custom)):
        return wireType
    if attrs.has(wireType):
        return wireType
    raise TypeError(f"not a wire type: {wireType!r}")


@lru_cache(maxsize=None)
def _fieldsOf(cls: Any) -> tuple[tuple[str, Any], ...]:
    hints = get_type_hints(cls, include_extras=True)
    return tuple((f.name, hints[f.name]) for f in attrs.fields(cls) if f.init)


def _leastSize(wireType: Any) -> int:
    """
    The fewest bytes an element can take: bounds a count by what is there.
    """
    kind = _kindOf(wireType)
    if isinstance(kind, Fixed):
        return struct.calcsize(">" + kind.format)
    if isinstance(kind, (Bool, Opaque, Array, Maybe, Union, Custom)):
        return 4
    return sum(_leastSize(t) for _, t in _fieldsOf(kind))


class _Writer:
    """
    Writes the source of one function and keeps what its names mean.
    """

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"XDRError": XDRError, "PAD": PAD}
        self.count = 0

    def bind(self, prefix: str, value: Any) -> str:
        """
        A name that stands for a value in the generated code.
        """
        self.count += 1
        name = f"{prefix}{self.count}"
        self.names[name] = value
        return name

    def compile(self, lines: list[str], name: str) -> Any:
        """
        Make the function that the lines define.
        """
        exec(compile("\n".join(lines), f"<xdr {name}>", "exec"), self.names)
        return self.names[name]


class _DecoderWriter(_Writer):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.fixed: list[tuple[str, str]] = []
        self.after: list[str] = []
        self.names["error"] = struct.error

    def flush(self) -> None:
        """
        Unpack the fixed fields gathered so far, then what was to follow them.
        """
        if self.fixed:
            layout = struct.Struct(">" + "".join(f for f, _ in self.fixed))
            unpack = self.bind("u", layout.unpack_from)
            targets = ", ".join(t for _, t in self.fixed)
            self.lines.append(f"{targets}, = {unpack}(buf, pos)")
            self.lines.append(f"pos += {layout.size}")
            self.fixed = []
        self.lines += self.after
        self.after = []

    def add(self, wireType: Any, target: str) -> None:
        """
        Emit code that leaves a value of the type in a local name.
        """
        kind = _kindOf(wireType)
        if isinstance(kind, Fixed):
            self.fixed.append((kind.format, target))
        elif isinstance(kind, Bool):
            self.fixed.append(("I", target))
            self.after.append(f"if {target} > 1: raise XDRError('not a boolean')")
            self.after.append(f"{target} = {target} == 1")
        elif isinstance(kind, Opaque):
            self.fixed.append(("I", "n"))
            self.flush()
            self.lines += [
                f"if n > {kind.limit}: raise XDRError('%d bytes, {kind.limit} allowed' % n)",
                "end = pos + n",
                f"{target} = bytes(buf[pos:end])",
                f"if len({target}) != n: raise XDRError('truncated')",
                "pos = end + (-n & 3)",
            ]
        elif isinstance(kind, Array):
            self.fixed.append(("I", "n"))
            self.flush()
            least = _leastSize(kind.element) or 4
            self.lines += [
                f"if n > {kind.limit}: raise XDRError('%d elements, {kind.limit} allowed' % n)",
                f"if pos + n * {least} > len(buf): raise XDRError('truncated')",
            ]
            element = _kindOf(kind.element)
            if isinstance(element, Fixed) and element.format in ("I", "Q", "i", "q"):
                many = self.bind("m", struct.unpack_from)
                self.lines += [
                    f"{target} = list({many}('>%d{element.format}' % n, buf, pos))",
                    f"pos += n * {least}",
                ]
            else:
                one = self.bind("d", codecFor(kind.element).decode)
                self.lines += [
                    f"{target} = []",
                    "for _ in range(n):",
                    f"    item, pos = {one}(buf, pos)",
                    f"    {target}.append(item)",
                ]
        elif isinstance(kind, Maybe):
            self.fixed.append(("I", "n"))
            self.flush()
            one = self.bind("d", codecFor(kind.element).decode)
            self.lines += [
                "if n > 1: raise XDRError('not a boolean')",
                f"{target} = None",
                f"if n: {target}, pos = {one}(buf, pos)",
            ]
        elif isinstance(kind, Union):
            tag = f"{target}_"
            self.fixed.append((kind.discriminant, tag))
            self.flush()
            arms = {
                value: None if arm is None else codecFor(arm).decode
                for value, arm in kind.arms.items()
            }
            refused = isinstance(kind.default, str)
            default = (
                None
                if refused or kind.default is None
                else codecFor(kind.default).decode
            )
            table = self.bind("a", arms)
            other = self.bind("o", default)
            if refused:
                self.lines.append(
                    f"if {tag} not in {table}: raise XDRError('no arm %d' % {tag})"
                )
            self.lines += [
                f"one = {table}.get({tag}, {other})",
                "item = None",
                "if one is not None: item, pos = one(buf, pos)",
                f"{target} = ({tag}, item)",
            ]
        elif isinstance(kind, Custom):
            self.flush()
            one = self.bind("d", kind.decode)
            self.lines.append(f"{target}, pos = {one}(buf, pos)")
        else:
            fields = _fieldsOf(kind)
            for name, fieldType in fields:
                self.add(fieldType, f"{target}_{name}")
            cls = self.bind("c", kind)
            made = ", ".join(f"{target}_{name}" for name, _ in fields)
            self.after.append(f"{target} = {cls}({made})")

    def function(self, wireType: Any) -> Any:
        """
        The decoder of a type.
        """
        self.add(wireType, "v")
        self.flush()
        body = "\n".join("        " + line for line in self.lines)
        return self.compile(
            [
                "def decode(buf, pos):",
                "    try:",
                body,
                "        if pos > len(buf): raise XDRError('truncated')",
                "        return v, pos",
                "    except error:",
                "        raise XDRError('truncated') from None",
            ],
            "decode",
        )


def _encodeMany(encode: Callable[[Any], bytes], values: Any) -> bytes:
    return b"".join([encode(value) for value in values])


def _encodeArm(
    arms: Mapping[int, Optional[Callable[[Any], bytes]]],
    default: Optional[Callable[[Any], bytes]],
    value: tuple[int, Any],
) -> bytes:
    encode = arms.get(value[0], default)
    return b"" if encode is None else encode(value[1])


class _EncoderWriter(_Writer):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.fixed: list[tuple[str, str]] = []

    def flush(self) -> None:
        """
        Pack the fixed fields gathered so far.
        """
        if self.fixed:
            layout = struct.Struct(">" + "".join(f for f, _ in self.fixed))
            pack = self.bind("p", layout.pack)
            self.parts.append(f"{pack}({', '.join(e for _, e in self.fixed)})")
            self.fixed = []

    def add(self, wireType: Any, value: str) -> None:
        """
        Emit the bytes of an expression.
        """
        kind = _kindOf(wireType)
        if isinstance(kind, Fixed):
            self.fixed.append((kind.format, value))
        elif isinstance(kind, Bool):
            self.fixed.append(("I", f"1 if {value} else 0"))
        elif isinstance(kind, Opaque):
            self.fixed.append(("I", f"len({value})"))
            self.flush()
            self.parts += [value, f"PAD[len({value}) & 3]"]
        elif isinstance(kind, Array):
            self.fixed.append(("I", f"len({value})"))
            self.flush()
            element = _kindOf(kind.element)
            if isinstance(element, Fixed) and element.format in ("I", "Q", "i", "q"):
                pack = self.bind("m", struct.pack)
                self.parts.append(
                    f"{pack}('>%d{element.format}' % len({value}), *{value})"
                )
            else:
                one = self.bind("e", codecFor(kind.element).encode)
                many = self.bind("f", _encodeMany)
                self.parts.append(f"{many}({one}, {value})")
        elif isinstance(kind, Maybe):
            self.fixed.append(("I", f"0 if {value} is None else 1"))
            self.flush()
            one = self.bind("e", codecFor(kind.element).encode)
            self.parts.append(f"(b'' if {value} is None else {one}({value}))")
        elif isinstance(kind, Union):
            self.fixed.append((kind.discriminant, f"{value}[0]"))
            self.flush()
            arms = self.bind(
                "a",
                {
                    tag: None if arm is None else codecFor(arm).encode
                    for tag, arm in kind.arms.items()
                },
            )
            default = self.bind(
                "o",
                (
                    None
                    if isinstance(kind.default, str) or kind.default is None
                    else codecFor(kind.default).encode
                ),
            )
            encode = self.bind("f", _encodeArm)
            self.parts.append(f"{encode}({arms}, {default}, {value})")
        elif isinstance(kind, Custom):
            self.flush()
            self.parts.append(f"{self.bind('e', kind.encode)}({value})")
        else:
            for name, fieldType in _fieldsOf(kind):
                self.add(fieldType, f"{value}.{name}")

    def function(self, wireType: Any) -> Any:
        """
        The encoder of a type.
        """
        self.add(wireType, "v")
        self.flush()
        if len(self.parts) > 1:
            result = f"b''.join(({', '.join(self.parts)}))"
        else:
            result = self.parts[0] if self.parts else "b''"
        return self.compile(["def encode(v):", f"    return {result}"], "encode")


_compiled: dict[Any, Codec[Any]] = {}


def codecFor(wireType: Any) -> Codec[Any]:
    """
    The codec of a wire type; compiled once.

    @raise TypeError: it is no wire type.
    """
    try:
        key = wireType
        found = _compiled.get(key)
    except TypeError:
        key = id(wireType)
        found = _compiled.get(key)
    if found is None:
        found = Codec(
            _DecoderWriter().function(wireType), _EncoderWriter().function(wireType)
        )
        _compiled[key] = found
    return found
