"""Attempts as text: `attempts` exports many to a file, `case_file` describes one, `formats` has the forms of a row."""
