# -*- test-case-name: tests.backends.metadata.test_memory -*-
"""
What is said of new files below a directory, in memory.
"""

from __future__ import annotations

from typing import Any, Optional

from pnfs.values import PlacementSettings


class MemorySettings:
    """
    The part of L{pnfs.backends.metadata.memory.MemoryMetadataBackend} that deals with
    settings, and with the way up to the directories that have them.
    """

    def _live(self, inode: Any) -> Any:
        raise NotImplementedError

    def _directory(self, inode: Any) -> Any:
        raise NotImplementedError

    async def directoryOf(self, inode: Any) -> Any:
        """
        See L{pnfs.interfaces.IMetadataBackend.directoryOf}.
        """
        return self._live(inode).parent

    async def loadSettings(self, directory: Any) -> Optional[PlacementSettings]:
        """
        See L{pnfs.interfaces.IMetadataBackend.loadSettings}.
        """
        settings: Optional[PlacementSettings] = self._directory(directory).settings
        return settings

    async def storeSettings(
        self, directory: Any, settings: Optional[PlacementSettings]
    ) -> None:
        """
        See L{pnfs.interfaces.IMetadataBackend.storeSettings}.
        """
        self._directory(directory).settings = settings
