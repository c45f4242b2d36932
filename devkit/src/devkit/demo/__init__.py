"""`auth-service demo`: a user's life on real servers, with every answer, row and event checked."""
