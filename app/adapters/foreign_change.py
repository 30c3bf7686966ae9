"""Another content for a file of other people, which can be undone, half-way as well."""

import errno
import os

from app.adapters.foreign_files import Folder, is_irreplaceable


class Change:
    """
    One file that gets another content; what it was stays beside it.

    That is the file itself under another name wherever that can be: undone, it is the same file
    again, also for a container that has this one file mounted.
    """

    def __init__(self, folder: Folder, name: str, before: bytes, after: bytes) -> None:
        self._folder, self._name = folder, name
        self._before, self._after = before, after
        self._is_in_place = self._is_done = False
        #: The name of what it was; None: the file was not touched.
        self.copy: str | None = None

    def make(self) -> None:
        """
        Make it. Where it fails it is not undone yet.

        :raises OSError: it cannot be made, or the file was not as it was said to be before
        """
        folder, name = self._folder, self._name
        if folder.read(name) != self._before:
            raise _changed(name)
        self.copy = kept = folder.link(name)
        if kept is None or not self._is_replaced():
            if kept is not None:
                # A second name of a file that is written into would be no copy of it.
                folder.remove(kept)
                self.copy = None
            self.copy = kept = folder.copy(name)
            if not self._is_replaced():
                self._is_in_place = True
                folder.write_over(name, self._after)
        self._is_done = True
        if folder.read(kept) != self._before:  # written into in between: it is undone
            raise _changed(name)

    def undo(self) -> bool:
        """
        Make the file what it was, and take the copy away; it needs no room on the disk.

        :return: whether it was anything else
        :raises OSError: it is not what it was, and the copy stays; as well where somebody else has
            changed it since: that is not to be lost
        """
        folder, name, copy = self._folder, self._name, self.copy
        if copy is None:
            return False
        there, kept = folder.about(name), folder.about(copy)
        if there is not None and kept is not None and os.path.samestat(there, kept):
            folder.remove(copy)
            return False
        now = folder.read(name)
        is_half = self._is_in_place and not self._is_done
        if now not in (self._before, self._after) and not is_half:
            raise _changed(name)
        if not self._is_in_place:
            folder.rename(copy, name)
        else:
            if now != self._before:
                folder.write_over(name, self._before)
            folder.remove(copy)
        return now != self._before

    def _is_replaced(self) -> bool:
        try:
            self._folder.replace(self._name, self._after)
        except OSError as exc:
            if not is_irreplaceable(exc):
                raise
            return False
        return True


def _changed(name: str) -> OSError:
    return OSError(errno.ESTALE, "somebody else has changed it meanwhile", name)
