"""The parameters of a run: what the function that lists a pipeline's tasks takes, by its annotations.

`types` says how values of a type are read and written, `declared` finds the parameters of a function and checks what is
given for them, `texts` are values as the command line, the file and the screens have them: one text for each.
"""
