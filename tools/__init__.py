"""What developers and CI run on this repository; nothing here is shipped."""
