"""Test vectors for programs that verify session tokens or consume events, and commands that run them."""
