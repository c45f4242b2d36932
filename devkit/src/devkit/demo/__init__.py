"""`auth-service demo`: a user's life, played through the real parts and checked against what came out of them."""
