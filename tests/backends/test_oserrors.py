"""
Tests of L{pnfs.backends.oserrors}.
"""

from __future__ import annotations

import errno

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends import errors
from pnfs.backends.oserrors import translate


class TranslateTests(SynchronousTestCase):
    """
    Users see what really went wrong.
    """

    def test_known(self) -> None:
        """
        A full disk is no broken one.
        """
        for number, expected in (
            (errno.ENOSPC, errors.NoSpace),
            (errno.EDQUOT, errors.QuotaExceeded),
            (errno.ESTALE, errors.NoSuchObject),
            (errno.ENOTEMPTY, errors.DirectoryNotEmpty),
        ):
            self.assertIs(type(translate(OSError(number, "x"))), expected)

    def test_unknown(self) -> None:
        """
        Anything else is an I/O error.
        """
        self.assertIs(type(translate(OSError(errno.EIO, "x"))), errors.IOFailed)
        self.assertIs(type(translate(OSError("odd"))), errors.IOFailed)
