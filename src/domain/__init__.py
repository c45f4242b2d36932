"""What a user is and how one changes: pure values and decisions, no I/O, no clock."""
