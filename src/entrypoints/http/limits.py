"""Limits of the server that the workers apply as well.

It imports nothing: metrics that are imported before the workers share a folder for them would never be shared.
"""

HEAD_LIMIT_BYTES = 16 * 1024
"""Path, query and headers. The server stops reading there and answers 431 without a document; what it may have read
beyond, at most as much again, is refused in `head_bounds`.
"""
