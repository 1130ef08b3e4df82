# -*- test-case-name: tests.mds.test_inventory -*-
"""
What is kept of the data servers: C{data-servers.json} in the state folder.

One record for each, under its name: who it is (its UUID), how it is reached, what is
to be done with it, and which exports it serves. Fences it has yet to hear of are in
L{pnfs.mds.fences}; earlier versions kept them here.

The configuration file seeds the inventory. A record remembers what the file said of it
(the I{seed}); as long as the file says the same, what was changed at run time stands,
and when the file says something else, the file has the last word. A data server that
the file does not name any more stays, and so do those that were added at run time:
only C{pnfs ds remove} takes one out. If the file still names that one, it stays out
until the file says something else of it. What a data server says of itself when it
registers is remembered likewise, and counts when it is something else than before; one
that was taken out stays out whatever it says, until C{pnfs ds add}.

What was rejected: to have only the file, changed by the commands, since it belongs to
the administrator and whatever generates it; and a record per file in a folder, since
all of them together are small and one rename makes a change of several atomic.
"""

from __future__ import annotations

import json
import os
from typing import Any, Iterable, Mapping, Optional, Sequence

import attrs

from pnfs.backends.errors import BackendError, BadConfiguration
from pnfs.backends.metadata.recovery import writeDurably
from pnfs.config import DataServerConfig
from pnfs.configvalues import parseNumericAddress, parseReachableAddress
from pnfs.values import DSState

FILE = "data-servers.json"


@attrs.frozen
class Record:
    """
    A data server in the inventory.

    @ivar uuid: 16 bytes; empty until it has answered for the first time ever.
    @ivar config: how it is reached; None if all that is known are the UUID and
        fences of one that was configured long ago.
    @ivar seed: what the configuration file said of it last.
    @ivar state: what is to be done with it.
    @ivar exports: paths of the exports whose new files may go there; empty: all.
    @ivar removed: it has been taken out, though the file names it or it may come back
        and register itself.
    @ivar told: what it said of itself last, if it has registered itself.
    @ivar identity: what it answers with, if that is another UUID: its storage has been
        replaced since, and files name it as before.
    @ivar fences: as earlier versions kept them: object name to epoch.
    """

    name: str
    uuid: bytes = b""
    config: Optional[DataServerConfig] = None
    seed: Optional[DataServerConfig] = None
    state: DSState = DSState.ACTIVE
    exports: tuple[str, ...] = ()
    removed: bool = False
    told: Optional[DataServerConfig] = None
    identity: bytes = b""
    fences: Mapping[bytes, int] = attrs.field(factory=dict)

    @property
    def served(self) -> bool:
        """
        It is one of the data servers of this site.
        """
        return self.config is not None and not self.removed

    def seeded(self, seed: DataServerConfig) -> "Record":
        """
        The record as the configuration file wants it to be.
        """
        if seed == self.seed:
            return self
        uuid = b"" if self.removed else self.uuid
        return attrs.evolve(self, uuid=uuid, config=seed, seed=seed, removed=False)


def seeded(
    records: Iterable[Record], configs: Sequence[DataServerConfig]
) -> list[Record]:
    """
    Records after the configuration file has been read: those it names first, in its
    order.
    """
    known = {record.name: record for record in records}
    found = []
    for config in configs:
        record = known.pop(config.name, None) or Record(config.name)
        found.append(record.seeded(config))
    for record in known.values():
        # The file has nothing to say of it any more.
        if not record.removed or record.uuid:
            found.append(attrs.evolve(record, seed=None))
    return found


class Inventory:
    """
    The records on disk.
    """

    def __init__(self, stateFolder: str) -> None:
        self.file = os.path.join(stateFolder, FILE)

    def load(self) -> list[Record]:
        """
        @raise BadConfiguration: the file is damaged.
        """
        try:
            with open(self.file, encoding="utf-8") as stream:
                saved = json.load(stream)
            return [_record(name, values) for name, values in saved.items()]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
            raise BadConfiguration(
                f"{self.file}: is damaged: {error}; restore it, or remove it while "
                "all data servers answer"
            ) from None

    def save(self, records: Iterable[Record]) -> None:
        """
        Make records durable, all of them or none.

        @raise BackendError: that is not possible.
        """
        text = json.dumps({r.name: _values(r) for r in records}, indent=1)
        try:
            writeDurably(self.file, text.encode("utf-8"))
        except OSError as error:
            raise BackendError(f"{self.file}: {error.strerror}") from error


def _values(record: Record) -> dict[str, Any]:
    return {
        "uuid": record.uuid.hex(),
        "identity": record.identity.hex(),
        "state": record.state.value,
        "exports": list(record.exports),
        "reached": _configValues(record.config),
        "configured": _configValues(record.seed),
        "registered": _configValues(record.told),
        "removed": record.removed,
        "fences": {
            name.decode("ascii"): epoch for name, epoch in record.fences.items()
        },
    }


def _record(name: str, values: Any) -> Record:
    return Record(
        name,
        uuid=bytes.fromhex(values["uuid"]),
        identity=bytes.fromhex(values.get("identity", "")),
        config=_config(name, values.get("reached")),
        seed=_config(name, values.get("configured")),
        state=DSState(values.get("state", "active")),
        exports=tuple(map(str, values.get("exports", ()))),
        removed=bool(values.get("removed", False)),
        told=_config(name, values.get("registered")),
        fences={
            name.encode("ascii"): int(epoch) for name, epoch in values["fences"].items()
        },
    )


def addressText(address: tuple[str, int]) -> str:
    """
    An address as it is written.
    """
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _configValues(config: Optional[DataServerConfig]) -> Optional[dict[str, Any]]:
    if config is None:
        return None
    return {
        "address": addressText(config.address),
        "advertise": list(map(addressText, config.advertise)),
        "protocol": config.protocol,
        "class": config.label,
    }


def _config(name: str, values: Any) -> Optional[DataServerConfig]:
    if values is None:
        return None
    return DataServerConfig(
        name,
        parseReachableAddress(values["address"]),
        tuple(map(parseNumericAddress, values["advertise"])),
        str(values["protocol"]),
        str(values["class"]),
    )
