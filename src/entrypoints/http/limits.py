"""Limits of server and workers. It imports nothing: metrics imported before the workers could not be shared."""

HEAD_LIMIT_BYTES = 16 * 1024
"""Path, query and headers. The server stops reading there and answers 431 without a document; what it may have read
beyond, at most as much again, is refused in `head_bounds`.
"""
