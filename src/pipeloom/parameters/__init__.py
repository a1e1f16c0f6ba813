"""The parameters of a run: what the function that lists a pipeline's tasks takes, by its annotations.

`types` says how values of a type are read and written, `declared` finds the parameters of a function and checks what is
given for them, `texts` are values as the command line, the file and the screens have them: one text for each.
"""

from pipeloom.parameters.declared import MissingParameterError, Parameter, bound, parameters_of, texts_of
from pipeloom.parameters.texts import (
    FIRST,
    ONLY,
    Texts,
    few_of,
    kept,
    options_of,
    read_back,
    typed,
    without_few,
    words_of,
)

__all__ = [
    "FIRST",
    "ONLY",
    "MissingParameterError",
    "Parameter",
    "Texts",
    "bound",
    "few_of",
    "kept",
    "options_of",
    "parameters_of",
    "read_back",
    "texts_of",
    "typed",
    "without_few",
    "words_of",
]
