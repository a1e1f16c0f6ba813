"""Values that are kept out of every text: `secret` holds one, `masks` finds it in texts, `environment` reads them."""

from pipeloom.secrets.environment import from_environment
from pipeloom.secrets.masks import MASK, hides, longest, masked, masked_json, masked_start
from pipeloom.secrets.secret import Secret, known_secrets

__all__ = [
    "MASK",
    "Secret",
    "from_environment",
    "hides",
    "known_secrets",
    "longest",
    "masked",
    "masked_json",
    "masked_start",
]
