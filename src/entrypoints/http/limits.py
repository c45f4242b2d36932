"""Limits of the server that the workers apply as well.

It imports nothing: metrics that are imported before the workers share a folder for them would never be shared.
"""

HEAD_LIMIT_BYTES = 16 * 1024
"""Path, query and headers. The server stops reading there and answers 431 without a document; what little more it may
have read by then is refused in `head`.
"""
