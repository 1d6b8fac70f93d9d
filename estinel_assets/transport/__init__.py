"""The one policy by which requests over a network are retried.

`policy.RetryPolicy` knows no HTTP library. `requests_transport.RequestsTransport` puts `requests`
under it, which pystac-client uses, and `httpx_transport.HttpxTransport` httpx, which comes with an
extra and is therefore imported from its own module. `plain_transport.PlainTransport` does without a
library, where requests are small and very many. Nothing else in the project may retry a
request: a retry inside a retry multiplies the load on a service that is already in trouble.

Which answer leads where:

===============================  ==================================================
429, 408, any 5xx                tried again, then `RetryableError`
no answer in time                tried again, then `RetryableError` (timeout)
connection refused, reset, cut   tried again, then `RetryableError` (unavailable)
an answer that cannot be read    tried again, then `RetryableError` (corrupt)
401, 403                         `PermanentError` (forbidden); with `signed=True`
                                 `RetryableError`, because a signature may have expired
404, 410                         `PermanentError` (not found)
any other                        `PermanentError` with the server's short message
===============================  ==================================================

POST and PUT are tried again like GET. An earlier try may have had its effect: whoever writes must
read back.
"""

from estinel_assets.transport.policy import (
    AnswerTimeoutError,
    ConnectionLostError,
    CorruptAnswerError,
    HttpStatusError,
    RetryPolicy,
    TryError,
    retry_after_s,
    server_message,
)
from estinel_assets.transport.requests_transport import RequestsTransport

__all__ = [
    "AnswerTimeoutError",
    "ConnectionLostError",
    "CorruptAnswerError",
    "HttpStatusError",
    "RequestsTransport",
    "RetryPolicy",
    "TryError",
    "retry_after_s",
    "server_message",
]
