"""Headers of tars that the standard library reads, as it reads a tar from a stream."""

import tarfile

from recap_assets.untrusted.errors import UntrustedError

MAX_EXTENSION_BYTES = 2**20
"""Of a header that says more of the next one (pax, long names), which are taken to memory whole."""

_EXTENSIONS = {
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
}  # fmt: skip


class BoundedHeader(tarfile.TarInfo):
    """Give as `tarinfo` to `tarfile.open`: no header asks for more than a bound.

    What the library takes for an archive's end without a word, a damaged or half header behind the
    first, is an UntrustedError here; so is a header too large.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "BoundedHeader":
        """See `tarfile.TarInfo.frombuf`."""
        if 0 < len(buf) < tarfile.BLOCKSIZE:
            msg = "it is cut off within a header"
            raise UntrustedError(msg)
        try:
            found = super().frombuf(buf, encoding, errors)
        except (tarfile.HeaderError, ValueError) as error:
            if not any(buf):
                raise  # the end
            msg = f"a header is damaged ({error})"
            raise UntrustedError(msg) from error
        if found.type in _EXTENSIONS and not 0 <= found.size <= MAX_EXTENSION_BYTES:
            msg = f"a header of {found.size:,} bytes, at most {MAX_EXTENSION_BYTES:,} are taken"
            raise UntrustedError(msg)
        return found
