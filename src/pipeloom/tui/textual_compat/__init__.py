"""Everything that depends on private names of Textual."""
