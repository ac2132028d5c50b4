"""What goes wrong between a store and its reader: the word by which each trouble is known, whether
another attempt may cure it, and what a person can do."""

from __future__ import annotations

import errno
from typing import Any

from lensjax.errors import said

_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired")
_UNKNOWN = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "UnrecognizedClient")
_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError")
_NO_SESSION = ("UnauthorizedSSOTokenError", "SSOTokenLoadError", "CredentialRetrievalError")
_FORBIDDEN = ("AccessDenied", "403", "401")
_CHANGED = ("PreconditionFailed", "412")
_BUSY = (
    *("SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests"),
    *("ServiceUnavailable", "InternalError", "RequestTimeout", "503", "500", "502", "504", "429"),
)
_LOST = (
    *("EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "HTTPClientError"),
    *("ConnectionClosedError", "IncompleteRead", "ResponseStreamingError"),
    *("ClientConnectorError", "ServerDisconnectedError", "ClientPayloadError", "TimeoutError"),
    *("ClientOSError", "ConnectionResetError", "FSTimeoutError", "ServerTimeoutError"),
)
BARRED = ("NoSuchBucket", *_FORBIDDEN)
"""Troubles that libraries report as a missing file although no file is missing"""
PASSING = (*_BUSY, *_LOST)
"""What another attempt may cure"""


class StoreError(OSError):
    """A store that did not give, or take, what was asked. The message names the address and what to
    do."""

    def __init__(self, address: str, text: str):
        super().__init__(errno.EIO, text, address)

    def __reduce__(self) -> tuple[Any, ...]:
        return StoreError, (self.filename, self.strerror)


def code_of(error: BaseException) -> str:
    """The word by which a store or its library names a trouble: that of the answer, else of the
    first class known here in the chain of errors. fsspec says of a web server that a file is not
    there whatever the server's trouble was, so that the cause counts."""
    seen: BaseException | None = error
    while seen is not None:
        response = getattr(seen, "response", None)
        if isinstance(response, dict) and "Error" in response:
            return str(response["Error"].get("Code", type(seen).__name__))
        if isinstance(status := getattr(seen, "status", None), int):
            return str(status)
        if type(seen).__name__ in (*_LOST, *_NO_CREDENTIALS, *_NO_SESSION):
            return type(seen).__name__
        seen = seen.__cause__ or seen.__context__
    return type(error).__name__


def refused(address: str, code: str, error: Exception) -> StoreError:
    """What to say of a trouble that no repetition cures. code: as `code_of` gives it."""
    bucket = address.partition("://")[2].partition("/")[0]
    where = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the machine's role"
    if code in (*_EXPIRED, *_NO_SESSION):
        text = "the credentials have expired; renew them and run the same command again"
    elif code == "400":  # the answer to HEAD has no text
        text = "refused (400), as with credentials that have expired; renew them and try again"
    elif code in _NO_CREDENTIALS:
        text = f"no credentials; set {where}, or FSSPEC_S3_ANON=true for a public bucket"
    elif code in _UNKNOWN:
        text = f"the store does not know these credentials ({code}); correct {where}"
    elif code in _CHANGED:
        text = (
            "changed while this run was reading it; run the same command again, which begins "
            "with the file as it is then"
        )
    elif code == "NoSuchBucket":
        text = f"no bucket {bucket!r}; correct the address, or make the bucket"
    elif isinstance(error, PermissionError) or code in _FORBIDDEN:
        text = (
            f"reading or writing it is forbidden ({code}); ask the owner of {bucket!r}, or correct "
            "the address: a store that may not be listed says this of a file that is not there, too"
        )
    else:
        text = f"{code}: {said(error)}"
    return StoreError(address, text)
