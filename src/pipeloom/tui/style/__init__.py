"""How things look: themes, glyphs, formats, and the one door for text."""
