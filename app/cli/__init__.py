"""The ``relevo`` command: one module for each kind of question."""
