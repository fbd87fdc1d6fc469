"""Entries that left Redis for the archive, found again for whoever repeats an old request."""

import asyncio
from collections import OrderedDict
from dataclasses import replace
from typing import Final

from storage.archive import Archive, ArchiveFile
from storage.commit import Committed

CACHED: Final = 4
"""Files kept in memory, some MiB each: who sends a whole log again asks for neighbours."""


class PastEntries:
    """What a replica has read of the archive lately."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._read: OrderedDict[ArchiveFile, dict[int, bytes]] = OrderedDict()

    async def recall(self, partition: int, tenant: str, committed: Committed) -> Committed:
        """Return the result with its entry, where that is only in the archive by now; any other as it is.

        Raises:
            ArchiveError: the archive does not answer.
        """
        if committed.status != "archived":
            return committed
        raw = await self.find(partition, tenant, committed.position)
        if raw is None:
            return replace(committed, status="lost")
        return replace(committed, status="duplicate", entry=raw)

    async def find(self, partition: int, tenant: str, position: int) -> bytes | None:
        """Return an entry of a tenant as the log held it, None if it is not in the archive.

        Raises:
            ArchiveError: the archive does not answer.
        """
        for file, known in self._read.items():
            if (file.partition, file.tenant) == (partition, tenant) and file.first <= position <= file.last:
                if not await asyncio.to_thread(self._archive.is_current, file):
                    self._read.pop(file, None)
                    break
                if file in self._read:  # others read meanwhile, and may have pushed it out
                    self._read.move_to_end(file)
                return known.get(position)
        found = await asyncio.to_thread(self._archive.find, partition, tenant, position)
        if found is None:
            return None
        entries = await asyncio.to_thread(self._archive.raw_entries, found)
        self._read[found] = entries
        if len(self._read) > CACHED:
            self._read.popitem(last=False)
        return entries.get(position)
