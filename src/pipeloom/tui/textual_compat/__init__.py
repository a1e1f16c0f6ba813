"""The only room that uses private names of Textual; each adapter falls back to what Textual does itself."""
